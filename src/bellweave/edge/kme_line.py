"""One connection between two KMEs, that carries questions and answers each way.

Rules:

1. The certificate says who is at the other end (:mod:`bellweave.edge.kme_link` looks). The first message of each end
   is a ``Hello`` that names the same KME; before it nothing is answered, and before our own nothing else is asked.
2. Questions are numbered and answered in any order. One that is not answered in time ends the connection: what became
   of it is then found out by the ``Hello`` of the next.
3. Announcements are joined: while one is under way, the next ones collect, and go together when it has been answered.
4. What is written in one turn of the event loop leaves in one piece.
5. Nothing waits for room: an end that asks more than it may is refused, one that does not read is cut off. So two KMEs
   at full load can't wait for each other for ever.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

import structlog

from bellweave.dialogue import Damaged, Message, encode
from bellweave.edge.kme_frames import ANSWER, Frames, framed
from bellweave.edge.kms_driver import unless_refused
from bellweave.errors import DeliveryError, PeerRefused, PeerUnreachable, ProtocolError
from bellweave.kms.messages import (
    CODEC,
    PROTOCOL,
    Announce,
    Announced,
    Forward,
    Hello,
    Refused,
    WantChunk,
)
from bellweave.kms.records import KeyNote

MAX_QUESTIONS = 4096
"""Most questions of a peer that are under way; its connections' applications together have fewer."""

MAX_UNSENT_BYTES = 64 * 1024 * 1024
"""A peer that leaves more than this unread is cut off."""

MAX_JOINED_NOTES = 256
MAX_JOINED_BYTES = 1024 * 1024
"""Most keys, and bytes of keys, that are joined to one announcement; one alone may hold more."""

Then = Callable[[Message | DeliveryError], None]

_log = structlog.get_logger(__name__)


class Node(Protocol):
    """What a connection needs of the KME that it belongs to."""

    name: str

    def opened(self, line: "Line") -> str | None:
        """Set the line's ``peer`` and return it, or None to close the connection."""
        ...

    def answer(self, sender: str, message: Message, then: Callable[[Message], None]) -> None:
        """Answer a message of another KME."""
        ...

    def closed(self, line: "Line") -> None:
        """Take note that a connection is over."""
        ...


class Line(asyncio.Protocol):
    """One connection.

    Args:
        node: Whose end this is.
        timeout_s: Longest wait for an answer that needs no further questions.
        wanted: The KME that was dialled; None: one that was listened for.

    Attributes:
        peer: Name of the KME at the other end; empty until the connection is made.
        transport: None before and after.
        answered: Whether the peer has ever answered otherwise than with a refusal.
    """

    def __init__(self, node: Node, timeout_s: float, wanted: str | None = None) -> None:
        self.peer = ""
        self.wanted = wanted
        self.transport: asyncio.Transport | None = None
        self.answered = False
        self._node = node
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._greeted = self._was_greeted = False
        self._number = 0
        self._asked: dict[int, tuple[float, Then]] = {}
        self._answering = 0
        self._unsent: list[bytes] = []
        self._announcements: deque[tuple[tuple[KeyNote, ...], Then]] = deque()
        self._announcing = False

    # ------------------------------------------------------------------------------------------------------- asking

    def ask(self, message: Message, then: Then) -> None:
        """Ask; ``then`` gets the answer, or :class:`PeerUnreachable` or :class:`PeerRefused`."""
        if type(message) is Hello:
            self._greeted = True
        if self.transport is None or not self._greeted:
            then(PeerUnreachable(f"{self.peer} is not connected"))
        elif type(message) is Announce:
            self._announcements.append((message.notes, then))
            if not self._announcing:
                self._announcing = True
                self._loop.call_soon(self._announce)  # so that others of this turn of the loop come along
        else:
            self._ask(message, then)

    def check(self) -> None:
        """End the connection if a question has waited for too long."""
        now_s = self._loop.time()
        if any(deadline_s < now_s for deadline_s, _ in self._asked.values()):
            self.drop("it did not answer in time")

    def _ask(self, message: Message, then: Then) -> None:
        number = self._number = (self._number + 1) % ANSWER
        try:
            self._send(framed(number, encode(message)))
        except ProtocolError as error:
            then(PeerRefused(f"{self.peer} can't be told: {error}"))
            return
        self._asked[number] = (self._loop.time() + self._timeout_s * _rounds(message), then)

    def _announce(self) -> None:
        """Send what has collected, as one announcement."""
        parts: list[tuple[tuple[KeyNote, ...], Then]] = []
        count = size_bytes = 0
        while self._announcements:
            notes = self._announcements[0][0]
            count += len(notes)
            size_bytes += sum([note.size_bytes for note in notes])
            if parts and (count > MAX_JOINED_NOTES or size_bytes > MAX_JOINED_BYTES):
                break
            parts.append(self._announcements.popleft())
        self._announcing = bool(parts)
        if not parts:
            return
        joined = parts[0][0] if len(parts) == 1 else tuple([note for notes, _ in parts for note in notes])
        self._ask(Announce(joined), lambda answer: self._announced(parts, answer))

    def _announced(self, parts: list[tuple[tuple[KeyNote, ...], Then]], answer: Message | DeliveryError) -> None:
        """Send the next announcements, and give each of these its part of the answer."""
        self._announce()
        if not isinstance(answer, Announced):
            for _, then in parts:  # an error of its own for each: tracebacks grow where they are raised
                then(type(answer)(*answer.args) if isinstance(answer, DeliveryError) else answer)
            return
        problems = answer.problems
        whole = len(problems) == sum(len(notes) for notes, _ in parts)
        if not whole:
            self.drop(f"it answered an announcement with {len(problems)} verdicts")
        first = 0
        for notes, then in parts:
            end = first + len(notes)
            # not a refusal: what the peer has stored is in doubt
            then(Announced(problems[first:end]) if whole else PeerUnreachable(f"{self.peer} answered nonsense"))
            first = end

    # ---------------------------------------------------------------------------------------------------- answering

    def _received(self, number: int, message: Message) -> None:
        if isinstance(message, Damaged):
            self.drop(f"it sent no valid message: {message.problem}")
        elif number & ANSWER:
            _, then = self._asked.pop(number - ANSWER, (0.0, _nothing))
            self.answered |= not isinstance(message, Refused)
            then(unless_refused(self.peer, message))
        elif not self._was_greeted and (problem := self._problem_with(message)):
            self._send(framed(number | ANSWER, encode(Refused(problem))))
            self.drop(problem)
        elif self._answering >= MAX_QUESTIONS:
            self._send(framed(number | ANSWER, encode(Refused(f"{MAX_QUESTIONS} questions are under way already"))))
        else:
            self._was_greeted = True
            self._answering += 1
            self._node.answer(self.peer, message, lambda answer: self._reply(number, answer))

    def _problem_with(self, message: Message) -> str | None:
        """Return what is wrong with the first message of the peer."""
        if not isinstance(message, Hello):
            return f"its first message is {type(message).__name__}, not Hello"
        if message.protocol != PROTOCOL:
            return f"it speaks version {message.protocol} of the protocol, not {PROTOCOL}"
        if (message.sender, message.receiver) != (self.peer, self._node.name):
            return f"its Hello goes from {message.sender!r} to {message.receiver!r}"
        return None

    def _reply(self, number: int, answer: Message) -> None:
        self._answering -= 1
        try:
            self._send(framed(number | ANSWER, encode(answer)))
        except ProtocolError as error:
            self._send(framed(number | ANSWER, encode(Refused(str(error)))))

    # --------------------------------------------------------------------------------------------------- the stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the node who this is."""
        self.transport = cast("asyncio.Transport", transport)
        if self._node.opened(self) is None:
            self.transport.abort()
            self.transport = None

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        try:
            for number, message in self._frames.feed(data):
                self._received(number, CODEC.decode(message))
                if self.transport is None:
                    return
        except ProtocolError as error:
            self.drop(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait for an answer that none will come."""
        self._over("the connection was cut" + (f" ({exc})" if exc else ""))

    def drop(self, problem: str) -> None:
        """End the connection: what has been written leaves, what is under way is in doubt."""
        if self.transport is not None:
            _log.info("a link is closed", kme=self.peer, problem=problem)
            self._flush()
            self.transport.close()
            self._over(problem)

    def _over(self, problem: str) -> None:
        if self.transport is None:
            return
        self.transport = None
        self._node.closed(self)
        waiting = [then for _, then in self._asked.values()] + [then for _, then in self._announcements]
        self._asked.clear()
        self._announcements.clear()
        for then in waiting:
            then(PeerUnreachable(f"{self.peer} is not connected: {problem}"))

    def _send(self, frame: bytes) -> None:
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(frame)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self.transport is None or not unsent:
            return
        self.transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))
        if self.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.transport.abort()


def _rounds(message: Message) -> int:
    """Return for how many time-outs an answer may take, because the peer has to ask others first."""
    if isinstance(message, Forward):
        return len(message.path) + 1
    return 3 if isinstance(message, WantChunk) else 1


def _nothing(_: Message | DeliveryError) -> None:
    pass
