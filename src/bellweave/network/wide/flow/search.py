"""Shortest paths from one node, compiled: over the edges of a network, some of whose nodes can't be passed through."""

import numba
import numpy as np
from numpy.typing import NDArray

from bellweave.network.wide.topology import Topology

Floats = NDArray[np.float64]
Indices = NDArray[np.int32]
Flags = NDArray[np.bool_]

Neighbours = tuple[Indices, Indices, Indices]
"""Where each node's neighbours begin, shape (n + 1,); the neighbours, and the edges to them, shape (2e,)."""


def neighbours(topology: Topology) -> Neighbours:
    """Return the neighbours of all nodes."""
    joined = topology.adjacency
    return joined.indptr.astype(np.int32), joined.indices.astype(np.int32), (joined.data - 1).astype(np.int32)


@numba.njit("void(float64[:], int32[:], int64, float64, int64)", cache=True)
def push(keys: Floats, items: Indices, size: int, key: float, item: int) -> None:
    """Put an item into a binary heap of ``size`` items; the least key is at 0."""
    at = size
    while at > 0:
        above = (at - 1) >> 1
        if keys[above] <= key:
            break
        keys[at], items[at] = keys[above], items[above]
        at = above
    keys[at], items[at] = key, item


@numba.njit("void(float64[:], int32[:], int64)", cache=True)
def drop(keys: Floats, items: Indices, size: int) -> None:
    """Take the least item off a binary heap of ``size`` items."""
    last = size - 1
    key, item, at = keys[last], items[last], 0
    while True:
        below = 2 * at + 1
        if below >= last:
            break
        if below + 1 < last and keys[below + 1] < keys[below]:
            below += 1
        if keys[below] >= key:
            break
        keys[at], items[at] = keys[below], items[below]
        at = below
    keys[at], items[at] = key, item


@numba.njit(
    "void(int32[:], int32[:], int32[:], float64[:], boolean[:], int64, float64[:], int32[:])",
    cache=True,
)
def _distances(
    starts: Indices,
    heads: Indices,
    edges: Indices,
    weight: Floats,
    passes: Flags,
    source: int,
    far: Floats,
    by: Indices,
) -> None:
    keys, items = np.empty(heads.size + 1), np.empty(heads.size + 1, np.int32)
    far[source] = 0.0
    push(keys, items, 0, 0.0, source)
    size = 1
    while size > 0:
        key, node = keys[0], items[0]
        drop(keys, items, size)
        size -= 1
        if key > far[node] or (node != source and not passes[node]):
            continue
        for place in range(starts[node], starts[node + 1]):
            head, each = heads[place], key + weight[edges[place]]
            if each < far[head]:
                far[head], by[head] = each, edges[place]
                push(keys, items, size, each, head)
                size += 1


def distances(near: Neighbours, weight: Floats, passes: Flags, source: int) -> tuple[Floats, Indices]:
    """Return the distance of every node from ``source``, inf if there is no path, and the last edge of the path.

    Args:
        near: The network.
        weight: Shape (e,), >= 0; inf: not to be used.
        passes: Shape (n,), whether a path may lead through a node; ends always may be.
        source: Where paths begin.

    Returns:
        Distances, and edge numbers, -1 where there is no path and at the source.
    """
    n = near[0].size - 1
    far, by = np.full(n, np.inf), np.full(n, -1, np.int32)
    _distances(*near, weight, passes, source, far, by)
    return far, by


def walk(ends: Indices, by: Indices, source: int, target: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return nodes and edges of the path to ``target``, from what :func:`distances` returned; empty if there is none.

    >>> walk(np.array([[0, 1], [1, 2]], np.int32), np.array([-1, 0, 1], np.int32), 0, 2)
    ((0, 1, 2), (0, 1))
    """
    nodes, edges = [target], []
    while nodes[-1] != source:
        edge = int(by[nodes[-1]])
        if edge < 0:
            return (), ()
        a, b = ends[edge]
        nodes.append(int(a) if int(b) == nodes[-1] else int(b))
        edges.append(edge)
    return tuple(nodes[::-1]), tuple(edges[::-1])
