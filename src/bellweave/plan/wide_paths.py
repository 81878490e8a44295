"""Paths by the scenario's router, for demands that are routed one after the other."""

from collections.abc import Callable, Sequence

import numpy as np

from bellweave.network.wide.params import Router
from bellweave.network.wide.routing.load import Load
from bellweave.network.wide.routing.routers import candidate_paths, hops, length, make_router, unreliability
from bellweave.network.wide.topology import Floats, Topology

Path = tuple[tuple[int, ...], tuple[int, ...]]
"""Nodes and edges."""


WEIGHTS: dict[Router, Callable[[Topology], Floats]] = {"hops": hops, "length": length, "reliability": unreliability}
"""Routers whose paths are the shortest by a weight: their rates are not worked out here."""


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
    if router in WEIGHTS:
        weight = WEIGHTS[router](topology)
        first = [candidate_paths(topology, weight, source, target, 1) for source, target in ends]
        return [tuple((path.nodes, path.edges) for path in paths) for paths in first]
    chosen, load = make_router(router, candidates), Load.none(topology)
    found: list[tuple[Path, ...]] = []
    for source, target in ends:
        routes = chosen.route(topology, source, target, load)
        found.append(tuple((route.nodes, route.edges) for route in routes))
        edges = np.unique([edge for route in routes for edge in route.edges])
        free = load.free(topology)
        load.reserve(topology, {int(edge): int(free[edge]) // 2 for edge in edges})
    return found
