"""How evenly users are served, from counts."""

import itertools
from collections.abc import Iterable, Sequence


def jain(served: Iterable[float]) -> float:
    """Return Jain's fairness index, (sum x)^2 / (n sum x^2): 1 if all get the same, 1/n if one gets everything.

    Nobody served is perfectly even: 1. Source: Jain, Chiu, Hawe, DEC-TR-301 (1984).

    >>> jain([2.0, 2.0]), jain([1.0, 0.0])
    (1.0, 0.5)
    """
    values = list(served)
    most = max(values, default=0.0)
    if most <= 0.0:
        return 1.0
    shares = [value / most for value in values]  # so that no square vanishes
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def gaps_s(moments_s: Sequence[float], start_s: float, end_s: float) -> list[float]:
    """Return the waiting times between services from start to end, the first and the last wait included.

    >>> gaps_s([2.0, 5.0], 0.0, 6.0)
    [2.0, 3.0, 1.0]
    """
    marks = [start_s, *moments_s, end_s]
    return [later - earlier for earlier, later in itertools.pairwise(marks)]
