"""One node's end of all its links to one other node: from blocks of photons to key, over a TLS line between the two.

Rules:

1. The node whose name comes first in the alphabet dials, and says which blocks are to be distilled as one as soon as it
   has enough of them; the other waits for it. One conversation follows the other.
2. Both must have the same blocks. What one of them lacks, for it was away, both give up; what is left is distilled with
   the blocks that follow. Numbers only grow, so whoever has a later block will never get an earlier one.
3. A conversation that fails costs its blocks, at both ends, and the line; the next one has a new line.
4. A conversation of much data, or one that calibrates clocks, computes in a thread: the node's other work goes on.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from bellweave.blocks import Role, SecretBlock
from bellweave.dialogue import Codec, Dialogue, Message
from bellweave.edge import dialogue_tcp, frames
from bellweave.edge.frames import LineCut
from bellweave.emu.messages import Agreed, Concluded, Lacking, Proposed
from bellweave.errors import BellweaveError, ProtocolError
from bellweave.results.network_records import BlockLost
from bellweave.roles.node import Ended, Seen, clicked
from bellweave.roles.slave import Block, Outcomes, Tested

BYTE = 8
"""A KME keeps whole bytes of a block."""

SILENCE_S = 10.0
"""Longest silence of the other node in a conversation."""

SEARCH_S = 60.0
"""The same where clocks are brought together: a search over all offsets takes seconds."""

LATE_S = 5.0
"""How long a block that the other node has is waited for: the source sends it to both at the same time."""

AWAY_S = 10.0
"""How long blocks wait for another node that can't be reached."""

CONCLUDE_S = 120.0
"""How long the other node's KME may take to store a block: its store may be out of order for a while."""

LEAST_PAUSE_S = 0.1
MOST_PAUSE_S = 1.0

MUCH = 200_000
"""Detections or rounds with which a step of a conversation takes longer than 20 ms."""

_ANSWERS = Codec(Agreed, Lacking)
_PROPOSALS = Codec(Proposed)
_ENDS = Codec(Concluded)

_log = structlog.get_logger(__name__)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[[], Awaitable[Streams]]
Ingest = Callable[[SecretBlock, str], Awaitable[None]]


class End(Protocol):
    """One end of one link: a :class:`~bellweave.roles.node.Party` or a :class:`~bellweave.roles.slave.Slave`."""

    @property
    def link(self) -> str:
        """Of that name at both ends."""
        ...

    @property
    def role(self) -> Role:
        """Which end."""
        ...

    @property
    def calibrates(self) -> bool:
        """Whether clocks are brought together first."""
        ...

    @property
    def codec(self) -> Codec:
        """For all that the two ends say to each other."""
        ...

    def distil(self, blocks: Sequence[Any]) -> Dialogue[Ended] | Dialogue[Tested]:
        """Go from what this end has of blocks, of its own kind, to a secret block."""
        ...


@dataclass(frozen=True)
class Piece:
    """One block of a link as this node has it; ``slot`` collected its photons."""

    slot: int
    seen: Seen | tuple[Block, Outcomes]

    @property
    def number(self) -> int:
        """Counts the link's blocks."""
        return self.seen[0].number


@dataclass(frozen=True)
class Done:
    """A conversation that has ended, as Alice knows it.

    Attributes:
        party: Her end.
        pieces: What was distilled as one.
        ended: What came of it at her end.
        singles: Her detections and his; None where there are only rounds.
        sacrificed: Detections that calibration disclosed, both ends together.
        ingested_bits: What both KMEs took.
    """

    party: End
    pieces: Sequence[Piece]
    ended: Ended | Tested
    singles: tuple[int | None, int | None]
    sacrificed: int
    ingested_bits: int


class Pair:
    """This node's end of its links to one other node.

    Args:
        name: This node.
        peer: The other one.
        parties: This node's end of each link between the two.
        together: How many blocks are distilled as one.
        ingest: Gives key to this node's KME, and returns when it is stored.
        done: Gets conversations that have ended, at Alice's end.
        lost: Gets blocks that came to nothing.
        now: Seconds since the run began.
    """

    def __init__(
        self,
        name: str,
        peer: str,
        parties: Sequence[End],
        together: int,
        *,
        ingest: Ingest,
        done: Callable[[Done], None],
        lost: Callable[[BlockLost], None],
        now: Callable[[], float],
    ) -> None:
        self.name, self.peer = name, peer
        self._parties = {party.link: party for party in parties}
        self._together = together
        self._ingest, self._done, self._lost, self._now = ingest, done, lost, now
        self._held: dict[str, list[Piece]] = {link: [] for link in self._parties}
        self._last = dict.fromkeys(self._parties, -1)
        self._news = asyncio.Condition()
        self._line: Streams | None = None
        self._busy = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is under way, and there are not enough blocks of any link."""
        return not self._busy and self._ready() is None

    async def take(self, link: str, piece: Piece) -> None:
        """Take a block from the source."""
        async with self._news:
            self._held[link].append(piece)
            self._last[link] = piece.number
            self._news.notify_all()

    def give_up(self) -> None:
        """Give up the blocks for which there are enough and yet no conversation came: the run is over."""
        for link, held in self._held.items():
            if len(held) >= self._together:
                self._lose(link, [piece.number for piece in held], f"{self.peer} did not ask for them")

    # -------------------------------------------------------------------------------------------------------- dialling

    async def call(self, dial: Dial) -> None:
        """Propose conversations for ever; of the two nodes, the first in the alphabet does this."""
        try:
            while True:
                async with self._news:
                    while (link := self._ready()) is None:
                        await self._news.wait()
                    self._busy += 1
                try:
                    await self._lead(link, dial)
                finally:
                    self._busy -= 1
        finally:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line[1].transport.abort()
            self._line = None

    def _ready(self) -> str | None:
        return next((link for link, held in self._held.items() if len(held) >= self._together), None)

    async def _lead(self, link: str, dial: Dial) -> None:
        """Have one conversation about a link."""
        pieces = self._held[link][: self._together]
        numbers = [piece.number for piece in pieces]
        answer = None
        if self._line is not None:  # the other node may have gone and come back since the last conversation
            with contextlib.suppress(LineCut):
                answer = await self._answered(link, pieces, self._line)
        try:
            if self._line is None or answer is None:
                self._line = await self._dialled(dial)
                answer = await self._answered(link, pieces, self._line)
            if isinstance(answer, Lacking):
                if not set(answer.blocks) & set(numbers):
                    raise ProtocolError(f"{self.peer} lacks blocks that nobody asked for")
                self._lose(link, answer.blocks, f"{self.peer} lacks them")
                return
            if not isinstance(answer, Agreed):
                raise ProtocolError(f"{self.peer} answers neither yes nor no")
            await self._converse(link, pieces, self._line, answer.singles)
        except (LineCut, BellweaveError) as error:
            self._lose(link, numbers, str(error))
            self._hang_up()

    async def _answered(self, link: str, pieces: Sequence[Piece], line: Streams) -> Message:
        """Return what the other node says to this proposal.

        Raises:
            LineCut: Nothing.
        """
        reader, writer = line
        try:
            proposed = Proposed(link, tuple(piece.number for piece in pieces), _singles(pieces))
            await frames.send(writer, proposed, SILENCE_S)
            return await frames.receive(reader, _ANSWERS, LATE_S + SILENCE_S)
        except (LineCut, ProtocolError) as error:
            self._hang_up()
            raise LineCut(str(error)) from None

    async def _dialled(self, dial: Dial) -> Streams:
        pause_s, until_s = LEAST_PAUSE_S, asyncio.get_running_loop().time() + AWAY_S
        while True:
            try:
                return await dial()
            except (OSError, ProtocolError) as error:  # of which time-outs and ssl.SSLError are kinds
                _log.info("another node can't be reached", node=self.peer, problem=str(error) or "time-out")
            if asyncio.get_running_loop().time() + pause_s > until_s:
                raise LineCut(f"{self.peer} can't be reached")
            await asyncio.sleep(pause_s)
            pause_s = min(2.0 * pause_s, MOST_PAUSE_S)

    # ------------------------------------------------------------------------------------------------------- answering

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the other node's proposals until the line is cut.

        Raises:
            LineCut: It is.
            BellweaveError: A conversation failed, or the other node broke the protocol.
        """
        while True:
            proposed = await frames.receive(reader, _PROPOSALS)
            self._busy += 1
            try:
                await self._follow(proposed, reader, writer)
            finally:
                self._busy -= 1

    async def _follow(self, proposed: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not isinstance(proposed, Proposed) or proposed.link not in self._parties:
            raise ProtocolError(f"{self.peer} proposes nothing that concerns this node")
        link, numbers = proposed.link, proposed.blocks
        if len(numbers) != self._together or list(numbers) != sorted(set(numbers)):
            raise ProtocolError(
                f"{self.peer} proposes blocks {numbers}, {self._together} in a row are distilled as one"
            )
        lacking = await self._lacking(link, numbers)
        stale = [each.number for each in self._held[link] if each.number < numbers[-1] and each.number not in numbers]
        if stale:
            self._lose(link, stale, f"{self.peer} lacks them")
        if lacking:
            await frames.send(writer, Lacking(lacking), SILENCE_S)
            return
        pieces = [piece for piece in self._held[link] if piece.number in numbers]
        try:
            await frames.send(writer, Agreed(_singles(pieces)), SILENCE_S)
            await self._converse(link, pieces, (reader, writer), proposed.singles)
        except (LineCut, BellweaveError) as error:
            self._lose(link, numbers, str(error))
            raise

    async def _lacking(self, link: str, numbers: Sequence[int]) -> tuple[int, ...]:
        """Return which of these blocks this node lacks, when it is sure that it will not get them any more."""

        def missing() -> tuple[int, ...]:
            here = {piece.number for piece in self._held[link]}
            return tuple(number for number in numbers if number not in here)

        try:
            async with asyncio.timeout(LATE_S), self._news:
                while any(number > self._last[link] for number in missing()):
                    await self._news.wait()
        except TimeoutError:
            pass
        return missing()

    # ------------------------------------------------------------------------------------------------------------ both

    async def _converse(self, link: str, pieces: Sequence[Piece], line: Streams, singles: int | None) -> None:
        """Distil these blocks with the other node, which has so many detections of them; give the key to the KME."""
        party, (reader, writer) = self._parties[link], line
        seen = [piece.seen for piece in pieces]
        threaded = party.calibrates or sum(len(each) for _, each in seen) > MUCH
        silence_s = SEARCH_S if party.calibrates else SILENCE_S
        role: Dialogue[Ended | Tested] = party.distil(seen)
        ended = await dialogue_tcp.run(role, reader, writer, party.codec, silence_s, threaded=threaded)
        done = {piece.number for piece in pieces}
        self._held[link] = [piece for piece in self._held[link] if piece.number not in done]
        bits = await self._given(link, done, ended.outcome.block)
        if party.role == "bob":
            await frames.send(writer, Concluded(ended.sacrificed, bits), SILENCE_S)
            return
        try:
            concluded = await frames.receive(reader, _ENDS, CONCLUDE_S)
        except (
            LineCut,
            ProtocolError,
        ) as error:  # the key is with our KME; whether it is with the other, the KMEs find out
            _log.warning("another node did not say how a conversation ended", node=self.peer, problem=str(error))
            concluded = Concluded(0, 0)
            writer.transport.abort()
        if not isinstance(concluded, Concluded):
            raise ProtocolError(f"{self.peer} does not conclude")
        sacrificed, both = ended.sacrificed + concluded.sacrificed, min(bits, concluded.ingested_bits)
        self._done(Done(party, pieces, ended, (_singles(pieces), singles), sacrificed, both))

    async def _given(self, link: str, numbers: Iterable[int], block: SecretBlock | None) -> int:
        """Give key to the KME; return how many bits it took."""
        if block is None or block.bit_count < BYTE:
            return 0
        try:
            await self._ingest(block, self.peer)
        except BellweaveError as error:
            reason = f"the key server did not take the key: {error}"
            self._lost(BlockLost(at_s=self._now(), link=link, node=self.name, blocks=tuple(numbers), reason=reason))
            return 0
        return block.bit_count // BYTE * BYTE

    def _lose(self, link: str, numbers: Sequence[int], reason: str) -> None:
        """Give up those of these blocks that are here."""
        lost = tuple(piece.number for piece in self._held[link] if piece.number in numbers)
        self._held[link] = [piece for piece in self._held[link] if piece.number not in numbers]
        if lost:
            self._lost(BlockLost(at_s=self._now(), link=link, node=self.name, blocks=lost, reason=reason))


def _singles(pieces: Sequence[Piece]) -> int | None:
    return clicked([piece.seen[1] for piece in pieces])
