"""Routers: what each prefers, and what all keep."""

import itertools
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave import rng
from bellweave.network.wide import params
from bellweave.network.wide.flow import columns
from bellweave.network.wide.flow.stage import Wanted
from bellweave.network.wide.generators import grid
from bellweave.network.wide.routing.load import Load, free_part, without
from bellweave.network.wide.routing.routers import (
    NEAR,
    Route,
    candidate_paths,
    hops,
    make_router,
    path_rate,
    time_per_pair,
)
from bellweave.network.wide.topology import Topology, uniform

NAMES = get_args(params.Router)

# 0 - 1 - 5 (2 hops, one long and bad), 0 - 2 - 3 - 5 (3 hops, short), 0 - 4 - 5 (2 hops, few units)
ENDS = np.array([[0, 1], [1, 5], [0, 2], [2, 3], [3, 5], [0, 4], [4, 5]])


def example() -> Topology:
    network = uniform(ENDS, 6, swap_probability=0.9, attempt_s=1.0)
    return replace(
        network,
        length_km=np.array([30.0, 30.0, 10.0, 10.0, 10.0, 25.0, 26.0]),
        success=np.array([0.05, 0.5, 0.8, 0.8, 0.8, 0.7, 0.7]),
        units=np.array([10, 10, 10, 10, 10, 5, 5], np.int32),
    )


def random_network(seed: int, nodes: int = 12) -> Topology:
    draw = rng.stream(seed, "test", "routers")
    edges = {(int(draw.integers(node)), node) for node in range(1, nodes)}
    every = list(itertools.combinations(range(nodes), 2))
    edges |= {every[at] for at in draw.integers(len(every), size=nodes)}
    network = uniform(np.array(sorted(edges)), nodes, swap_probability=0.8, attempt_s=1.0)
    return replace(
        network,
        success=draw.uniform(0.1, 0.9, network.edges),
        length_km=draw.uniform(5.0, 50.0, network.edges),
        units=draw.integers(1, 8, network.edges).astype(np.int32),
        swap_probability=draw.uniform(0.5, 1.0, nodes),
    )


@pytest.mark.parametrize(
    ("name", "nodes"),
    [
        ("hops", (0, 4, 5)),  # of two hops, the shorter
        ("length", (0, 2, 3, 5)),
        ("reliability", (0, 4, 5)),  # .7^2 x .9 = .44 against .8^3 x .9^2 = .41
        ("rate", (0, 2, 3, 5)),  # 8 x .81 against 3.5 x .9
        ("online", (0, 2, 3, 5)),
    ],
)
def test_each_router_takes_the_path_that_is_best_by_its_measure(name: params.Router, nodes: tuple[int, ...]) -> None:
    network = example()

    (route,) = make_router(name).route(network, 0, 5, Load.none(network))

    assert route.nodes == nodes
    assert route.share == 1.0
    assert route.rate_per_s == pytest.approx(path_rate(network, route.nodes, route.edges))


def test_the_online_router_evades_what_is_reserved_and_the_others_do_not() -> None:
    network = example()
    load = Load.none(network)
    load.reserve(network, {2: 8, 3: 8, 4: 8})

    assert make_router("online").route(network, 0, 5, load)[0].nodes == (0, 4, 5)
    assert make_router("rate").route(network, 0, 5, load)[0].nodes == (0, 2, 3, 5)
    load.reserve(network, {2: 2, 3: 2, 4: 2, 0: 10, 5: 5})
    assert make_router("online").route(network, 0, 5, load) == ()
    assert make_router("multipath").route(network, 0, 5, load) == ()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), name=st.sampled_from(NAMES))
def test_routes_are_paths_no_better_than_the_optimum_and_multipath_no_worse_than_any_path(
    seed: int, name: params.Router
) -> None:
    network = random_network(seed)
    load = Load.none(network)
    optimum = columns.best_rates(network, [Wanted(0, 11)], "total").rates_per_s[0]

    routes = make_router(name).route(network, 0, 11, load)

    assert sum(route.share for route in routes) == pytest.approx(1.0)
    for route in routes:
        assert (route.nodes[0], route.nodes[-1]) == (0, 11)
        assert len(set(route.nodes)) == len(route.nodes)
        for edge, ends in zip(route.edges, itertools.pairwise(route.nodes), strict=True):
            assert sorted(ends) == network.ends[edge].tolist()
    assert total(routes) <= optimum * (1 + 1e-6)
    if name == "multipath":
        for other in NAMES:
            assert total(make_router(other).route(network, 0, 11, load)) <= total(routes) * (1 + 2 * NEAR)
    if name == "rate":
        assert total(make_router("hops").route(network, 0, 11, load)) <= total(routes) * (1 + 1e-6)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_giving_up_paths_early_chooses_the_one_that_scoring_all_in_full_does(seed: int) -> None:
    draw = rng.stream(seed, "test", "long paths")
    rows, columns_ = 3, 24
    network = grid(rows, columns_, swap_probability=0.9)
    network = replace(network, success=draw.uniform(0.2, 0.9, network.edges))
    ends = 0, rows * columns_ - 1

    found = candidate_paths(network, hops(network), *ends, 3) + candidate_paths(
        network, time_per_pair(network), *ends, 2
    )
    scores = [path_rate(network, each.nodes, each.edges) for each in found]
    (route,) = make_router("rate").route(network, *ends, Load.none(network))

    assert route.rate_per_s == max(scores)
    assert route.edges == found[scores.index(max(scores))].edges


def total(routes: tuple[Route, ...]) -> float:
    return sum(route.rate_per_s for route in routes)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), name=st.sampled_from(NAMES), edge=st.integers(0, 10), node=st.integers(1, 10))
def test_no_route_leads_over_what_failed(seed: int, name: params.Router, edge: int, node: int) -> None:
    network = without(random_network(seed), [node], [edge])

    for route in make_router(name).route(network, 0, 11, Load.none(network)):
        assert node not in route.nodes
        assert edge not in route.edges


def test_a_load_takes_all_or_nothing_and_gives_back_only_what_was_taken() -> None:
    network = example()
    load = Load.none(network)

    with pytest.raises(ValueError, match="edge 5 has 5 free units, not 6"):
        load.reserve(network, {0: 1, 5: 6})
    assert load.reserved.sum() == 0
    load.reserve(network, {0: 10, 5: 5})
    assert load.free(network).tolist() == [0, 10, 10, 10, 10, 0, 5]
    assert free_part(network, load).pairs_per_s[[0, 5]].tolist() == [0.0, 0.0]
    load.release({0: 10})
    with pytest.raises(ValueError, match="edge 0 has 0 reserved units, not 1"):
        load.release({5: 5, 0: 1})
    assert load.reserved[5] == 5


def test_failed_elements_keep_their_numbers_and_nothing_else_changes() -> None:
    network = example()
    changed = without(network, [2], [0])

    assert np.flatnonzero(changed.success == 0.0).tolist() == [0, 2, 3]
    assert changed.swap_probability.tolist() == [0.9, 0.9, 0.0, 0.9, 0.9, 0.9]
    assert np.array_equal(changed.ends, network.ends)
    assert network.success.all()
