"""Emission: when the source emits pairs of which at least one photon has a chance to be seen.

Thinning is exact. A Poisson process stays one when each pair is kept with the same probability; so does the negative
binomial pair number of a thermal pulse, with its mean scaled. Only pairs that are kept are ever drawn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from bellweave.blocks import Ints
from bellweave.photonics.params import CwSource, PulsedSource, Source
from bellweave.units import PS_PER_S, s_to_ps


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs that one block's source emits and that survive thinning.

    Attributes:
        time_ps: Shape (n,), source time in [0, block), in no particular order.
        pulse: Shape (n,), index into the block's distinct pulses for thermal sources, non-decreasing; else None.
    """

    time_ps: Ints
    pulse: Ints | None = None


def period_ps(source: PulsedSource) -> float:
    """Return the time between two pulses."""
    return PS_PER_S / source.repetition_rate_hz


def pulses(source: PulsedSource, block_s: float) -> int:
    """Return the number of pulses in a block."""
    return max(1, int(block_s * source.repetition_rate_hz))


def pulse_time_ps(source: PulsedSource, index: Ints) -> Ints:
    """Return the nominal times of pulses, shape (n,), from the block's start."""
    time_ps: Ints = np.rint(index * period_ps(source)).astype(np.int64)
    return time_ps


def pairs(source: Source, block_s: float, keep: float, rng: Generator) -> Pairs:
    """Draw a block's pairs, each kept with probability ``keep``."""
    if isinstance(source, PulsedSource) and source.statistics == "thermal":
        return _thermal(source, pulses(source, block_s), keep, rng)
    return Pairs(times(source, block_s, source.emitted_pair_rate_hz * keep, rng))


def times(source: Source, block_s: float, rate_hz: float, rng: Generator) -> Ints:
    """Draw independent times of emission at this mean rate, shape (n,), unordered: uniform, or at random pulses."""
    if isinstance(source, CwSource):
        return rng.integers(0, s_to_ps(block_s), rng.poisson(rate_hz * block_s))
    count = pulses(source, block_s)
    drawn = rng.integers(0, count, rng.poisson(rate_hz / source.repetition_rate_hz * count))
    return pulse_time_ps(source, drawn)


def _thermal(source: PulsedSource, count: int, keep: float, rng: Generator) -> Pairs:
    """Draw pulses whose pair number is the sum of two geometric ones: one mode for each polarisation."""
    mean = 0.5 * source.mean_pairs * keep
    more = mean / (1.0 + mean)  # P(one pair more in the same mode)
    busy = _bernoulli_times(count, more * (2.0 - more), rng)
    first = rng.random(busy.size) < 1.0 / (2.0 - more)  # the first mode is not empty, given that not both are
    number = rng.geometric(1.0 - more, busy.size)  # of the mode known to be not empty
    number[first] += rng.geometric(1.0 - more, int(first.sum())) - 1
    return Pairs(np.repeat(pulse_time_ps(source, busy), number), np.repeat(np.arange(busy.size), number))


def _bernoulli_times(count: int, probability: float, rng: Generator) -> Ints:
    """Return which of ``count`` trials succeed, increasing: geometric gaps, so that empty pulses cost nothing."""
    found: list[Ints] = []
    last = -1
    while probability > 0.0 and last < count:
        missing = (count - last) * probability
        gaps = rng.geometric(probability, int(missing + 5.0 * missing**0.5) + 16)
        found.append(last + np.cumsum(gaps))
        last = int(found[-1][-1])
    hits = np.concatenate(found) if found else np.zeros(0, np.int64)
    return hits[hits < count]
