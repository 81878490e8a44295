"""Plans for demands, and the search for those that are of use at given prices.

Two searches make plans. ``by_paths``: the cheapest path by the edges' prices, with the best tree on it; quick, but a
path whose edges are cheap is not always the one whose tree is. ``by_trees``: the cheapest tree in the whole network.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bellweave.network.wide.flow.search import distances, neighbours, walk
from bellweave.network.wide.flow.stage import Floats, Wanted
from bellweave.network.wide.flow.trees import cheapest_tree, costs_between, tree_between
from bellweave.network.wide.topology import Topology

GivenPaths = Sequence[Sequence[tuple[tuple[int, ...], tuple[int, ...]]]]
"""By demand, the nodes and the edges of each path that it may use."""

GAP = 1e-6
"""A plan is of use if it costs this share less than it is worth."""

ROUNDS = 1000
"""Rounds of pricing in a stage; then what there is is the answer, with its bound."""

STEADY = 0.7
"""Weight of the best prices seen so far in those that plans are looked for by."""

FREE = 1e-9
"""Price of an edge that has capacity to spare, by the mean price: of two free paths, the one with fewer edges."""


@dataclass(frozen=True)
class Plan:
    """A way to serve a demand.

    Attributes:
        demand: Its number.
        nodes, edges: The path. Where nodes swap with different success it may pass a node twice: what is dear is then
            joined at the better one.
        takes: By edge of the path, pairs for one that is delivered.
        rate_per_s: Delivered.
    """

    demand: int
    nodes: tuple[int, ...]
    edges: tuple[int, ...]
    takes: tuple[float, ...]
    rate_per_s: float = 0.0


@dataclass(frozen=True)
class Optimum:
    """The best rates.

    Attributes:
        rates_per_s: Shape (d,).
        plans: Those in use.
        level_per_s: Max-min: the smallest rate by weight, of weight 1; else the sum of the rates by worth.
        bound_per_s: What the level can't exceed; inf if no search over trees was made.
    """

    rates_per_s: Floats
    plans: tuple[Plan, ...]
    level_per_s: float
    bound_per_s: float


class Search:
    """The search for plans in one network, for the same demands, at prices that change."""

    def __init__(self, topology: Topology, wanted: Sequence[Wanted], given: GivenPaths | None, gap: float) -> None:
        self.topology, self.wanted, self.given, self.gap = topology, wanted, given, gap
        self.near = neighbours(topology)
        self.passes = topology.swap_probability > 0.0

    def by_paths(self, asked: Floats, price: Floats, worth: Floats) -> tuple[list[Plan], Floats]:
        """Return for each demand the best tree on the cheapest path (or on each given one), where it is of use.

        Args:
            asked: Prices to look for the cheapest by.
            price: Prices by which it must be of use.
            worth: Shape (d,), what a delivered pair is worth.

        Returns:
            The plans, and the least cost that was found for each demand by the prices ``asked``; inf without a path.
        """
        looked: Iterable[tuple[int, tuple[int, ...], tuple[int, ...]]]
        if self.given is not None:
            looked = ((d, *path) for d, paths in enumerate(self.given) for path in paths)
        else:
            looked = self._cheapest_paths(asked)
        found, cost = [], np.full(len(self.wanted), np.inf)
        for d, nodes, edges in looked:
            if not edges:
                continue
            inner = self.topology.swap_probability[list(nodes[1:-1])]
            if not (np.all(np.isfinite(price[list(edges)])) and np.all(inner > 0.0)):
                continue
            each, takes = cheapest_tree(asked[list(edges)], inner)
            cost[d] = min(cost[d], each)
            if float(takes @ price[list(edges)]) < worth[d] * (1.0 - self.gap):
                found.append(Plan(d, nodes, edges, tuple(takes.tolist())))
        return found, cost

    def by_trees(self, price: Floats, worth: Floats) -> tuple[list[Plan], Floats | None]:
        """Return for each demand its cheapest tree in the whole network, where it is of use, and what it costs.

        Args:
            price: Of a pair of each edge.
            worth: Shape (d,), what a delivered pair is worth.

        Returns:
            The plans, and the least cost of a delivered pair of each demand, or twice the highest worth if that is
            less; None if the search had to end before it was sure of them.
        """
        q = self.topology.swap_probability
        most = 2.0 * float(worth.max())
        costs, final = costs_between(self.topology.ends, price, q, most=most)
        cost = np.array([min(costs[each.source, each.target], most) for each in self.wanted])
        price_of = {}
        for (a, b), each in zip(self.topology.ends.tolist(), price.tolist(), strict=True):
            price_of[a, b] = price_of[b, a] = each
        found = []
        for d in np.flatnonzero(cost < worth * (1.0 - self.gap)).tolist():
            nodes, takes = tree_between(self.wanted[d].source, self.wanted[d].target, costs, price_of, q)
            edges = tuple(self._edge_of[pair] for pair in itertools.pairwise(nodes))
            found.append(Plan(d, nodes, edges, tuple(takes.tolist())))
        return found, cost if final else None

    def _cheapest_paths(self, price: Floats) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...]]]:
        by_source: dict[int, list[int]] = {}
        for d, each in enumerate(self.wanted):
            by_source.setdefault(each.source, []).append(d)
        for source, demands in by_source.items():
            _, by = distances(self.near, price, self.passes, source)
            for d in demands:
                yield d, *walk(self.topology.ends, by, source, self.wanted[d].target)

    @cached_property
    def _edge_of(self) -> dict[tuple[int, int], int]:
        """Edge numbers by their ends, in both orders."""
        of = {}
        for edge, (a, b) in enumerate(self.topology.ends.tolist()):
            of[a, b] = of[b, a] = edge
        return of
