"""Golden-section search: the highest point of a function with one maximum."""

import math
from collections.abc import Callable

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


def highest(value: Callable[[float], float], low: float, high: float, steps: int) -> tuple[float, float]:
    """Return (where, how high) the largest value seen between ``low`` and ``high`` is; one evaluation a step.

    >>> where, most = highest(lambda x: -((x - 0.3) ** 2), 0.0, 1.0, 40)
    >>> round(where, 6), round(most, 6) + 0.0
    (0.3, 0.0)
    """
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = value(left), value(right)
    for _ in range(steps):
        if at_left > at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = value(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = value(right)
    return (left, at_left) if at_left > at_right else (right, at_right)
