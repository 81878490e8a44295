"""The classical channel in one process: two roles talk in memory, or in virtual time.

Messages cross as bytes, in the order in which they were sent. What a role meets besides messages:

- ``Closed`` when its peer has returned in order, ``Abort`` when its peer raised; what reaches a role after its end is
  dropped.
- When both wait and nothing is under way, every role that has not ended fails with :class:`ProtocolError`.
- Errors of this package are collected until both roles have ended; any other exception is a defect and rises at once.
"""

import heapq
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import simpy

from bellweave.dialogue import Abort, Closed, Codec, Dialogue, Message, encode
from bellweave.errors import BellweaveError, ProtocolError

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")

Direction = Literal["alice to bob", "bob to alice"]

Tamper = Callable[[Direction, int, bytes], bytes | None]
"""(direction, number of the message that way from 0, its bytes) to the bytes that arrive, or None if none do."""


@dataclass(frozen=True)
class Conversation(Generic[A, B]):
    """What two roles returned, and when the later one did, seconds of virtual time."""

    alice: A
    bob: B
    completed_s: float


def converse(alice: Dialogue[A], bob: Dialogue[B], codec: Codec, *, tamper: Tamper | None = None) -> tuple[A, B]:
    """Run both roles in memory and return what they return.

    Args:
        alice: The role that the line calls Alice; it moves first.
        bob: Her peer.
        codec: Decodes the messages of both.
        tamper: A fault or a tap on the line.

    Raises:
        BellweaveError: The error that was raised first, after both have ended.
    """
    line = _Line(alice, bob, codec, tamper, latency_s=0.0)
    line.start(0.0)
    while line.busy:
        line.deliver()
    return line.results()


def settle(
    alice: Dialogue[A], bob: Dialogue[B], codec: Codec, *, tamper: Tamper | None = None
) -> tuple[A | BellweaveError, B | BellweaveError]:
    """Run both roles as :func:`converse` does, and return each one's result or error."""
    line = _Line(alice, bob, codec, tamper, latency_s=0.0)
    line.start(0.0)
    while line.busy:
        line.deliver()
    return line.ends()


def converse_in(
    env: simpy.Environment,
    alice: Dialogue[A],
    bob: Dialogue[B],
    codec: Codec,
    *,
    latency_s: float,
    tamper: Tamper | None = None,
) -> Generator[simpy.Event, Any, Conversation[A, B]]:
    """Run both roles in virtual time; wrap it in ``env.process`` or use ``yield from``.

    Args:
        env: The simulation.
        alice: As for :func:`converse`.
        bob: As for :func:`converse`.
        codec: As for :func:`converse`.
        latency_s: Time a message takes, either way, >= 0. Computing takes none.
        tamper: As for :func:`converse`.

    Raises:
        BellweaveError: As :func:`converse`.
    """
    line = _Line(alice, bob, codec, tamper, latency_s=latency_s)
    line.start(env.now)
    while line.busy:
        yield env.timeout(max(0.0, line.due_s - env.now))
        line.deliver()
    results = line.results()
    return Conversation(*results, completed_s=line.ended_s)


class _End(Generic[T]):
    """One role and how it ended."""

    def __init__(self, dialogue: Dialogue[T]) -> None:
        self._dialogue = dialogue
        self._ended = False
        self.result: T | BellweaveError

    def has_ended(self) -> bool:
        """Return whether ``result`` is there."""
        return self._ended

    def advance(self, incoming: Message | None) -> Iterator[Message]:
        """Hand over a message (None: start) and pass on what the role sends, until it waits or ends."""
        try:
            while (outgoing := self._dialogue.send(incoming)) is not None:
                incoming = None
                yield outgoing
        except StopIteration as end:
            self.end(end.value)
        except BellweaveError as error:
            self.end(error)

    def end(self, result: T | BellweaveError) -> None:
        """End the role with this result."""
        self._ended = True
        self.result = result
        self._dialogue.close()

    def farewell(self) -> Message:
        """Return what the peer gets to know about the end."""
        if isinstance(self.result, BellweaveError):
            return Abort(reason=f"the peer's role failed: {type(self.result).__name__}")
        return Closed()


class _Line(Generic[A, B]):
    """Two roles and the messages under way between them, ordered by arrival."""

    def __init__(
        self, alice: Dialogue[A], bob: Dialogue[B], codec: Codec, tamper: Tamper | None, latency_s: float
    ) -> None:
        self._alice = _End(alice)
        self._bob = _End(bob)
        self._codec = codec
        self._tamper = tamper
        self._latency_s = latency_s
        self._sent: dict[Direction, int] = {"alice to bob": 0, "bob to alice": 0}
        self._under_way: list[tuple[float, int, Direction, bytes | Message]] = []
        self._errors: list[BellweaveError] = []
        self._number = 0
        self.ended_s = 0.0

    def start(self, now_s: float) -> None:
        """Let both roles run until they wait."""
        self._advance("bob to alice", None, now_s)
        self._advance("alice to bob", None, now_s)
        self._break_deadlock(now_s)

    @property
    def busy(self) -> bool:
        """Whether anything is under way to a role that has not ended."""
        return bool(self._under_way) and not (self._alice.has_ended() and self._bob.has_ended())

    @property
    def due_s(self) -> float:
        """When the next message arrives."""
        return self._under_way[0][0]

    def deliver(self) -> None:
        """Hand the next message over."""
        now_s, _, direction, content = heapq.heappop(self._under_way)
        self._advance(direction, self._codec.decode(content) if isinstance(content, bytes) else content, now_s)
        self._break_deadlock(now_s)

    def ends(self) -> tuple[A | BellweaveError, B | BellweaveError]:
        """Return how each role ended."""
        return self._alice.result, self._bob.result

    def results(self) -> tuple[A, B]:
        """Return both results, or raise the first error."""
        alice, bob = self.ends()
        if self._errors:
            raise self._errors[0]
        return alice, bob  # type: ignore[return-value]  # no errors: both are results

    def _advance(self, arriving: Direction, incoming: Message | None, now_s: float) -> None:
        end, leaving = self._receiver(arriving)
        if end.has_ended():
            return
        for outgoing in end.advance(incoming):
            self._send(leaving, outgoing, now_s)
        if end.has_ended():
            self._enqueue(leaving, end.farewell(), now_s)
            self._note(end, now_s)

    def _receiver(self, direction: Direction) -> tuple["_End[A] | _End[B]", Direction]:
        return (self._bob, "bob to alice") if direction == "alice to bob" else (self._alice, "alice to bob")

    def _send(self, direction: Direction, message: Message, now_s: float) -> None:
        data: bytes | None = encode(message)
        if self._tamper is not None and data is not None:
            data = self._tamper(direction, self._sent[direction], data)
        self._sent[direction] += 1
        if data is not None:
            self._enqueue(direction, data, now_s)

    def _enqueue(self, direction: Direction, content: bytes | Message, now_s: float) -> None:
        self._number += 1
        heapq.heappush(self._under_way, (now_s + self._latency_s, self._number, direction, content))

    def _note(self, end: "_End[A] | _End[B]", now_s: float) -> None:
        self.ended_s = now_s
        if isinstance(end.result, BellweaveError):
            self._errors.append(end.result)

    def _break_deadlock(self, now_s: float) -> None:
        if self._under_way:
            return
        for end in (self._alice, self._bob):
            if not end.has_ended():
                end.end(ProtocolError("both ends wait and nothing is under way"))
                self._note(end, now_s)
