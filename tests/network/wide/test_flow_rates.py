"""The best rates of many demands: pairs and trees agree, and max-min is what trying everything finds."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave import rng
from bellweave.network.wide.flow import columns, pairs
from bellweave.network.wide.flow.stage import Objective, Wanted
from bellweave.network.wide.flow.trees import cheapest_tree, costs_between
from bellweave.network.wide.topology import Topology, chain, uniform


def connected(nodes: int, more: int, seed: int, q: float) -> Topology:
    """Return a random tree with more edges, edges that differ."""
    draw = rng.stream(seed, "test", "flow")
    edges = {(int(draw.integers(node)), node) for node in range(1, nodes)}
    every = list(itertools.combinations(range(nodes), 2))
    edges |= {every[at] for at in draw.integers(len(every), size=more)}
    found = uniform(np.array(sorted(edges)), nodes, swap_probability=q, attempt_s=1.0)
    return replace(found, success=draw.uniform(0.1, 0.9, found.edges))


def demands(nodes: int, count: int, seed: int) -> list[Wanted]:
    draw = rng.stream(seed, "test", "demands")
    ends = [draw.choice(nodes, 2, replace=False) for _ in range(count)]
    return [Wanted(int(a), int(b), weight=float(draw.integers(1, 4))) for a, b in ends]


@settings(max_examples=15, deadline=None)
@given(
    nodes=st.integers(4, 9),
    count=st.integers(1, 5),
    seed=st.integers(0, 1000),
    q=st.sampled_from([1.0, 0.8, 0.4]),
    objective=st.sampled_from(["max-min", "weighted", "total"]),
)
def test_trees_find_the_optimum_over_pairs_and_its_bound(
    nodes: int, count: int, seed: int, q: float, objective: Objective
) -> None:
    network, wanted = connected(nodes, nodes, seed, q), demands(nodes, count, seed)

    whole = pairs.best_rates(network, wanted, objective)
    found = columns.best_rates(network, wanted, objective)
    by_paths = columns.best_rates(network, wanted, objective, tree_searches=0)

    weights = np.array([each.weight for each in wanted])
    if objective == "max-min":
        assert found.rates_per_s == pytest.approx(whole.rates_per_s, rel=1e-5)
        assert found.level_per_s == pytest.approx((whole.rates_per_s / weights).min(), rel=1e-5)
    else:
        value = weights if objective == "weighted" else np.ones(count)
        assert found.level_per_s == pytest.approx(value @ whole.rates_per_s, rel=1e-5)
    assert found.level_per_s == pytest.approx(found.bound_per_s, rel=1e-5)
    assert by_paths.level_per_s <= found.level_per_s * (1 + 1e-6)


@settings(max_examples=15, deadline=None)
@given(nodes=st.integers(4, 9), count=st.integers(1, 5), seed=st.integers(0, 1000))
def test_what_plans_take_is_there_and_makes_the_rates(nodes: int, count: int, seed: int) -> None:
    network, wanted = connected(nodes, nodes, seed, 0.7), demands(nodes, count, seed)

    found = columns.best_rates(network, wanted)

    taken, rates = np.zeros(network.edges), np.zeros(count)
    for plan in found.plans:
        np.add.at(taken, list(plan.edges), plan.rate_per_s * np.array(plan.takes))
        rates[plan.demand] += plan.rate_per_s
        assert {plan.nodes[0], plan.nodes[-1]} == {wanted[plan.demand].source, wanted[plan.demand].target}
        assert len(set(plan.nodes)) == len(plan.nodes)
        for edge, ends in zip(plan.edges, itertools.pairwise(plan.nodes), strict=True):
            assert sorted(ends) == network.ends[edge].tolist()
    assert np.all(taken <= network.pairs_per_s * (1 + 1e-6))
    assert rates == pytest.approx(found.rates_per_s)


def test_max_min_is_the_lexicographic_best_of_all_splits() -> None:
    """One long demand and three short ones on two hops, q = 1: the first edge is shared by three."""
    line = chain(2, success=1.0, units=6, attempt_s=1.0)
    wanted = [Wanted(0, 2), Wanted(0, 1), Wanted(0, 1), Wanted(1, 2)]

    # all splits in steps of 1 of the 6 pairs/s of each edge
    splits = (
        each for each in itertools.product(range(7), repeat=4) if each[0] + each[1] + each[2] <= 6 >= each[0] + each[3]
    )
    best = max(splits, key=sorted)

    found = columns.best_rates(line, wanted)
    assert best == (2, 2, 2, 4)
    assert found.rates_per_s == pytest.approx(best)
    assert pairs.best_rates(line, wanted).rates_per_s == pytest.approx(best)


def test_weights_share_an_edge_and_a_demand_never_gets_more_than_it_wants() -> None:
    line = chain(1, success=1.0, units=6, attempt_s=1.0)

    shared = [Wanted(0, 1, weight=1.0), Wanted(0, 1, weight=2.0)]
    assert columns.best_rates(line, shared).rates_per_s == pytest.approx([2, 4])
    capped = [Wanted(0, 1, most_per_s=1.0), Wanted(0, 1), Wanted(0, 1)]
    for objective in ("max-min", "weighted", "total"):
        found = columns.best_rates(line, capped, objective).rates_per_s
        assert found.sum() == pytest.approx(6)
        assert found[0] <= 1 + 1e-9
    assert columns.best_rates(line, capped).rates_per_s == pytest.approx([1, 2.5, 2.5])
    assert columns.best_rates(line, capped[:1]).level_per_s == pytest.approx(1.0)


def test_total_starves_a_long_demand_where_max_min_does_not() -> None:
    line = chain(4, success=1.0, units=1, attempt_s=1.0, swap_probability=0.9)
    wanted = [Wanted(0, 4), *(Wanted(h, h + 1) for h in range(4))]

    total = columns.best_rates(line, wanted, "total").rates_per_s
    fair = columns.best_rates(line, wanted, "max-min").rates_per_s

    assert total == pytest.approx([0, 1, 1, 1, 1], abs=1e-9)
    assert fair == pytest.approx([1 / (1 + 1 / 0.81)] * 5)
    two = columns.best_rates(line, wanted[:2], levels=1)
    assert two.rates_per_s.min() >= two.level_per_s * (1 - 1e-6)


def test_two_disjoint_paths_add_up() -> None:
    ring = uniform(
        np.array([[0, 1], [1, 2], [2, 3], [3, 0]]), 4, success=1.0, units=1, attempt_s=1.0, swap_probability=0.5
    )

    assert columns.best_rates(ring, [Wanted(0, 2)]).rates_per_s == pytest.approx([1.0])
    one = columns.best_on_paths(ring, [Wanted(0, 2)], [[((0, 1, 2), (0, 2))]])
    assert one.rates_per_s == pytest.approx([0.5])


def test_nodes_that_cannot_swap_are_not_passed_and_parts_that_are_not_joined_get_nothing() -> None:
    line = chain(2, success=1.0, units=1, attempt_s=1.0)
    slaves = replace(line, swap_probability=np.array([1.0, 0.0, 1.0]))
    wanted = [Wanted(0, 2), Wanted(0, 1)]

    for solver in (columns.best_rates, pairs.best_rates):
        assert solver(slaves, wanted, "max-min").rates_per_s == pytest.approx([0, 1], abs=1e-9)
    dead = replace(line, success=np.array([1.0, 0.0]))
    assert columns.best_rates(dead, [Wanted(0, 2)]).rates_per_s == pytest.approx([0])


def test_costs_follow_from_prices() -> None:
    q = 0.5
    costs, final = costs_between(np.array([[0, 1], [1, 2], [2, 3]], np.int32), np.ones(3), np.full(4, q))

    assert final
    assert costs[0] == pytest.approx([0, 1, 4, 10])
    assert cheapest_tree(np.ones(3), np.full(2, q))[0] == pytest.approx(10)
    few, final = costs_between(np.array([[0, 1], [1, 2], [2, 3]], np.int32), np.ones(3), np.full(4, q), sweeps=1)
    assert not final
    assert np.all(few >= costs)


def test_large_networks_are_sent_to_the_trees_and_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="use columns"):
        pairs.best_rates(chain(100), [Wanted(0, 100)])
    with pytest.raises(ValueError, match="different nodes"):
        Wanted(1, 1)
    with pytest.raises(ValueError, match="weight must be > 0"):
        Wanted(0, 1, weight=0.0)
