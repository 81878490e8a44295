"""Nodes in virtual time: each has a real KME on a store in memory; what they ask each other takes its time.

A node that fails loses what is in memory: its works are dropped where they wait, its KME starts again from its store
when the node returns, and greets its peers. The store survives.
"""

from collections.abc import Generator
from typing import Any, TypeVar

import simpy

from bellweave import rng
from bellweave.dialogue import Message
from bellweave.errors import DeliveryError, PeerRefused, PeerUnreachable
from bellweave.kms.effects import Apply, Ask, Work
from bellweave.kms.messages import Refused
from bellweave.kms.params import Directory, Kms, Pair
from bellweave.kms.service import Kme
from bellweave.kms.store import MemoryStore
from bellweave.scenario.schema import Scenario

T = TypeVar("T")
Process = Generator[simpy.Event, Any, T]

PEER_S = 2.0
"""How long a KME waits for another one that is down."""


class NodeFailedError(Exception):
    """The node on which a piece of work ran has failed; nothing is left of it."""


class Node:
    """One node: its KME and the store that survives."""

    def __init__(self, name: str, directory: Directory, params: Kms, seed: int) -> None:
        self.name = name
        self.up = True
        self.starts = 0
        self.store = MemoryStore()
        self._directory, self._params, self._seed = directory, params, seed
        self.kme = self._started()

    def _started(self) -> Kme:
        self.starts += 1
        entropy = rng.stream(self._seed, "node", self.name, "kme", self.starts)
        return Kme(self._directory, self._params, entropy, store_name=self.name)

    def fail(self) -> None:
        """Stop: what is in memory is gone."""
        self.up = False

    def restart(self) -> None:
        """Start again from the store."""
        self.up = True
        self.kme = self._started()


class Nodes:
    """All nodes of a scenario, and the network between their KMEs."""

    def __init__(self, env: simpy.Environment, scenario: Scenario) -> None:
        self._env = env
        self.latency_s = scenario.data_network.latency_s
        self.by_name = {
            name: Node(name, _directory(scenario, name), scenario.kms, scenario.run.seed) for name in scenario.node
        }

    def __getitem__(self, name: str) -> Node:
        return self.by_name[name]

    def greet(self, name: str) -> Process[None]:
        """Let a node's KME and its peers that are up greet each other."""
        for peer in self[name].kme.directory.peers:
            if self[peer].up:
                yield from self.perform(name, self[name].kme.hello(peer, self._env.now))
                yield from self.perform(peer, self[peer].kme.hello(name, self._env.now))

    def perform(self, name: str, work: Work[T]) -> Process[T]:
        """Run work of a node's KME; it takes as long as the answers that it waits for.

        Raises:
            NodeFailedError: The node failed meanwhile.
        """
        node = self[name]
        starts = node.starts
        value: Any = None
        error: DeliveryError | None = None
        while True:
            if not node.up or node.starts != starts:
                work.close()
                raise NodeFailedError(name)
            try:
                effect = work.send(value) if error is None else work.throw(error)
            except StopIteration as end:
                result: T = end.value
                return result
            value, error = None, None
            if isinstance(effect, Apply):
                value = node.store.apply(effect.operations)
                continue
            try:
                value = yield from self._ask(name, effect)
            except DeliveryError as raised:
                error = raised

    def _ask(self, name: str, effect: Ask) -> Process[Message]:
        """Carry a question to another node and its answer back."""
        peer = self[effect.kme]
        if self.latency_s:
            yield self._env.timeout(self.latency_s)
        if not peer.up:
            yield self._env.timeout(PEER_S)
            raise PeerUnreachable(f"{peer.name} did not answer within {PEER_S} s")
        try:
            answer = yield from self.perform(peer.name, peer.kme.answer(name, effect.message, self._env.now))
        except NodeFailedError:
            raise PeerUnreachable(f"{peer.name} failed before it answered") from None
        if self.latency_s:
            yield self._env.timeout(self.latency_s)
        if isinstance(answer, Refused):
            raise PeerRefused(answer.problem)
        return answer


def _directory(scenario: Scenario, kme: str) -> Directory:
    """Return what one node's KME knows: its neighbours by links, the SAEs of all tunnels, who may ask for whom."""
    links = tuple((link.alice, link.bob) for link in scenario.link.values())
    peers = tuple(dict.fromkeys(b if a == kme else a for a, b in links if kme in {a, b}))
    saes: dict[str, str] = {}
    pairs = []
    for name, tunnel in scenario.tunnel.items():
        client, server = sae_names(name)
        saes |= {client: tunnel.client, server: tunnel.server}
        pairs.append(Pair(master=client, slave=server))
    own = tuple(pair for pair in pairs if kme in {saes[pair.master], saes[pair.slave]})
    near = tuple(link for link in links if kme in link)
    return Directory(kme=kme, peers=peers, links=near, saes=saes, pairs=own)


def sae_names(tunnel: str) -> tuple[str, str]:
    """Return the names of a tunnel's two SAEs: the client's, which draws the keys, and the server's."""
    return f"{tunnel}.client", f"{tunnel}.server"
