"""Nodes in virtual time: each has a real KME on a store in memory; what they ask each other takes its time.

A node that fails loses what is in memory: its works are dropped where they wait, its KME starts again from its store
when the node returns, and greets its peers. The store survives.

A KME's tick, once a second and over all peers and pools, would cost more than everything else. Instead the node tends a
peer when a block that they share has come in, and purges what has expired at the same time; with nothing new there is
nothing else to do.
"""

from collections.abc import Generator, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import simpy

from bellweave import rng
from bellweave.blocks import SecretBlock
from bellweave.dialogue import Message
from bellweave.errors import DeliveryError, PeerRefused, PeerUnreachable
from bellweave.kms.effects import Apply, Ask, Work
from bellweave.kms.messages import Refused
from bellweave.kms.operations import Purge
from bellweave.kms.params import Directory, Kms
from bellweave.kms.service import Kme
from bellweave.kms.store import MemoryStore
from bellweave.roles.source import Presence
from bellweave.scenario.directory import directories
from bellweave.scenario.schema import Scenario

T = TypeVar("T")
Process = Generator[simpy.Event, Any, T]

PEER_S = 2.0
"""How long a KME waits for another one that is down."""


class NodeFailedError(Exception):
    """The node on which a piece of work ran has failed; nothing is left of it."""


class Node:
    """One node: its KME and the store that survives."""

    def __init__(self, directory: Directory, params: Kms, seed: int) -> None:
        self.name = directory.kme
        self.up = True
        self.starts = 0
        """How often its KME has started."""
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
    """All nodes of a scenario, and the network between their KMEs.

    Args:
        known: What each node's KME knows; None: that links join neighbours.
    """

    def __init__(self, env: simpy.Environment, scenario: Scenario, known: Iterable[Directory] | None = None) -> None:
        self._env = env
        self.latency_s = scenario.data_network.latency_s
        kms, seed = scenario.kms, scenario.run.seed
        found = directories(scenario) if known is None else known
        self.by_name = {each.kme: Node(each, kms, seed) for each in found}

    def __getitem__(self, name: str) -> Node:
        return self.by_name[name]

    def presence(self, names: Iterable[str]) -> Presence | None:
        """Return what stays the same as long as none of these nodes fails; None if one is down."""
        nodes = [self[name] for name in names]
        return tuple(node.starts for node in nodes) if all(node.up for node in nodes) else None

    def peers_up(self, name: str) -> list[str]:
        """Return those of a node's peers that are up."""
        return [peer for peer in self[name].kme.directory.peers if self[peer].up]

    def connect(self) -> None:
        """Let all KMEs greet each other before the run begins, in no time."""
        latency_s, self.latency_s = self.latency_s, 0.0
        for name, node in self.by_name.items():
            for peer in node.kme.directory.peers:
                for _ in self.perform(name, node.kme.hello(peer, 0.0)):
                    raise AssertionError("work without latency takes no time")
        self.latency_s = latency_s

    def greet(self, name: str, peer: str) -> Process[None]:
        """Let two nodes' KMEs greet each other; if one fails meanwhile it does so again when it returns."""
        with suppress(NodeFailedError, PeerUnreachable, PeerRefused):
            yield from self.perform(name, self[name].kme.hello(peer, self._env.now))
            yield from self.perform(peer, self[peer].kme.hello(name, self._env.now))

    def ingest(self, name: str, block: SecretBlock, peer: str) -> None:
        """Give a distilled block to a node's KME, which takes no time."""
        for _ in self.perform(name, self[name].kme.ingest(block, peer, self._env.now)):
            raise AssertionError("a KME takes a block without asking anybody")

    def tend(self, name: str, peer: str) -> Process[None]:
        """After a block has come in: purge what has expired at both KMEs, and let the lead confirm and set aside."""
        for end in (name, peer):
            while any(self[end].store.apply((Purge(now_s=self._env.now),))):
                pass
        lead, second = sorted((name, peer))
        kme = self[lead].kme
        if kme.in_step(second):  # else the greeting that is under way does it
            with suppress(NodeFailedError, PeerUnreachable, PeerRefused):
                yield from self.perform(lead, kme.tend(second, self._env.now))

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
