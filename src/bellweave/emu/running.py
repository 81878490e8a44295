"""One emulated run, from its first process to its last: what the supervisor does.

Order: the world and its daemons, where tunnels are IPsec; the source and the nodes; when every KME is in step with its
peers, and every node with the source, the source begins. After the last slot agents ask for no more keys and blocks
under way end; then, at all nodes at once, sessions end and books are closed; then everything stops.

A process that ends by itself is started again; that is an event, and what it did meanwhile is missing, as in life. The
source is not: the numbers of its blocks may not come again. With it ends the run.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog

from bellweave.edge.doctor import examine
from bellweave.edge.files import new_folder
from bellweave.emu import control
from bellweave.emu.children import Child
from bellweave.emu.data_network import DataNetwork
from bellweave.emu.deployment import SOURCE, Command, Drain, Finish, Report, Said, Stocked
from bellweave.emu.faults import Faults
from bellweave.emu.hosts import fetch_all
from bellweave.emu.journal import Journal, Sessions, Stocks
from bellweave.emu.messages import Fault
from bellweave.emu.prepare import Channels, Deployments, Plan, attached, deployments, loopback
from bellweave.emu.request import Announce, Request, Say
from bellweave.emu.serve_only import export
from bellweave.errors import ScenarioError
from bellweave.results.network_records import FaultChanged, ProcessChanged
from bellweave.scenario.directory import hosts_of, nodes_of
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import is_wide

START_S = 300.0
"""How long the processes may take until all are in step."""

SOON_S = 10.0
"""After so long people want to know what is waited for."""

COMPILING = "still starting: the first time, what photons and distillation need is compiled, which takes about a minute"

FINISH_S = 25.0
"""How long nodes may take to end what is under way, and then to finish."""

AEAD = "channel aead: AES-256-GCM records between the agents, not IPsec"

TICK_S = 0.1
RESTART_S = 1.0
"""Pause before a process that ended by itself is started again."""


_log = structlog.get_logger(__name__)


@dataclass
class Network:
    """The processes of a run.

    Attributes:
        children: By name; the source too.
        down: Those that a fault keeps down.
    """

    children: dict[str, Child] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)

    @property
    def nodes(self) -> list[Child]:
        """The nodes' processes."""
        return [child for name, child in self.children.items() if name != SOURCE]


class StartError(ScenarioError):
    """A process did not start in time; says which, and the last words of its log."""


class Run:
    """One run, from the first process to the last.

    Attributes:
        lasted_s: From its beginning until the last slot, or until it was told to stop.
    """

    def __init__(
        self, scenario: Scenario, request: Request, journal: Journal, say: Say, announce: Announce | None
    ) -> None:
        self._scenario, self._request, self._journal, self._say = scenario, request, journal, say
        self._announce = announce
        self._stocks = Stocks(scenario)
        self._sessions = Sessions(scenario)
        self._network = Network()
        self._origin_s: float | None = None
        self._ending = False
        self._unwritten: ScenarioError | None = None
        self.lasted_s = 0.0
        self._faults = Faults(scenario, self._network, self._journal.note, self.now_s, self.restart)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hosts: asyncio.Task[None] | None = None

    def now_s(self) -> float:
        """Return the seconds since the run began; 0 before it did."""
        return 0.0 if self._origin_s is None else max(0.0, time.monotonic() - self._origin_s)

    async def live(self, stop: asyncio.Event) -> None:
        """Run, to the end or until told to stop.

        Raises:
            ScenarioError: It can't start, or what happens can't be written.
        """
        logs = self._request.out / "logs"
        new_folder(logs)
        async with contextlib.AsyncExitStack() as stack:
            clerk = asyncio.create_task(self._keep_journal(stop))
            stack.callback(self._journal.close)
            stack.callback(clerk.cancel)
            stopping = asyncio.create_task(stop.wait())
            stack.callback(stopping.cancel)
            made = self._deployments(await self._channels(stack))
            stack.push_async_callback(self._end_all)
            children = self._network.children
            children[SOURCE] = Child(SOURCE, made.source, logs / f"{SOURCE}.log", self._heard)
            for name, deployment in made.nodes.items():
                children[name] = Child(name, deployment, logs / f"{name}.log", self._heard)
            await stack.enter_async_context(control.serving(self._request.out, self._order))
            if await _first(self._start(made), stopping) and await _first(self._over(), stopping):
                self._say("the last slot has ended" if self._scenario.schedule else "the time is over")
            await self._finish()
            if self._unwritten is not None:
                raise self._unwritten

    # ----------------------------------------------------------------------------------------------------------- start

    async def _channels(self, stack: contextlib.AsyncExitStack) -> Channels | None:
        """Return the gateways of IPsec tunnels, in a world of their own or somebody else's; None: AES-256-GCM."""
        request = self._request
        if not self._scenario.tunnel or request.serving is not None:
            return None
        if request.gateways is not None:
            self._say("channel ipsec: gateways of others are driven through their vici sockets")
            self._note_channel("ipsec (attached gateways)")
            return attached(self._scenario, request.gateways)
        if request.channel == "aead":
            self._say(AEAD)
            self._note_channel("aead")
            return None
        found = await asyncio.to_thread(examine)
        if request.channel == "auto" and found.channel != "ipsec":
            self._say(f"{AEAD}; IPsec can't run here, bellweave doctor says why")
            self._note_channel("aead")
            return None
        self._say(f"channel ipsec: IKEv2 and ESP by strongSwan, layout {request.layout}")
        self._note_channel(f"ipsec ({'kernel' if found.kernel_esp else 'kernel-libipsec'}, {request.layout})")
        network = DataNetwork(
            self._scenario,
            request.out.absolute() / "gateways",
            request.layout,
            kernel_esp=found.kernel_esp,
            probe_hz=request.probe_hz,
            note=self._journal.note,
            now=self.now_s,
        )
        self._faults.charon = network.kill
        await stack.enter_async_context(network)
        return network.channels()

    def _note_channel(self, detail: str) -> None:
        """Note what protects the tunnels, for the report."""
        self._journal.note(ProcessChanged(at_s=0.0, process="channel", state="ready", detail=detail))

    def _deployments(self, channels: Channels | None) -> Deployments:
        scenario, request = self._scenario, self._request
        host, serving = loopback(), request.serving
        folders = {}
        for name in nodes_of(scenario):
            folder = request.out.absolute() / "nodes" / name
            new_folder(folder)
            for old in folder.glob("kme.db*"):  # nobody has its master key any more
                old.unlink()
            folders[name] = str(folder)
        plan = Plan(
            scenario=scenario,
            hosts=dict.fromkeys((SOURCE, *nodes_of(scenario)), host),
            folders=folders,
            seeded=request.seeded,
            channels=channels,
            probe_hz=request.probe_hz,
            agents=serving is None,
            saes={} if serving is None else serving.users(scenario),
            services={} if serving is None else serving.services(scenario),
        )
        return deployments(plan)

    async def _start(self, made: Deployments) -> None:
        """Start everything, and wait until the source has begun.

        Raises:
            StartError: A process ended, or is not ready in time.
        """
        self._say(f"starting {len(self._network.children)} processes")
        for child in self._network.children.values():
            await self._started(child)
        told = asyncio.get_running_loop().call_later(SOON_S, self._say, COMPILING)
        try:
            async with asyncio.timeout(START_S):
                wanted = [self._require(child, "in step") for child in self._network.nodes]
                await _all([*wanted, self._require(self._network.children[SOURCE], "begun")])
        except TimeoutError:
            late = [child for child in self._network.nodes if not child.has_said("in step")]
            late = late or [self._network.children[SOURCE]]
            words = "; ".join(f"{child.name}: {child.last_words()}" for child in late)
            raise StartError(f"not ready after {START_S:g} s: {words}") from None
        finally:
            told.cancel()
        serving, scenario = self._request.serving, self._scenario
        users = hosts_of(scenario) if serving is None else serving.users(scenario)
        if not users:
            return
        where = export(self._request.out, made.authority, users, made.services)
        if self._announce is not None:
            self._announce(where)
        if serving is None:
            self._hosts = asyncio.create_task(fetch_all(scenario, where, self._journal.note, self.now_s))

    async def _require(self, child: Child, what: str) -> None:
        await child.said(what)
        if not child.has_said(what):
            raise StartError(f"{child.name} did not start: {child.last_words()}")

    async def _started(self, child: Child) -> None:
        await child.start()
        pid = child.process.pid if child.process else 0
        self._journal.note(
            ProcessChanged(at_s=self.now_s(), process=child.name, state="started", detail=f"process {pid}")
        )
        task = asyncio.create_task(self._attend(child))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, child: Child) -> None:
        """Wait for a process's end; start it again if nobody wanted that."""
        await child.ended()
        wanted = self._ending or child.name in self._network.down or child.has_said("finished")
        detail = "" if wanted else child.last_words()
        killed = child.name in self._network.down
        self._journal.note(
            ProcessChanged(at_s=self.now_s(), process=child.name, state="killed" if killed else "ended", detail=detail)
        )
        if not self._ending:
            for ended in self._sessions.failed(child.name, self.now_s()):
                self._journal.note(ended)
        if wanted or self._origin_s is None or child.name == SOURCE:
            return
        self._say(f"{child.name} ended by itself ({detail}); it is started again")
        await asyncio.sleep(RESTART_S)
        await self.restart(child.name)

    async def restart(self, name: str) -> None:
        """Start a process again that is not there, unless the run ends or a fault keeps it down."""
        child = self._network.children[name]
        if not self._ending and not child.running and name not in self._network.down:
            await self._started(child)

    # ------------------------------------------------------------------------------------------------------------- run

    async def _order(self, fault: Fault, for_s: float | None) -> str:
        """Carry out a fault on command, while the run goes on."""
        if self._origin_s is None:
            raise ScenarioError("the run has not begun: its processes are still starting; try again when it has")
        if self._ending:
            raise ScenarioError("the run ends")
        return await self._faults.order(fault, for_s)

    def _heard(self, child: Child, report: Report) -> None:
        """Take what a process tells."""
        match report:
            case Said(what="begun"):
                if self._origin_s is None:
                    self._origin_s = report.at_s
                    self._say("all key servers are in step; the run begins")
            case Said(what="problem"):
                self._say(f"{child.name}: {report.detail}")
            case Said():
                if report.what in {"in step", "serving"}:
                    ready = ProcessChanged(
                        at_s=self.now_s(), process=child.name, state="ready", detail=report.detail or report.what
                    )
                    self._journal.note(ready)
            case Stocked():
                self._journal.note(self._stocks.sampled(report))
            case _:
                self._journal.note(report)
                self._sessions.note(report)
                if isinstance(report, FaultChanged):
                    self._faults.scheduled(report)

    async def _over(self) -> None:
        source = self._network.children[SOURCE]
        await source.said("over")
        if not source.has_said("over"):  # its blocks' numbers may not come again: it is never started twice
            self._say(f"the source ended by itself, and with it the run: {source.last_words()}")

    async def _keep_journal(self, stop: asyncio.Event) -> None:
        """Hand on what happens; where that can't be written, as on a full disk, the run ends."""
        try:
            while True:
                await asyncio.sleep(TICK_S)
                if self._origin_s is not None:
                    self._journal.advance(self.now_s())
        except ScenarioError as error:
            self._say(f"{error}; the run ends")
            self._unwritten = error
            stop.set()

    # ------------------------------------------------------------------------------------------------------------- end

    async def _finish(self) -> None:
        """Let the nodes end what is under way and close their books."""
        self._ending = True
        if self._hosts is not None:
            self._hosts.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._hosts
        self.lasted_s = self.now_s()
        await self._faults.close()
        if self._origin_s is None:
            return
        source = self._network.children[SOURCE]
        early = not source.has_said("over")
        if early and is_wide(self._scenario):  # its books of pairs come before the nodes' of key
            source.tell(Drain(early=True))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FINISH_S):
                    await source.said("over")
        await self._told(Drain(early=early), "drained")
        await self._told(Finish(), "finished")

    async def _told(self, command: Command, what: str) -> None:
        """Tell all nodes something, and wait until they have done it."""
        nodes = [child for child in self._network.nodes if child.running]
        for child in nodes:
            child.tell(command)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                await asyncio.gather(*(child.said(what) for child in nodes))
        for child in nodes:
            if not child.has_said(what):
                how = f"was not {what} in {FINISH_S:g} s" if child.running else f"ended before it was {what}"
                self._say(f"{child.name} {how}: {child.last_words()}")

    async def _end_all(self) -> None:
        self._ending = True
        running = [child for child in self._network.children.values() if child.running]
        for child, killed in zip(running, await asyncio.gather(*(child.end() for child in running)), strict=True):
            if killed:
                self._say(f"{child.name} had to be killed: {child.last_words()}")
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _all(works: list[Coroutine[Any, Any, None]]) -> None:
    """Do several works at once, and give up the others when one fails."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _first(work: Coroutine[Any, Any, None], stopping: "asyncio.Task[bool]") -> bool:
    """Do some work, or give it up when it is time to stop; returns whether it was done."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    if task.cancelled():
        return False
    task.result()
    return True
