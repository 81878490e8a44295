"""Routers: which paths a request takes. All behind one interface.

``hops length reliability rate`` look at the network alone: the same ends always get the same path. ``multipath`` and
``online`` look at the units that are free, too. None leads through a node that can't swap or over an edge that is down.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bellweave.network.wide import params
from bellweave.network.wide.flow.chain import chain_rate
from bellweave.network.wide.flow.columns import best_rates
from bellweave.network.wide.flow.search import Floats, neighbours
from bellweave.network.wide.flow.stage import Wanted
from bellweave.network.wide.routing.load import Load, free_part
from bellweave.network.wide.routing.paths import Path, shortest_paths
from bellweave.network.wide.topology import Topology

STEEPNESS = 100.0
"""``online``: an edge that is all but full weighs so many times one that is free.

Source: exponential weights as in Awerbuch, Azar, Plotkin, FOCS 1993.
"""

LONG = 16
"""Hops up to which a path is scored exactly."""

PRICINGS = 25
"""``multipath``: rounds of the linear program for one request."""

NEAR = 1e-2
"""``multipath``: how near to the optimum is near enough; the last per cent takes as long as all others."""


@dataclass(frozen=True)
class Route:
    """A path for a request, or for a share of it.

    Attributes:
        nodes, edges: From source to target.
        share: Of the request; a request's shares sum to 1.
        rate_per_s: The best this path gives with the units that the router looked at.
    """

    nodes: tuple[int, ...]
    edges: tuple[int, ...]
    share: float
    rate_per_s: float


class Router(Protocol):
    """Anything that finds a way."""

    def route(self, topology: Topology, source: int, target: int, load: Load) -> tuple[Route, ...]:
        """Return the routes, the largest share first; none if there is no way."""
        ...


def make_router(name: params.Router, candidates: int = 5) -> Router:
    """Return the router of a name; ``candidates``: paths that are scored for a request, at most."""
    match name:
        case "hops":
            return Shortest(hops)
        case "length":
            return Shortest(length)
        case "reliability":
            return Shortest(unreliability)
        case "rate":
            return HighestRate(candidates)
        case "multipath":
            return Multipath()
        case "online":
            return Online(candidates)


def path_rate(
    topology: Topology, nodes: tuple[int, ...], edges: tuple[int, ...], *, useful_per_s: float = 0.0
) -> float:
    """Return the best rate, pairs/s, of a path whose units are all its own, by the chain's linear program.

    Exact up to ``LONG`` hops; a longer path whose hops differ gets a lower bound, less than 0.5 % below. Where it is
    sure to be below ``useful_per_s``, it is any number below that.
    """
    tolerance = 1e-7 if len(edges) <= LONG else 5e-3
    links, swaps = topology.pairs_per_s[list(edges)], topology.swap_probability[list(nodes[1:-1])]
    return chain_rate(links, swaps, tolerance, useful_per_s=useful_per_s)


def hops(topology: Topology) -> Floats:
    """Return weights that count hops; of as many, the shorter path by fibre."""
    total = float(topology.length_km.sum())
    weight: Floats = 1.0 + topology.length_km / max(total, 1.0)
    return weight


def length(topology: Topology) -> Floats:
    """Return weights in km."""
    return topology.length_km


def unreliability(topology: Topology) -> Floats:
    """Return -log of a path's success, its swaps included: each node's swap counts half on both sides of it.

    At the ends nothing is swapped; what they add is the same for all paths.
    """
    with np.errstate(divide="ignore"):
        swaps = np.where(topology.swap_probability > 0.0, -np.log(topology.swap_probability), 0.0)
        weight: Floats = -np.log(topology.success) + 0.5 * swaps[topology.ends].sum(axis=1)
    return np.maximum(weight, 0.0)


def time_per_pair(topology: Topology) -> Floats:
    """Return the seconds that each edge needs for a pair."""
    with np.errstate(divide="ignore"):
        seconds: Floats = 1.0 / topology.pairs_per_s
    return seconds


def candidate_paths(topology: Topology, weight: Floats, source: int, target: int, count: int) -> list[Path]:
    """Return up to ``count`` paths by weight, over edges that are up and nodes that swap."""
    usable = np.where(topology.success > 0.0, weight, np.inf)
    passes = topology.swap_probability > 0.0
    return shortest_paths(neighbours(topology), topology.ends, usable, passes, source, target, count)


@dataclass(frozen=True)
class Shortest:
    """The one path with the least sum of weights."""

    weight: Callable[[Topology], Floats]

    def route(self, topology: Topology, source: int, target: int, load: Load) -> tuple[Route, ...]:  # noqa: ARG002 - the interface's
        """Return the path."""
        return tuple(
            Route(path.nodes, path.edges, 1.0, path_rate(topology, path.nodes, path.edges))
            for path in candidate_paths(topology, self.weight(topology), source, target, 1)
        )


@dataclass(frozen=True)
class HighestRate:
    """The path with the highest rate among candidates, half of them by hops and half by the time for a pair.

    All are scored by the chain's linear program, which is Eq. 9 where hops are equal.
    """

    candidates: int = 5

    def route(self, topology: Topology, source: int, target: int, load: Load) -> tuple[Route, ...]:  # noqa: ARG002 - the interface's
        """Return the path."""
        by_hops = (self.candidates + 1) // 2
        found = candidate_paths(topology, hops(topology), source, target, by_hops)
        if self.candidates > by_hops:
            found += candidate_paths(topology, time_per_pair(topology), source, target, self.candidates - by_hops)
        return _best(topology, found)


@dataclass(frozen=True)
class Multipath:
    """The paths of the linear program for this request alone, over the units that are free.

    Paths without loops, found by prices: near the optimum, and never worse than what the routers of one path take.
    """

    def route(self, topology: Topology, source: int, target: int, load: Load) -> tuple[Route, ...]:
        """Return the paths with their shares."""
        free = free_part(topology, load)
        found = best_rates(free, [Wanted(source, target)], "total", tree_searches=0, rounds=PRICINGS, gap=NEAR)
        total = float(found.rates_per_s[0])
        by_path: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = {}
        for plan in found.plans:
            by_path[plan.nodes, plan.edges] = by_path.get((plan.nodes, plan.edges), 0.0) + plan.rate_per_s
        ordered = sorted(by_path.items(), key=lambda item: -item[1])
        many = tuple(Route(nodes, edges, rate / total, rate) for (nodes, edges), rate in ordered)
        single = (HighestRate(), Shortest(hops), Shortest(length), Shortest(unreliability))
        others = [router.route(free, source, target, load) for router in single]
        return max([many, *others], key=lambda routes: sum(route.rate_per_s for route in routes))


@dataclass(frozen=True)
class Online:
    """The highest rate with what is free, among the paths that are short where full edges are long."""

    candidates: int = 5

    def route(self, topology: Topology, source: int, target: int, load: Load) -> tuple[Route, ...]:
        """Return the path; none if all ways have an edge without a free unit."""
        free = free_part(topology, load)
        used = load.reserved / topology.units
        weight = hops(topology) * STEEPNESS ** np.minimum(used, 1.0)
        return _best(free, candidate_paths(free, weight, source, target, self.candidates))


def _best(topology: Topology, found: list[Path]) -> tuple[Route, ...]:
    """Return the path with the highest rate; of equal ones the one found first.

    A path is given up as soon as prices prove that it is worse than the best so far: the choice is the same.
    """
    best: tuple[Route, ...] = ()
    for each in found:
        least = best[0].rate_per_s if best else 0.0
        rate = path_rate(topology, each.nodes, each.edges, useful_per_s=least)
        if not best or rate > least:
            best = (Route(each.nodes, each.edges, 1.0, rate),)
    return best
