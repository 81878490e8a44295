"""How likely a random sample shows fewer errors than its rest: three bounds on one event.

The event: of n + k bits, whatever their errors, k are drawn at random; the share of errors among them is at most
``threshold``, and among the other n it is at least ``threshold + nu``. Each function returns eps_pe, the square root of
a bound on its probability: the distance that the event costs in the proof of Tomamichel and Leverrier.

==================  ===================================================================================================
:func:`serfling`    Tomamichel and Leverrier, Quantum 1, 14 (2017): one exponential, the default
:func:`lim21`       Lim, Xu, Pan and Ekert, Phys. Rev. Lett. 126, 100501 (2021): two, over a split of nu
:func:`exact`       the hypergeometric tail itself; an idea of Mannalath, Zapatero and Curty, arXiv:2410.04095. That it
                    may stand in the proof of Tomamichel and Leverrier is our claim, and **not peer reviewed**
==================  ===================================================================================================
"""

import math
from collections.abc import Callable

from bellweave.distill.finite_key.search import highest

Bound = Callable[[int, int, float, float], float]
"""(key bits n, sample bits k, threshold, nu) to eps_pe, which falls in nu."""

_ROUNDING = 1e-9
"""What a product such as 1000 * 0.007 may miss a whole number by."""


def serfling(key: int, sample: int, threshold: float, nu: float) -> float:  # noqa: ARG001 (as the others)
    """Return exp(-n k^2 nu^2 / ((n + k)(k + 1))).

    >>> f"{serfling(10_000, 10_000, 0.01, 0.05):.6e}"
    '3.731314e-06'
    """
    return math.exp(-key * sample**2 * nu**2 / ((key + sample) * (sample + 1)))


def lim21(key: int, sample: int, threshold: float, nu: float) -> float:
    """Return the square root of the least exp(-2 m k xi^2/(n+1)) + exp(-2 G (n^2 (nu-xi)^2 - 1)) over 0 < xi < nu.

    Here m = n + k and G = 1/(m (threshold + xi) + 1) + 1/(m - m (threshold + xi) + 1). Any xi gives a bound.

    >>> f"{lim21(1550, 1550, 0.0455, 0.11):.6e}"
    '1.094898e-06'
    """
    total = key + sample

    def ln_square(xi: float) -> float:
        errors = total * (threshold + xi)
        weight = 1.0 / (errors + 1.0) + 1.0 / (total - errors + 1.0)
        one = -2.0 * total * sample * xi * xi / (key + 1.0)
        other = min(0.0, -2.0 * weight * ((key * (nu - xi)) ** 2 - 1.0))
        return max(one, other) + math.log1p(math.exp(-abs(one - other)))

    # The first term falls in xi and the second grows; wherever the search ends, the bound holds.
    _, best = highest(lambda xi: -ln_square(xi), 0.0, nu, 22)
    return math.exp(min(0.0, -best) / 2.0)


def exact(key: int, sample: int, threshold: float, nu: float) -> float:
    """Return the square root of the event's probability, for the number of errors that makes it largest.

    Write a for the most errors that the sample may show and b for the fewest of the rest in the event. With fewer than
    a + b errors in all, the event is "b or more in the rest", which grows with their number; with more it is "at most a
    in the sample", which falls. So a + b is the worst case, and one hypergeometric sum is enough.

    >>> f"{exact(1832, 609, 0.064, 0.1):.6e}"
    '3.486996e-06'
    """
    return exact_beyond(key, sample, threshold, math.ceil(key * (threshold + nu) - _ROUNDING))


def exact_beyond(key: int, sample: int, threshold: float, hidden: int) -> float:
    """Return the same for ``hidden`` or more errors among the key bits."""
    shown = math.floor(sample * threshold + _ROUNDING)
    return math.exp(ln_hypergeometric(shown, key + sample, shown + hidden, sample) / 2.0)


def ln_hypergeometric(most: int, total: int, marked: int, drawn: int) -> float:
    """Return ln Pr[at most ``most`` of ``drawn`` are marked], drawn from ``total`` of which ``marked`` are."""
    low, high = max(0, drawn - (total - marked)), min(most, drawn, marked)
    if high < low or marked > total:
        return -math.inf
    top = _ln_choose(marked, high) + _ln_choose(total - marked, drawn - high) - _ln_choose(total, drawn)
    series = term = 1.0
    rest = total - marked - drawn
    for x in range(high, low, -1):
        term *= x * (rest + x) / ((marked - x + 1.0) * (drawn - x + 1.0))
        series += term
        if term < 1e-16 * series:
            break
    return min(0.0, top + math.log(series))


def _ln_choose(n: int, r: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(r + 1) - math.lgamma(n - r + 1)
