"""A quantum network as arrays: what the kernels, the linear program and the routers read.

Nodes and edges are numbered from 0; an edge joins ``ends[e, 0] < ends[e, 1]``. Each edge has ``units`` memory units on
each side; a free unit (both sides) makes one attempt every ``attempt_s``, which succeeds with ``success``.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Floats = NDArray[np.float64]
Indices = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Topology:
    """A network's nodes and edges.

    Attributes:
        names: Of the nodes.
        swap_probability: Shape (n,), q of each node; 0 where a node can't swap (slaves).
        measurement_s, retrieval_s: Shape (n,), how long a swap takes.
        coherence_s, lifetime_s, cutoff_s: Shape (n,), inf where there is none.
        swap_fidelity: Shape (n,), fidelity of the swap's operation as a depolarising channel (gate and read-out).
        gate_fidelity: Shape (n,), of the two-qubit gate alone, for purification.
        readout_error: Shape (n,), chance that purification reads an outcome wrongly.
        ends: Shape (e, 2), int32, two different nodes, the smaller one first.
        length_km: Shape (e,).
        success: Shape (e,), of one attempt of one unit, in [0, 1].
        attempt_s: Shape (e,), > 0.
        units: Shape (e,), int32, >= 1.
        fidelity: Shape (e,), of a fresh pair.
    """

    names: tuple[str, ...]
    swap_probability: Floats
    measurement_s: Floats
    retrieval_s: Floats
    coherence_s: Floats
    lifetime_s: Floats
    cutoff_s: Floats
    swap_fidelity: Floats
    gate_fidelity: Floats
    readout_error: Floats
    ends: Indices
    length_km: Floats
    success: Floats
    attempt_s: Floats
    units: Indices
    fidelity: Floats

    def __post_init__(self) -> None:
        if np.any(self.ends[:, 0] >= self.ends[:, 1]):
            raise ValueError("an edge joins two different nodes, the smaller number first")
        if self.ends.size and int(self.ends.max()) >= len(self.names):
            raise ValueError(f"edge to node {int(self.ends.max())}, there are {len(self.names)}")

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.names)

    @property
    def edges(self) -> int:
        """Number of edges."""
        return int(self.ends.shape[0])

    @property
    def pairs_per_s(self) -> Floats:
        """Shape (e,), pairs/s of an edge whose units are all free all the time: m p / attempt_s."""
        rate: Floats = self.units * self.success / self.attempt_s
        return rate

    @cached_property
    def adjacency(self) -> csr_array:
        """Shape (n, n), edge number + 1 in both directions, int32 indices."""
        a, b = self.ends[:, 0], self.ends[:, 1]
        number = np.arange(1, self.edges + 1, dtype=np.int32)
        rows, columns = np.concatenate((a, b)), np.concatenate((b, a))
        return csr_array((np.concatenate((number, number)), (rows, columns)), shape=(self.nodes, self.nodes))


def uniform(
    ends: NDArray[np.integer],
    nodes: int,
    *,
    length_km: float = 20.0,
    success: float = 0.4,
    attempt_s: float = 145e-6,
    units: int = 10,
    swap_probability: float = 1.0,
    fidelity: float = 1.0,
    coherence_s: float = np.inf,
    lifetime_s: float = np.inf,
    cutoff_s: float = np.inf,
) -> Topology:
    """Return a network whose nodes are all alike, and its edges too; swaps take no time and cost no fidelity."""
    ordered = np.sort(np.asarray(ends, dtype=np.int32).reshape(-1, 2), axis=1)

    def each_node(value: float) -> Floats:
        return np.full(nodes, value)

    def each_edge(value: float) -> Floats:
        return np.full(len(ordered), value)

    return Topology(
        names=tuple(f"r{number}" for number in range(nodes)),
        swap_probability=each_node(swap_probability),
        measurement_s=each_node(0.0),
        retrieval_s=each_node(0.0),
        coherence_s=each_node(coherence_s),
        lifetime_s=each_node(lifetime_s),
        cutoff_s=each_node(cutoff_s),
        swap_fidelity=each_node(1.0),
        gate_fidelity=each_node(1.0),
        readout_error=each_node(0.0),
        ends=ordered,
        length_km=each_edge(length_km),
        success=each_edge(success),
        attempt_s=each_edge(attempt_s),
        units=np.full(len(ordered), units, dtype=np.int32),
        fidelity=each_edge(fidelity),
    )


def chain(hops: int, **values: float) -> Topology:
    """Return a chain of ``hops`` equal edges, nodes 0 to ``hops``; ``values`` as for :func:`uniform`."""
    first = np.arange(hops, dtype=np.int32)
    return uniform(np.stack((first, first + 1), axis=1), hops + 1, **values)  # type: ignore[arg-type]
