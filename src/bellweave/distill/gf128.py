"""Polynomial hash over GF(2^128), the universal hash of Wegman and Carter's tags.

The field is GF(2)[x] / (x^128 + x^7 + x^2 + x + 1); bit i of a 16-byte little-endian number is the coefficient of x^i.
(Not the bit order of GHASH: the format is the project's own.) A message of L bytes makes n = ceil(L / 16) blocks
m_1 ... m_n, the last one filled up with zeros, and one more, L itself. Its hash under the key H is::

    m_1 H^(n+1) + m_2 H^n + ... + m_n H^2 + L H

Two messages differ by a polynomial without constant term, of degree n + 1 at most for the longer one. So for a random H
the chance that the sum of two hashes is any given value is at most (n + 1) 2^-128.

Two ways give the same hash. ``carryless`` takes the same time whatever key and message are. ``tables``, for processors
without the instruction, looks up 64 KiB by the bytes of what it multiplies: **not constant time**, so a process that
shares its cache with an enemy can lose the hash key.
"""

from typing import Any, Literal, Self

import numba
import numpy as np
from numpy.typing import NDArray

from bellweave.distill import carryless

KEY_BYTES = 16
BLOCK_BYTES = 16
BATCH = 8
"""Blocks whose products are added up before one reduction: so many instructions are under way at once."""

CHUNK_BYTES = 16_384
"""Short messages are gathered to this size, because calling a compiled function costs as much as hashing 2 KiB."""

Words = NDArray[np.uint64]
Way = Literal["carryless", "tables"]


class PolynomialHash:
    """One message's hash, taken in as it comes.

    Args:
        key: 16 random bytes, secret.
        way: How; absent: the fastest that the processor has.
    """

    def __init__(self, key: bytes, *, way: Way | None = None) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key of the hash has {KEY_BYTES} bytes, not {len(key)}")
        self._way: Way = way or ("carryless" if carryless.LANES else "tables")
        element = np.frombuffer(key, "<u8").astype(np.uint64)
        if self._way == "carryless":
            self._key = np.empty(2 * BATCH, np.uint64)
            _write_powers(element, self._key)
        else:
            self._key = np.empty(16 * 256 * 2, np.uint64)
            _write_tables(element, self._key)
        self._state = np.zeros(2, np.uint64)
        self._waiting = bytearray()
        self.length = 0

    def update(self, data: bytes) -> None:
        """Take in more of the message."""
        self.length += len(data)
        if len(self._waiting) + len(data) < CHUNK_BYTES:
            self._waiting += data
            return
        missing = -len(self._waiting) % BLOCK_BYTES
        if self._waiting:
            self._absorb(self._state, self._waiting + data[:missing])
        whole = missing + (len(data) - missing) // BLOCK_BYTES * BLOCK_BYTES
        self._absorb(self._state, memoryview(data)[missing:whole])
        self._waiting = bytearray(data[whole:])

    def copy(self) -> Self:
        """Return another hash that goes on from here."""
        other = object.__new__(type(self))
        other._way, other._key, other.length = self._way, self._key, self.length
        other._state, other._waiting = self._state.copy(), self._waiting[:]
        return other

    def digest(self) -> bytes:
        """Return the hash of what was taken in so far, 16 bytes. It is not a tag until a one-time pad hides it."""
        state = self._state.copy()
        rest = bytes(self._waiting) + bytes(-len(self._waiting) % BLOCK_BYTES)
        self._absorb(state, rest + self.length.to_bytes(BLOCK_BYTES, "little"))
        return state.astype("<u8").tobytes()

    def _absorb(self, state: Words, blocks: bytes | bytearray | memoryview) -> None:
        words = np.frombuffer(blocks, "<u8").astype(np.uint64, copy=False)
        (_absorb_carryless if self._way == "carryless" else _absorb_tables)(words, self._key, state)


# ---------------------------------------------------------------------------------------------------------- carry-less


@numba.njit(cache=True, nogil=True)
def _reduced(r0: Any, r1: Any, r2: Any, r3: Any) -> tuple[Any, Any]:
    """Return r modulo x^128 + x^7 + x^2 + x + 1."""
    low, high = carryless.multiply(r3, np.uint64(0x87))
    r1, r2 = r1 ^ low, r2 ^ high
    low, high = carryless.multiply(r2, np.uint64(0x87))
    return r0 ^ low, r1 ^ high


@numba.njit(cache=True, nogil=True)
def _write_powers(key: Words, powers: Words) -> None:
    """Write H, H^2, ... as pairs of words."""
    powers[0], powers[1] = key[0], key[1]
    for i in range(1, powers.size // 2):
        a0, a1 = powers[2 * i - 2], powers[2 * i - 1]
        r0, r1 = carryless.multiply(a0, key[0])
        r2, r3 = carryless.multiply(a1, key[1])
        low, high = carryless.multiply(a0, key[1])
        lower, higher = carryless.multiply(a1, key[0])
        powers[2 * i], powers[2 * i + 1] = _reduced(r0, r1 ^ low ^ lower, r2 ^ high ^ higher, r3)


@numba.njit(cache=True, nogil=True)
def _absorb_carryless(words: Words, powers: Words, state: Words) -> None:
    z0, z1 = state[0], state[1]
    blocks = words.size // 2
    place = 0
    while place < blocks:
        batch = min(BATCH, blocks - place)
        r0 = r1 = r2 = r3 = m0 = m1 = np.uint64(0)
        for i in range(batch):
            a0, a1 = words[2 * (place + i)], words[2 * (place + i) + 1]
            if i == 0:
                a0, a1 = a0 ^ z0, a1 ^ z1
            h0, h1 = powers[2 * (batch - 1 - i)], powers[2 * (batch - 1 - i) + 1]
            low, high = carryless.multiply(a0, h0)
            r0, r1 = r0 ^ low, r1 ^ high
            low, high = carryless.multiply(a1, h1)
            r2, r3 = r2 ^ low, r3 ^ high
            low, high = carryless.multiply(a0, h1)
            lower, higher = carryless.multiply(a1, h0)
            m0, m1 = m0 ^ low ^ lower, m1 ^ high ^ higher
        z0, z1 = _reduced(r0, r1 ^ m0, r2 ^ m1, r3)
        place += batch
    state[0], state[1] = z0, z1


# --------------------------------------------------------------------------------------------------------------- tables


@numba.njit(cache=True, nogil=True)
def _write_tables(key: Words, tables: Words) -> None:
    """Write b x^(8j) H for every byte b and its place j: sixteen tables, one look-up a byte and no shifts."""
    low, high = key[0], key[1]
    for j in range(16):
        tables[512 * j], tables[512 * j + 1] = np.uint64(0), np.uint64(0)
        for k in range(8):
            for b in range(1 << k):  # what is known for b gives what holds for b with bit k
                place = 2 * (256 * j + b)
                tables[place + (2 << k)] = tables[place] ^ low
                tables[place + (2 << k) + 1] = tables[place + 1] ^ high
            carry = high >> np.uint64(63)
            high = (high << np.uint64(1)) | (low >> np.uint64(63))
            low = (low << np.uint64(1)) ^ (carry * np.uint64(0x87))


@numba.njit(cache=True, nogil=True)
def _absorb_tables(words: Words, tables: Words, state: Words) -> None:
    z0, z1 = state[0], state[1]
    for place in range(0, words.size, 2):
        a0, a1 = words[place] ^ z0, words[place + 1] ^ z1
        z0 = z1 = np.uint64(0)
        for j in range(8):
            b = 2 * (256 * j + np.int64((a0 >> np.uint64(8 * j)) & np.uint64(255)))
            c = 2 * (256 * (j + 8) + np.int64((a1 >> np.uint64(8 * j)) & np.uint64(255)))
            z0 ^= tables[b] ^ tables[c]
            z1 ^= tables[b + 1] ^ tables[c + 1]
    state[0], state[1] = z0, z1
