"""Which lanes serve which demand: paths by the scenario's router, rates by the linear program, whole memory units.

1. Demands within a cluster take an equal part of their slaves' units.
2. The others get paths from the router: one each, or as many as the linear program uses (``multipath``).
3. The linear program shares the edges' pairs out among these paths, by the scenario's fairness.
4. An edge's units are divided as its pairs are, one for each path at least, or as many as purification takes. What is
   left over helps everybody: where the program leaves pairs of an edge unused, its units are given out all the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bellweave.network.wide.chains.orders import apportioned
from bellweave.network.wide.flow.columns import best_on_paths, best_rates
from bellweave.network.wide.flow.plans import Optimum, Plan
from bellweave.network.wide.flow.stage import Wanted
from bellweave.network.wide.params import Demand
from bellweave.network.wide.purification import least_units, rated
from bellweave.network.wide.topology import Topology
from bellweave.plan.wide_paths import Path, paths_by
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import Map, backbone_of

TREE_SEARCHES = 20
"""Searches of the whole network for ``multipath``; each takes time that grows with the cube of its nodes."""

LEAST_SHARE = 1e-3
"""A plan with a smaller share of its demand's rate is not worth a unit."""


@dataclass(frozen=True)
class Lane:
    """A path with memory units of its own.

    Attributes:
        nodes, edges: Numbers.
        units: Of each edge.
        rate_per_s: Pairs/s that the linear program gives it with these units' part of every edge; within a cluster 0:
            no pairs are swapped there.
    """

    nodes: tuple[int, ...]
    edges: tuple[int, ...]
    units: tuple[int, ...]
    rate_per_s: float


@dataclass(frozen=True)
class Shares:
    """What every demand gets.

    Attributes:
        lanes: By demand; empty where there is no path, or no unit.
        rates_per_s: By demand between clusters, end-to-end pairs/s of the linear program over these paths.
    """

    lanes: Mapping[str, tuple[Lane, ...]]
    rates_per_s: Mapping[str, float]


Routes = dict[tuple[str, frozenset[str]], tuple[Path, ...]]
"""Paths by demand and what has failed: of routers that look at nothing else."""


def shared(
    scenario: Scenario,
    net: Map,
    demands: Iterable[str],
    failed: frozenset[str] = frozenset(),
    routes: Routes | None = None,
) -> Shares:
    """Return the lanes of demands that run at the same time.

    Args:
        scenario: The scenario.
        net: Its network.
        demands: Their names.
        failed: Nodes and edges that are not there.
        routes: Paths that are known; those that are found are added.
    """
    table = {name: scenario.demand[name] for name in demands}
    topology = without(net, failed)
    local = {name: each for name, each in table.items() if net.same_cluster(each.a, each.b)}
    far = {name: each for name, each in table.items() if name not in local}
    lanes: dict[str, tuple[Lane, ...]] = dict.fromkeys(table, ())
    lanes |= _local_lanes(net, topology, table, local)
    taken = np.zeros(topology.edges, np.int64)
    for name in local:
        for lane in lanes[name]:
            taken[list(lane.edges)] += lane.units
    purification = backbone_of(scenario).purification
    left = replace(topology, units=np.maximum(topology.units - taken, 0).astype(np.int32))
    rest, least = rated(left, purification), least_units(purification)
    known = {} if routes is None else routes
    optimum, names = _optimum(scenario, net, rest, far, (failed, known)), list(far)
    lanes |= _far_lanes(rest, optimum.plans, names, least)
    rates = {name: float(rate) for name, rate in zip(names, optimum.rates_per_s, strict=True)}
    return Shares(lanes, rates)


def without(net: Map, failed: Iterable[str]) -> Topology:
    """Return a network's arrays with nodes and edges that make no pairs; numbers stay."""
    topology = net.topology
    success = topology.success.copy()
    for name in failed:
        if name in net.edges:  # a slave is also its fibre
            success[net.edges[name]] = 0.0
        if name in net.nodes:
            success[np.any(topology.ends == net.nodes[name], axis=1)] = 0.0
    return replace(topology, success=success)


def _local_lanes(
    net: Map, topology: Topology, table: Mapping[str, Demand], local: Mapping[str, Demand]
) -> dict[str, tuple[Lane, ...]]:
    """Return the lanes slave - master - slave; a slave's units are divided by its demands, whatever they are."""
    users = np.zeros(topology.edges, np.int64)
    for each in table.values():
        users[[net.edges[each.a], net.edges[each.b]]] += 1
    lanes: dict[str, tuple[Lane, ...]] = {}
    for name, each in local.items():
        edges = net.edges[each.a], net.edges[each.b]
        units = min(int(topology.units[edge]) // int(users[edge]) for edge in edges)
        alive = all(topology.success[edge] > 0.0 for edge in edges)
        nodes = net.nodes[each.a], net.nodes[net.masters[each.a]], net.nodes[each.b]
        lanes[name] = (Lane(nodes, edges, (units, units), 0.0),) if alive and units else ()
    return lanes


def _optimum(
    scenario: Scenario,
    net: Map,
    topology: Topology,
    far: Mapping[str, Demand],
    routing: tuple[frozenset[str], Routes],
) -> Optimum:
    """Return the best rates over the router's paths; each demand's path is looked for once, but by ``online``."""
    failed, routes = routing
    backbone = backbone_of(scenario)
    wanted = [
        Wanted(net.nodes[each.a], net.nodes[each.b], each.weight, _most_per_s(scenario, each)) for each in far.values()
    ]
    if not wanted:
        return Optimum(np.zeros(0), (), 0.0, 0.0)
    alive = _alive(topology, least_units(backbone.purification))
    if backbone.router == "multipath":
        return best_rates(alive, wanted, backbone.fairness, tree_searches=TREE_SEARCHES)
    new = [name for name in far if (name, failed) not in routes or backbone.router == "online"]
    ends = [(net.nodes[far[name].a], net.nodes[far[name].b]) for name in new]
    found = paths_by(backbone.router, alive, ends, backbone.candidates)
    routes |= {(name, failed): paths for name, paths in zip(new, found, strict=True)}
    paths = [routes[name, failed] for name in far]
    try:
        return best_on_paths(alive, wanted, paths, backbone.fairness)
    except RuntimeError:  # rounding: the solver took a level that another stage had fixed for infeasible
        return evenly(alive, wanted, paths)


def evenly(topology: Topology, wanted: Sequence[Wanted], paths: Sequence[Sequence[Path]]) -> Optimum:
    """Return rates when every edge is divided evenly among the paths over it: feasible, but not the optimum."""
    users = np.zeros(topology.edges)
    for own in paths:
        for _, edges in own:
            users[list(edges)] += 1.0
    part = replace(topology, attempt_s=topology.attempt_s * np.maximum(users, 1.0))
    rates, plans = np.zeros(len(wanted)), []
    for number, (each, own) in enumerate(zip(wanted, paths, strict=True)):
        if own:
            alone = best_on_paths(part, [each], [own], "total")
            rates[number] = alone.rates_per_s[0]
            plans += [replace(plan, demand=number) for plan in alone.plans]
    return Optimum(rates, tuple(plans), float(rates.min(initial=np.inf)), np.inf)


def _most_per_s(scenario: Scenario, demand: Demand) -> float:
    """Return the pairs/s beyond which a demand wants no more: known in ``paper`` mode, where a pair is a bit."""
    if demand.bits_per_s is None or backbone_of(scenario).mode != "paper":
        return np.inf
    return demand.bits_per_s


def _alive(topology: Topology, least: int) -> Topology:
    """Return a network in which an edge with less than ``least`` units makes no pairs."""
    return replace(
        topology,
        success=np.where(topology.units >= least, topology.success, 0.0),
        units=np.maximum(topology.units, 1).astype(np.int32),
    )


def _far_lanes(
    topology: Topology, plans: Sequence[Plan], names: Sequence[str], least: int
) -> dict[str, tuple[Lane, ...]]:
    """Return lanes whose units, ``least`` or more, divide every edge as the linear program divides its pairs."""
    joined = _joined(plans)
    whole = {number: sum(each.rate_per_s for each in joined if each.demand == number) for number in range(len(names))}
    used = [each for each in joined if each.rate_per_s > LEAST_SHARE * whole[each.demand]]
    used = _within_units(topology, sorted(used, key=lambda each: -each.rate_per_s), least)
    on_edge: dict[int, list[tuple[int, float]]] = {}
    for number, plan in enumerate(used):
        for edge, takes in zip(plan.edges, plan.takes, strict=True):
            on_edge.setdefault(edge, []).append((number, takes * plan.rate_per_s))
    units: dict[tuple[int, int], int] = {}
    for edge, users in on_edge.items():
        parts = apportioned(np.array([weight for _, weight in users]), int(topology.units[edge]), least)
        units |= {(number, edge): int(part) for (number, _), part in zip(users, parts, strict=True)}
    lanes: dict[str, tuple[Lane, ...]] = dict.fromkeys(names, ())
    for number, plan in enumerate(used):
        own = tuple(units[number, edge] for edge in plan.edges)
        lanes[names[plan.demand]] += (Lane(plan.nodes, plan.edges, own, float(plan.rate_per_s)),)
    return lanes


def _joined(plans: Iterable[Plan]) -> list[Plan]:
    """Return one plan for each demand and path: its trees' takes, by their rates."""
    found: dict[tuple[int, tuple[int, ...]], Plan] = {}
    for plan in plans:
        key = plan.demand, plan.edges
        if key not in found:
            found[key] = plan
            continue
        had, rate = found[key], found[key].rate_per_s + plan.rate_per_s
        takes = tuple(
            (mine * had.rate_per_s + other * plan.rate_per_s) / rate if rate else mine
            for mine, other in zip(had.takes, plan.takes, strict=True)
        )
        found[key] = replace(had, takes=takes, rate_per_s=rate)
    return list(found.values())


def _within_units(topology: Topology, plans: Iterable[Plan], least: int) -> list[Plan]:
    """Return those plans for which every edge has ``least`` units, demands' largest first."""
    free = topology.units.astype(np.int64).copy()
    served: dict[int, int] = {}
    found = []
    for plan in sorted(plans, key=lambda each: served.get(each.demand, 0)):
        edges = list(plan.edges)
        if np.all(free[edges] >= least):
            free[edges] -= least
            served[plan.demand] = served.get(plan.demand, 0) + 1
            found.append(plan)
    return found
