"""Closed forms of clusters and of a backbone of equal hops: Eqs. 5 to 10 of the cluster paper (Li et al. 2022).

Two of them do not hold as printed, and stand here twice, ``..._as_printed`` and in a consistent form:

* Eq. 9 is 0/0 for one hop; the rate is m p there.
* Eq. 10 divides the mean time t of a link, which holds 1/p, by the rate lambda, which holds p, so p counts twice; and
  its sum over i = 0..k has k + 1 edges where the chain has k.

Rates are in pairs per attempt period; divide by ``attempt_s`` for pairs/s.
"""

import math
from collections.abc import Sequence

LIGHT_KM_PER_S = 2.0e5
"""Speed of light in fibre."""

MEASUREMENT_S = 100e-6
RETRIEVAL_S = 1.04e-3


def _check_probability(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is a probability in [0, 1], not {value}")


# -------------------------------------------------------------------------------------------------------------- cluster


def ekert_pairs_at_once(slaves: int) -> int:
    """Return how many pairs of slaves of a cluster run Ekert91 at once, floor(V/2) (Eq. 5).

    >>> ekert_pairs_at_once(7)
    3
    """
    return slaves // 2


def cluster_key_bits(slaves: int, slave_units: int, master_units: int, *, ekert_rate: float, mdi_rate: float) -> float:
    """Return the key bits that a cluster makes per attempt, R_mdi N_m + R_ekr N_s floor(V/2) (Eq. 6).

    MDI-QKD serves one pair of slaves, because the measurement is at the master; it adds nothing with fewer than two.

    >>> cluster_key_bits(4, 10, 10, ekert_rate=0.25, mdi_rate=0.125)
    6.25
    """
    if slaves < 2:
        return 0.0
    return mdi_rate * master_units + ekert_rate * slave_units * ekert_pairs_at_once(slaves)


# ------------------------------------------------------------------------------------------------------------------ hop


def success_probability(length_km: float, loss_db_per_km: float = 0.4) -> float:
    """Return the probability that one attempt entangles two neighbours, 10^(-loss/10) (Eq. 7).

    >>> round(success_probability(20.0), 4), round(success_probability(20.0, 0.2), 4)
    (0.1585, 0.3981)
    """
    if length_km < 0.0 or loss_db_per_km < 0.0:
        raise ValueError(f"length and loss are >= 0, not {length_km} km and {loss_db_per_km} dB/km")
    return math.pow(10.0, -loss_db_per_km * length_km / 10.0)


def link_time_s(length_km: float, loss_db_per_km: float = 0.4, light_km_per_s: float = LIGHT_KM_PER_S) -> float:
    """Return the mean time until one unit has a pair, d/s over the success probability (Eq. 8).

    >>> round(1e6 * link_time_s(20.0), 2)
    630.96
    """
    return length_km / light_km_per_s / success_probability(length_km, loss_db_per_km)


# ---------------------------------------------------------------------------------------------------------------- chain


def distribution_rate_as_printed(hops: int, units: int, success: float, swap: float) -> float:
    """Return Eq. 9 letter by letter: pairs per attempt period of a chain of equal hops.

    Raises:
        ZeroDivisionError: For one hop, where it is 0/0.
    """
    n = math.ceil(math.log2(hops)) - 1
    full = int(2**n)
    if hops % 2 == 0:
        below = 2 * (hops - full) + swap * (2 * full - hops)
        return units * hops * success * math.pow(swap, n + 1) / below
    below = 2 * (hops - full) + swap * (2 * full - hops - 1)
    return units * (hops - 1) * success * math.pow(swap, n + 1) / below


def distribution_rate(hops: int, units: int, success: float, swap: float) -> float:
    """Return the highest end-to-end rate of a chain of equal hops, in pairs per attempt period (Eq. 9).

    It is the optimum of the linear program of Dai, Peng and Win (IEEE JSAC 38, 540, 2020): memories that never lose a
    pair, and as many attempts per period as there are units. One hop: m p.

    Args:
        hops: Number of hops k, >= 1.
        units: Memory units per edge and side, m.
        success: Of one attempt, p.
        swap: Of one swap, q.

    Raises:
        ValueError: If an argument is out of range.

    >>> [round(distribution_rate(hops, 1, 1.0, 0.6), 4) for hops in (1, 2, 3, 5, 10, 21)]
    [1.0, 0.6, 0.36, 0.27, 0.1705, 0.0972]
    """
    if hops < 1 or units < 0:
        raise ValueError(f"a chain has a hop or more and no negative number of units, not {hops} and {units}")
    _check_probability("success of an attempt", success)
    _check_probability("success of a swap", swap)
    if hops == 1:
        return units * success
    if swap == 0.0:
        return 0.0
    return distribution_rate_as_printed(hops, units, success, swap)


def chain_rate(units: Sequence[int], success: Sequence[float], swap: Sequence[float]) -> float:
    """Return Eq. 9 for a chain given hop by hop, in pairs per attempt period.

    Args:
        units: Of each hop, k numbers.
        success: Of each hop, k numbers.
        swap: Of each repeater between them, k - 1 numbers.

    Raises:
        ValueError: If the hops differ, which Eq. 9 can not answer; the linear program can
            (:mod:`bellweave.network.wide.flow`). Or if the lengths do not fit.

    >>> round(chain_rate([10, 10], [0.4, 0.4], [0.5]), 12)
    2.0
    """
    if len(units) != len(success) or len(swap) != len(units) - 1:
        raise ValueError(f"k hops have k - 1 repeaters between them, got {len(units)}, {len(success)}, {len(swap)}")
    for name, values in (("units", units), ("success", success), ("swap", swap)):
        if values and max(values) - min(values) > 1e-12 * max(values):
            raise ValueError(
                f"Eq. 9 holds for equal hops; {name} runs from {min(values)} to {max(values)}: "
                "ask the linear program (bellweave.network.wide.flow)"
            )
    return distribution_rate(len(units), units[0], success[0], swap[0] if swap else 1.0)


def latency_as_printed_s(
    hops: int,
    units: int,
    length_km: float,
    swap: float,
    *,
    loss_db_per_km: float = 0.4,
    light_km_per_s: float = LIGHT_KM_PER_S,
    measurement_s: float = MEASUREMENT_S,
    retrieval_s: float = RETRIEVAL_S,
) -> float:
    """Return Eq. 10 as printed: k + 1 edges, each t = (d/s)/p, over lambda, which holds p once more; seconds."""
    success = success_probability(length_km, loss_db_per_km)
    rate = distribution_rate(hops, units, success, swap)
    if rate == 0.0:
        return math.inf
    link_s = link_time_s(length_km, loss_db_per_km, light_km_per_s)
    return (hops + 1) * link_s / rate + hops * (measurement_s + retrieval_s)


def latency_s(
    hops: int,
    units: int,
    length_km: float,
    swap: float,
    *,
    loss_db_per_km: float = 0.4,
    light_km_per_s: float = LIGHT_KM_PER_S,
    measurement_s: float = MEASUREMENT_S,
    retrieval_s: float = RETRIEVAL_S,
) -> float:
    """Return Eq. 10 in a consistent form, in seconds: k edges, and p counted once.

    As printed it is the time of a chain that entangles one hop after the other, k d/s, over lambda. Hops that attempt
    at the same time deliver a pair every :func:`pair_interval_s`, which is k times shorter.

    >>> printed, consistent = latency_as_printed_s(5, 10, 20.0, 0.6), latency_s(5, 10, 20.0, 0.6)
    >>> waits_s = 5 * (MEASUREMENT_S + RETRIEVAL_S)
    >>> round((consistent - waits_s) / (printed - waits_s) / success_probability(20.0), 9)  # k / (k + 1)
    0.833333333
    """
    rate = distribution_rate(hops, units, success_probability(length_km, loss_db_per_km), swap)
    if rate == 0.0:
        return math.inf
    return hops * (length_km / light_km_per_s) / rate + hops * (measurement_s + retrieval_s)


def pair_interval_s(hops: int, units: int, success: float, swap: float, attempt_s: float) -> float:
    """Return the mean time between end-to-end pairs when all hops attempt at once: attempt_s over Eq. 9.

    >>> pair_interval_s(2, 1, 0.5, 0.5, 1.0)
    4.0
    """
    rate = distribution_rate(hops, units, success, swap)
    return attempt_s / rate if rate > 0.0 else math.inf


def two_segment_attempts(success: float, swap: float) -> float:
    """Return the mean number of attempts of two segments with one unit each, (3 - 2p)/(p (2 - p) q).

    The slower of two geometric times, as often as the swap needs. Its distribution, and more segments:
    :mod:`bellweave.network.wide.waiting`.

    >>> round(two_segment_attempts(0.5, 0.5), 6)
    5.333333
    """
    return (3.0 - 2.0 * success) / (success * (2.0 - success) * swap)
