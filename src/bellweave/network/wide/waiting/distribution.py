"""How long a nested chain of 2^n segments waits for its first pair, exactly, and what state that pair has.

The model (Brand, Coopmans, Elkouss, IEEE JSAC 38, 619, 2020): a segment has one memory unit on each side and attempts
once per period; a span is two halves that are built independently and swapped as soon as both are there; a failed swap
begins both anew; nothing else is built meanwhile. With a cutoff (Li, Coopmans, Elkouss, IEEE TQE 2, 4103015, 2021) a
half that has waited ``cutoff`` periods for the other one is given up, and both begin anew.

Method. Times are whole periods; a distribution is P(T = t) for t = 0..limit. A round of a span takes the later of its
halves' times, or the earlier one plus the cutoff if it is given up. Rounds repeat until one succeeds, so that with
generating functions S (both halves came) and C (given up) ::

    T(z) = q S(z) / (1 - C(z) - (1 - q) S(z)),

a power series whose terms up to ``limit`` depend on terms up to ``limit`` only: what is cut off is the tail, whose
mass is reported, and no error enters below it. The series is divided with FFTs on a circle of radius below 1, which
keeps what wraps around below rounding. States: P(T = t) times the mean Werner weight given T = t obeys the same
equation, because weights of independent halves multiply.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WRAPPED = 1e-13
"""What the wrapped-around tail may add, relative; rounding grows to about its inverse to the power 1/4 times 2e-16."""

LARGEST = 1 << 22
"""Periods that are followed at most."""


@dataclass(frozen=True, eq=False)
class Waiting:
    """The distribution of the first delivery of a chain.

    Attributes:
        probability: Shape (limit + 1,), that it is at period t.
        weight: Shape (limit + 1,), mean Werner weight of the pair delivered then; 0 where that never happens.
    """

    probability: Floats
    weight: Floats

    @property
    def tail(self) -> float:
        """Probability that it takes longer than ``limit`` periods: the truncation error."""
        return max(0.0, 1.0 - float(self.probability.sum()))

    @property
    def mean_at_least(self) -> float:
        """Lower bound of the mean, in periods: as if the tail were at ``limit`` + 1."""
        periods = np.arange(len(self.probability))
        return float(periods @ self.probability) + self.tail * len(self.probability)

    @property
    def mean(self) -> float:
        """Mean, in periods, with the tail taken as geometric, as it is far out: its rate from the last quarter."""
        limit = len(self.probability) - 1
        beyond = np.maximum(0.0, 1.0 - np.cumsum(self.probability))
        start = 3 * limit // 4
        if beyond[-1] < 1e-11 or beyond[start] <= beyond[-1]:
            return self.mean_at_least
        ratio = (beyond[-1] / beyond[start]) ** (1.0 / (limit - start))
        return float(beyond.sum() + beyond[-1] * ratio / (1.0 - ratio))

    @property
    def mean_weight(self) -> float:
        """Mean Werner weight of the pairs delivered within ``limit``."""
        return float(self.weight @ self.probability) / float(self.probability.sum())


def segment(success: float, limit: int, weight: float = 1.0) -> Waiting:
    """Return the waiting time of a segment, geometric from period 1 on.

    Raises:
        ValueError: If success is not in (0, 1] or the limit is below 1.

    >>> segment(0.5, 3).probability.tolist(), segment(0.5, 3).tail
    ([0.0, 0.5, 0.25, 0.125], 0.125)
    """
    if not 0.0 < success <= 1.0 or limit < 1:
        raise ValueError(f"success is in (0, 1] and the limit 1 or more, not {success} and {limit}")
    periods = np.arange(limit + 1)
    probability = success * (1.0 - success) ** np.maximum(periods - 1, 0)
    probability[0] = 0.0
    return Waiting(probability, np.full(limit + 1, weight))


def joined(
    half: Waiting,
    swap: float,
    *,
    cutoff: int | None = None,
    decay: float = 0.0,
    swap_weight: float = 1.0,
) -> Waiting:
    """Return the waiting time of a span of two such halves.

    Args:
        half: Of each half.
        swap: Success of the swap, in (0, 1].
        cutoff: Periods that a half waits for the other one, >= 0; None: as long as it takes.
        decay: Rate at which a waiting pair's weight decays, per period: for two memories of coherence time T it is
            2 attempt_s / T.
        swap_weight: Werner weight of the swap's operation.

    Raises:
        ValueError: If an argument is out of range.
    """
    if not 0.0 < swap <= 1.0 or (cutoff is not None and cutoff < 0):
        raise ValueError(f"a swap succeeds with (0, 1], a cutoff is 0 or more, not {swap} and {cutoff}")
    f = half.probability
    limit = len(f) - 1
    wait = limit if cutoff is None else min(cutoff, limit)
    weighted = f * half.weight
    came = f * (2.0 * _window(f, wait, 0.0) + f)
    came_weighted = swap_weight * weighted * (2.0 * _window(weighted, wait, decay) + weighted)
    given_up = np.zeros(limit + 1)
    if cutoff is not None and cutoff <= limit:
        beyond = 1.0 - np.cumsum(f)
        given_up[cutoff:] = 2.0 * f[: limit + 1 - cutoff] * beyond[cutoff:]
    again = given_up + (1.0 - swap) * came
    probability, with_weight = _repeated(again, swap * came, swap * came_weighted)
    probability = np.maximum(probability, 0.0)
    weight = np.divide(with_weight, probability, out=np.zeros(limit + 1), where=probability > 1e-30)
    return Waiting(probability, np.clip(weight, 0.0, 1.0))


def nested(
    levels: int,
    success: float,
    swap: float,
    *,
    limit: int | None = None,
    tail: float = 1e-9,
    cutoff: int | None = None,
    decay: float = 0.0,
    weight: float = 1.0,
    swap_weight: float = 1.0,
) -> Waiting:
    """Return the waiting time of 2^levels segments, in periods.

    Args:
        levels: How often spans are doubled, >= 0.
        success: Of one attempt.
        swap: Of one swap.
        limit: Periods to follow; None: until less than ``tail`` is left, or :data:`LARGEST`.
        tail: Mass that may be left.
        cutoff: As for :func:`joined`, on every level.
        decay: As for :func:`joined`, on every level.
        weight: Werner weight of a fresh pair of a segment.
        swap_weight: As for :func:`joined`.

    >>> round(nested(1, 0.5, 0.5).mean, 6)  # (3 - 2p)/(p (2 - p) q)
    5.333333
    """
    periods = limit or 1 << 10
    while True:
        result = segment(success, periods, weight)
        for _ in range(levels):
            result = joined(result, swap, cutoff=cutoff, decay=decay, swap_weight=swap_weight)
        if limit is not None or result.tail < tail or periods >= LARGEST:
            return result
        periods *= 4


def _window(values: Floats, wait: int, decay: float) -> Floats:
    """Return the sums over s = 1..wait of values[t - s] exp(-decay s), for every t."""
    limit = len(values) - 1
    if decay == 0.0:
        total = np.concatenate(([0.0], np.cumsum(values)))  # total[t]: of values before t
        periods = np.arange(limit + 1)
        result: Floats = total[periods] - total[np.maximum(periods - wait, 0)]
        return np.maximum(result, 0.0)
    kernel = np.zeros(limit + 1)
    kernel[1 : wait + 1] = np.exp(-decay * np.arange(1, wait + 1))
    return np.maximum(_product(values, kernel), 0.0)


def _product(first: Floats, second: Floats) -> Floats:
    """Return the first terms of the product of two power series."""
    size = 1 << (2 * len(first) - 1).bit_length()
    product: Floats = np.fft.irfft(np.fft.rfft(first, size) * np.fft.rfft(second, size), size)[: len(first)]
    return product


def _repeated(again: Floats, *ends: Floats) -> tuple[Floats, ...]:
    """Return the first terms of end(z) / (1 - again(z)) for each end."""
    length = len(again)
    size = 1 << (4 * length - 1).bit_length()
    radius = WRAPPED ** (1.0 / size)
    scale = radius ** np.arange(length)
    below = 1.0 - np.fft.rfft(again * scale, size)
    return tuple(np.fft.irfft(np.fft.rfft(end * scale, size) / below, size)[:length] / scale for end in ends)
