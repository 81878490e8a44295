"""Paths by the scenario's router, one for each pair of nodes; slaves are ends, never on the way."""

import math
from collections.abc import Sequence
from itertools import islice, pairwise

import networkx as nx
import numpy as np

from bellweave.network.wide.flow.chain import chain_rate
from bellweave.network.wide.params import Router
from bellweave.network.wide.topology import Floats, Topology

Path = tuple[tuple[int, ...], tuple[int, ...]]
"""Nodes and edges."""


def paths_by(
    router: Router, topology: Topology, ends: Sequence[tuple[int, int]], candidates: int
) -> list[tuple[Path, ...]]:
    """Return for each pair of nodes its path by a router, or none where there is no path.

    ``rate`` scores the shortest candidates by their best rate when nobody else is there; ``online`` does so with what
    the demands before have left of every edge.

    Args:
        router: Which.
        topology: The network; edges that make no pairs are not used.
        ends: The two nodes of each demand.
        candidates: Paths that are scored, at most.
    """
    graph = _graph(topology, router)
    left = topology.pairs_per_s.copy()
    found: list[tuple[Path, ...]] = []
    for source, target in ends:
        near = _candidates(graph, topology, source, target, candidates if router in {"rate", "online"} else 1)
        if router in {"rate", "online"} and near:
            rates = [path_rate(topology, path, left) for path in near]
            best = int(np.argmax(rates))
            near = near[best : best + 1]
            if router == "online":
                left[list(near[0][1])] /= 2.0  # whoever comes next shares it
        found.append(tuple(near))
    return found


def path_rate(topology: Topology, path: Path, link_per_s: Floats) -> float:
    """Return the best rate of a path, pairs/s, whose edges make ``link_per_s``, shape (e,)."""
    nodes, edges = path
    return chain_rate(link_per_s[list(edges)], topology.swap_probability[list(nodes[1:-1])])


def _graph(topology: Topology, router: Router) -> "nx.Graph[int]":
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(topology.nodes))
    with np.errstate(divide="ignore"):
        swap = -np.log(topology.swap_probability)
    for edge in np.flatnonzero(topology.pairs_per_s > 0.0):
        a, b = (int(node) for node in topology.ends[edge])
        weight = 1.0
        if router in {"length", "rate", "online"}:
            weight = float(topology.length_km[edge]) + 1e-6
        elif router == "reliability":  # a node's share of its swap, half on either side; ends share alike
            halves = [float(swap[node]) / 2.0 if math.isfinite(swap[node]) else 0.0 for node in (a, b)]
            weight = -math.log(float(topology.success[edge])) + sum(halves) + 1e-9
        if not graph.has_edge(a, b) or weight < graph[a][b]["weight"]:
            graph.add_edge(a, b, weight=weight, number=int(edge))
    return graph


def _candidates(graph: "nx.Graph[int]", topology: Topology, source: int, target: int, most: int) -> list[Path]:
    """Return the shortest paths between two nodes, over nodes that can swap."""
    passes = topology.swap_probability > 0.0
    inner = graph.subgraph(node for node in graph if passes[node] or node in {source, target})
    try:
        found = list(islice(nx.shortest_simple_paths(inner, source, target, weight="weight"), most))
    except nx.NetworkXNoPath:
        return []
    return [(tuple(nodes), tuple(inner[a][b]["number"] for a, b in pairwise(nodes))) for nodes in found]
