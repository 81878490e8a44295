"""The cheapest way to make a pair, when a pair of each edge has a price: the other side of the linear program.

A pair i, j is bought from its edge, or made of two pairs (i, m), (m, j), of which 1/q_m each are needed:
cost(i, j) = min(price of the edge, min over m of (cost(i, m) + cost(m, j)) / q_m). What was chosen is a binary tree
whose leaves are the edges of a path; an edge below the swaps m_1 ... m_d is needed 1/(q_m1 ... q_md) times.
"""

from collections.abc import Mapping

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int32]

SWEEPS = 64
"""Sweeps over all middle nodes before the search for costs stops; few are needed."""


@numba.njit("void(float64[:], float64[:], float64[:,:], int32[:,:])", cache=True)
def _spans(price: Floats, inverse_q: Floats, cost: Floats, split: Indices) -> None:
    hops = price.size
    for h in range(hops):
        cost[h, h + 1] = price[h]
    for span in range(2, hops + 1):
        for i in range(hops + 1 - span):
            j = i + span
            least, at = np.inf, i + 1
            for m in range(i + 1, j):
                each = (cost[i, m] + cost[m, j]) * inverse_q[m]
                if each < least:
                    least, at = each, m
            cost[i, j] = least
            split[i, j] = at


def cheapest_tree(price: Floats, swap_probability: Floats) -> tuple[float, Floats]:
    """Return what a pair from end to end of a path costs at least, and how many pairs of each edge it takes.

    Args:
        price: Shape (k,), of a pair of each edge, >= 0.
        swap_probability: Shape (k - 1,), > 0, of the nodes between them.
    """
    hops = price.size
    inverse_q = np.ones(hops + 1)
    inverse_q[1:-1] = 1.0 / swap_probability
    cost = np.empty((hops + 1, hops + 1))
    split = np.zeros((hops + 1, hops + 1), np.int32)
    _spans(price, inverse_q, cost, split)
    takes = np.ones(hops)
    waiting = [(0, hops, 1.0)]
    while waiting:
        i, j, times = waiting.pop()
        if j == i + 1:
            takes[i] = times
            continue
        m = int(split[i, j])
        waiting += [(i, m, times * inverse_q[m]), (m, j, times * inverse_q[m])]
    return float(takes @ price), takes


@numba.njit("int64(float64[:,:], float64[:], float64, int64)", cache=True, fastmath={"nnan", "nsz"})
def _close(cost: Floats, inverse_q: Floats, most: float, sweeps: int) -> int:
    """Lower ``cost`` in place until nothing gets cheaper; return the number of sweeps, 0 if there were too few.

    The diagonal is 0: with it no row lowers itself, and the inner loop needs no case.
    """
    n = inverse_q.size
    for sweep in range(sweeps):
        before = cost.copy()
        for m in range(n):
            scale = inverse_q[m]
            if scale == np.inf:
                continue
            through = cost[m]
            for i in range(n):
                first = through[i] * scale
                if i == m or not first < most:
                    continue
                row = cost[i]
                for j in range(n):
                    each = first + through[j] * scale
                    row[j] = min(row[j], each)
        if np.array_equal(before, cost):
            return sweep + 1
    return 0


def costs_between(
    ends: Indices, price: Floats, swap_probability: Floats, *, most: float = np.inf, sweeps: int = SWEEPS
) -> tuple[Floats, bool]:
    """Return what a pair of each two nodes costs at least, and whether that is final.

    Time grows with the cube of the number of nodes: 1,000 nodes take about a second a sweep, and 2 to 8 sweeps.

    Args:
        ends: Shape (e, 2).
        price: Shape (e,), of a pair of each edge, > 0; inf: the edge is not there.
        swap_probability: Shape (n,); where it is 0, pairs only end.
        most: Costs of this and more need not be exact.
        sweeps: Sweeps at most; costs that are not final are too high.

    Returns:
        Shape (n, n), symmetric, diagonal 0; inf where there is no path.
    """
    n = swap_probability.size
    cost = np.full((n, n), np.inf)
    np.fill_diagonal(cost, 0.0)
    a, b = ends.T
    np.minimum.at(cost, (a, b), price)
    np.minimum.at(cost, (b, a), price)
    with np.errstate(divide="ignore"):
        inverse_q = 1.0 / swap_probability
    return cost, bool(_close(cost, inverse_q, most, sweeps))


def tree_between(
    source: int, target: int, cost: Floats, price_of: Mapping[tuple[int, int], float], swap_probability: Floats
) -> tuple[tuple[int, ...], Floats]:
    """Return the nodes of the path, and pairs needed of each of its edges, of the cheapest tree between two nodes.

    Args:
        source: A node.
        target: Another node, with a path.
        cost: From :func:`costs_between`.
        price_of: Price by the ends of each edge, in both orders.
        swap_probability: Shape (n,).
    """
    with np.errstate(divide="ignore"):
        inverse_q = 1.0 / swap_probability
    inverse_q[[source, target]] = np.inf
    nodes, takes = [source], []
    waiting = [(source, target, 1.0)]
    while waiting:
        i, j, times = waiting.pop()
        through = (cost[i] + cost[j]) * inverse_q
        through[[i, j]] = np.inf
        m = int(np.argmin(through))
        if price_of.get((i, j), np.inf) <= through[m]:
            nodes.append(j)
            takes.append(times)
            continue
        scale = times * float(inverse_q[m])
        waiting += [(m, j, scale), (i, m, scale)]
    return tuple(nodes), np.array(takes)
