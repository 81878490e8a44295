"""The k shortest paths without loops between two nodes: Yen's algorithm with Lawler's saving.

Every search for a detour is led by the distances to the target that one search from there has found (A*), and ends
where it can no longer be among the k best: on 100,000 nodes and paths of 300 hops five paths take a second, where
``scipy.sparse.csgraph.yen``, which searches all nodes for every detour, takes 26.
"""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from bellweave.network.wide.flow.search import Flags, Floats, Indices, Neighbours, distances, drop, push, walk

Stamps = NDArray[np.int64]


@dataclass(frozen=True, order=True)
class Path:
    """A path.

    Attributes:
        length: Sum of the weights that it was looked for by.
        nodes, edges: From the source to the target.
    """

    length: float
    nodes: tuple[int, ...]
    edges: tuple[int, ...]


def shortest_paths(
    near: Neighbours, ends: Indices, weight: Floats, passes: Flags, source: int, target: int, count: int
) -> list[Path]:
    """Return up to ``count`` paths without loops, the shortest first.

    Args:
        near: The network, from :func:`~bellweave.network.wide.flow.search.neighbours`.
        ends: Shape (e, 2).
        weight: Shape (e,), >= 0; inf: not to be used.
        passes: Shape (n,), whether a path may lead through a node.
        source: A node.
        target: Another node.
        count: >= 1.
    """
    ahead, by = distances(near, weight, passes, target)
    nodes, edges = walk(ends, by, target, source)
    if not edges or not np.isfinite(ahead[source]):
        return []
    detours = _Detours(near, ends, weight, passes, target, ahead)
    found: list[Path] = []
    # sorted, never more than are still wanted
    waiting = [(_path(nodes[::-1], edges[::-1], weight), 0)]
    while waiting and len(found) < count:
        path, since = waiting.pop(0)
        found.append(path)
        if len(found) == count:
            break
        for at in range(since, len(path.edges)):
            # a detour that is longer than as many as are still wanted is of no use
            limit = waiting[-1][0].length if len(waiting) >= count - len(found) else np.inf
            taken = {each.edges[at] for each in found if each.nodes[: at + 1] == path.nodes[: at + 1]}
            rest = detours.find(path.nodes[: at + 1], taken, limit - float(weight[list(path.edges[:at])].sum()))
            if rest is not None:
                whole = _path(path.nodes[:at] + rest[0], path.edges[:at] + rest[1], weight)
                waiting = sorted([*waiting, (whole, at)])[: count - len(found)]
    return found


def _path(nodes: tuple[int, ...], edges: tuple[int, ...], weight: Floats) -> Path:
    return Path(float(weight[list(edges)].sum()), nodes, edges)


class _Detours:
    """Searches for detours to one target; arrays are made once and told apart by the number of the search."""

    def __init__(
        self, near: Neighbours, ends: Indices, weight: Floats, passes: Flags, target: int, ahead: Floats
    ) -> None:
        self.near, self.ends, self.weight, self.passes = near, ends, weight, passes
        self.target, self.ahead, self.number = target, ahead, 0
        n, e = passes.size, weight.size
        self.far, self.by = np.empty(n), np.empty(n, np.int32)
        self.seen, self.root, self.shut = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(e, np.int64)
        self.keys, self.items = np.empty(2 * e + 1), np.empty(2 * e + 1, np.int32)

    def find(
        self, root: tuple[int, ...], taken: set[int], limit: float
    ) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Return nodes and edges of the shortest way from the root's last node, its other nodes and ``taken`` shut."""
        self.number += 1
        self.root[list(root[:-1])] = self.number
        self.shut[list(taken)] = self.number
        start = root[-1]
        reached = _detour(
            *self.near, self.weight, self.passes, self.ahead, start, self.target, limit, self.number,
            self.root, self.shut, self.seen, self.far, self.by, self.keys, self.items,
        )  # fmt: skip
        if not reached:
            return None
        nodes, edges = walk(self.ends, self.by, start, self.target)
        return nodes, edges


@numba.njit(
    "boolean(int32[:], int32[:], int32[:], float64[:], boolean[:], float64[:], int64, int64, float64, int64,"
    " int64[:], int64[:], int64[:], float64[:], int32[:], float64[:], int32[:])",
    cache=True,
)
def _detour(
    starts: Indices, heads: Indices, edges: Indices, weight: Floats, passes: Flags, ahead: Floats,
    start: int, target: int, limit: float, number: int,
    root: Stamps, shut: Stamps, seen: Stamps, far: Floats, by: Indices, keys: Floats, items: Indices,
) -> bool:  # fmt: skip
    far[start], by[start], seen[start] = 0.0, -1, number
    push(keys, items, 0, ahead[start], start)
    size = 1
    while size > 0:
        key, node = keys[0], items[0]
        drop(keys, items, size)
        size -= 1
        if node == target:
            return True
        if key > far[node] + ahead[node] or (node != start and not passes[node]):
            continue
        for place in range(starts[node], starts[node + 1]):
            head, edge = heads[place], edges[place]
            if root[head] == number or shut[edge] == number:
                continue
            each = far[node] + weight[edge]
            if not each + ahead[head] <= limit or each == np.inf:
                continue
            if seen[head] != number or each < far[head]:
                far[head], by[head], seen[head] = each, edge, number
                push(keys, items, size, each + ahead[head], head)
                size += 1
    return False
