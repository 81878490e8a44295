"""The synchronous driver: KMEs in one process that answer each other at once. For tests, and for what needs no latency.

Messages cross as bytes, as they do on a wire. A link can be cut, an answer can be lost after the other end has acted,
and a KME can crash and start again with its store, or with an older copy of it. :class:`Running` advances one work by
hand, effect by effect, so that any interleaving can be played.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bellweave.dialogue import Message, encode
from bellweave.errors import BellweaveError, PeerRefused, PeerUnreachable
from bellweave.kms.effects import Apply, Ask, Effect, Work
from bellweave.kms.messages import CODEC, Refused
from bellweave.kms.operations import Store
from bellweave.kms.service import Kme

T = TypeVar("T")
M = TypeVar("M", bound=Message)


@dataclass
class Node:
    """One KME of a network: how to start it, the one that runs, and its store."""

    start: Callable[[], Kme]
    kme: Kme
    store: Store


class Network:
    """KMEs that reach each other at once.

    Attributes:
        now_s: The time of all of them.
        nodes: The KMEs by name.
    """

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s
        self.nodes: dict[str, Node] = {}
        self._cut: set[frozenset[str]] = set()
        self._lose: dict[tuple[str, str], int] = {}
        self._said: deque[tuple[str, Message]] = deque(maxlen=256)

    def add(self, start: Callable[[], Kme], store: Store) -> Kme:
        """Start a KME on a store, and again after each crash; return it."""
        kme = start()
        self.nodes[kme.name] = Node(start, kme, store)
        return kme

    def share(self, other: "Network", name: str) -> None:
        """Let a KME of another network be one of this one, too: several servers of a KME each have their network."""
        self.nodes[name] = other.nodes[name]

    def kme(self, name: str) -> Kme:
        """Return the KME of this name as it runs now."""
        return self.nodes[name].kme

    def store(self, name: str) -> Store:
        """Return a KME's store."""
        return self.nodes[name].store

    def connect(self) -> None:
        """Let all KMEs greet each other, and again those that were not ready at first."""
        for _ in range(2):
            for name, node in self.nodes.items():
                for peer in node.kme.directory.peers:
                    if peer in self.nodes and self._up(name, peer):
                        self.run(name, node.kme.hello(peer, self.now_s))

    def cut(self, one: str, other: str) -> None:
        """Cut the link between two KMEs; both notice."""
        self._cut.add(frozenset((one, other)))
        self.kme(one).lost(other)
        self.kme(other).lost(one)

    def mend(self, one: str, other: str) -> None:
        """Put up a link that was cut; both greet."""
        self._cut.discard(frozenset((one, other)))
        for name, peer in ((one, other), (other, one), (one, other)):
            self.run(name, self.kme(name).hello(peer, self.now_s))

    def lose_answers(self, asker: str, other: str, count: int = 1) -> None:
        """Lose the next answers to a KME on their way, after the other end has acted."""
        self._lose[asker, other] = count

    def said(self, name: str, kind: type[M]) -> list[M]:
        """Return the last messages of this kind that a KME has sent and that have arrived, in order."""
        return [message for sender, message in self._said if sender == name and isinstance(message, kind)]

    def crash(self, name: str, store: Store | None = None) -> None:
        """Start a KME again, with its store or with another one (an older copy); its links are to be mended."""
        node = self.nodes[name]
        node.kme = node.start()
        node.store = store or node.store
        for peer in node.kme.directory.peers:
            if peer in self.nodes:
                self._cut.add(frozenset((name, peer)))
                self.kme(peer).lost(name)

    def tick(self) -> None:
        """Let every KME do what it does each second."""
        for name, node in self.nodes.items():
            self.run(name, node.kme.tick(self.now_s))

    def run(self, name: str, work: Work[T]) -> T:
        """Run work of a KME to its end; return its result or raise its error."""
        running = Running(self, name, work)
        while not running.done:
            running.step()
        return running.result()

    def perform(self, name: str, effect: Effect) -> Any:
        """Do what an effect of a KME says and return what comes back.

        Raises:
            PeerUnreachable, PeerRefused: As the effect says.
        """
        if isinstance(effect, Apply):
            return self.nodes[name].store.apply(effect.operations)
        return self._ask(name, effect)

    def _ask(self, name: str, effect: Ask) -> Message:
        peer = effect.kme
        if peer not in self.nodes or not self._up(name, peer):
            raise PeerUnreachable(f"no link from {name} to {peer}")
        message = CODEC.decode(encode(effect.message))
        self._said.append((name, message))
        answer = self.run(peer, self.kme(peer).answer(name, message, self.now_s))
        answer = CODEC.decode(encode(answer))
        if self._lose.get((name, peer)):
            self._lose[name, peer] -= 1
            raise PeerUnreachable(f"{peer} did not answer {name} in time")
        if isinstance(answer, Refused):
            raise PeerRefused(answer.problem)
        return answer

    def _up(self, one: str, other: str) -> bool:
        return frozenset((one, other)) not in self._cut


class Running(Generic[T]):
    """A work that is under way, advanced by hand.

    Attributes:
        effect: What it waits for; None when it has ended.
    """

    def __init__(self, network: Network, name: str, work: Work[T]) -> None:
        self._network = network
        self._name = name
        self._work = work
        self._answer: Any = None
        self._error: BaseException | None = None
        self._acted = False
        self._result: tuple[T] | None = None
        self.effect: Effect | None = None
        self.resume()

    @property
    def done(self) -> bool:
        """Whether the work has ended."""
        return self.effect is None

    def step(self) -> None:
        """Do what the work waits for, and let it go on to the next effect or to its end."""
        self.act()
        self.resume()

    def act(self) -> None:
        """Do what the work waits for, once, but let it wait on: the answer is on its way."""
        if self.effect is None:
            raise ValueError("the work has ended")
        if self._acted:
            return
        self._acted = True
        try:
            self._answer = self._network.perform(self._name, self.effect)
        except BellweaveError as error:
            self._error = error

    def fail(self, error: BellweaveError) -> None:
        """Let the work get this error in place of an answer, and go on."""
        self._error = error
        self.resume()

    def resume(self) -> None:
        """Hand the work what it waited for."""
        answer, error = self._answer, self._error
        self._answer = self._error = None
        self._acted = False
        try:
            self.effect = self._work.send(answer) if error is None else self._work.throw(error)
        except StopIteration as end:
            self.effect, self._result = None, (end.value,)
        except BellweaveError as problem:
            self.effect, self._error = None, problem

    def close(self) -> None:
        """Give the work up where it waits."""
        self._work.close()
        self.effect, self._error = None, PeerUnreachable("the work was given up")

    def result(self) -> T:
        """Return what the work returned, or raise its error."""
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise ValueError("the work is still under way")
        return self._result[0]
