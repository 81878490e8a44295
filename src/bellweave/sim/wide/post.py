"""The classical network between slaves, masters and repeaters: carries letters, and answers them at their nodes.

In ``paper`` mode a letter takes no time; else light's way along the shortest fibres, there and back. A node that is
down, or cut off, does not answer.
"""

import math
from collections.abc import Mapping

import networkx as nx
import simpy

from bellweave.dialogue import encode
from bellweave.network.wide.agreement.answering import Desk
from bellweave.network.wide.agreement.messages import CODEC, Contents, Letter, Unanswered
from bellweave.scenario.wide import Map
from bellweave.sim.network.nodes import Process

SILENCE_S = 0.05
"""How long an answer is waited for beyond light's way."""


class Post:
    """Carries letters.

    Args:
        env: The simulation.
        net: The network; its fibres carry the letters.
        desks: Who answers, by name.
        light_km_per_s: Speed of letters; None: they take no time.
    """

    def __init__(
        self, env: simpy.Environment, net: Map, desks: Mapping[str, Desk], light_km_per_s: float | None
    ) -> None:
        self._env, self._desks, self._light = env, desks, light_km_per_s
        self._fibres = _fibres(net)
        self._known: dict[str, dict[str, float]] = {}
        self.down: frozenset[str] = frozenset()
        """Nodes that do not answer."""

    def latency_s(self, a: str, b: str) -> float:
        """Return how long a letter takes, one way."""
        if self._light is None:
            return 0.0
        if a not in self._known:
            self._known[a] = nx.single_source_dijkstra_path_length(self._fibres, a, weight="km")
        return self._known[a].get(b, math.inf) / self._light

    def ask(self, letter: Letter) -> Process[Contents]:
        """Carry a letter and return its answer, after the time that both take."""
        way_s = self.latency_s(letter.sender, letter.to)
        arrived = CODEC.decode(encode(letter))
        assert isinstance(arrived, Letter), "what was encoded is decoded"  # noqa: S101 -- else the codec is broken
        if way_s:
            yield self._env.timeout(way_s)
        if letter.to in self.down:
            yield self._env.timeout(way_s + SILENCE_S)
            return Unanswered()
        content = self._desks[letter.to].answer(arrived, self._env.now)
        if way_s:
            yield self._env.timeout(way_s)
        return content


def _fibres(net: Map) -> "nx.Graph[str]":
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(net.topology.names)
    for (a, b), km in zip(net.topology.ends.tolist(), net.topology.length_km.tolist(), strict=True):
        graph.add_edge(net.topology.names[a], net.topology.names[b], km=km)
    return graph
