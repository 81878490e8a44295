"""The chunks of ETSI 004 streams: draw one, take one, drop one whose drawing is in doubt, erase what is left.

A chunk is drawn once. Between the announcement of a key to the slave's KME and its delivery a line can break; whether
the slave's application can have the chunk is then in doubt. Before it is drawn anew the slave's KME drops what it
holds, and the new attempt gets another key id; if its application has had it already, the chunk is lost for the master:
the same index never means two things.
"""

from dataclasses import dataclass
from itertools import islice
from typing import Literal, Protocol

from bellweave.errors import NotEnoughKey, NotMet, UnknownKeys
from bellweave.kms.effects import Work, apply, ask
from bellweave.kms.messages import ChunkState, DropChunk, WantChunk
from bellweave.kms.operations import Withdraw
from bellweave.kms.params import Directory, Kms
from bellweave.kms.records import Material
from bellweave.kms.stream_state import Stream, chunk_id
from bellweave.kms.wanted import Wanted

ERASED_AT_ONCE = 4_096
"""Chunks that a CLOSE erases; more than that expire."""


class Keys(Protocol):
    """What streams need of their KME."""

    @property
    def directory(self) -> Directory:
        """Who is who."""
        ...

    @property
    def params(self) -> Kms:
        """Sizes and limits."""
        ...

    def allowed(self, master: str, slave: str) -> bool:
        """Return whether this master, an SAE of this KME, may ask for keys for this slave."""
        ...

    def draw(self, wanted: Wanted, now_s: float) -> Work[tuple[Material, ...]]:
        """Draw keys."""
        ...

    def take(
        self, caller: str, master: str | None, key_ids: tuple[bytes, ...], now_s: float
    ) -> Work[tuple[Material, ...]]:
        """Take keys that wait."""
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """What became of GET_KEY.

    Attributes:
        state: ``delivered``; ``later``: not enough key yet; ``gone``: had before, expired, or not drawn when the stream
            was closed; ``alone``: the peer has not opened yet; ``unknown``: the caller has no such open stream.
        material: If delivered. Never shown.
    """

    state: Literal["delivered", "later", "gone", "alone", "unknown"]
    material: Material | None = None


class Chunks:
    """Chunks of the streams of one KME, the streams being given."""

    def __init__(self, kme: Keys) -> None:
        self._kme = kme

    def fetch(self, stream: Stream, caller: str, index: int, now_s: float) -> Work[Chunk]:
        """Return a chunk to an SAE of this KME; draw it, or have it drawn, if nobody has yet.

        Raises:
            NotEnoughKey, NotMet: Nothing was drawn.
            PeerUnreachable, PeerRefused, StoreFailed: Nothing is delivered.
        """
        end = stream.ends[caller]
        if self._is_here(stream.master):
            if index not in stream.drawn:
                keep = caller != stream.master
                state, material = yield from self._draw(stream, index, keep=keep, now_s=now_s)
                if material is not None:
                    end.taken.add(index)
                    return Chunk("delivered", material)
                if state != "waits":
                    return Chunk(state)
            return (yield from self._take(stream, caller, index, now_s))
        chunk = yield from self._take(stream, caller, index, now_s)
        if chunk.state == "delivered" or stream.closed:
            return chunk
        reply = yield from ask(self._home(stream.master), WantChunk(stream.ksid, index), ChunkState)
        if reply.state != "waits":
            return Chunk(reply.state)
        if reply.attempt:
            stream.failed(index, reply.attempt - 1)
        return (yield from self._take(stream, caller, index, now_s))

    def wanted(self, stream: Stream, index: int, now_s: float) -> Work[ChunkState]:
        """Draw a chunk that the slave's KME asks for, unless it is drawn.

        Raises:
            PeerUnreachable, PeerRefused, StoreFailed: Not drawn, or in doubt.
        """
        state: Literal["waits", "later", "gone"] = "waits"
        if not self._is_here(stream.master):
            state = "gone"
        elif stream.of(stream.master) == "absent":
            state = "later"
        elif index not in stream.drawn:
            try:
                state, _ = yield from self._draw(stream, index, keep=True, now_s=now_s)
            except (NotEnoughKey, NotMet):
                state = "later"
        return ChunkState(state, stream.attempts.get(index, 0))

    def dropped(self, stream: Stream, index: int, attempt: int, now_s: float) -> Work[Literal["later", "gone"]]:
        """Forget what waits here of an attempt; ``gone``: an application has it, or may be getting it at this moment.

        Raises:
            StoreFailed: Nothing was changed.
        """
        if not stream.had(index):
            stream.failed(index, attempt)
            yield from apply(Withdraw(key_ids=(chunk_id(stream.ksid, index, attempt),), now_s=now_s))
        return "gone" if stream.had(index) else "later"

    def erase(self, stream: Stream, known: int, now_s: float) -> Work[int]:
        """Erase what waits here of the chunks below ``known``; returns how many there were.

        Raises:
            StoreFailed: Nothing was changed.
        """
        ends = stream.ends.values()
        floor = min(end.taken.floor for end in ends)
        waiting = (index for index in range(floor, known) if not all(index in end.taken for end in ends))
        key_ids = tuple(stream.key_id(index) for index in islice(waiting, ERASED_AT_ONCE))
        return (yield from apply(Withdraw(key_ids=key_ids, now_s=now_s))) if key_ids else 0

    def _draw(
        self, stream: Stream, index: int, *, keep: bool, now_s: float
    ) -> Work[tuple[Literal["waits", "later", "gone"], Material | None]]:
        """Draw a chunk; with ``keep`` it waits for the master, too, else it is the master's at once."""
        if stream.closed:
            return "gone", None
        if index in stream.drawing:
            return "later", None
        stream.drawing.add(index)
        try:
            if index in stream.doubtful and not (yield from self._cleared(stream, index, now_s)):
                stream.drawn.add(index)
                return "gone", None
            drawn = yield from self._kme.draw(self._wish(stream, index, keep), now_s)
        except (NotEnoughKey, NotMet):
            raise
        except BaseException:
            stream.doubtful.add(index)
            raise
        finally:
            stream.drawing.discard(index)
        stream.drawn.add(index)
        return "waits", None if keep else drawn[0]

    def _wish(self, stream: Stream, index: int, keep: bool) -> Wanted:
        return Wanted(
            master=stream.master,
            slaves=(stream.slave,),
            count=1,
            size_bits=8 * stream.terms.chunk_bytes,
            key_ids=(stream.key_id(index),),
            keep=keep,
            lifetime_s=stream.terms.ttl_s,
        )

    def _cleared(self, stream: Stream, index: int, now_s: float) -> Work[bool]:
        """Have a doubtful chunk dropped at both ends; returns whether it may be drawn anew, in a new attempt."""
        attempt = stream.attempts.get(index, 0)
        state: str = yield from self.dropped(stream, index, attempt, now_s)
        if state == "later" and not self._is_here(stream.slave):
            reply = yield from ask(self._home(stream.slave), DropChunk(stream.ksid, index, attempt), ChunkState)
            state = reply.state
        stream.doubtful.discard(index)
        return state == "later"

    def _take(self, stream: Stream, caller: str, index: int, now_s: float) -> Work[Chunk]:
        end = stream.ends[caller]
        end.taking.add(index)
        try:
            (material,) = yield from self._kme.take(caller, stream.master, (stream.key_id(index),), now_s)
            end.taken.add(index)
        except UnknownKeys:
            return Chunk("gone")
        finally:
            end.taking.discard(index)
        return Chunk("delivered", material)

    def _home(self, sae: str) -> str:
        return self._kme.directory.saes[sae]

    def _is_here(self, sae: str) -> bool:
        return self._home(sae) == self._kme.directory.kme
