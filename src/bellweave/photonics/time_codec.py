"""Time tags in few bytes: Elias-Fano code of non-decreasing times, about log2(mean gap / resolution) + 2 bits each.

A time in units of the resolution is split in two: the high part is written in unary (a 1 for each tag, a 0 for each
step of the high part), the low part as it is. Reading checks everything that a peer could get wrong.
"""

import numpy as np

from bellweave.blocks import Bytes, Ints, pack_bits, unpack_bits
from bellweave.photonics.messages import Times

MAX_TAGS = 1 << 22
"""Most tags in one message: 4 M, at most some 12 MB, so that every driver's frame holds it."""

MAX_TIME_PS = 1 << 60
"""Largest time, 13 days, so that no sum or difference of times leaves 64 bits."""

MAX_LOW_BITS = 40


def pack(time_ps: Ints, resolution_ps: int, *, more: bool = False) -> Times:
    """Return the message that announces these times, rounded to the resolution.

    Args:
        time_ps: Shape (n,), non-decreasing, within +- ``MAX_TIME_PS``.
        resolution_ps: Unit to round to, >= 1.
        more: Whether another message continues this one.

    Raises:
        ValueError: If there are too many, one is out of range, or they decrease.
    """
    if time_ps.size == 0:
        return Times(count=0, resolution_ps=resolution_ps, first=0, low_bits=0, high=b"", low=b"", more=more)
    if time_ps.size > MAX_TAGS:
        raise ValueError(f"{time_ps.size} tags are more than {MAX_TAGS} in one message")
    if bool(np.any(np.diff(time_ps) < 0)):
        raise ValueError("time_ps must not decrease")
    if max(-int(time_ps[0]), int(time_ps[-1])) > MAX_TIME_PS:
        raise ValueError(f"a time is beyond +-{MAX_TIME_PS} ps")
    units = (time_ps + resolution_ps // 2) // resolution_ps
    units, first = units - units[0], int(units[0])
    low_bits = min(max(int(units[-1]) // time_ps.size, 1).bit_length() - 1, MAX_LOW_BITS)
    ones = (units >> low_bits) + np.arange(units.size)
    high = np.zeros(int(ones[-1]) + 1, np.uint8)
    high[ones] = 1
    low = (units[:, None] >> np.arange(low_bits - 1, -1, -1)) & 1
    return Times(
        count=units.size,
        resolution_ps=resolution_ps,
        first=first,
        low_bits=low_bits,
        high=pack_bits(high),
        low=pack_bits(low.astype(np.uint8).ravel()),
        more=more,
    )


def unpack(times: Times) -> Ints:
    """Return the announced times in picoseconds, shape (n,), non-decreasing.

    Raises:
        ValueError: If the message contradicts itself, decreases or exceeds a limit.
    """
    _check_limits(times)
    if times.count == 0:
        return np.zeros(0, np.int64)
    ones = np.flatnonzero(np.unpackbits(np.frombuffer(times.high, np.uint8)))
    if ones.size != times.count:
        raise ValueError(f"{times.count} times announced, {ones.size} packed")
    if len(times.high) != (int(ones[-1]) + 8) // 8:
        raise ValueError("high parts are longer than their last time")
    low = unpack_bits(times.low, times.count * times.low_bits).reshape(times.count, times.low_bits)
    high = ones.astype(np.int64) - np.arange(times.count)
    if int(high[-1]) >> (62 - times.low_bits):  # would leave 64 bits; the exact limit is checked below
        raise ValueError(f"a time is beyond +-{MAX_TIME_PS} ps")
    units = (high << times.low_bits) + _number(low)
    if units[0] != 0 or bool(np.any(np.diff(units) < 0)):
        raise ValueError("announced times must not decrease, nor start before the first")
    if max(-times.first, times.first + int(units[-1])) > MAX_TIME_PS // times.resolution_ps + 1:
        raise ValueError(f"a time is beyond +-{MAX_TIME_PS} ps")
    return (units + times.first) * times.resolution_ps


def _check_limits(times: Times) -> None:
    if not 0 <= times.count <= MAX_TAGS:
        raise ValueError(f"a message holds 0 to {MAX_TAGS} times, not {times.count}")
    if not 1 <= times.resolution_ps <= MAX_TIME_PS:
        raise ValueError(f"resolution_ps must be 1 to {MAX_TIME_PS}, not {times.resolution_ps}")
    if not 0 <= times.low_bits <= MAX_LOW_BITS:
        raise ValueError(f"low_bits must be 0 to {MAX_LOW_BITS}, not {times.low_bits}")
    if abs(times.first) > MAX_TIME_PS:
        raise ValueError(f"a time is beyond +-{MAX_TIME_PS} ps")
    if times.count == 0 and (times.high or times.low):
        raise ValueError("no times announced, but some packed")


def _number(bits: Bytes) -> Ints:
    weights = np.int64(1) << np.arange(bits.shape[1] - 1, -1, -1, dtype=np.int64)
    return bits.astype(np.int64) @ weights
