"""Toeplitz hashing over GF(2), exact, by real FFT.

Convention: T[i, j] = seed[n - 1 + i - j] for n columns, so l rows take n + l - 1 bits of seed. The family is universal2
for uniform seeds, in the modified form [T | I] too (Hayashi and Tsurumaru, IEEE Trans. Inf. Theory 62, 2213, 2016).
"""

import hmac

import numpy as np
import scipy.fft

from bellweave.blocks import Bytes
from bellweave.rng import Entropy

ROUNDING_LIMIT = 0.1
"""Largest distance from an integer that a convolution in float64 may show; 0.5 would flip a bit.

Measured: 6e-11 at 10^6 bits, 5e-10 at 10^7, so what exceeds the limit is a defect, not bad luck.
"""


def seed_bits(entropy: Entropy, count: int) -> Bytes:
    """Return ``count`` fresh random bits, shape (count,)."""
    return np.unpackbits(np.frombuffer(entropy.bytes((count + 7) // 8), np.uint8))[:count]


def toeplitz(bits: Bytes, seed: Bytes, length: int) -> Bytes:
    """Return T bits, shape (length,).

    Args:
        bits: Shape (n,), n >= 1.
        seed: Shape (n + length - 1,).
        length: Rows, >= 1.

    Raises:
        ValueError: If the seed has another length.
        ArithmeticError: If rounding came near to a wrong bit.
    """
    if seed.size != bits.size + length - 1:
        raise ValueError(f"{bits.size} bits to {length} take {bits.size + length - 1} bits of seed, not {seed.size}")
    # Shorter than a full linear convolution: what wraps around falls on the first n - 1 values, which are not used.
    size = scipy.fft.next_fast_len(seed.size, real=True)
    product = scipy.fft.rfft(bits.astype(np.float64), size) * scipy.fft.rfft(seed.astype(np.float64), size)
    values = scipy.fft.irfft(product, size)[bits.size - 1 : seed.size]
    whole = np.rint(values)
    distance = float(np.abs(values - whole).max())
    if not distance < ROUNDING_LIMIT:
        raise ArithmeticError(f"the convolution is {distance} away from an integer, the limit is {ROUNDING_LIMIT}")
    parities: Bytes = (whole.astype(np.int64) & 1).astype(np.uint8)
    return parities


def toeplitz_identity(bits: Bytes, seed: Bytes, length: int) -> Bytes:
    """Return [T | I] bits, shape (length,): shorter seed and FFT than :func:`toeplitz`.

    Args:
        bits: Shape (n,).
        seed: Shape (n - 1,).
        length: Rows, 1 to n - 1.
    """
    if not 1 <= length < bits.size:
        raise ValueError(f"length must be 1 to {bits.size - 1}, not {length}")
    split = bits.size - length
    return toeplitz(bits[:split], seed, length) ^ bits[split:]


def same(one: Bytes, other: Bytes) -> bool:
    """Return whether two hashes are equal; takes as long whatever they are."""
    return hmac.compare_digest(one.tobytes(), other.tobytes())
