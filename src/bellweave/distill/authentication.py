"""Tags that prove who sent a conversation, and that it arrived as it was sent, whatever an enemy can compute.

Wegman and Carter: a secret hash function, drawn from a family in which any two texts rarely agree, and a fresh one-time
pad over the hash. Two schemes (:class:`~bellweave.distill.params.Authentication`):

============  ======================================================  =====================  =======================
scheme        tag of a text of L bytes                                key of a tag           forged with probability
============  ======================================================  =====================  =======================
``recycled``  :mod:`~bellweave.distill.gf128` under one secret key    128 bits, one-time     (ceil(L/16) + 1) 2^-128
              for many texts, xor a one-time pad                      pad
``one-time``  Poly1305 (RFC 8439, its key used once)                  256 bits               8 ceil(L/16) 2^-106
============  ======================================================  =====================  =======================

The text of a direction's tag is every message that way since the last release, each with its length, and last a
:class:`Statement`: protocol, scheme, link, block, sender, and the place of the key in the pool. So a tag is worth
nothing for another link, block, direction, role or session. The recycled key is safe because pads hide every hash
(Portmann, IEEE Trans. Inf. Theory 60, 4383, 2014).

What tags cannot show: *when* a message crossed. An enemy who guesses a reply right may hand it over early.
"""

import hmac
import math
from collections.abc import Iterable

import msgspec
from cryptography.hazmat.primitives.poly1305 import Poly1305

from bellweave.blocks import Role
from bellweave.dialogue import Watch
from bellweave.distill.gf128 import CHUNK_BYTES, PolynomialHash
from bellweave.distill.messages import VERSION
from bellweave.distill.params import Authentication

TAG_BYTES = 16
PAD_BYTES = {"recycled": 16, "one-time": 32}
"""Key that one tag uses up."""


class Statement(msgspec.Struct, frozen=True, array_like=True):
    """What a tag says beside the messages.

    Attributes:
        sender: Whose tag it is.
        link: Name of the link.
        block_id: The block that is released.
        slot: Place of the pads in the pool.
        released: Blocks that were released on this link before.
        params: How messages are authenticated.
        version: Of the protocol.
    """

    sender: Role
    link: str
    block_id: str
    slot: int
    released: int
    params: Authentication
    version: int = VERSION

    def encoded(self) -> bytes:
        """Return the frame that ends the text."""
        data = msgspec.msgpack.encode(("bellweave authentication", self))
        return len(data).to_bytes(8, "big") + data


class Direction:
    """All messages of one direction: hashed as they pass, or kept where the key is not known before the end.

    Args:
        hash_key: The key of a recycled hash; None: keep the messages.
    """

    def __init__(self, hash_key: bytes | None) -> None:
        self._key = hash_key
        self._hash = None if hash_key is None else PolynomialHash(hash_key)
        self._kept: list[bytes] = []
        self._hashed = 0
        self.length = 0

    def note(self, data: bytes) -> None:
        """Take in a message's frame."""
        self.length += len(data)
        self._kept.append(data)
        if self._hash is not None and self.length - self._hashed >= CHUNK_BYTES:
            self._hash_kept(self._hash)

    def tag(self, statement: Statement, hash_key: bytes, pad: bytes) -> bytes:
        """Return the tag, 16 bytes.

        Args:
            statement: The end of the text.
            hash_key: The recycled key; not used by ``one-time``.
            pad: Bytes that no other tag ever uses, as many as the scheme takes.
        """
        end = statement.encoded()
        if statement.params.scheme == "one-time":
            return poly1305(pad, [*self._texts(), end])
        if self._hash is not None and self._key is not None and hmac.compare_digest(self._key, hash_key):
            self._hash_kept(self._hash)
            running = self._hash.copy()
        else:
            running = PolynomialHash(hash_key)
            running.update(b"".join(self._texts()))
        running.update(end)
        return bytes(a ^ b for a, b in zip(running.digest(), pad, strict=True))

    def _hash_kept(self, running: PolynomialHash) -> None:
        running.update(b"".join(self._kept))
        self._kept = []
        self._hashed = self.length

    def _texts(self) -> list[bytes]:
        if self._hash is not None:
            raise ValueError("the messages were hashed under another key and are gone")
        return self._kept


class Transcript(Watch):
    """The authenticated sibling of :class:`bellweave.dialogue.Transcript`: one for all that crosses between releases.

    Args:
        hash_key: As for :class:`Direction`. Made by :meth:`~.authentication_keys.AuthenticationKeys.transcript`.
    """

    def __init__(self, hash_key: bytes | None) -> None:
        self.sent = Direction(hash_key)
        self.received = Direction(hash_key)

    def note_sent(self, data: bytes) -> None:
        """Take in what was sent."""
        self.sent.note(data)

    def note_received(self, data: bytes) -> None:
        """Take in what was received."""
        self.received.note(data)


def poly1305(key: bytes, texts: Iterable[bytes]) -> bytes:
    """Return Poly1305 of the texts in a row, 16 bytes; the key, 32 random bytes, may never be used again."""
    return Poly1305.generate_tag(key, b"".join(texts))


def forgery_probability(params: Authentication, length: int) -> float:
    """Return the greatest chance that one altered text of at most ``length`` bytes keeps its tag.

    >>> math.log2(forgery_probability(Authentication(), 16_368))
    -118.0
    >>> math.log2(forgery_probability(Authentication(scheme="one-time"), 2**20))
    -87.0
    """
    blocks = max(1, math.ceil(length / 16))
    return 8 * blocks * 2.0**-106 if params.scheme == "one-time" else (blocks + 1) * 2.0**-128
