"""A record layer for tunnels without IPsec: AES-256-GCM under delivered keys, sans IO.

A record is ``key_ID (16 bytes) | counter (8) | ciphertext | tag (16)``; the first 24 bytes are the associated data.

Rules:

1. Each key_ID is an epoch. Of its key, HKDF makes one key for each direction, with the tunnel, both names and the
   sender's role in ``info``: a record means nothing in another tunnel, epoch or direction, sent back neither.
2. The nonce is four zero bytes and the counter, which begins at 0 and never wraps: a :class:`Sealer` that has used it
   up refuses.
3. An :class:`Opener` takes a record once: what is older than its window, or was there before, is dropped.
4. A retired epoch is taken for a short while longer, for what was on its way; then it is forgotten.
5. What can't be opened is dropped and counted, never answered.

An epoch's key must be new: nobody may make two sealers of one key and role. Key servers hand out a key once.
"""

from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Side = Literal["client", "server"]

EPOCH_BYTES = 16
HEADER_BYTES = EPOCH_BYTES + 8
TAG_BYTES = 16
OVERHEAD_BYTES = HEADER_BYTES + TAG_BYTES

LAST_COUNTER = 2**64 - 1

WINDOW = 1024
"""How far back a record may come late; RFC 4303 asks for 32 at least, Linux' WireGuard has 8192."""

GRACE_S = 2.0
"""How long a retired epoch is still taken: the longest round trip, and some."""

_LABEL = b"bellweave record layer 1"
_ZEROS = bytes(4)


@dataclass(frozen=True, slots=True)
class Ends:
    """Whose tunnel it is.

    Attributes:
        tunnel: Its name.
        client, server: Names of its two SAEs.
    """

    tunnel: str
    client: str
    server: str


class CounterUsedUpError(Exception):
    """A sealer has used its last counter: the epoch can't go on."""


def epoch_of(key_id: str) -> bytes:
    """Return a key_ID, which is a UUID, as 16 bytes.

    Raises:
        ValueError: It is none.

    >>> epoch_of("00010203-0405-0607-0809-0A0B0C0D0E0F").hex()
    '000102030405060708090a0b0c0d0e0f'
    """
    try:
        epoch = bytes.fromhex(key_id.replace("-", ""))
    except ValueError:
        epoch = b""
    if len(epoch) != EPOCH_BYTES:
        raise ValueError(f"a key_ID of this channel is a UUID, got {key_id!r}")
    return epoch


def _cipher(key: bytes | bytearray, key_id: str, ends: Ends, sender: Side) -> AESGCM:
    """Return the cipher of one direction and epoch."""
    fields = (ends.tunnel.encode(), ends.client.encode(), ends.server.encode(), sender.encode(), epoch_of(key_id))
    info = b"".join(len(each).to_bytes(4, "big") + each for each in (_LABEL, *fields))
    return AESGCM(HKDF(SHA256(), 32, None, info).derive(key))


class Sealer:
    """Seals one end's records of one epoch.

    Args:
        key: As delivered.
        key_id: Its id, a UUID.
        ends: Whose tunnel it is.
        sender: This end.
        counter: First one; only tests begin elsewhere than at 0.

    Raises:
        ValueError: The id is no UUID.
    """

    def __init__(self, key: bytes | bytearray, key_id: str, ends: Ends, sender: Side, counter: int = 0) -> None:
        self.key_id = key_id
        self._epoch = epoch_of(key_id)
        self._cipher = _cipher(key, key_id, ends, sender)
        self._counter = counter

    def seal(self, plaintext: bytes) -> bytes:
        """Return a record.

        Raises:
            CounterUsedUpError: There is no counter left.
        """
        if self._counter > LAST_COUNTER:
            raise CounterUsedUpError(f"2^64 records of epoch {self.key_id} were sealed")
        counter = self._counter.to_bytes(8, "big")
        self._counter += 1
        header = self._epoch + counter
        return header + self._cipher.encrypt(_ZEROS + counter, plaintext, header)


@dataclass(slots=True)
class Dropped:
    """How many records were dropped, and why.

    Attributes:
        short: Too short for a record.
        unknown: Of an epoch that is not known, or not any more.
        forged: The tag is wrong.
        replayed: It was there before, or is older than the window.
    """

    short: int = 0
    unknown: int = 0
    forged: int = 0
    replayed: int = 0


class ReplayWindow:
    """Which counters were there: the highest, and a bit for each of the :data:`WINDOW` up to it."""

    def __init__(self) -> None:
        self._highest = -1
        self._seen = 0

    def fresh(self, counter: int) -> bool:
        """Return whether a record with this counter may be taken."""
        behind = self._highest - counter
        return behind < 0 or (behind < WINDOW and not self._seen >> behind & 1)

    def note(self, counter: int) -> None:
        """Take note of a fresh counter whose record is genuine."""
        ahead = counter - self._highest
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & ((1 << WINDOW) - 1) if ahead < WINDOW else 1
            self._highest = counter
        else:
            self._seen |= 1 << -ahead


class _Epoch:
    """What opens one epoch's records."""

    def __init__(self, key_id: str, cipher: AESGCM) -> None:
        self.key_id = key_id
        self.cipher = cipher
        self.window = ReplayWindow()
        self.until_s: float | None = None  # None: not retired


class Opener:
    """Opens the other end's records, of every epoch that it was given.

    Args:
        ends: Whose tunnel it is.
        sender: The other end.

    Attributes:
        dropped: What it did not take.
    """

    def __init__(self, ends: Ends, sender: Side) -> None:
        self._ends = ends
        self._sender = sender
        self._epochs: dict[bytes, _Epoch] = {}
        self.dropped = Dropped()

    @property
    def epochs(self) -> frozenset[str]:
        """The key_IDs that are known, retired ones included."""
        return frozenset(each.key_id for each in self._epochs.values())

    def add(self, key: bytes | bytearray, key_id: str) -> None:
        """Take records of this epoch from now on.

        Raises:
            ValueError: The id is no UUID, or known.
        """
        epoch = epoch_of(key_id)
        if epoch in self._epochs:
            raise ValueError(f"epoch {key_id} is there already")
        self._epochs[epoch] = _Epoch(key_id, _cipher(key, key_id, self._ends, self._sender))

    def retire(self, key_id: str, now_s: float) -> None:
        """Take records of this epoch for :data:`GRACE_S` longer; unknown: nothing."""
        epoch = self._epochs.get(epoch_of(key_id))
        if epoch is not None and epoch.until_s is None:
            epoch.until_s = now_s + GRACE_S

    def forget(self, key_id: str) -> None:
        """Take no more records of this epoch; unknown: nothing."""
        self._epochs.pop(epoch_of(key_id), None)

    def expire(self, now_s: float) -> None:
        """Forget the epochs whose grace is over."""
        over = [epoch for epoch, each in self._epochs.items() if each.until_s is not None and now_s >= each.until_s]
        for epoch in over:
            del self._epochs[epoch]

    def open(self, record: bytes, now_s: float) -> tuple[str, bytes] | None:
        """Return key_ID and plaintext of a record, or None: it was dropped and counted."""
        if len(record) < OVERHEAD_BYTES:
            self.dropped.short += 1
            return None
        self.expire(now_s)
        epoch = self._epochs.get(record[:EPOCH_BYTES])
        if epoch is None:
            self.dropped.unknown += 1
            return None
        counter = int.from_bytes(record[EPOCH_BYTES:HEADER_BYTES], "big")
        if not epoch.window.fresh(counter):
            self.dropped.replayed += 1
            return None
        nonce = _ZEROS + record[EPOCH_BYTES:HEADER_BYTES]
        try:
            plaintext = epoch.cipher.decrypt(nonce, record[HEADER_BYTES:], record[:HEADER_BYTES])
        except InvalidTag:
            self.dropped.forged += 1
            return None
        epoch.window.note(counter)
        return epoch.key_id, plaintext
