"""Key streams, as ETSI GS QKD 004 has them: two applications ask for chunk 0, 1, 2... and get the same bytes.

Rules:

1. A stream belongs to two SAEs. Nobody else learns that it is there.
2. A chunk is a key whose id both ends can tell. The KME of the stream's master draws it when either end first asks; the
   other end's copy waits at its own KME, and can be fetched while the master's can't be reached.
3. One-time delivery: a chunk that its application has had is gone, and is not drawn anew.
4. Two KMEs may register one stream at the same moment. Until they have agreed, the word of the first KME name in the
   alphabet counts.
5. After either end has closed nothing new is drawn. What is drawn waits for the other end until that closes or the
   terms' TTL is over; an end's own rest is erased when it closes.
6. Work can't wait. An answer that may still come is ``waiting``, ``alone`` or ``later``: the caller asks the same
   again when :attr:`KeyStreams.changed` has told it that the stream changed, or after a while. That does no harm.
7. Streams are in memory, until nobody has used them for ``key_lifetime_s``. Once the master's KME has restarted it does
   not know what it drew: the KSID is spent, though the other end can still fetch what waits. A restart of the other
   KME is no loss. If both have restarted nobody remembers the KSID, and applications must not go on under it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bellweave.dialogue import Message
from bellweave.errors import NotEntitled, PeerRefused, PeerUnreachable
from bellweave.kms.effects import Work, ask
from bellweave.kms.messages import ChunkState, CloseStream, DropChunk, Next, OpenStream, StreamState, WantChunk
from bellweave.kms.params import Directory
from bellweave.kms.stream_chunks import Chunk, Chunks, Keys
from bellweave.kms.stream_state import End, Stream
from bellweave.kms.stream_terms import Terms, negotiate
from bellweave.rng import Entropy

STREAMS_PER_SAE = 1_000
"""Streams that one SAE may have begun and not outlived."""

_FORGET_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Opened:
    """What became of OPEN_CONNECT.

    Attributes:
        state: ``open``: both ends are; ``waiting``: the peer is not yet; ``in use``: the KSID is, or was, another's.
        ksid: Of the stream.
        terms: Agreed on; with ``in use`` those that were asked for.
        met: Whether they meet what was asked for; False: they are a counter-proposal, and the stream is open on it.
    """

    state: Literal["open", "waiting", "in use"]
    ksid: bytes
    terms: Terms
    met: bool = True


class KeyStreams:
    """The streams of one KME.

    Args:
        kme: Draws keys and hands them out.
        entropy: For KSIDs.

    Attributes:
        changed: Called with a KSID when an application has opened or closed the stream, at either end.
    """

    def __init__(self, kme: Keys, entropy: Entropy) -> None:
        self._kme = kme
        self._chunks = Chunks(kme)
        self._entropy = entropy
        self._born = entropy.bytes(8)
        self._streams: dict[bytes, Stream] = {}
        self._begun: Counter[str] = Counter()
        self._forget_s = 0.0
        self.changed: Callable[[bytes], None] = lambda _: None

    @property
    def directory(self) -> Directory:
        """Who is who."""
        return self._kme.directory

    def terms(self, caller: str, ksid: bytes) -> tuple[Terms, float] | None:
        """Return the terms of a stream that the caller has open, and when it opened it; None if it has none."""
        stream = self._streams.get(ksid)
        if stream is None or stream.of(caller) != "open" or caller not in stream.ends:
            return None
        return stream.terms, stream.ends[caller].opened_s

    # ------------------------------------------------------------------------------------------------ applications

    def open(self, caller: str, other: str, asked: Terms, ksid: bytes, now_s: float) -> Work[Opened]:
        """OPEN_CONNECT of an SAE of this KME; the KSID is all zero where it is to be made here.

        Raises:
            NotEntitled: The two may not have keys, or the caller has too many streams.
            PeerUnreachable, PeerRefused: The other KME did not learn of it; the caller has not opened it.
        """
        self._forget(now_s)
        terms, met = negotiate(asked, self._kme.params)
        ksid = ksid if any(ksid) else self._new_ksid()
        stream = self._streams.get(ksid)
        if stream is None:
            master = self._master(caller, other)
            slave = other if master == caller else caller
            stream = self._register(Stream(ksid, caller, master, slave, terms, now_s))
        elif not stream.joins(caller, other) or stream.of(caller) == "closed":
            return Opened("in use", ksid, asked)
        stream.used_s = now_s
        if stream.of(caller) == "absent":
            if not (yield from self._told(stream, caller)):
                return Opened("in use", ksid, asked)
            stream.state[caller] = "open"
            stream.ends.setdefault(caller, End(now_s))
            self.changed(ksid)
        both = stream.of(other) != "absent"
        return Opened("open" if both else "waiting", ksid, stream.terms, met or stream.opener != caller)

    def get(self, caller: str, ksid: bytes, index: int, now_s: float) -> Work[Chunk]:
        """GET_KEY: take a chunk, drawing it if nobody has yet.

        Raises:
            NotEnoughKey, NotMet: As ``later``; the former may know when there will be enough.
            PeerUnreachable, PeerRefused, StoreFailed: Nothing is delivered.
        """
        stream = self._streams.get(ksid)
        if stream is None or self.terms(caller, ksid) is None:
            return Chunk("unknown")
        stream.used_s = now_s
        end = stream.ends[caller]
        if index in end.taken:
            return Chunk("gone")
        if stream.of(stream.other(caller)) == "absent":
            return Chunk("alone")
        if index in end.asking:
            return Chunk("later")
        end.asking.add(index)
        try:
            return (yield from self._chunks.fetch(stream, caller, index, now_s))
        finally:
            end.asking.discard(index)

    def close(self, caller: str, ksid: bytes, now_s: float) -> Work[bool]:
        """CLOSE: the caller asks for no more. Returns False if it never had such a stream; closing twice is fine.

        The other KME is told if it can be reached; else it finds out when it wants a new chunk, or after the TTL.

        Raises:
            StoreFailed: Closed, but what waits for the caller goes on to wait until it expires.
        """
        stream = self._streams.get(ksid)
        if stream is None or caller not in stream.ends:
            return False
        if stream.of(caller) == "closed":
            return True
        stream.state[caller] = "closed"
        stream.used_s = now_s
        self.changed(ksid)
        other = stream.other(caller)
        known = stream.drawn.end
        if not self._is_here(other):
            known = max(known, (yield from self._say_closed(stream, other)))
        elif stream.of(other) != "closed":
            return True  # the two share what waits
        yield from self._chunks.erase(stream, known, now_s)
        return True

    # -------------------------------------------------------------------------------------------------- other KMEs

    def answer(self, sender: str, message: Message, now_s: float) -> Work[Message]:
        """Answer another KME's message about a stream.

        Raises:
            DeliveryError: It can't be done; the sender gets a refusal.
        """
        if isinstance(message, OpenStream):
            return self._joined(sender, message, now_s)
        if not isinstance(message, CloseStream | WantChunk | DropChunk):
            raise PeerRefused(f"{type(message).__name__} is not about streams")
        stream = self._streams.get(message.ksid)
        if stream is None or sender not in {self._home(stream.master), self._home(stream.slave)}:
            return Next(0) if isinstance(message, CloseStream) else ChunkState("gone")
        stream.used_s = now_s
        if isinstance(message, CloseStream):
            remote = stream.master if self._home(stream.master) == sender else stream.slave
            stream.state[remote] = "closed"
            self.changed(stream.ksid)
            return Next(stream.drawn.end)
        if isinstance(message, DropChunk):
            return ChunkState((yield from self._chunks.dropped(stream, message.index, message.attempt, now_s)))
        return (yield from self._chunks.wanted(stream, message.index, now_s))

    def _joined(self, sender: str, message: OpenStream, now_s: float) -> StreamState:
        """The other end's application has opened a stream."""
        self._forget(now_s)
        remote, local = message.source, message.destination
        saes = self._kme.directory.saes
        if saes.get(remote) != sender or not (local in saes and self._is_here(local)):
            raise PeerRefused(f"{sender} opens a stream of {remote!r} for {local!r}")
        stream = self._streams.get(message.ksid)
        if stream is None:
            if message.master != remote and not (message.master == local and self._kme.allowed(local, remote)):
                raise PeerRefused(f"{message.master!r} may not draw chunks for {remote!r} and {local!r}")
            slave = local if message.master == remote else remote
            stream = Stream(message.ksid, remote, message.master, slave, message.terms, now_s, agreed=True)
            self._register(stream)
        elif not stream.joins(remote, local) or stream.closed or stream.forgotten_by(remote, message.born):
            return StreamState("closed", message.terms, message.master, self._born)
        elif not stream.agreed:
            ours = self._kme.directory.kme < sender
            stream.settle(*((stream.terms, stream.master) if ours else (message.terms, message.master)))
        stream.state[remote] = "open"
        stream.other_born = message.born
        stream.used_s = now_s
        self.changed(stream.ksid)
        return StreamState("open" if stream.of(local) == "open" else "unknown", stream.terms, stream.master, self._born)

    def _told(self, stream: Stream, caller: str) -> Work[bool]:
        """Tell the other KME that the caller opens the stream; False: it can't be had under this KSID."""
        other = stream.other(caller)
        if self._is_here(other):
            stream.agreed = True
            return True
        stream.telling += 1
        try:
            message = OpenStream(stream.ksid, caller, other, stream.terms, stream.master, self._born)
            reply = yield from ask(self._home(other), message, StreamState)
        except BaseException:
            stream.telling -= 1
            if not (stream.agreed or stream.telling or stream.state):
                self._unregister(stream)
            raise
        stream.telling -= 1
        if reply.state == "closed":
            stream.state[caller] = "closed"
            return False
        stream.other_born = stream.other_born or reply.born
        if not stream.agreed:
            stream.settle(reply.terms, reply.master)
        if reply.state == "open" and stream.of(other) == "absent":
            stream.state[other] = "open"
        return True

    def _say_closed(self, stream: Stream, other: str) -> Work[int]:
        """Tell the other KME; returns the first index above what it has drawn, as far as that is known."""
        try:
            answer = yield from ask(self._home(other), CloseStream(stream.ksid), Next)
        except (PeerUnreachable, PeerRefused):
            return 0
        return answer.number

    # -------------------------------------------------------------------------------------------------- the register

    def _master(self, caller: str, other: str) -> str:
        """Return who draws: the caller, unless only the other one may ask for keys."""
        saes = self._kme.directory.saes
        if caller == other or other not in saes:
            raise NotEntitled(f"no stream joins {caller!r} and {other!r}")
        if self._kme.allowed(caller, other):
            return caller
        if self._is_here(other) and not self._kme.allowed(other, caller):
            raise NotEntitled(f"{caller!r} and {other!r} may not have keys")
        return other

    def _register(self, stream: Stream) -> Stream:
        if self._begun[stream.opener] >= STREAMS_PER_SAE:
            raise NotEntitled(f"{stream.opener!r} has {STREAMS_PER_SAE} streams, which is the limit")
        self._begun[stream.opener] += 1
        self._streams[stream.ksid] = stream
        return stream

    def _unregister(self, stream: Stream) -> None:
        if self._streams.pop(stream.ksid, None) is not None:
            self._begun[stream.opener] -= 1

    def _forget(self, now_s: float) -> None:
        """Forget streams that nobody uses; every now and then."""
        if now_s < self._forget_s:
            return
        self._forget_s = now_s + _FORGET_EVERY_S
        life_s = self._kme.params.key_lifetime_s
        for stream in [stream for stream in self._streams.values() if stream.used_s + life_s < now_s]:
            self._unregister(stream)

    def _new_ksid(self) -> bytes:
        """Return a UUIDv4."""
        ksid = bytearray(self._entropy.bytes(16))
        ksid[6] = ksid[6] & 0x0F | 0x40
        ksid[8] = ksid[8] & 0x3F | 0x80
        return bytes(ksid)

    def _home(self, sae: str) -> str:
        return self._kme.directory.saes[sae]

    def _is_here(self, sae: str) -> bool:
        return self._home(sae) == self._kme.directory.kme
