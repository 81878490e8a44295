"""The lanes of one request: kernels that make pairs and swap them, advanced from event to event.

A lane of a path is a :class:`~bellweave.network.wide.chains.run.Chain`. What its memories hold when it is given back or
lost is lost.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bellweave import rng
from bellweave.network.wide.agreement.messages import Lane
from bellweave.network.wide.chains.making import edges_of
from bellweave.network.wide.chains.orders import Shares
from bellweave.network.wide.chains.run import Chain, Counts
from bellweave.network.wide.flow.chain import optimal_shares
from bellweave.network.wide.params import Backbone
from bellweave.network.wide.purification import rated
from bellweave.network.wide.topology import Topology
from bellweave.scenario.wide import Map


@dataclass(frozen=True)
class Pairs:
    """End-to-end pairs of one interval.

    Attributes:
        count: How many.
        correlation: Shape (count, 3), of their states.
    """

    count: int
    correlation: NDArray[np.float64] = field(repr=False)


@dataclass
class PairBooks:
    """What became of a demand's pairs; ``created == swapped + measured + expired + purified + held`` always."""

    created: int = 0
    swapped: int = 0
    measured: int = 0
    expired: int = 0
    purified: int = 0
    held: int = 0
    attempts: int = 0

    def __add__(self, other: "PairBooks") -> "PairBooks":
        mine, theirs = vars(self), vars(other)
        return PairBooks(**{name: value + theirs[name] for name, value in mine.items()})

    @property
    def balanced(self) -> bool:
        """Whether nothing is missing."""
        gone = self.swapped + self.measured + self.expired + self.purified
        return self.created == gone + self.held


class Paths:
    """The lanes of a request between two clusters, from ``now_s`` on."""

    def __init__(
        self,
        net: Map,
        backbone: Backbone,
        lanes: tuple[Lane, ...],
        stream: tuple[int, *tuple[str | int, ...]],
        now_s: float,
    ) -> None:
        seed, *name = stream
        self._chains = [
            _chain(net, backbone, lane, rng.stream(seed, *name, "lane", number), now_s)
            for number, lane in enumerate(lanes)
        ]

    def advance(self, now_s: float) -> Pairs:
        """Let everything happen until now; return the pairs that both ends have measured since the last time."""
        found = [chain.advance(now_s) for chain in self._chains]
        return Pairs(sum(map(len, found)), np.concatenate([each.correlation for each in found]))

    @property
    def books(self) -> PairBooks:
        """What became of all pairs so far."""
        return sum((_books(chain.counts) for chain in self._chains), PairBooks())

    def closed(self) -> PairBooks:
        """Return the books after the lanes have been given back: nothing is held any more."""
        books = self.books
        return PairBooks(**{**vars(books), "expired": books.expired + books.held, "held": 0})


def _chain(net: Map, backbone: Backbone, lane: Lane, stream: np.random.Generator, now_s: float) -> Chain:
    path = [net.nodes[name] for name in lane.nodes]
    bound = rated(net.topology, backbone.purification)
    return Chain(
        net.topology,
        path,
        stream,
        order=backbone.swap_order,
        mode=backbone.mode,
        units=lane.units,
        shares=_shares(bound, path, lane.units) if backbone.swap_order == "optimal" else None,
        light_km_per_s=backbone.light_km_per_s,
        purification=backbone.purification,
        start_s=now_s,
    )


def _shares(topology: Topology, path: list[int], units: tuple[int, ...]) -> Shares:
    """Return the linear program's swaps of a path with these units."""
    best = optimal_shares(along(topology, path, units))
    rows = zip(best.left.tolist(), best.middle.tolist(), best.right.tolist(), best.swaps_per_s.tolist(), strict=True)
    return {(left, middle, right): rate for left, middle, right, rate in rows}


def along(topology: Topology, path: list[int], units: tuple[int, ...]) -> Topology:
    """Return a path as a chain of its own, with these units; its ends swap nothing."""
    edges = edges_of(topology, path)
    places = np.arange(len(edges), dtype=np.int32)
    swap = topology.swap_probability[path].copy()
    swap[[0, -1]] = 0.0
    return Topology(
        names=tuple(topology.names[node] for node in path),
        swap_probability=swap,
        measurement_s=topology.measurement_s[path],
        retrieval_s=topology.retrieval_s[path],
        coherence_s=topology.coherence_s[path],
        lifetime_s=topology.lifetime_s[path],
        cutoff_s=topology.cutoff_s[path],
        swap_fidelity=topology.swap_fidelity[path],
        gate_fidelity=topology.gate_fidelity[path],
        readout_error=topology.readout_error[path],
        ends=np.stack((places, places + 1), axis=1),
        length_km=topology.length_km[edges],
        success=topology.success[edges],
        attempt_s=topology.attempt_s[edges],
        units=np.array(units, np.int32),
        fidelity=topology.fidelity[edges],
    )


def _books(counts: Counts) -> PairBooks:
    return PairBooks(
        created=counts.created,
        swapped=counts.swapped,
        measured=counts.measured,
        expired=counts.expired,
        purified=counts.purified,
        held=counts.held,
        attempts=counts.attempts,
    )
