"""Paths and memory units for demands that run at the same time."""

import msgspec
import numpy as np
import pytest

from bellweave.network.wide.flow.columns import best_rates
from bellweave.network.wide.flow.stage import Wanted
from bellweave.network.wide.params import Router
from bellweave.plan.wide_lanes import Shares, evenly, shared, without
from bellweave.plan.wide_paths import paths_by
from bellweave.scenario.changes import changed
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import Map, assembled, backbone_of

ROUTERS: list[Router] = ["hops", "length", "reliability", "rate", "multipath", "online"]


def routed(name: str, router: Router) -> tuple[Scenario, Map, Shares]:
    scenario = load(name)
    scenario = msgspec.structs.replace(scenario, backbone=msgspec.structs.replace(backbone_of(scenario), router=router))
    net = assembled(scenario)
    return scenario, net, shared(scenario, net, scenario.demand)


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("name", ["backbone", "mesh"])
def test_lanes_are_paths_and_take_no_more_units_than_there_are(name: str, router: Router) -> None:
    scenario, net, shares = routed(name, router)
    used = np.zeros(net.topology.edges, int)
    for demand, lanes in shares.lanes.items():
        assert lanes, demand
        for lane in lanes:
            ends = scenario.demand[demand]
            assert (lane.nodes[0], lane.nodes[-1]) == (net.nodes[ends.a], net.nodes[ends.b])
            for a, b, edge, units in zip(lane.nodes, lane.nodes[1:], lane.edges, lane.units, strict=False):
                assert sorted((a, b)) == net.topology.ends[edge].tolist()
                assert units >= 1
                used[edge] += units
    assert np.all(used <= net.topology.units)


@pytest.mark.parametrize("router", ROUTERS)
def test_no_router_does_better_than_all_paths_together(router: Router) -> None:
    scenario, net, shares = routed("mesh", router)
    wanted = [Wanted(net.nodes[each.a], net.nodes[each.b]) for each in scenario.demand.values()]
    best = best_rates(net.topology, wanted, tree_searches=50)

    assert min(shares.rates_per_s.values()) <= best.level_per_s * (1.0 + 1e-6)


def test_demands_in_a_cluster_divide_their_slaves_units() -> None:
    _, _, shares = routed("backbone", "rate")

    (lane,) = shares.lanes["alice-anna"]
    assert lane.units == (5, 5)
    assert "alice-anna" not in shares.rates_per_s


def test_a_failed_repeater_is_gone_round() -> None:
    scenario = load("backbone")
    net = assembled(scenario)
    shares = shared(scenario, net, scenario.demand, frozenset({"n2"}))

    for name in ("alice-bob", "anna-boris"):
        for lane in shares.lanes[name]:
            assert net.nodes["n2"] not in lane.nodes
            assert net.nodes["s1"] in lane.nodes


def test_without_any_path_there_is_no_lane() -> None:
    scenario = load("backbone")
    net = assembled(scenario)
    shares = shared(scenario, net, scenario.demand, frozenset({"n2", "s2"}))

    assert shares.lanes["alice-bob"] == ()
    assert shares.rates_per_s["alice-bob"] == 0.0
    assert shares.lanes["alice-anna"]


def test_a_slave_that_failed_has_no_lane_and_a_cut_hop_makes_no_pairs() -> None:
    scenario = load("backbone")
    net = assembled(scenario)

    assert shared(scenario, net, ["alice-anna"], frozenset({"anna"})).lanes["alice-anna"] == ()
    assert without(net, ["west-n1"]).success[net.edges["west-n1"]] == 0.0


def test_slaves_are_never_on_the_way() -> None:
    scenario = load("mesh")
    net = assembled(scenario)
    ends = [(net.nodes["nw1"], net.nodes["se1"])]
    for router in ROUTERS:
        (paths,) = paths_by(router, net.topology, ends, 5)
        assert all(net.topology.swap_probability[list(nodes[1:-1])].min() > 0.0 for nodes, _ in paths)


def test_units_without_demand_are_given_out() -> None:
    scenario, net, _ = routed("backbone", "rate")
    (lane,) = shared(scenario, net, ["alice-bob"]).lanes["alice-bob"]

    assert set(lane.units) == {10}


def test_dividing_edges_evenly_is_feasible_and_no_better_than_the_optimum() -> None:
    scenario, net, shares = routed("mesh", "hops")
    wanted = [Wanted(net.nodes[each.a], net.nodes[each.b]) for each in scenario.demand.values()]
    paths = paths_by("hops", net.topology, [(each.source, each.target) for each in wanted], 1)
    even = evenly(net.topology, wanted, paths)
    used = np.zeros(net.topology.edges)
    for plan in even.plans:
        used[list(plan.edges)] += np.array(plan.takes) * plan.rate_per_s

    assert np.all(used <= net.topology.pairs_per_s * (1.0 + 1e-6))
    assert 0.0 < even.rates_per_s.min() <= min(shares.rates_per_s.values()) * (1.0 + 1e-6)


@pytest.mark.parametrize("rounds", [1, 4, 5, 9])
def test_a_lane_has_the_units_that_purification_takes(rounds: int) -> None:
    purification = {"backbone.mode": "physical", "backbone.purification": {"rounds": rounds}, "hop.*.fidelity": 0.9}
    scenario = changed(load("backbone"), purification)
    found = shared(scenario, assembled(scenario), ("alice-bob", "anna-boris")).lanes

    assert any(found.values())
    for lanes in found.values():
        assert all(units > rounds for lane in lanes for units in lane.units)
