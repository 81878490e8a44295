"""Toeplitz hashing over GF(2), exact, three ways that give the same bits.

Convention: T[i, j] = seed[n - 1 + i - j] for n columns, so l rows take n + l - 1 bits of seed. The family is universal2
for uniform seeds, in the modified form [T | I] too (Hayashi and Tsurumaru, IEEE Trans. Inf. Theory 62, 2213, 2016),
which takes n - 1 bits of seed and a shorter product.

T x is a window of the product of two polynomials, x and the seed:

``carryless``   64 x 64 bits an instruction; work grows with n l (:mod:`bellweave.distill.carryless`)
``windows``     the window of the seed that starts at each set bit, added up; the same work, no special instruction
``convolution`` by FFT in float64, rounded; work grows with n log n

:func:`fastest` knows which to take. All of them are exact: the first two by construction, the third because it measures
its distance from integers and raises rather than round wrongly.
"""

import hmac
from typing import Literal

import numba
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from bellweave.blocks import Bytes
from bellweave.distill import carryless
from bellweave.rng import Entropy

Words = NDArray[np.uint64]
Way = Literal["carryless", "windows", "convolution"]

ROUNDING_LIMIT = 0.1
"""Largest distance from an integer that a convolution in float64 may show; 0.5 would flip a bit.

Measured: 6e-11 at 10^6 bits, 5e-10 at 10^7, so what exceeds the limit is a defect, not bad luck. A bound of the kind of
Brent, Percival and Zimmermann (Math. Comp. 76, 1469, 2007) stays below 0.5 up to about 2^40 bits.
"""

PACKED_LIMIT_BITS = 4_000_000
"""Most columns with which two halves of the output share a convolution; the rounding distance is 7e-4 at 10^6 and 0.08
at 10^7. Beyond, or when the limit is exceeded all the same, each value has a convolution of its own."""

WINDOWS_LIMIT = 30_000_000
"""Rows times columns up to which ``windows`` beats the FFT (measured: about 13 000 bits hashed to 30 %)."""

SHORT_BITS = 8192
"""Bits of seed up to which ``carryless`` packs and multiplies in one compiled call (measured)."""

CARRYLESS_LIMIT_PER_LANE = 8_000_000_000_000
"""The same for ``carryless``, for each word that an instruction takes (measured: the FFT wins from 7 10^6 bits on with
two, from 3 10^7 on with eight)."""


def seed_bits(entropy: Entropy, count: int) -> Bytes:
    """Return ``count`` fresh random bits, shape (count,)."""
    return np.unpackbits(np.frombuffer(entropy.bytes((count + 7) // 8), np.uint8))[:count]


def fastest(count: int, length: int) -> Way:
    """Return the way that hashes ``count`` bits to ``length`` soonest on this processor."""
    work = count * length
    if carryless.LANES and work <= CARRYLESS_LIMIT_PER_LANE * carryless.LANES:
        return "carryless"
    return "windows" if work <= WINDOWS_LIMIT else "convolution"


def toeplitz(bits: Bytes, seed: Bytes, length: int, *, way: Way | None = None) -> Bytes:
    """Return T bits, shape (length,).

    Args:
        bits: Shape (n,), n >= 1, values 0 and 1.
        seed: Shape (n + length - 1,), values 0 and 1.
        length: Rows, >= 1.
        way: How; absent: the fastest.

    Raises:
        ValueError: If the seed has another length.
        ArithmeticError: If rounding came near to a wrong bit.
    """
    if length < 1 or bits.size < 1 or seed.size != bits.size + length - 1:
        raise ValueError(f"{bits.size} bits to {length} take {bits.size + length - 1} bits of seed, not {seed.size}")
    how = {"carryless": _carryless, "windows": _windows, "convolution": _convolution}
    return how[way or fastest(bits.size, length)](bits, seed, length)


def toeplitz_identity(bits: Bytes, seed: Bytes, length: int, *, way: Way | None = None) -> Bytes:
    """Return [T | I] bits, shape (length,): shorter seed and product than :func:`toeplitz`.

    Args:
        bits: Shape (n,).
        seed: Shape (n - 1,).
        length: Rows, 1 to n - 1.
        way: As for :func:`toeplitz`.
    """
    if not 1 <= length < bits.size:
        raise ValueError(f"length must be 1 to {bits.size - 1}, not {length}")
    split = bits.size - length
    return toeplitz(bits[:split], seed, length, way=way) ^ bits[split:]


def same(one: Bytes, other: Bytes) -> bool:
    """Return whether two hashes are equal; takes as long whatever they are."""
    return hmac.compare_digest(one.tobytes(), other.tobytes())


# --------------------------------------------------------------------------------------------------------- bit-packed


def _words(bits: Bytes, before: int = 0, spare: int = 0) -> Words:
    """Return ``before`` zeros, the bits and ``spare`` empty words, packed: number 64 w + i is bit i of word w."""
    space = np.zeros(-(-(before + bits.size) // 64) * 64, np.uint8)
    space[before : before + bits.size] = bits
    words = np.packbits(space, bitorder="little").view("<u8").astype(np.uint64, copy=False)
    return np.concatenate([words, np.zeros(spare, np.uint64)]) if spare else words


def _bits(words: Words, count: int) -> Bytes:
    return np.unpackbits(words.astype("<u8", copy=False).view(np.uint8), count=count, bitorder="little")


def _carryless(bits: Bytes, seed: Bytes, length: int) -> Bytes:
    """Row i is coefficient n - 1 + i of the product; zeros in front of the bits put the first row at a word's start."""
    if seed.size <= SHORT_BITS:
        out = np.empty(length, np.uint8)
        _short(bits, seed, out)
        return out
    factor = _words(bits, before=(1 - bits.size) % 64)
    return _bits(carryless.middle(factor, _words(seed), factor.size - 1, -(-length // 64)), length)


@numba.njit(cache=True, nogil=True)
def _short(bits: Bytes, seed: Bytes, out: Bytes) -> None:
    """Do the same in one call: NumPy's packing is faster a bit, but five calls of it cost more than a short product."""
    factor = _packed(bits, (1 - bits.size) % 64)
    words = np.empty((out.size + 63) // 64, np.uint64)
    carryless.write_middle(factor, _packed(seed, 0), factor.size - 1, words)
    for i in range(out.size):
        out[i] = words[i >> 6] >> np.uint64(i & 63) & np.uint64(1)


@numba.njit(cache=True, nogil=True)
def _packed(bits: Bytes, before: int) -> Words:
    words = np.zeros((before + bits.size + 63) // 64, np.uint64)
    head = min(bits.size, 64 - before)
    for i in range(head):
        words[0] |= np.uint64(bits[i]) << np.uint64(before + i)
    for w in range(1, words.size):
        first = head + 64 * (w - 1)
        word = np.uint64(0)
        if first + 64 <= bits.size:
            for i in range(64):  # a constant count: LLVM unrolls it
                word |= np.uint64(bits[first + i]) << np.uint64(i)
        else:
            for i in range(bits.size - first):
                word |= np.uint64(bits[first + i]) << np.uint64(i)
        words[w] = word
    return words


def _windows(bits: Bytes, seed: Bytes, length: int) -> Bytes:
    out = np.zeros(-(-length // 64), np.uint64)
    _add_windows(bits, _words(seed, spare=2), out)
    return _bits(out, length)


@numba.njit(cache=True, nogil=True)
def _add_windows(bits: Bytes, seed: Words, out: Words) -> None:
    one = np.uint64(1)
    for j in range(bits.size):
        if bits[j]:
            place = bits.size - 1 - j
            first = place >> 6
            shift = np.uint64(place & 63)
            rest = np.uint64(63) - shift
            for w in range(out.size):  # two shifts, for one by 64 is undefined
                out[w] ^= (seed[first + w] >> shift) | ((seed[first + w + 1] << one) << rest)


# ---------------------------------------------------------------------------------------------------------------- FFT


def _convolution(bits: Bytes, seed: Bytes, length: int) -> Bytes:
    if length > 1 and bits.size <= PACKED_LIMIT_BITS:
        parities, distance = _two_halves(bits, seed, length)
        if distance < ROUNDING_LIMIT:
            return parities
    values, distance = _cyclic(bits, seed.astype(np.float64))
    if not distance < ROUNDING_LIMIT:
        raise ArithmeticError(f"the convolution is {distance} away from an integer, the limit is {ROUNDING_LIMIT}")
    return (values & 1).astype(np.uint8)


def _two_halves(bits: Bytes, seed: Bytes, length: int) -> tuple[Bytes, float]:
    """Hash with rows i and half + i in one value of the convolution, as its low and its high digits."""
    half = (length + 1) // 2
    digits = int(bits.size).bit_length()  # a row's sum is at most n < 2^digits, so nothing is carried over
    low = seed[: bits.size + half - 1].astype(np.float64)
    high = seed[half:]
    low[: high.size] += high * 2.0**digits
    values, distance = _cyclic(bits, low)
    return np.concatenate([values & 1, values[: length - half] >> digits & 1]).astype(np.uint8), distance


def _cyclic(bits: Bytes, seed: NDArray[np.float64]) -> tuple[NDArray[np.int64], float]:
    """Return values n - 1, n, ... of the convolution as integers, and the largest distance from them."""
    # Shorter than a full linear convolution: what wraps around falls on the first n - 1 values, which are not used.
    size = scipy.fft.next_fast_len(seed.size, real=True)
    product = scipy.fft.rfft(bits.astype(np.float64), size) * scipy.fft.rfft(seed, size)
    values = scipy.fft.irfft(product, size)[bits.size - 1 : seed.size]
    whole = np.rint(values)
    return whole.astype(np.int64), float(np.abs(values - whole).max())
