"""The linear program over all pairs of nodes: exact, for small networks (40 nodes have 30,000 swaps).

A pair of nodes i, j that hold halves of the same entangled pair may be a neighbours' pair, made by their edge, or come
from a swap at m. Variables x_{i,m,j} >= 0: swaps/s at m that join pairs (i, m) and (m, j). Of every pair of nodes no
more is swapped on or delivered than is made: by the edge, and by swaps, which succeed with q_m.

No memory is too small and no pair decays here: no network of these edges and swaps can deliver more.
Source: Dai, Peng, Win, IEEE JSAC 38(3), 540 (2020).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bellweave.network.wide.flow.stage import Floats, Goal, Objective, Stage, Wanted, reach, solve
from bellweave.network.wide.topology import Topology

Indices = NDArray[np.int64]

MOST_NODES = 60
"""Beyond, the program has more than 100,000 variables: :mod:`.columns` finds the same optimum."""


@dataclass(frozen=True)
class Swaps:
    """The optimum as swaps.

    Attributes:
        rates_per_s: Shape (d,), delivered to each demand.
        swaps: Shape (s, 3), left end, middle, right end; only those that are made.
        swaps_per_s: Shape (s,), tried, not only those that succeed.
    """

    rates_per_s: Floats
    swaps: Indices
    swaps_per_s: Floats


def best_rates(topology: Topology, wanted: Sequence[Wanted], objective: Objective = "max-min") -> Swaps:
    """Return the best rates of a small network.

    Raises:
        ValueError: If the network has more than ``MOST_NODES`` nodes.
    """
    n = topology.nodes
    if n > MOST_NODES:
        raise ValueError(f"{n} nodes; the program over all pairs takes at most {MOST_NODES}: use columns.best_rates")
    nodes = np.arange(n)
    left, middle, right = (axis.ravel() for axis in np.meshgrid(nodes, nodes, nodes, indexing="ij"))
    kept = (left < right) & (middle != left) & (middle != right) & (topology.swap_probability[middle] > 0.0)
    return _best(topology, np.stack((left, middle, right), axis=1)[kept], tuple(wanted), objective)


def best_chain(topology: Topology) -> Swaps:
    """Return the best rate between the ends of a chain, whose node h is joined to h + 1.

    Raises:
        ValueError: If the edges are not those of a chain in this order.
    """
    k = topology.edges
    order = np.arange(k)
    if topology.nodes != k + 1 or np.any(topology.ends[:, 0] != order) or np.any(topology.ends[:, 1] != order + 1):
        raise ValueError("a chain's edge e joins the nodes e and e + 1")
    rows = [(i, m, j) for i in range(k - 1) for m in range(i + 1, k) for j in range(m + 1, k + 1)]
    return _best(topology, np.array(rows, np.int64).reshape(-1, 3), (Wanted(0, k),), "total")


def _best(topology: Topology, swaps: Indices, wanted: tuple[Wanted, ...], objective: Objective) -> Swaps:
    rates = topology.pairs_per_s
    scale = float(rates.max(initial=0.0))
    if scale == 0.0:
        return Swaps(np.zeros(len(wanted)), swaps[:0], np.zeros(0))
    use, capacity = _balance(topology, swaps, wanted, rates / scale)
    count = len(swaps)
    serve = csr_array(
        (np.ones(len(wanted)), (np.arange(len(wanted)), count + np.arange(len(wanted)))),
        shape=(len(wanted), count + len(wanted)),
    )

    def solver(goal: Goal) -> Stage:
        return solve(use, capacity, serve, goal)

    stage, _ = reach(solver, wanted, objective, scale)
    made = stage.x[:count]
    kept = made > 0.0
    return Swaps(stage.rates * scale, swaps[kept], made[kept] * scale)


def _balance(topology: Topology, swaps: Indices, wanted: tuple[Wanted, ...], rates: Floats) -> tuple[csr_array, Floats]:
    """Return a row for each pair of nodes: swapped on + delivered - q x swaps that make it <= rate of its edge."""
    n, count = topology.nodes, len(swaps)

    def pair(a: Indices, b: Indices) -> Indices:
        code: Indices = np.minimum(a, b) * n + np.maximum(a, b)
        return code

    left, middle, right = swaps.T
    ends = topology.ends.astype(np.int64)
    asked = np.array([(each.source, each.target) for each in wanted], np.int64).reshape(-1, 2)
    made, first, second = pair(left, right), pair(left, middle), pair(middle, right)
    delivered, edges = pair(asked[:, 0], asked[:, 1]), pair(ends[:, 0], ends[:, 1])
    codes = np.unique(np.concatenate((made, first, second, delivered, edges)))
    each = np.arange(count)
    last = count + np.arange(len(wanted))
    data = np.concatenate((-topology.swap_probability[middle], np.ones(2 * count + len(wanted))))
    rows = np.searchsorted(codes, np.concatenate((made, first, second, delivered)))
    columns = np.concatenate((each, each, each, last))
    capacity = np.zeros(codes.size)
    np.add.at(capacity, np.searchsorted(codes, edges), rates)
    return csr_array((data, (rows, columns)), shape=(codes.size, count + len(wanted))), capacity
