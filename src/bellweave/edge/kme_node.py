"""One KME as a running program: store, links, endpoints, and the tick that keeps them going.

What happens when it stops: endpoints take no more connections and answer what has been asked; work under way ends;
links close; the store commits what it was given and closes. Each step has its time; what is cut short is safe, as after
a crash, and costs key at worst.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from bellweave.dialogue import Message
from bellweave.edge import kme_config, logs
from bellweave.edge.access_log import AccessLog
from bellweave.edge.clock import now_s
from bellweave.edge.entropy import SystemEntropy
from bellweave.edge.etsi004_server import Etsi004Server
from bellweave.edge.event_loop import loop_factory
from bellweave.edge.http_server import HttpServer
from bellweave.edge.identity import presented
from bellweave.edge.kme_link import Links
from bellweave.edge.kme_references import address
from bellweave.edge.kme_servers import etsi004_server, https_servers
from bellweave.edge.kme_store import opened
from bellweave.edge.kme_watch import KmeWatch, Telemetry, admin_server
from bellweave.edge.kms_driver import Driver
from bellweave.edge.store_writer import StoreWriter
from bellweave.edge.tls import Certificates
from bellweave.edge.vendor_pull import VendorPull
from bellweave.errors import DeliveryError, PeerRefused, ScenarioError
from bellweave.kms.config import Endpoint, KmeConfig, Skip
from bellweave.kms.effects import Work
from bellweave.kms.messages import Done, Pulled, Refused
from bellweave.kms.operations import Store
from bellweave.kms.roster import Roster
from bellweave.kms.service import Kme

TICK_S = 1.0

GRACE_S = 5.0
"""How long requests under way may take when the node stops."""

_log = structlog.get_logger(__name__)


class KmeNode:
    """One KME.

    Args:
        config: Checked (:func:`bellweave.edge.kme_config.load`).
        base: What its relative paths start from.
        access_log: Gets a line for each request; None: none is kept.
        fill: Gets the open store before anything else does: a sandbox puts test key there.
        master_key: What wraps the data keys at rest, 32 bytes; None: what the configuration names.

    Attributes:
        kme: The KME itself; there from :meth:`start` on, like the next three.
        driver: Runs its work.
        writer: Of its store.
        links: To the others.
        addresses: Where each endpoint listens.
    """

    kme: Kme
    driver: Driver
    writer: StoreWriter
    links: Links

    def __init__(
        self,
        config: KmeConfig,
        base: Path,
        access_log: AccessLog | None = None,
        fill: Callable[[Store], None] | None = None,
        master_key: bytes | None = None,
    ) -> None:
        self.config = config
        self._fill = fill
        self._master_key = master_key
        self.addresses: dict[str, tuple[str, int]] = {}
        self.certificates = Certificates(config.tls, base, _log.warning)
        self._base = base
        self._telemetry = Telemetry(access_log)
        self._servers: dict[str, HttpServer] = {}
        self._etsi004: Etsi004Server | None = None
        self._due = asyncio.Event()
        self._pulls: dict[str, VendorPull] = {}
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the store, and begin to serve.

        Raises:
            ScenarioError: A file can't be used, or an address not listened on.
            StoreFailed: The store can't be opened.
        """
        config = self.config
        store = await asyncio.to_thread(opened, config, self._base, self._master_key)
        try:
            if self._fill is not None:
                await asyncio.to_thread(self._fill, store.store)
        except BaseException:
            store.store.close()
            raise
        self.kme = Kme(
            config.directory,
            config.kms,
            SystemEntropy(),
            store_name=store.name,
            server=config.server,
            lowers_cursors=not store.shared,
        )
        committed = None if store.in_memory else self._telemetry.metrics.committed  # which commits nothing
        self.writer = StoreWriter(store.store, inline=store.in_memory, observe=committed)
        self.links = Links(
            self.kme.name,
            self._peers(),
            self,
            identify=self._identify,
            server_ssl=self.certificates.server_context,
            client_ssl=lambda: self.certificates.client_context,
            timeout_s=config.limits.peer_s,
            handshakes=config.limits.handshakes,
        )
        self.driver = Driver(self.kme, self.kme.name, self.writer, self.links)
        try:
            await self._serve()
        except BaseException:
            await self.stop(0.0)
            raise

    async def _serve(self) -> None:
        config = self.config
        link = await self.links.start(*(() if config.link is None else address(config.link.listen)))
        if link is not None:
            self.addresses["link"] = link
        self._pulls = {
            name: VendorPull(name, vendor, self._base, self.kme, self.driver, self.wake)
            for name, vendor in config.vendors.items()
        }
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(work) for work in (self._tick(), *(pull.run() for pull in self._pulls.values()))
        ]
        self._servers = https_servers(
            config, self.kme, self.driver, self.certificates, self._telemetry, arrived=self.wake
        )
        if config.admin is not None:
            watch = KmeWatch(self.kme, self.links, self.writer)
            self._servers["admin"] = admin_server(watch, self.driver, self._telemetry)
        for name, server in self._servers.items():
            endpoint: Endpoint | Skip = getattr(config, name)
            self.addresses[name] = await server.start(*address(endpoint.listen))
        if config.etsi004 is not None:
            await self._serve_etsi004(config.etsi004)
        _log.info(
            "serving", kme=self.kme.name, **{name: f"{host}:{port}" for name, (host, port) in self.addresses.items()}
        )

    async def _serve_etsi004(self, endpoint: Endpoint) -> None:
        host, port = address(endpoint.listen)
        self._etsi004 = etsi004_server(self.config, self.kme, self.driver, self.certificates, self._telemetry)
        try:
            await self._etsi004.start(host, port)
        except OSError as error:
            self._etsi004 = None
            raise ScenarioError(f"can't listen there: {error.strerror}", path=endpoint.listen) from None
        self.addresses["etsi004"] = host, self._etsi004.listener.port

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Finish what is under way, each step for so long at most, and close everything."""
        self._stopping = True
        stopping = [server.stop(grace_s) for server in self._servers.values()]
        if self._etsi004 is not None:
            stopping.append(self._etsi004.stop(grace_s))
        await asyncio.gather(*stopping)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.driver.idle(), grace_s)
        await self.links.close()  # work that waits for a peer ends now
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.driver.idle(), grace_s)
        await self.writer.close()
        self._telemetry.flush()
        self.addresses.clear()

    # ------------------------------------------------------------------------------------------- what the links call

    def answer(self, sender: str, message: Message, then: Callable[[Message], None]) -> None:
        """Answer a message of another KME; what needs a device is for those that pull."""
        if self._stopping:
            then(Refused(f"{self.kme.name} stops"))
        elif isinstance(message, Pulled):
            then(self._answer_pulled(sender, message))
        else:
            self.driver.answer(sender, message, then)

    def _answer_pulled(self, sender: str, message: Pulled) -> Message:
        pull = self._pulls.get(message.vendor)
        if pull is None:
            return Refused(f"no vendor {message.vendor!r} is configured at {self.kme.name}")
        try:
            pull.tell(sender, message)
        except PeerRefused as error:
            return Refused(str(error))
        return Done()

    def connected(self, peer: str, failed: Callable[[str], None]) -> None:
        """Greet a peer."""

        def greeted(_: None, error: Exception | None) -> None:
            if error is None:
                _log.info("in step", kme=peer)
                self.wake()
            else:
                failed(str(error))

        self.driver.start(self.kme.hello(peer, now_s()), greeted)

    def lost(self, peer: str) -> None:
        """Take note that a peer is out of step."""
        _log.info("out of step", kme=peer)
        self.kme.lost(peer)

    def _peers(self) -> dict[str, tuple[str, int] | None]:
        """Return the addresses of the other KMEs; None for those that are waited for."""
        known = self.config.peers
        return {
            peer: address(known[peer].address) if peer in known else None
            for peer in Roster(self.config.directory, self.config.kms).peers
        }

    def _identify(self, transport: asyncio.BaseTransport) -> str | None:
        """Return which KME is at the other end of a connection."""
        shown = presented(transport)
        if shown is None:
            return None
        identity = self.certificates.peer(shown, "kme", now_s())
        if identity.name is None:
            _log.info("a peer is not let in", reason=identity.reason)
        return identity.name

    # ------------------------------------------------------------------------------------------------- housekeeping

    def wake(self) -> None:
        """Let the next tick come at once: there is something to do."""
        self._due.set()

    def reload(self) -> None:
        """Read the certificates again; new connections get the new ones."""
        if self.certificates.reload():
            _log.info("certificates were read again")

    async def _tick(self) -> None:
        """Do what a KME does every second, for ever."""
        while True:
            self._due.clear()
            self.reload()
            await self._attempt("tick", self.kme.tick(now_s()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):  # `wait_for` of Python 3.11 loses a cancellation that meets its end
                    await self._due.wait()

    async def _attempt(self, what: str, work: Work[None]) -> None:
        try:
            await self.driver.run(work)
        except DeliveryError as error:
            _log.warning(f"{what} failed", problem=str(error))
        except Exception:  # noqa: BLE001 a mistake of ours must not stop the clock
            _log.exception(f"{what} failed")


def serve(
    config_path: Path,
    ready: Callable[[KmeNode], None] | None = None,
    fill: Callable[[KmeConfig, Store], None] | None = None,
) -> None:
    """Run the KME of a configuration file until SIGTERM or SIGINT; SIGHUP has it read its certificates again.

    Args:
        config_path: The file.
        ready: Called when it serves.
        fill: Gets the configuration and the open store before it does.

    Raises:
        ScenarioError: The configuration, or a file that it names, can't be used.
        StoreFailed: The store can't be opened.
    """
    config = kme_config.load(config_path)
    logs.configure(config.log)
    filled = None if fill is None else partial(fill, config)
    node = KmeNode(config, config_path.parent, AccessLog(config.log, sys.stderr), filled)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_until_told(node, ready))


async def _until_told(node: KmeNode, ready: Callable[[KmeNode], None] | None) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    loop.add_signal_handler(signal.SIGHUP, node.reload)
    await node.start()
    if ready is not None:
        ready(node)
    await told.wait()
    await node.stop()
