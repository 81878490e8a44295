"""What is reserved and what has failed. Edges keep their numbers whatever happens to them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bellweave.network.wide.topology import Indices, Topology


@dataclass(frozen=True, eq=False)
class Load:
    """Units reserved on each edge; changed by :meth:`reserve` and :meth:`release` alone.

    Attributes:
        reserved: Shape (e,), int32, units of each side of an edge that belong to requests.
    """

    reserved: Indices

    @classmethod
    def none(cls, topology: Topology) -> "Load":
        """Return a load of nothing."""
        return cls(np.zeros(topology.edges, np.int32))

    def free(self, topology: Topology) -> Indices:
        """Return the units of each edge that are free, shape (e,); 0 on an edge that is down."""
        left = np.where(topology.success > 0.0, topology.units - self.reserved, 0)
        return np.maximum(left, 0).astype(np.int32)

    def reserve(self, topology: Topology, units: Mapping[int, int]) -> None:
        """Reserve units by edge, all or none.

        Raises:
            ValueError: If an edge has fewer that are free.
        """
        free = self.free(topology)
        for edge, wanted in units.items():
            if wanted > free[edge]:
                raise ValueError(f"edge {edge} has {free[edge]} free units, not {wanted}")
        for edge, wanted in units.items():
            self.reserved[edge] += wanted

    def release(self, units: Mapping[int, int]) -> None:
        """Give units back, by edge.

        Raises:
            ValueError: If fewer are reserved.
        """
        for edge, given in units.items():
            if given > self.reserved[edge]:
                raise ValueError(f"edge {edge} has {self.reserved[edge]} reserved units, not {given}")
        for edge, given in units.items():
            self.reserved[edge] -= given


def free_part(topology: Topology, load: Load) -> Topology:
    """Return the network with its free units alone; edges without any are down."""
    free = load.free(topology)
    return replace(topology, units=np.maximum(free, 1), success=np.where(free > 0, topology.success, 0.0))


def without(topology: Topology, nodes: Collection[int] = (), edges: Collection[int] = ()) -> Topology:
    """Return the network with nodes and edges down: they keep their numbers and make no pairs (success 0)."""
    gone = np.zeros(topology.nodes, np.bool_)
    gone[list(nodes)] = True
    down = gone[topology.ends[:, 0]] | gone[topology.ends[:, 1]]
    down[list(edges)] = True
    return replace(
        topology,
        success=np.where(down, 0.0, topology.success),
        swap_probability=np.where(gone, 0.0, topology.swap_probability),
    )
