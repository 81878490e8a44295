"""Two-party protocols without input and output: a role is a generator.

A role yields a message to send, or ``None`` to wait for one, and returns its result::

    def alice(...) -> Dialogue[Rounds]:
        yield Hello(...)                        # send
        reply = yield from receive(Reply)       # wait, typed
        return ...

Rules:

1. A role knows no socket, clock, process or global random state, and has no reference to its peer.
2. A role that gives up sends :class:`Abort` before it raises (:func:`refuse`, :func:`reject`), or its peer waits for
   ever.
3. The last message of a protocol has no answer. Its sender ends with :func:`until_closed`: it holds its result back
   until the peer's role has ended in order (the driver says so with :class:`Closed`), so one damaged message makes both
   ends abort.
4. Messages cross every driver as bytes (:func:`encode`, :class:`Codec`), in memory too, so that all drivers carry the
   same transcript.

Drivers: :mod:`bellweave.sim.classical` (memory, virtual time) and :mod:`bellweave.edge.dialogue_tcp` (sockets).
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Any, NoReturn, TypeVar

import msgspec

from bellweave.errors import BlockRejected, PeerAborted, ProtocolError, RejectionReason


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Base of all wire messages; the class name is the tag on the wire."""


class Abort(Message, frozen=True):
    """The sender gives up.

    Attributes:
        reason: Words for the log; never key bytes.
        rejection: The reason code where the block was rejected as honest physics.
    """

    reason: str
    rejection: RejectionReason | None = None


class Closed(Message, frozen=True):
    """What a driver hands to a waiting role when the peer's role has returned in order. It never crosses a wire."""


class Damaged(Message, frozen=True):
    """What a driver hands to a role when bytes arrived that are no message. It never crosses a wire."""

    problem: str


T = TypeVar("T")
M = TypeVar("M", bound=Message)
Dialogue = Generator[Message | None, Message | None, T]


def receive(kind: type[M]) -> Dialogue[M]:
    """Wait for one message of this kind and return it.

    Raises:
        PeerAborted: The peer gave up.
        ProtocolError: Another message came, or bytes that are none; the peer is told.
    """
    message = yield None
    if isinstance(message, kind):
        return message
    if isinstance(message, Abort):
        raise PeerAborted(message.reason, message.rejection)
    if isinstance(message, Damaged):
        return (yield from refuse(f"expected {kind.__name__}, got no valid message: {message.problem}"))
    return (yield from refuse(f"expected {kind.__name__}, got {type(message).__name__}"))


def refuse(reason: str) -> Dialogue[NoReturn]:
    """Tell the peer that it broke the protocol, then raise :class:`ProtocolError`."""
    yield Abort(reason=reason)
    raise ProtocolError(reason)


def reject(reason: RejectionReason, detail: str) -> Dialogue[NoReturn]:
    """Tell the peer that this block gives no key, then raise :class:`BlockRejected`."""
    yield Abort(reason=detail, rejection=reason)
    raise BlockRejected(reason, detail)


def until_closed() -> Dialogue[None]:
    """Wait until the peer's role has ended in order; an abort or anything else raises."""
    yield from receive(Closed)


_ENCODER = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """Return the message's one and only encoding (msgpack, fields in the order of their definition)."""
    return _ENCODER.encode(message)


class Codec:
    """Decoder for a protocol's set of messages.

    Args:
        kinds: The message classes that may cross; :class:`Abort` is always among them.
    """

    def __init__(self, *kinds: type[Message]) -> None:
        union: Any = Abort
        for kind in kinds:
            union = union | kind
        self._decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(union)

    def decode(self, data: bytes) -> Message:
        """Return the message, or :class:`Damaged` for bytes that are none: the role decides what to do about it."""
        try:
            return self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Damaged(problem=str(error))


class Watch(ABC):
    """Takes note of every message that a role sends and receives; what of it, its children say.

    A message is noted as the length of its encoding, 8 bytes, and the encoding: no two sequences are noted alike.
    """

    def watch(self, dialogue: Dialogue[T]) -> Dialogue[T]:
        """Run the dialogue and take note of all it sends and receives."""
        incoming: Message | None = None
        while True:
            try:
                outgoing = dialogue.send(incoming)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if outgoing is not None:
                self.note_sent(_framed(outgoing))
            incoming = yield outgoing
            if outgoing is None and incoming is not None and not isinstance(incoming, Closed | Damaged):
                self.note_received(_framed(incoming))

    @abstractmethod
    def note_sent(self, data: bytes) -> None:
        """Take note of a message that was sent."""

    @abstractmethod
    def note_received(self, data: bytes) -> None:
        """Take note of a message that was received."""


class Transcript(Watch):
    """Hash of every message that a role sent and received, in order, so that both ends can compare what they saw.

    SHA-256 detects accidents and meddling with single messages; it is no information-theoretic authentication, which is
    :class:`bellweave.distill.authentication.Transcript`.
    """

    def __init__(self) -> None:
        self._sent = hashlib.sha256()
        self._received = hashlib.sha256()

    def note_sent(self, data: bytes) -> None:
        """Hash it."""
        self._sent.update(data)

    def note_received(self, data: bytes) -> None:
        """Hash it."""
        self._received.update(data)

    def digests(self) -> tuple[bytes, bytes]:
        """Return (hash of what was sent, hash of what was received), 32 bytes each."""
        return self._sent.digest(), self._received.digest()


def _framed(message: Message) -> bytes:
    data = encode(message)
    return len(data).to_bytes(8, "big") + data
