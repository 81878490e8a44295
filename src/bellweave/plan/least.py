"""The least value that is enough: on a grid first, then by bisection in the logarithm, rounded to the safe side.

What is looked at may rise, peak and fall, and be 0 at both ends; where it is enough, it is so on one stretch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bellweave.distill.finite_key.search import highest

PER_DECADE = 8
"""Points of the grid."""

DIGITS = 4
"""Of a solution."""


@dataclass(frozen=True)
class Least:
    """The least value that is enough, or None; and where the most key comes, None where none does."""

    value: float | None
    best: float | None


def least(factor: Callable[[float], float], grid: Sequence[float], needed: float) -> Least:
    """Return the least value with a factor of at least ``needed``, which all up to the best one then have."""
    factors: list[float] = []
    for at, value in enumerate(grid):
        factors.append(factor(value))
        if factors[-1] >= needed:
            return Least(_bisected(factor, grid[at - 1], value, needed) if at else value, value)
    if max(factors) <= 0.0:
        return Least(None, None)
    top = max(range(len(grid)), key=factors.__getitem__)
    low, high = grid[max(0, top - 1)], grid[min(len(grid) - 1, top + 1)]
    where, most = highest(lambda power: factor(10.0**power), math.log10(low), math.log10(high), 20)
    best = 10.0**where if most > factors[top] else grid[top]
    return Least(_bisected(factor, low, best, needed) if most >= needed else None, best)


def _bisected(factor: Callable[[float], float], low: float, high: float, needed: float) -> float:
    """Return where the factor reaches ``needed``, between a value too small and one large enough; rounded up."""
    for _ in range(24):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if factor(middle) >= needed else (middle, high)
    rounded = rounded_up(high)
    return rounded if factor(rounded) >= needed else high


def grid_of(low: float, high: float) -> list[float]:
    """Return values from low to high, evenly spaced in their logarithm, ``PER_DECADE`` or more a decade."""
    steps = max(1, math.ceil(PER_DECADE * math.log10(high / low)))
    return [low * (high / low) ** (step / steps) for step in range(steps + 1)]


def rounded_up(value: float) -> float:
    """Return the value with four significant digits, never less.

    >>> rounded_up(12341.0), rounded_up(0.25)
    (12350.0, 0.25)
    """
    scale = 10.0 ** (DIGITS - 1 - math.floor(math.log10(value)))
    return float(f"{math.ceil(value * scale * (1.0 - 1e-12)) / scale:.{DIGITS}g}")
