"""A chain's optimum: the linear program, its closed form, and the swaps that reach it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave.network.wide.flow.chain import chain_rate, equal_rate, optimal_shares
from bellweave.network.wide.flow.one_path import path_rate
from bellweave.network.wide.flow.pairs import best_chain
from bellweave.network.wide.topology import chain, uniform

TABLE = {
    (2, 0.9): 0.9, (3, 0.9): 0.81, (4, 0.9): 0.81, (5, 0.9): 0.7674, (6, 0.9): 0.7541, (7, 0.9): 0.729,
    (8, 0.9): 0.729, (10, 0.9): 0.6980, (16, 0.9): 0.6561, (21, 0.9): 0.6216, (32, 0.9): 0.5905,
    (2, 0.6): 0.6, (3, 0.6): 0.36, (5, 0.6): 0.27, (6, 0.6): 0.2492, (10, 0.6): 0.1705, (21, 0.6): 0.0972,
    (2, 0.3): 0.3, (5, 0.3): 0.0415, (6, 0.3): 0.0352, (10, 0.3): 0.0140, (21, 0.3): 0.0037, (32, 0.3): 0.0024,
}  # fmt: skip
"""Eq. 9 of the cluster paper for m = p = 1."""


@pytest.mark.parametrize(("hops", "q"), TABLE)
def test_the_closed_form_is_the_papers(hops: int, q: float) -> None:
    assert equal_rate(hops, q) == pytest.approx(TABLE[hops, q], abs=6e-5)


@pytest.mark.parametrize("q", [0.9, 0.6, 0.3])
@pytest.mark.parametrize("hops", [*range(1, 13), 17, 21])
def test_the_linear_program_equals_eq_9_to_ten_digits_on_equal_hops(hops: int, q: float) -> None:
    equal = chain(hops, success=0.25, units=4, attempt_s=1.0, swap_probability=q)

    assert best_chain(equal).rates_per_s[0] == pytest.approx(equal_rate(hops, q), rel=1e-10)


hop_rates = st.lists(st.floats(0.05, 1.0), min_size=1, max_size=7)


@settings(max_examples=30, deadline=None)
@given(rates=hop_rates, q=st.floats(0.2, 1.0))
def test_trees_and_pairs_give_the_same_optimum_and_it_lies_between_equal_chains(rates: list[float], q: float) -> None:
    each = np.array(rates)
    inner = np.full(each.size - 1, q)

    best = chain_rate(each, inner)

    assert best == pytest.approx(path_rate(each, inner), rel=1e-6)
    assert equal_rate(each.size, q, float(each.min())) * (1 - 1e-7) <= best
    assert best <= equal_rate(each.size, q, float(each.max())) * (1 + 1e-7)


def test_two_hops_that_differ_are_as_good_as_the_worse_one() -> None:
    assert chain_rate(np.array([1.0, 3.0]), np.array([0.5])) == pytest.approx(0.5)


def test_three_hops_can_use_what_the_best_hop_has_to_spare() -> None:
    """Order ((0 1) 2) takes 1/q^2, 1/q^2, 1/q pairs of the hops; (0 (1 2)) takes 1/q, 1/q^2, 1/q^2."""
    q = np.full(2, 0.5)

    # the middle hop is needed four times in both orders
    assert chain_rate(np.array([2.0, 1.0, 1.0]), q) == pytest.approx(1 / 4)
    # with plenty of it, both orders x and y use the outer two evenly: 4 x + 2 y = 1 = 2 x + 4 y
    assert chain_rate(np.array([1.0, 9.0, 1.0]), q) == pytest.approx(2 / 6)


def test_a_hop_that_makes_nothing_or_a_node_that_never_swaps_gives_no_rate() -> None:
    assert chain_rate(np.array([1.0, 0.0, 1.0]), np.full(2, 0.5)) == 0.0
    assert chain_rate(np.array([1.0, 1.0]), np.zeros(1)) == 0.0
    assert equal_rate(2, 0.0) == 0.0


@pytest.mark.parametrize("hops", [2, 3, 5, 8, 11])
def test_the_shares_account_for_every_pair_that_the_optimum_makes(hops: int) -> None:
    q = 0.6
    shares = optimal_shares(chain(hops, success=0.4, units=10, swap_probability=q))
    rows = list(zip(shares.left.tolist(), shares.middle.tolist(), shares.right.tolist(), strict=True))

    made = {(h, h + 1): 10 * 0.4 / 145e-6 for h in range(hops)}
    used: dict[tuple[int, int], float] = {}
    for row, (i, m, j) in enumerate(rows):
        made[i, j] = made.get((i, j), 0.0) + q * shares.swaps_per_s[row]
        for pair in ((i, m), (m, j)):
            used[pair] = used.get(pair, 0.0) + shares.swaps_per_s[row]

    assert made[0, hops] == pytest.approx(shares.rate_per_s)
    assert all(used[pair] <= made[pair] * (1 + 1e-9) for pair in used)
    assert list(shares.right - shares.left) == sorted(shares.right - shares.left, reverse=True)


def test_shares_are_refused_for_what_is_no_chain() -> None:
    with pytest.raises(ValueError, match="joins the nodes e and e"):
        optimal_shares(uniform(np.array([[0, 1], [0, 2]]), 3))
