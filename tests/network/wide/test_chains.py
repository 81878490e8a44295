"""Chains against exact waiting times, Eq. 9 and time tables; conservation, labels, re-entrance, no dead-lock."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave import rng
from bellweave.network.wide import states, theory
from bellweave.network.wide.chains import orders
from bellweave.network.wide.chains.run import Chain, Counts
from bellweave.network.wide.flow.chain import optimal_shares
from bellweave.network.wide.topology import Topology, chain
from bellweave.network.wide.waiting.distribution import nested

SIGMAS = 4.0
ATTEMPT_S = 145e-6
ORDERS = ("asap", "nested", "hop-by-hop")


def made(hops: int, *, seed: int = 1, values: dict[str, Any] | None = None, **options: Any) -> Chain:
    topology = chain(hops, **(values or {}))
    return Chain(topology, range(hops + 1), rng.stream(seed, "chain", hops), **options)


def accounted(counts: Counts) -> bool:
    gone = counts.swapped + counts.measured + counts.expired + counts.purified
    return counts.created == gone + counts.held


def delayed(hops: int, **values: Any) -> Topology:
    """A chain whose swaps take time."""
    topology = chain(hops, **values)
    topology.measurement_s[:] = 100e-6
    topology.retrieval_s[:] = 40e-6
    return topology


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize(
    ("levels", "success", "swap", "cutoff"),
    [
        (1, 0.1, 0.5, None),
        (1, 0.6, 1.0, None),
        (1, 0.1, 0.5, 4),
        (2, 0.3, 0.7, None),
        (2, 0.05, 0.5, None),
        (2, 0.3, 0.7, 3),
        (3, 0.4, 0.6, None),
        (3, 0.15, 0.9, None),
        (3, 0.4, 0.8, 6),
    ],
)
def test_waiting_times_and_states_are_exact(
    *, levels: int, success: float, swap: float, cutoff: int | None, skip: bool
) -> None:
    """Mean time between deliveries of a chain that begins anew after each, and their mean weight, within 4 sigma."""
    coherence_s = 60 * ATTEMPT_S
    exact = nested(levels, success, swap, cutoff=cutoff, decay=2.0 / 60.0, weight=0.96)
    run = made(
        2**levels,
        values={
            "units": 1,
            "success": success,
            "swap_probability": swap,
            "coherence_s": coherence_s,
            "fidelity": 0.97,
            "cutoff_s": np.inf if cutoff is None else cutoff * ATTEMPT_S,
        },
        order="nested",
        mode="physical",
        light_km_per_s=np.inf,
        exclusive=True,
        skip=skip,
    )
    delivered = run.advance(6000 * exact.mean * ATTEMPT_S)
    periods = np.diff(delivered.at_s, prepend=0.0) / ATTEMPT_S
    assert len(periods) > 5000
    for seen, expected in ((periods, exact.mean), (delivered.correlation[:, 0], exact.mean_weight)):
        error = float(np.std(seen)) / math.sqrt(len(seen))
        assert abs(float(np.mean(seen)) - expected) < SIGMAS * error + 1e-9
    assert accounted(run.counts)


def test_the_distribution_of_waiting_times_is_the_exact_one() -> None:
    exact = nested(2, 0.3, 0.7)
    run = made(4, values={"units": 1, "success": 0.3, "swap_probability": 0.7}, order="nested", exclusive=True)
    periods = np.rint(np.diff(run.advance(40.0).at_s, prepend=0.0) / ATTEMPT_S).astype(int)
    seen = np.bincount(periods, minlength=41)[:41]
    expected = exact.probability[:41] * len(periods)
    likely = expected > 20
    chi_square = float(np.sum((seen - expected)[likely] ** 2 / expected[likely]))
    assert chi_square < likely.sum() + SIGMAS * math.sqrt(2.0 * likely.sum())


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("hops", "swap"), [(2, 0.5), (3, 0.8), (5, 0.6), (8, 1.0)])
def test_no_chain_beats_eq_9(order: Any, hops: int, swap: float) -> None:
    run = made(hops, values={"units": 10, "success": 0.4, "swap_probability": swap}, order=order)
    run.advance(0.2)
    before = run.counts.measured
    periods = 40_000
    run.advance(0.2 + periods * ATTEMPT_S)
    delivered = run.counts.measured - before
    best = theory.distribution_rate(hops, 10, 0.4, swap) * periods
    assert delivered < best + SIGMAS * math.sqrt(best)


@pytest.mark.parametrize(("hops", "swap"), [(2, 0.5), (4, 0.8), (8, 0.9)])
def test_a_nested_chain_comes_close_to_eq_9_as_its_memories_grow(hops: int, swap: float) -> None:
    shares = []
    for units in (1, 10, 100, 1000):
        run = made(hops, values={"units": units, "success": 0.4, "swap_probability": swap}, order="nested")
        run.advance(0.05)
        before = run.counts.measured
        run.advance(0.05 + 2000 * ATTEMPT_S)
        shares.append((run.counts.measured - before) / 2000 / theory.distribution_rate(hops, units, 0.4, swap))
    assert shares == sorted(shares)
    assert shares[-1] > 0.93


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 7),
    st.integers(1, 4),
    st.sampled_from(ORDERS),
    st.sampled_from(["paper", "physical"]),
    st.floats(0.05, 1.0),
    st.floats(0.2, 1.0),
    st.sampled_from([np.inf, 3e-3]),
    st.sampled_from([np.inf, 1e-3]),
    st.booleans(),
    st.integers(0, 1000),
)
def test_every_pair_is_accounted_for_and_nothing_stalls(
    hops: int,
    units: int,
    order: Any,
    mode: Any,
    success: float,
    swap: float,
    lifetime_s: float,
    cutoff_s: float,
    skip: bool,
    seed: int,
) -> None:
    topology = delayed(
        hops, success=success, units=units, swap_probability=swap, lifetime_s=lifetime_s, cutoff_s=cutoff_s
    )
    run = Chain(topology, range(hops + 1), rng.stream(seed, "any"), order=order, mode=mode, skip=skip, traced=True)
    attempts = -1
    for step in range(1, 6):
        delivered = run.advance(0.05 * step)
        counts = run.counts
        assert accounted(counts)
        assert counts.held <= units * hops
        assert counts.attempts > attempts  # all units full for 50 ms would be a dead-lock
        assert np.all(np.diff(delivered.at_s) >= 0.0)
        assert np.all(delivered.oldest_s <= delivered.at_s)
        attempts = counts.attempts
    if success > 0.3 and swap > 0.5 and lifetime_s == cutoff_s == np.inf:
        assert run.counts.measured > 0


@pytest.mark.parametrize("hops", [4, 11])
def test_asap_with_news_that_takes_time_never_stalls(hops: int) -> None:
    """Serving whatever is known first makes pairs that cross and hold each other's units."""
    topology = delayed(hops, success=0.4, units=3)
    run = Chain(topology, range(hops + 1), rng.stream(2, "stall"), mode="physical")
    per_second = [len(run.advance(float(second))) for second in range(1, 6)]
    assert min(per_second) > 0.9 * max(per_second) > 0


@pytest.mark.parametrize("mode", ["paper", "physical"])
@pytest.mark.parametrize("order", ORDERS)
def test_any_pair_can_be_traced_to_one_link_of_every_hop(order: Any, mode: Any) -> None:
    run = made(6, values={"success": 0.4, "swap_probability": 0.8}, order=order, mode=mode, traced=True)
    delivered = run.advance(0.2)
    assert len(delivered) > 20
    origin = {int(row[0]): row for row in run.trace}
    assert len(origin) == run.counts.created
    for label, oldest_s in zip(delivered.label, delivered.oldest_s, strict=True):
        links, todo = [], [int(label)]
        while todo:
            row = origin[todo.pop()]
            if row[1] < 0:
                links.append(row)
            else:
                assert origin[int(row[1])][4] <= row[4]
                todo += [int(row[1]), int(row[2])]
        assert sorted(int(row[3]) for row in links) == list(range(6))
        assert min(int(row[4]) for row in links) / 1e12 == oldest_s


@pytest.mark.parametrize("options", [{}, {"mode": "physical"}, {"skip": True}, {"order": "nested", "skip": True}])
def test_pieces_give_what_one_go_gives(options: Any) -> None:
    values = {"success": 0.2, "swap_probability": 0.7, "lifetime_s": 4e-3, "coherence_s": 0.1, "units": 3}
    whole = made(5, values=values, **options)
    pieces = made(5, values=values, **options)
    expected = whole.advance(1.0)
    cuts = np.sort(np.concatenate((rng.stream(3, "cuts").uniform(0.0, 1.0, 200), ATTEMPT_S * np.arange(50), [1.0])))
    parts = [pieces.advance(float(cut)) for cut in cuts]
    assert len(expected) > 100
    for name in ("label", "at_s", "oldest_s", "correlation"):
        assert np.array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(expected, name))
    assert pieces.counts == whole.counts
    again = made(5, values=values, **options)
    assert np.array_equal(again.advance(1.0).at_s, expected.at_s)


def test_delays_and_states_of_a_sure_chain_are_those_of_a_time_table() -> None:
    """Three hops that succeed at once, hop by hop, every step by hand."""
    topology = delayed(3, success=1.0, units=1, coherence_s=1.0, fidelity=0.97)
    topology.swap_fidelity[:] = 0.985
    run = Chain(topology, range(4), rng.stream(1, "table"), order="hop-by-hop", mode="physical")
    first = run.advance(2e-3)
    light_s, busy_s = 1e-4, 140e-6
    known_s = ATTEMPT_S + busy_s + light_s  # at node 2
    done_s = known_s + busy_s
    ends_s = done_s + 2 * light_s + busy_s, done_s + light_s + busy_s
    assert first.at_s[0] == pytest.approx(max(ends_s), abs=1e-12)
    assert first.oldest_s[0] == pytest.approx(ATTEMPT_S, abs=1e-12)
    ages_s = 2 * (ATTEMPT_S + busy_s) + 2 * done_s + sum(ends_s) - 6 * ATTEMPT_S
    assert first.correlation[0] == pytest.approx(np.full(3, 0.96**3 * 0.98**2 * math.exp(-ages_s)), rel=1e-9)
    assert first.fidelity[0] == pytest.approx(float(states.fidelity_of(first.correlation[0, 0])))


def test_lifetimes_drop_pairs_and_cutoffs_before_them() -> None:
    values = {"success": 0.02, "units": 2, "lifetime_s": 5e-3}
    outlived = made(4, values=values)
    outlived.advance(1.0)
    assert outlived.counts.outlived > 0
    assert outlived.counts.cut == 0
    cut = made(4, values=values | {"cutoff_s": 1e-3})
    delivered = cut.advance(1.0)
    assert cut.counts.cut > cut.counts.outlived
    assert np.all(delivered.at_s - delivered.oldest_s <= 5e-3 + 1e-12)


def test_units_can_be_taken_away_and_given_back() -> None:
    run = made(4, values={"success": 0.4, "units": 4})
    run.advance(0.1)
    run.set_units([4, 0, 4, 4])
    run.advance(0.2)
    idle = run.counts.measured
    assert len(run.advance(0.3)) == 0
    assert run.counts.held == 4 + 4  # (0, 1), and (2, 4), which hold a unit of both their hops
    run.set_units([4, 9, 4, 4])
    run.advance(0.4)
    assert run.counts.measured > idle
    assert run.counts.held <= 4 * 3 + 9
    assert accounted(run.counts)


def test_a_lost_node_loses_what_it_held() -> None:
    run = made(4, values={"success": 0.4, "units": 4})
    run.advance(0.1)
    run.set_units([4, 0, 0, 4])
    run.lose_node(2)
    lost = run.counts.dropped
    assert accounted(run.counts)
    run.advance(0.2)
    assert run.counts.dropped == lost
    assert run.counts.held <= 4 + 4 + 4 + 4


def test_a_path_of_a_network_may_run_against_its_numbers() -> None:
    topology = chain(4, success=0.4)
    run = Chain(topology, [3, 2, 1], rng.stream(1, "back"))
    assert run.edges.tolist() == [2, 1]
    assert len(run.advance(0.1)) > 0
    for path in ([0, 2], [0, 1, 0], [0]):
        with pytest.raises(ValueError, match=r"edge|path"):
            Chain(topology, path, rng.stream(1, "none"))
    with pytest.raises(ValueError, match="can go on"):
        run.advance(0.05)


def test_shares_of_one_tree_are_that_order() -> None:
    tree = orders.trees({(0, 1, 2): 1.0, (2, 3, 4): 1.0, (0, 2, 4): 0.5}, [0.0, 0.5, 0.5, 0.5, 0.0])
    assert len(tree) == 1
    order, rate, use = tree[0]
    assert (order.left.tolist()[1:4], order.right.tolist()[1:4]) == ([0, 0, 2], [2, 4, 4])
    assert rate == pytest.approx(0.5)
    assert use.tolist() == [1.0, 1.0, 1.0, 1.0]


def test_the_optimum_of_three_hops_mixes_both_orders() -> None:
    """At q = 0.6 both ways of joining three hops are as good; half of the pairs each."""
    shares = {(0, 1, 2): 0.5, (0, 2, 3): 0.3, (1, 2, 3): 0.5, (0, 1, 3): 0.3}
    run = made(
        3, values={"units": 1000, "success": 0.4, "swap_probability": 0.6}, order="optimal", shares=shares, traced=True
    )
    run.advance(0.05)
    delivered = run.advance(0.05 + 2000 * ATTEMPT_S)
    best = theory.distribution_rate(3, 1000, 0.4, 0.6) * 2000
    assert 0.85 * best < len(delivered) < best + SIGMAS * math.sqrt(best)
    assert len(set(delivered.label.tolist())) == len(delivered)
    assert np.all(np.diff(delivered.at_s) >= 0.0)
    run.set_units([10, 1, 10])
    run.advance(0.5)
    assert accounted(run.counts)


@pytest.mark.parametrize("swap", [0.6, 0.9])
def test_the_optimal_order_comes_close_to_the_linear_program_on_unequal_hops(swap: float) -> None:
    topology = chain(5, units=2000, swap_probability=swap)
    topology.success[:] = [0.4, 0.3, 0.5, 0.25, 0.45]
    best = optimal_shares(topology)
    shares = orders.shares_of(best.left, best.middle, best.right, best.swaps_per_s)
    run = Chain(topology, range(6), rng.stream(1, "unequal"), order="optimal", shares=shares)
    run.advance(0.05)
    delivered = len(run.advance(0.05 + 1000 * ATTEMPT_S))
    bound = best.rate_per_s * 1000 * ATTEMPT_S
    assert 0.85 * bound < delivered < bound + SIGMAS * math.sqrt(bound)


def test_spans_are_built_by_themselves_only_in_an_order() -> None:
    with pytest.raises(ValueError, match="only in an order"):
        made(4, exclusive=True)


def test_the_optimal_order_needs_shares() -> None:
    with pytest.raises(ValueError, match="shares"):
        made(3, order="optimal")
    with pytest.raises(ValueError, match="no tree"):
        made(3, order="optimal", shares={(0, 1, 2): 1.0})
    with pytest.raises(ValueError, match="can not be divided"):
        orders.apportioned(np.ones(3), 2)
