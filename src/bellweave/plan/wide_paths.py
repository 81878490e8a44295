"""Paths by the scenario's router, for demands that are routed one after the other."""

from collections.abc import Sequence

import numpy as np

from bellweave.network.wide.params import Router
from bellweave.network.wide.routing.load import Load
from bellweave.network.wide.routing.routers import make_router
from bellweave.network.wide.topology import Topology

Path = tuple[tuple[int, ...], tuple[int, ...]]
"""Nodes and edges."""


def paths_by(
    router: Router, topology: Topology, ends: Sequence[tuple[int, int]], candidates: int
) -> list[tuple[Path, ...]]:
    """Return for each pair of nodes its paths by a router, or none where there is no path.

    Each demand takes half of what is free on its path, so that ``online`` leads the next one elsewhere; the others do
    not look at it.

    Args:
        router: Which.
        topology: The network; edges that make no pairs are not used.
        ends: The two nodes of each demand.
        candidates: Paths that are scored, at most.
    """
    chosen, load = make_router(router, candidates), Load.none(topology)
    found: list[tuple[Path, ...]] = []
    for source, target in ends:
        routes = chosen.route(topology, source, target, load)
        found.append(tuple((route.nodes, route.edges) for route in routes))
        edges = np.unique([edge for route in routes for edge in route.edges])
        free = load.free(topology)
        load.reserve(topology, {int(edge): int(free[edge]) // 2 for edge in edges})
    return found
