"""A node's process: the device end, the KME with its store, and the agents of its gateways.

All run in one event loop, and are strangers to each other: the device hands its blocks to the KME, the agents ask the
KME as any application would, by ETSI 014 over mutual TLS. Keys and certificates are in memory only; on disk is the
KME's store, with the master key's wraps.

Order: the KME serves and meets its peers; then the device joins the source, which begins when all nodes have joined;
then agents ask for keys.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import structlog

from bellweave.blocks import SecretBlock
from bellweave.edge import clock
from bellweave.edge.kme_node import KmeNode
from bellweave.edge.memory_files import MemoryFiles
from bellweave.emu.agents import Agents
from bellweave.emu.deployment import Command, Credentials, Drain, Finish, NodeDeployment, Order, Said, Stocked
from bellweave.emu.device import Device
from bellweave.emu.health import Health
from bellweave.emu.messages import Fault
from bellweave.errors import DeliveryError, ScenarioError, StoreFailed
from bellweave.kms.config import KmeConfig
from bellweave.results.network_records import BlockDistilled, Delivered, Event
from bellweave.roles.randomness import Randomness, Secret, Seeded
from bellweave.scenario.directory import ends_of
from bellweave.scenario.load import parse

STEP_S = 20.0
"""How long a node waits for the KMEs of its peers before it joins the source all the same: it may be they that fail."""

AGAIN_S = 0.5
"""And so long when it was started again: the run goes on, and tunnels to those that are there shall come back."""

POLL_S = 0.05
INGEST_PAUSE_S = 0.5
SETTLE_S = 1.0
"""After the last slot: what is under way between gateways and KMEs ends."""

EARLY_S = 1.0
"""Where the run is stopped early: blocks under way have so long."""

GRACE_S = 2.0

_log = structlog.get_logger(__name__)

Say = Callable[[msgspec.Struct], None]


async def run(deployment: NodeDeployment, say: Say, commands: AsyncIterator[Command]) -> None:
    """Be a node until the commands end.

    Raises:
        ScenarioError, StoreFailed: It can't start.
    """
    node = Node(deployment, say)
    await node.start()
    try:
        async for command in commands:
            match command:
                case Drain(early=early):
                    await node.drain(early=early)
                case Finish():
                    await node.finish()
                case Order(fault=fault):
                    await node.order(fault)
    finally:
        await node.stop()


def randomness_of(deployment: NodeDeployment, seed: int) -> Randomness:
    """Return what a process's random numbers come from."""
    given = deployment.secrets
    return Seeded(seed) if given is None else Secret(given.run, given.own, given.links)


class Node:
    """One node.

    Args:
        deployment: What it got.
        say: Gets events and what else is to be said.
    """

    def __init__(self, deployment: NodeDeployment, say: Say) -> None:
        self._deployment = deployment
        self._say = say
        self._scenario = parse(deployment.scenario)
        self._files = MemoryFiles()
        self._ca = self._files.path("ca.crt", deployment.ca)
        self._again = self._store().exists()
        self._kme = self._made_kme()
        name = deployment.name
        self._peers = {
            link: b if a == name else a for link, (a, b) in ends_of(self._scenario).items() if name in {a, b}
        }
        cert, key = self._pair(deployment.device, "device")
        self._device = Device(
            name,
            self._scenario,
            randomness_of(deployment, self._scenario.run.seed),
            ca=self._ca,
            cert=cert,
            key=key,
            source=deployment.source,
            peers=deployment.peers,
            ingest=self._ingest,
            note=self._note,
            begun=self._begun,
        )
        self._health = Health(self._kme, self._peers, say, self._stocked, self.now_s)
        self._agents = Agents(deployment, self._scenario, self._ca, self._files, self._note, self.now_s, self._complain)
        self._origin_s: float | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._joining: asyncio.Task[None] | None = None
        self._locked: sqlite3.Connection | None = None

    def now_s(self) -> float:
        """Return the seconds since the run began; 0 before it did."""
        return 0.0 if self._origin_s is None else time.monotonic() - self._origin_s

    async def start(self) -> None:
        """Serve, and go on by itself from there.

        Raises:
            ScenarioError: An address or a file can't be used.
            StoreFailed: The store can't be opened.
        """
        await self._kme.start()
        host, port = self._deployment.listen
        try:
            await self._device.listen(host, port)
        except OSError as error:
            raise ScenarioError(f"can't listen there: {error.strerror}", path=f"{host}:{port}") from None
        self._agents.make(self._kme.addresses["etsi014"])
        self._say(Said(what="serving"))
        self._tasks = [asyncio.create_task(self._health.watch())]
        self._joining = asyncio.create_task(self._join())

    async def over(self) -> None:
        """Wait until the source has ended, and what it sent is done."""
        if self._joining is not None:
            await asyncio.wait((self._joining,))

    async def drain(self, *, early: bool = False) -> None:
        """Let agents ask no more, and end what is under way."""
        self._agents.finish()
        if self._joining is not None:  # the device has a time limit of its own for what is under way
            await asyncio.wait((self._joining,), timeout=EARLY_S if early else None)
        await asyncio.sleep(SETTLE_S)
        self._say(Said(what="drained"))

    async def finish(self) -> None:
        """End all sessions and close the books; the KME goes on."""
        await self._agents.stop()
        await self._cancel_all()
        try:
            await self._health.look()
            for closed in await self._health.close(self.now_s()):
                self._say(closed)
        except DeliveryError as error:
            self._complain(f"the books can't be closed: {error}")
        self._say(Said(what="finished"))

    async def stop(self) -> None:
        """Stop everything."""
        self._unlock()
        await self._agents.stop()
        await self._cancel_all()
        await self._device.close()
        await self._kme.stop(GRACE_S)
        self._files.close()

    async def order(self, fault: Fault) -> None:
        """Carry out a fault, or end it."""
        match fault.kind:
            case "partition":
                self._kme.links.partition(fault.target, on=fault.on)
            case "clock":
                clock.step(fault.value if fault.on else 0.0)
            case "store" if fault.on:
                await self._lock()
            case "store":
                self._unlock()
            case _:
                self._complain(f"a node knows no fault {fault.kind!r}")

    # ----------------------------------------------------------------------------------------------------------- parts

    def _made_kme(self) -> KmeNode:
        given = self._deployment
        cert, key = self._pair(given.kme_credentials, "kme")
        tls = msgspec.structs.replace(given.kme.tls, ca=str(self._ca), cert=str(cert), key=str(key))
        config: KmeConfig = msgspec.structs.replace(given.kme, tls=tls)
        return KmeNode(config, Path(given.folder), master_key=given.master_key)

    def _store(self) -> Path:
        """Return where the KME's store lies, or will."""
        return Path(self._deployment.folder) / self._deployment.kme.store.removeprefix("sqlite:///")

    def _pair(self, credentials: Credentials, name: str) -> tuple[Path, Path]:
        return self._files.path(f"{name}.crt", credentials.certificate), self._files.path(
            f"{name}.key", credentials.key
        )

    async def _join(self) -> None:
        """Meet the peers' KMEs, then work with the source until it has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(AGAIN_S if self._again else STEP_S):
                while not all(self._kme.kme.in_step(peer) for peer in self._peers.values()):  # noqa: ASYNC110 no event
                    await asyncio.sleep(POLL_S)
        self._say(Said(what="in step", detail=self._address()))
        try:
            await self._device.run(warm=not self._again)
        except Exception as error:
            _log.exception("the device end has failed")
            self._complain(f"the device end has failed: {type(error).__name__}: {error}")
            raise

    def _begun(self, elapsed_s: float) -> None:
        """The run has begun so long ago: agents may ask for keys."""
        if self._origin_s is None:
            self._origin_s = time.monotonic() - elapsed_s
            self._agents.begin()

    def _address(self) -> str:
        host, port = self._kme.addresses["etsi014"]
        return f"https://{host}:{port}"

    async def _ingest(self, block: SecretBlock, peer: str) -> None:
        """Give a block to the KME; a store that can't be written now is waited for."""
        while True:
            try:
                await self._kme.driver.run(self._kme.kme.ingest(block, peer, clock.now_s()))
            except StoreFailed as error:
                _log.warning("a block waits for the store", block=block.block_id, problem=str(error))
                await asyncio.sleep(INGEST_PAUSE_S)
            else:
                break
        self._kme.wake()
        self._health.changed()

    def _note(self, event: Event) -> None:
        self._say(event)
        if isinstance(event, Delivered | BlockDistilled):
            self._health.changed()

    def _stocked(self, stocked: Stocked) -> None:
        self._say(stocked)
        self._device.stock(stocked.link, stocked.available_bits)

    def _complain(self, detail: str) -> None:
        _log.warning(detail)
        self._say(Said(what="problem", detail=detail))

    async def _cancel_all(self) -> None:
        tasks = [*self._tasks, *(() if self._joining is None else (self._joining,))]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks, self._joining = [], None

    # ---------------------------------------------------------------------------------------------------------- faults

    async def _lock(self) -> None:
        """Hold the store's write lock, as another program would that hangs."""
        if self._locked is not None:
            return
        path = self._store()

        def locked() -> sqlite3.Connection:
            connection = sqlite3.connect(path, isolation_level=None, timeout=10.0, check_same_thread=False)
            connection.execute("BEGIN EXCLUSIVE")
            return connection

        try:
            self._locked = await asyncio.to_thread(locked)
        except sqlite3.Error as error:
            self._complain(f"the store can't be locked: {error}")

    def _unlock(self) -> None:
        if self._locked is not None:
            self._locked.close()
            self._locked = None
