"""The cluster paper's closed forms against their check values, and the two that do not hold as printed."""

import math

import pytest

from bellweave.network.wide import theory

TABLE = {
    2: (0.9, 0.6, 0.3),
    3: (0.81, 0.36, 0.09),
    4: (0.81, 0.36, 0.09),
    5: (0.7674, 0.27, 0.0415),
    6: (0.7541, 0.2492, 0.0352),
    7: (0.729, 0.216, 0.027),
    8: (0.729, 0.216, 0.027),
    10: (0.6980, 0.1705, 0.0140),
    16: (0.6561, 0.1296, 0.0081),
    21: (0.6216, 0.0972, 0.0037),
    32: (0.5905, 0.0778, 0.0024),
}


@pytest.mark.parametrize("hops", TABLE)
def test_eq_9_gives_the_check_values(hops: int) -> None:
    for swap, expected in zip((0.9, 0.6, 0.3), TABLE[hops], strict=True):
        assert theory.distribution_rate(hops, 1, 1.0, swap) == pytest.approx(expected, abs=5.1e-5)
    assert theory.distribution_rate(hops, 1, 1.0, 1.0) == pytest.approx(1.0, rel=1e-12)


def test_eq_9_to_ten_digits() -> None:
    # 5 hops: 4 q^3 / (2 + 2 q); 10 hops: 10 q^4 / (4 + 6 q); by hand
    assert theory.distribution_rate(5, 10, 0.3, 0.7) == pytest.approx(10 * 0.3 * 4 * 0.343 / 3.4, rel=1e-10)
    assert theory.distribution_rate(10, 3, 0.2, 0.8) == pytest.approx(0.6 * 10 * 0.4096 / 8.8, rel=1e-10)


def test_one_hop_is_zero_over_zero_as_printed_and_m_p_in_truth() -> None:
    assert theory.distribution_rate(1, 10, 0.2, 0.5) == pytest.approx(2.0)
    with pytest.raises(ZeroDivisionError):
        theory.distribution_rate_as_printed(1, 10, 0.2, 1.0)


def test_unequal_hops_are_refused_and_sent_to_the_linear_program() -> None:
    with pytest.raises(ValueError, match="linear program"):
        theory.chain_rate([10, 10], [0.4, 0.3], [0.5])
    with pytest.raises(ValueError, match="k - 1 repeaters"):
        theory.chain_rate([10, 10], [0.4, 0.4], [0.5, 0.5])
    assert theory.chain_rate([4], [0.5], []) == 2.0


def test_eq_10_as_printed_counts_p_twice_and_one_edge_too_many() -> None:
    hops, units, length_km, swap = 4, 10, 20.0, 0.9
    success = theory.success_probability(length_km)
    rate = theory.distribution_rate(hops, units, success, swap)
    waits_s = hops * 1.14e-3
    printed = theory.latency_as_printed_s(hops, units, length_km, swap) - waits_s
    consistent = theory.latency_s(hops, units, length_km, swap) - waits_s
    assert printed == pytest.approx(5 * 1e-4 / success / rate)
    assert consistent == pytest.approx(4 * 1e-4 / rate)
    assert consistent == pytest.approx(hops * theory.pair_interval_s(hops, units, success, swap, 1e-4))


def test_swaps_that_never_succeed_deliver_nothing() -> None:
    assert theory.distribution_rate(4, 10, 0.5, 0.0) == 0.0
    assert theory.latency_s(4, 10, 20.0, 0.0) == math.inf
    assert theory.latency_as_printed_s(4, 10, 20.0, 0.0) == math.inf
    assert theory.pair_interval_s(4, 10, 0.5, 0.0, 1.0) == math.inf


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="not 0"):
        theory.distribution_rate(0, 1, 0.5, 0.5)
    with pytest.raises(ValueError, match=r"1\.5"):
        theory.distribution_rate(2, 1, 1.5, 0.5)
    with pytest.raises(ValueError, match="-1"):
        theory.success_probability(-1.0)


def test_a_cluster_of_one_makes_no_key() -> None:
    assert theory.cluster_key_bits(1, 10, 10, ekert_rate=0.25, mdi_rate=0.125) == 0.0
    assert theory.cluster_key_bits(5, 8, 10, ekert_rate=0.25, mdi_rate=0.125) == 1.25 + 4.0
