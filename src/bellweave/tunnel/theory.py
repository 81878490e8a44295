"""Closed forms of a key rotation: what it demands, how many keys it gets, and how old they become.

The model: a fresh key is due each period P. An attempt is refused with probability q, whatever happened before; after a
refusal it is repeated every ``retry_s`` until the next period begins, A = ceil(P / retry_s) attempts in all (one where
``retry_s`` is absent). So a period passes without key with probability p = q^A, and a key that comes does so D late,
D = 0, retry_s, 2 retry_s ... with probabilities that fall by q each. A key is then in use for

    X = G P + D' - D,   P(G = g) = (1 - p) p^(g - 1),   D and D' independent and alike,

until the next one is: its age is what ``key age`` means here. It runs from the switch, and the switch takes no time.
"""

import math
from collections import defaultdict

from bellweave.tunnel.params import Tunnel

NEGLIGIBLE = 1e-15
"""Where sums over ever less likely numbers of missed periods end."""


def demanded_bits_per_s(tunnel: Tunnel) -> float:
    """Return the key that a tunnel asks for in the long run.

    >>> round(demanded_bits_per_s(Tunnel(client="a", server="b", key_bits=512, period_s=60.0)), 3)
    8.533
    """
    return tunnel.key_bits / tunnel.period_s


def periods(tunnel: Tunnel, duration_s: float) -> int:
    """Return how often a fresh key is due in a run: at ``start_s`` and each period from then on, the end excluded.

    >>> periods(Tunnel(client="a", server="b", period_s=60.0, start_s=60.0), 1050.0)
    17
    """
    return max(0, math.ceil((duration_s - tunnel.start_s) / tunnel.period_s - 1e-9))


def missed_probability(tunnel: Tunnel, refusal: float) -> float:
    """Return the probability p = q^A that a period passes without a fresh key.

    Args:
        tunnel: The tunnel.
        refusal: Probability q that one attempt is refused, in [0, 1].
    """
    return refusal ** _attempts(tunnel)


def expected_sessions(tunnel: Tunnel, duration_s: float, refusal: float = 0.0) -> float:
    """Return the mean number of sessions with a fresh key in a run: (1 - p) a period.

    A last period that the run cuts short counts whole.

    >>> expected_sessions(Tunnel(client="a", server="b", period_s=60.0), 600.0, 0.5)
    5.0
    """
    return (1.0 - missed_probability(tunnel, refusal)) * periods(tunnel, duration_s)


def mean_key_age_s(tunnel: Tunnel, refusal: float = 0.0) -> float:
    """Return the mean age of the key in use over time: E[X^2] / (2 E[X]); infinity if every attempt is refused.

    E[X] = P/(1 - p) and E[X^2] = P^2 (1 + p)/(1 - p)^2 + 2 var D; without retries P (1 + p) / (2 (1 - p)).

    >>> mean_key_age_s(Tunnel(client="a", server="b", period_s=60.0), 0.5)
    90.0
    """
    missed = missed_probability(tunnel, refusal)
    if missed >= 1.0:
        return math.inf
    late = _lateness(tunnel, refusal)
    mean_s = sum(share * late_s for late_s, share in late.items())
    variance_s2 = sum(share * (late_s - mean_s) ** 2 for late_s, share in late.items())
    second_s2 = tunnel.period_s**2 * (1.0 + missed) / (1.0 - missed) ** 2 + 2.0 * variance_s2
    return second_s2 * (1.0 - missed) / (2.0 * tunnel.period_s)


def older_share(tunnel: Tunnel, age_s: float, refusal: float = 0.0) -> float:
    """Return the share of time with a key older than ``age_s`` >= 0: E[max(0, X - x)] / E[X].

    Without retries that is p^j (1 - (1 - p) r/P) for x = j P + r, 0 <= r < P. A ``fail-closed`` tunnel is down for
    this share of time, with its maximum age for x.

    >>> round(older_share(Tunnel(client="a", server="b", period_s=60.0), 150.0, 0.1), 6)
    0.0055
    """
    missed = missed_probability(tunnel, refusal)
    if missed >= 1.0:
        return 1.0
    late = _lateness(tunnel, refusal)
    spread: defaultdict[float, float] = defaultdict(float)
    for first_s, first in late.items():
        for last_s, last in late.items():
            spread[last_s - first_s] += first * last
    over_s, share, gap = 0.0, 1.0 - missed, 1
    while share > NEGLIGIBLE or gap * tunnel.period_s < age_s + 2.0 * tunnel.period_s:
        in_use_s = gap * tunnel.period_s
        over_s += share * sum(part * max(0.0, in_use_s + off_s - age_s) for off_s, part in spread.items())
        share *= missed
        gap += 1
    return over_s * (1.0 - missed) / tunnel.period_s


def run_probability(trials: int, length: int, probability: float) -> float:
    """Return the probability that ``trials`` hold at least ``length`` >= 1 misses in a row.

    First-passage recurrence: a first such run ends with trial n if trials n - length + 1 .. n miss, the one before does
    not, and there was none up to then.

    >>> run_probability(3, 2, 0.5)
    0.375
    """
    none = [1.0] * (trials + 1)  # none[n]: no such run in the first n trials
    for n in range(length, trials + 1):
        before = 1.0 if n == length else (1.0 - probability) * none[n - length - 1]
        none[n] = none[n - 1] - before * probability**length
    return 1.0 - none[trials]


def expected_oldest_key_s(tunnel: Tunnel, after: int, refusal: float = 0.0) -> float:
    """Return the mean of the largest key age in the ``after`` >= 0 periods that follow a first key, without retries.

    The key of a period is P (1 + m) old after m misses in a row: P (1 + E[longest run of misses]), and the mean of a
    count is the sum of the probabilities that it reaches 1, 2, ... Lateness is left out: with ``retry_s`` the age is up
    to one period less, or more.

    >>> expected_oldest_key_s(Tunnel(client="a", server="b", period_s=60.0), 2, 0.5)
    120.0
    """
    missed = missed_probability(tunnel, refusal)
    longest = sum(run_probability(after, length, missed) for length in range(1, after + 1))
    return tunnel.period_s * (1.0 + longest)


def _attempts(tunnel: Tunnel) -> int:
    return 1 if tunnel.retry_s is None else max(1, math.ceil(tunnel.period_s / tunnel.retry_s - 1e-9))


def _lateness(tunnel: Tunnel, refusal: float) -> dict[float, float]:
    """Return how late a key comes that comes in its period: seconds to probability."""
    steps = [refusal**attempt for attempt in range(_attempts(tunnel))]
    pause_s = tunnel.retry_s or 0.0
    return {attempt * pause_s: step / sum(steps) for attempt, step in enumerate(steps)}
