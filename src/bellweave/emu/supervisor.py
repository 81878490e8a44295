"""Runs an emulated network: starts its processes, hears what they tell, carries out faults, and ends everything.

Order of a run: the world and its daemons, where tunnels are IPsec; the source and the nodes; when every KME is in step
with its peers, and every node with the source, the source begins. After the last slot agents ask for no more keys,
blocks under way end, books are closed, and everything stops.

A process that ends by itself is started again; that is an event, and what it did meanwhile is missing, as in life. The
run directory is that of a simulation (:mod:`bellweave.results.io`), and beside it ``logs``, a folder for each node's
store, and ``control``, the socket for commands.
"""

import asyncio
import contextlib
import fcntl
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import structlog

from bellweave.edge.doctor import examine
from bellweave.edge.fabric import Layout
from bellweave.edge.files import new_folder
from bellweave.emu import control
from bellweave.emu.children import Child
from bellweave.emu.data_network import DataNetwork
from bellweave.emu.deployment import SOURCE, Command, Drain, Finish, Report, Said, Stocked
from bellweave.emu.faults import Faults
from bellweave.emu.journal import Journal, Sessions, Sink, Stocks
from bellweave.emu.prepare import Channels, Deployments, Plan, deployments, loopback
from bellweave.errors import ScenarioError
from bellweave.results.io import NetworkWriter
from bellweave.results.network_records import FaultChanged, ProcessChanged
from bellweave.results.records import Shard
from bellweave.roles.run import NetworkRun, describe
from bellweave.scenario.load import parse, to_toml
from bellweave.scenario.schema import Scenario

VERB = "emulate-network"

START_S = 60.0
"""How long the processes may take until all are in step."""

FINISH_S = 25.0
"""How long nodes may take to end what is under way, and then to finish."""

AEAD = "channel aead: AES-256-GCM records between the agents, not IPsec"

TICK_S = 0.1
RESTART_S = 1.0
"""Pause before a process that ended by itself is started again."""

Say = Callable[[str], None]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be emulated.

    Attributes:
        scenario: With the seed, the slots and the speed of the run.
        out: Run directory.
        seeded: Whether the scenario's seed fixes all protocol randomness.
        channel: What protects tunnels; ``auto``: IPsec wherever it runs.
        layout: Of the data network, with IPsec.
    """

    scenario: Scenario
    out: Path
    seeded: bool = True
    channel: Literal["auto", "ipsec", "aead"] = "auto"
    layout: Layout = "bridge"


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


async def emulate(
    request: Request, *, stop: asyncio.Event | None = None, watch: Sink | None = None, say: Say | None = None
) -> NetworkRun:
    """Emulate a network to its last slot, or until ``stop`` is set, and return what happened.

    Args:
        request: What.
        stop: Ends the run early, in order.
        watch: Called with each event, in order of time.
        say: Called with sentences for people.

    Raises:
        ScenarioError: What is asked for can't be; another run uses the directory; a process does not start.
    """
    text = to_toml(request.scenario)
    scenario = parse(text)
    schedule = scenario.schedule
    if schedule is None:
        raise ScenarioError("an emulated network needs a [schedule] table", path="schedule")
    slots = schedule.slots or scenario.run.blocks
    manifest = describe(scenario, Shard(blocks=slots), verb=VERB)
    new_folder(request.out)
    with _alone(request.out), NetworkWriter(request.out, manifest, text) as writer:
        journal = Journal(writer.append, *(() if watch is None else (watch,)))
        running = Run(scenario, request, journal, say or _quiet)
        await running.live(stop or asyncio.Event())
    return NetworkRun(manifest, scenario, tuple(journal.events), slots * schedule.slot_s / schedule.speed)


class Run:
    """One run, from the first process to the last."""

    def __init__(self, scenario: Scenario, request: Request, journal: Journal, say: Say) -> None:
        self._scenario, self._request, self._journal, self._say = scenario, request, journal, say
        self._stocks = Stocks(scenario)
        self._sessions = Sessions(scenario)
        self._network = Network()
        self._origin_s: float | None = None
        self._ending = False
        self._faults = Faults(scenario, self._network, self._journal.note, self.now_s, self.restart)
        self._tasks: set[asyncio.Task[None]] = set()

    def now_s(self) -> float:
        """Return the seconds since the run began; 0 before it did."""
        return 0.0 if self._origin_s is None else max(0.0, time.monotonic() - self._origin_s)

    async def live(self, stop: asyncio.Event) -> None:
        """Run, to the end or until told to stop."""
        logs = self._request.out / "logs"
        new_folder(logs)
        async with contextlib.AsyncExitStack() as stack:
            clerk = asyncio.create_task(self._keep_journal())
            stack.callback(self._journal.close)
            stack.callback(clerk.cancel)
            stopping = asyncio.create_task(stop.wait())
            stack.callback(stopping.cancel)
            data = await self._data_network(stack)
            made = self._deployments(None if data is None else data.channels())
            stack.push_async_callback(self._end_all)
            children = self._network.children
            children[SOURCE] = Child(SOURCE, made.source, logs / f"{SOURCE}.log", self._heard)
            for name, deployment in made.nodes.items():
                children[name] = Child(name, deployment, logs / f"{name}.log", self._heard)
            await stack.enter_async_context(control.serving(self._request.out, self._faults.order))
            if await _first(self._start(), stopping) and await _first(self._over(), stopping):
                self._say("the last slot has ended")
            await self._finish()

    # ----------------------------------------------------------------------------------------------------------- start

    async def _data_network(self, stack: contextlib.AsyncExitStack) -> DataNetwork | None:
        """Start the world of IPsec tunnels; None where tunnels are AES-256-GCM."""
        request = self._request
        if not self._scenario.tunnel:
            return None
        if request.channel == "aead":
            self._say(AEAD)
            return None
        found = await asyncio.to_thread(examine)
        if request.channel == "auto" and found.channel != "ipsec":
            self._say(f"{AEAD}; IPsec can't run here, bellweave doctor says why")
            return None
        self._say(f"channel ipsec: IKEv2 and ESP by strongSwan, layout {request.layout}")
        network = DataNetwork(
            self._scenario,
            request.out.absolute() / "gateways",
            request.layout,
            kernel_esp=found.kernel_esp,
            note=self._journal.note,
            now=self.now_s,
        )
        self._faults.charon = network.kill
        return await stack.enter_async_context(network)

    def _deployments(self, channels: Channels | None) -> Deployments:
        scenario, out = self._scenario, self._request.out
        host = loopback()
        folders = {}
        for name in scenario.node:
            folder = out.absolute() / "nodes" / name
            new_folder(folder)
            for old in folder.glob("kme.db*"):  # nobody has its master key any more
                old.unlink()
            folders[name] = str(folder)
        hosts = dict.fromkeys((SOURCE, *scenario.node), host)
        plan = Plan(scenario=scenario, hosts=hosts, folders=folders, seeded=self._request.seeded, channels=channels)
        return deployments(plan)

    async def _start(self) -> None:
        """Start everything, and wait until the source has begun.

        Raises:
            StartError: A process ended, or is not ready in time.
        """
        self._say(f"starting {len(self._network.children)} processes")
        for child in self._network.children.values():
            await self._started(child)
        try:
            async with asyncio.timeout(START_S):
                for child in self._network.nodes:
                    await self._require(child, "in step")
                await self._require(self._network.children[SOURCE], "begun")
        except TimeoutError:
            late = [child for child in self._network.nodes if not child.has_said("in step")]
            late = late or [self._network.children[SOURCE]]
            words = "; ".join(f"{child.name}: {child.last_words()}" for child in late)
            raise StartError(f"not ready after {START_S:g} s: {words}") from None

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

    async def _keep_journal(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if self._origin_s is not None:
                self._journal.advance(self.now_s())

    # ------------------------------------------------------------------------------------------------------------- end

    async def _finish(self) -> None:
        """Let the nodes end what is under way and close their books."""
        self._ending = True
        await self._faults.close()
        if self._origin_s is None:
            return
        early = not self._network.children[SOURCE].has_said("over")
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
                self._say(f"{child.name} was not {what} in {FINISH_S:g} s: {child.last_words()}")

    async def _end_all(self) -> None:
        self._ending = True
        for child in self._network.children.values():
            if child.running and await child.end():
                self._say(f"{child.name} had to be killed: {child.last_words()}")
        await asyncio.gather(*self._tasks, return_exceptions=True)


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


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold a run directory for this run only.

    Raises:
        ScenarioError: Another run holds it.
    """
    with (out / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ScenarioError(
                "another emulation runs in this directory; choose another --out", file=str(out)
            ) from None
        yield


def _quiet(_: str) -> None:
    pass
