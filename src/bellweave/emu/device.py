"""The device end of a node: takes from the source what the node's detectors saw, and makes key of it with its peers.

The source and the other nodes' devices are known by their certificates, as devices. Whatever line is cut is dialled
again; a device that was away says so to the source and joins in (:mod:`bellweave.emu.source`), and its peers find out
block by block what it lacks (:mod:`bellweave.emu.pair`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

from bellweave.blocks import Role, SecretBlock
from bellweave.dialogue import Codec, Message
from bellweave.edge import frames
from bellweave.edge.frames import LineCut
from bellweave.edge.identity import Holder, holder_at
from bellweave.edge.tls import client_context, server_context
from bellweave.edge.tls_listener import TlsListener
from bellweave.emu import quanta, warm_up
from bellweave.emu.deployment import SOURCE
from bellweave.emu.messages import Begun, Ended, Handed, Joined, Measurement, Quantum, Stock, Taken
from bellweave.emu.pair import Done, End, Pair, Piece, Streams
from bellweave.emu.slave_ends import SlaveEnds
from bellweave.errors import BellweaveError, ProtocolError
from bellweave.kms.config import Limits
from bellweave.results.network_records import BlockDistilled, BlockLost, Event
from bellweave.roles.node import Facts, Party
from bellweave.roles.randomness import Randomness
from bellweave.roles.watchman import Watchman
from bellweave.scenario.schema import Scenario

Address = tuple[str, int]

DIAL_S = 5.0
"""How long dialling may take, the handshake included."""

SILENCE_S = 10.0
LEAST_PAUSE_S = 0.1
MOST_PAUSE_S = 1.0
"""Between attempts to reach the source; each pause is twice the one before."""

DRAIN_S = 15.0
"""How long blocks under way may take after the last slot."""

POLL_S = 0.02

_LIMITS = Limits(connections=256, handshakes=8, handshake_s=DIAL_S)
_FROM_SOURCE = Codec(Begun, Quantum, Measurement, Handed, Ended)
BYTE = 8

_log = structlog.get_logger(__name__)


class Device:
    """One node's device end.

    Args:
        name: Of the node.
        scenario: As it was written; faults are the source's business.
        randomness: What this node draws from.
        ca: Certificates of the authorities, PEM.
        cert: Own certificate, as a device that listens, PEM.
        key: Of that certificate, PEM.
        source: Where the source listens.
        peers: Where the devices of other nodes listen, by node.
        ingest: Gives a block of key, shared with a peer, to this node's KME; returns when it is stored.
        note: Gets each event as it happens: ``BlockDistilled`` and ``Alarmed`` where this node is a link's Alice,
            ``BlockLost``.
        begun: Called whenever the source says that the run began so many seconds ago, also after a cut.

    Raises:
        ScenarioError: A file can't be used.
    """

    def __init__(
        self,
        name: str,
        scenario: Scenario,
        randomness: Randomness,
        *,
        ca: Path,
        cert: Path,
        key: Path,
        source: Address,
        peers: Mapping[str, Address],
        ingest: Callable[[SecretBlock, str], Awaitable[None]],
        note: Callable[[Event], None],
        begun: Callable[[float], None] | None = None,
    ) -> None:
        self.name, self._scenario = name, scenario
        self._server = server_context(ca, cert, key, least_version="1.3")
        self._client = client_context(ca, cert, key, least_version="1.3", check_hostname=False)
        self._source, self._addresses = source, dict(peers)
        self._note, self._begun = note, begun
        self._watchman = Watchman(scenario.monitor)
        self._origin_s: float | None = None
        self._listener: TlsListener | None = None
        self._to_source: asyncio.StreamWriter | None = None
        self._stock: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: dict[str, asyncio.StreamWriter] = {}
        self._pair_of: dict[str, Pair] = {}
        self._ingest = ingest
        self._peer_of = {
            demand: ends.b if name == ends.a else ends.a
            for demand, ends in scenario.demand.items()
            if name in {ends.a, ends.b}
        }
        parties: dict[str, list[End]] = {}
        for link, ends in scenario.link.items():
            if name in {ends.alice, ends.bob}:
                role: Role = "alice" if name == ends.alice else "bob"
                peer = ends.bob if role == "alice" else ends.alice
                parties.setdefault(peer, []).append(Party(scenario, link, role, randomness))
        self._slave_ends = SlaveEnds(name, scenario, randomness)
        for slave, peer in self._slave_ends:
            parties.setdefault(peer, []).append(slave)
        together = 1 if scenario.slave else scenario.distill.accumulate_blocks
        self._pairs = {
            peer: Pair(name, peer, theirs, together, ingest=ingest, done=self._done, lost=self._lost, now=self.now_s)
            for peer, theirs in parties.items()
        }
        for peer, theirs in parties.items():
            self._pair_of |= {party.link: self._pairs[peer] for party in theirs}

    def now_s(self) -> float:
        """Return the seconds since the run began; 0 before it did."""
        return 0.0 if self._origin_s is None else asyncio.get_running_loop().time() - self._origin_s

    async def listen(self, host: str, port: int = 0) -> int:
        """Let other nodes' devices dial in from now on; returns the port, a free one for 0.

        Raises:
            OSError: The address can't be had.
        """
        self._listener = TlsListener(self._server, _LIMITS, self._serve)
        await self._listener.start(host, port)
        return self._listener.port

    async def run(self, *, warm: bool = True) -> None:
        """Join the source, and work until its last slot has ended and what is under way is done.

        Args:
            warm: Whether to load compiled code and tables first, so that the first block is quick.
        """
        for peer, pair in self._pairs.items():
            if self.name < peer:
                task = asyncio.create_task(pair.call(lambda peer=peer: self._dialled(Holder("device", peer))))  # type: ignore[misc]
                self._tasks.add(task)
        try:
            if warm:
                await asyncio.to_thread(warm_up.distillation, self._scenario)
            pause_s = LEAST_PAUSE_S
            while not await self._joined():
                await asyncio.sleep(pause_s)
                pause_s = min(2.0 * pause_s, MOST_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    while not all(pair.idle for pair in self._pairs.values()):  # noqa: ASYNC110 three kinds of events
                        await asyncio.sleep(POLL_S)
            for pair in self._pairs.values():
                pair.give_up()
        finally:
            await self._end_tasks()

    def stock(self, link: str, level_bits: int) -> None:
        """Tell the source how much key of a link is in stock here, for schedulers that look at it."""
        self._stock[link] = level_bits
        self._tell_source(Stock(link, level_bits))

    async def close(self) -> None:
        """Let everything go, whatever is under way."""
        await self._end_tasks()
        if self._listener is not None:
            await self._listener.stop()
            await self._listener.cut()

    # ---------------------------------------------------------------------------------------------------------- source

    async def _joined(self) -> bool:
        """Be with the source until it has ended (true) or the line is cut (false)."""
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await self._dialled(Holder("device", SOURCE), self._source)
            await frames.send(writer, Joined(self.name), SILENCE_S)
            self._to_source = writer
            for link, level_bits in self._stock.items():
                await frames.send(writer, Stock(link, level_bits), SILENCE_S)
            while True:
                message = await frames.receive(reader, _FROM_SOURCE, max_bytes=quanta.MAX_BYTES)
                if isinstance(message, Ended):
                    return True
                await self._heard(message)
        except (OSError, ProtocolError) as error:  # of which LineCut, time-outs and ssl.SSLError are kinds
            _log.info("no line to the source", node=self.name, problem=str(error) or "time-out")
            return False
        finally:
            self._to_source = None
            if writer is not None:
                writer.transport.abort()

    async def _heard(self, message: Message) -> None:
        match message:
            case Begun():
                self._origin_s = asyncio.get_running_loop().time() - message.elapsed_s
                if self._begun is not None:
                    self._begun(message.elapsed_s)
            case Quantum():
                if message.link not in self._pair_of:
                    raise ProtocolError(f"the source sends of a link {message.link!r} that does not end here")
                piece = Piece(message.slot, quanta.unpacked(message))
                await self._pair_of[message.link].take(message.link, piece)
            case Measurement():
                link, piece = self._slave_ends.piece(message)
                await self._pair_of[link].take(link, piece)
            case Handed():
                if message.demand not in self._peer_of:
                    raise ProtocolError(f"the source sends of a demand {message.demand!r} that does not end here")
                self._beside(self._take(message))

    async def _take(self, handed: Handed) -> None:
        """Give a block to the KME, and tell the source."""
        block, bits = handed.block, 0
        try:
            await self._ingest(block, self._peer_of[handed.demand])
            bits = block.bit_count // BYTE * BYTE
        except BellweaveError as error:
            _log.warning("the key server did not take a block", block=block.block_id, problem=str(error))
        self._tell_source(Taken(block.block_id, bits))

    def _tell_source(self, message: Message) -> None:
        """Say something to the source, if there is a line to it."""
        if self._to_source is not None and not self._to_source.is_closing():
            self._say(self._to_source, message)

    def _say(self, writer: asyncio.StreamWriter, message: Message) -> None:
        async def said() -> None:
            with contextlib.suppress(LineCut):
                await frames.send(writer, message, SILENCE_S)

        self._beside(said())

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ----------------------------------------------------------------------------------------------------------- peers

    async def _dialled(self, holder: Holder, address: Address | None = None) -> Streams:
        """Return a line to this device.

        Raises:
            OSError: Nobody answers.
            ProtocolError: Somebody else answers.
        """
        host, port = address or self._addresses[holder.name]
        async with asyncio.timeout(DIAL_S):
            reader, writer = await asyncio.open_connection(host, port, ssl=self._client)
        if holder_at(writer.transport) != holder:
            writer.transport.abort()
            raise ProtocolError(f"who answers at {host}:{port} is not {holder.name}")
        frames.keep_alive(writer)
        return reader, writer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer another node's proposals; a new line of it takes the place of an old one, which may be dead."""
        holder = holder_at(writer.transport)
        if holder is None or holder.role != "device" or holder.name not in self._pairs or holder.name > self.name:
            _log.warning("a device is not let in", node=self.name, shown=str(holder))
            return
        peer = holder.name
        frames.keep_alive(writer)
        if peer in self._lines:
            self._lines[peer].transport.abort()
        self._lines[peer] = writer
        try:
            await self._pairs[peer].answer(reader, writer)
        except (LineCut, BellweaveError) as error:
            _log.info("the line to another node ended", node=peer, problem=str(error))
        finally:
            if self._lines.get(peer) is writer:
                del self._lines[peer]

    # ---------------------------------------------------------------------------------------------------------- events

    def _done(self, done: Done) -> None:
        """A block was distilled, and this is Alice's end."""
        if not isinstance(done.party, Party):
            self._tell_source(self._slave_ends.report(done))
            return
        facts = [piece.seen[0] for piece in done.pieces if isinstance(piece.seen[0], Facts)]
        record = done.party.record(facts, done.singles, done.sacrificed, done.ended.outcome)
        at_s = self.now_s()
        slot, bits = done.pieces[-1].slot, done.ingested_bits
        self._note(BlockDistilled(at_s=at_s, slot=slot, block=record, ingested_bits=bits))
        alarm = self._watchman.look(record, at_s)
        if alarm is not None:
            self._note(alarm)

    def _lost(self, event: BlockLost) -> None:
        """Blocks came to nothing; of a slave's the source hears, too."""
        demand = self._slave_ends.demand_of(event.link)
        if demand is None:
            self._note(event)
            return
        for reported in self._slave_ends.lost(event):
            self._tell_source(reported)
        self._note(msgspec.structs.replace(event, link=demand))

    async def _end_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._tasks.clear()
