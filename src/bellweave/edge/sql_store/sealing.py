"""What is secret at rest: AES-256-GCM, with a data key for each block, or copy of a key, that the master key wraps.

Rules:

1. A data key seals once, so its nonce is fixed. It is wrapped by AES-256-GCM too, under a random nonce: 2^32 blocks
   make two nonces meet with a probability of 2^-32 (NIST SP 800-38D, 8.3).
2. Pool, block id and size are authenticated with both: material can't be put in another's place.
3. The keys for wrapping and for the audit trail are derived from the master key by HKDF (RFC 5869).
4. Whoever deletes a wrapped data key has erased what it seals, wherever copies of that lie.
"""

import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bellweave.errors import StoreFailed

MASTER_KEY_BYTES = 32
_DATA_KEY_BYTES = 32
_NONCE_BYTES = 12
_ONLY_NONCE = bytes(_NONCE_BYTES)
_WRAPPED_BYTES = _NONCE_BYTES + _DATA_KEY_BYTES + 16
_HASH_BLOCK_BYTES = 64


class Fingerprint:
    """HMAC-SHA256 under one key; half the work of :func:`hmac.digest`, since the key is hashed in only once."""

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(_HASH_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def __call__(self, data: bytes) -> bytes:
        """Return the 32 bytes for some data."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return outer.digest()


class Sealer:
    """Seals and opens what a store keeps.

    Args:
        master_key: 32 bytes.
        salt: The store's own, not secret: two stores with one master key have different keys below it.

    Attributes:
        fingerprint: Of key material, for the audit trail.
        check: Tells whether the master key is the one that a store was made with.
    """

    def __init__(self, master_key: bytes, salt: bytes) -> None:
        self._wrapping = AESGCM(_derived(master_key, salt, b"wrap"))
        audit_key = _derived(master_key, salt, b"audit")
        self.fingerprint = Fingerprint(audit_key)
        self.chain = Fingerprint(_derived(master_key, salt, b"chain"))
        self.check = _derived(master_key, salt, b"check").hex()

    def accepts(self, check: str) -> bool:
        """Return whether a store with this check value was made with our master key."""
        return hmac.compare_digest(check.encode(), self.check.encode())

    def seal(self, material: bytes, name: bytes) -> tuple[bytes, bytes]:
        """Return a wrapped data key, and the material sealed with it."""
        data_key = secrets.token_bytes(_DATA_KEY_BYTES)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapped = nonce + self._wrapping.encrypt(nonce, data_key, name)
        return wrapped, AESGCM(data_key).encrypt(_ONLY_NONCE, material, name)

    def open(self, wrapped: bytes, sealed: bytes, name: bytes) -> bytes:
        """Return what was sealed under this name.

        Raises:
            StoreFailed: It was altered, or put there for something else.
        """
        try:
            data_key = self._wrapping.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], name)
            return AESGCM(data_key).decrypt(_ONLY_NONCE, sealed, name)
        except (InvalidTag, ValueError):
            raise StoreFailed(f"the store's material of {name!r} was altered: it can't be opened") from None

    def seal_in_one(self, material: bytes, name: bytes) -> bytes:
        """Return both parts of :meth:`seal` as one value."""
        return b"".join(self.seal(material, name))

    def open_in_one(self, sealed: bytes, name: bytes) -> bytes:
        """Return what :meth:`seal_in_one` sealed.

        Raises:
            StoreFailed: As :meth:`open`.
        """
        return self.open(sealed[:_WRAPPED_BYTES], sealed[_WRAPPED_BYTES:], name)


def block_name(pool: str, block_id: str, size_bytes: int) -> bytes:
    r"""Return what is authenticated with a block.

    >>> block_name("a|b/direct", "block 1", 32)
    b'a|b/direct\x00block 1\x0032'
    """
    return f"{pool}\0{block_id}\0{size_bytes}".encode()


def _derived(master_key: bytes, salt: bytes, purpose: bytes) -> bytes:
    if len(master_key) != MASTER_KEY_BYTES:
        raise StoreFailed(f"a master key has {MASTER_KEY_BYTES} bytes, not {len(master_key)}")
    return HKDF(SHA256(), 32, salt, b"bellweave store: " + purpose).derive(master_key)
