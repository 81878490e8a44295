"""A mesh that runs: demands come and go, each has a chain of its own made of the units that are reserved for it.

1. An edge's units are divided by weight among the demands that use it, one at least for each; who comes or goes changes
   the shares of those it meets, nobody else's. An edge with as many demands as units takes no more. Pairs in units
   that a demand must give up stay until they are used; for that long an edge can hold more pairs than it has units.
2. Because units are reserved, demands never hold what others wait for: no dead-lock. And each runs by itself: a mesh
   takes memory in proportion to its edges' units, whatever the number of demands.
3. Each demand has a random stream of its own; another demand changes its pairs only through the units they share.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from bellweave.network.wide.chains.making import Mode, edges_of
from bellweave.network.wide.chains.orders import apportioned
from bellweave.network.wide.chains.run import Chain, Counts, Delivered
from bellweave.network.wide.params import SwapOrder
from bellweave.network.wide.topology import Topology

ROOM = 256
"""Delivered pairs that a chain can note before they are collected; a thousand chains have a thousand such lists."""


@dataclass(frozen=True)
class _Use:
    """A demand's place on an edge: hop ``hop`` of its path."""

    name: str
    hop: int
    weight: float


class Mesh:
    """A network that serves demands on given paths.

    Args:
        topology: The network.
        order: Of the swaps, not ``optimal``.
        mode: As for :class:`~bellweave.network.wide.chains.run.Chain`.
        light_km_per_s: Speed of messages.

    Raises:
        ValueError: If the order is ``optimal``: its shares belong to one path; run a Chain.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        order: SwapOrder = "asap",
        mode: Mode = "paper",
        light_km_per_s: float = 2.0e5,
    ) -> None:
        if order == "optimal" or order not in get_args(SwapOrder):
            raise ValueError(f"a mesh swaps hop-by-hop, nested or asap, not {order}")
        self.topology = topology
        self.order: SwapOrder = order
        self.mode: Mode = mode
        self.light_km_per_s = light_km_per_s
        self.now_s = 0.0
        self._chains: dict[str, Chain] = {}
        self._uses: dict[int, list[_Use]] = {}

    @property
    def chains(self) -> Mapping[str, Chain]:
        """The demands' chains, by name; for their counts, traces and failures."""
        return self._chains

    def full(self, path: Sequence[int]) -> list[int]:
        """Return the edges of a path that can not take another demand."""
        edges = edges_of(self.topology, path)
        return [int(edge) for edge in edges if len(self._uses.get(int(edge), ())) >= self.topology.units[edge]]

    def add(self, name: str, path: Sequence[int], rng: np.random.Generator, weight: float = 1.0) -> None:
        """Serve a demand from now on.

        Args:
            name: A name that no other demand has.
            path: Its nodes.
            rng: Its random stream.
            weight: Its share next to others', > 0.

        Raises:
            ValueError: If the name is taken or an edge of the path is full.
        """
        self.add_all([(name, path, rng, weight)])

    def add_all(self, demands: Iterable[tuple[str, Sequence[int], np.random.Generator, float]]) -> None:
        """Serve demands from now on: as :meth:`add` one after the other, but shares are divided once.

        Raises:
            ValueError: As :meth:`add`; demands before the one that is refused are served.
        """
        met: set[int] = set()
        fresh: dict[str, tuple[Sequence[int], np.random.Generator]] = {}
        try:
            for name, path, rng, weight in demands:
                met |= self._enter(name, path, weight, fresh)
                fresh[name] = path, rng
        finally:
            shares = self._shares(met)
            for name, (path, rng) in fresh.items():
                self._chains[name] = Chain(
                    self.topology,
                    path,
                    rng,
                    order=self.order,
                    mode=self.mode,
                    units=[shares.pop((name, hop)) for hop in range(len(path) - 1)],
                    light_km_per_s=self.light_km_per_s,
                    start_s=self.now_s,
                    room=ROOM,
                )
            self._give(shares)

    def _enter(self, name: str, path: Sequence[int], weight: float, fresh: Mapping[str, object]) -> set[int]:
        """Enter a demand at its edges and return them."""
        if name in self._chains or name in fresh:
            raise ValueError(f"there is a demand {name} already")
        full = self.full(path)
        if full or weight <= 0.0:
            a, b = self.topology.ends[full[0]] if full else (path[0], path[-1])
            between = f"{self.topology.names[a]} and {self.topology.names[b]}"
            raise ValueError(f"{name}: no unit is left between {between}" if full else f"{name}: weight {weight} <= 0")
        edges = [int(edge) for edge in edges_of(self.topology, path)]
        for hop, edge in enumerate(edges):
            self._uses.setdefault(edge, []).append(_Use(name, hop, weight))
        return set(edges)

    def remove(self, name: str) -> Counts:
        """Serve a demand no more, and return what had become of its pairs; those it held are gone.

        Raises:
            KeyError: If there is no such demand.
        """
        chain = self._chains.pop(name)
        edges = {int(edge) for edge in chain.edges}
        for edge in edges:
            left = [use for use in self._uses[edge] if use.name != name]
            if left:
                self._uses[edge] = left
            else:
                del self._uses[edge]
        self._give(self._shares(edge for edge in edges if edge in self._uses))
        return chain.counts

    def _shares(self, edges: Iterable[int]) -> dict[tuple[str, int], int]:
        """Return the units of each demand on these edges, by its name and hop."""
        shares: dict[tuple[str, int], int] = {}
        for edge in edges:
            uses = self._uses[edge]
            weights = np.array([use.weight for use in uses])
            for use, units in zip(uses, apportioned(weights, int(self.topology.units[edge])), strict=True):
                shares[use.name, use.hop] = int(units)
        return shares

    def _give(self, shares: Mapping[tuple[str, int], int]) -> None:
        """Give running demands their new shares."""
        changed: dict[str, dict[int, int]] = {}
        for (name, hop), units in shares.items():
            changed.setdefault(name, {})[hop] = units
        for name, hops in changed.items():
            chain = self._chains[name]
            chain.set_units([hops.get(hop, units) for hop, units in enumerate(chain.units)])

    def advance(self, until_s: float) -> dict[str, Delivered]:
        """Let everything happen up to and with ``until_s``; return what was delivered to each demand since."""
        delivered = {name: chain.advance(until_s) for name, chain in self._chains.items()}
        self.now_s = until_s
        return delivered
