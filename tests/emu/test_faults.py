"""Faults on command in running networks: alarms are raised, everything recovers by itself, no key is used twice."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from bellweave.emu.control import Wanted, ask
from bellweave.emu.faults import faults_of, pair_of
from bellweave.emu.messages import Fault
from bellweave.emu.supervisor import Request, emulate
from bellweave.errors import ScenarioError
from bellweave.network.params import Fault as Scheduled
from bellweave.results.network_records import (
    Alarmed,
    BlockDistilled,
    Delivered,
    FaultChanged,
    Happening,
    LedgerClosed,
    ProcessChanged,
    SessionBegan,
    SessionEnded,
    SlotBegan,
    Starved,
)
from bellweave.roles.run import NetworkRun
from bellweave.scenario.schema import Scenario
from bellweave.testing.data_centres import small

BACK_S = 60.0
"""A tunnel is back within 10 s after a fault; this machine may be busy: `bench/soak.py` measures it."""

LINK = "user1-user2"

E = TypeVar("E")


def quick(users: int = 2, slots: int = 400, **tables: object) -> Scenario:
    """Return a small network with slots of half a second whose tunnels are refreshed every second."""
    every_tunnel = {"period_s": 1.0, "start_s": 1.0, "retry_s": 0.5, "mode": "ppk"}
    return small(users, slots, every_tunnel=every_tunnel, schedule={"speed": 21.0}, **tables)  # type: ignore[arg-type]


class Live:
    """An emulation that runs, as a test sees it."""

    def __init__(self, request: Request) -> None:
        self.out = request.out
        self.events: list[Happening] = []
        self.said: list[str] = []
        self.stop = asyncio.Event()
        self._more = asyncio.Event()
        self.run = asyncio.create_task(
            emulate(request, stop=self.stop, watch=self._watch, say=self.said.append)
        )  # fmt: skip

    def _watch(self, event: Happening) -> None:
        self.events.append(event)
        self._more.set()

    async def order(self, kind: str, target: str, *, value: float = 1.0, for_s: float | None = None) -> int:
        """Order a fault, and return how many events there were before it."""
        before = len(self.events)
        await ask(self.out, Wanted(fault=Fault(kind=kind, target=target, value=value), for_s=for_s))
        return before

    async def until(
        self, kind: type[E], true: Callable[[E], bool] = lambda _: True, *, after: int = 0, timeout_s: float = BACK_S
    ) -> int:
        """Wait for such an event, and return how many there were up to it."""
        async with asyncio.timeout(timeout_s):
            while True:
                for place, event in enumerate(self.events[after:], after):
                    if isinstance(event, kind) and true(event):
                        return place + 1
                if self.run.done():
                    self.run.result()
                    raise AssertionError(f"the run is over without {kind.__name__}: {self.said}")
                self._more.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._more.wait(), 0.5)

    async def end(self) -> NetworkRun:
        self.stop.set()
        return await self.run


@contextlib.asynccontextmanager
async def live(request: Request) -> AsyncIterator[Live]:
    running = Live(request)
    try:
        await running.until(SessionBegan, timeout_s=150.0)
        yield running
    finally:
        running.stop.set()
        await asyncio.wait((running.run,))


def require_sound(run: NetworkRun) -> None:
    """Check that no key was handed out or taken into use twice, and that all books add up."""
    for side in ("client", "server"):
        drawn = Counter(
            event.key_id for event in run.events if isinstance(event, Delivered) and event.side == side and event.key_id
        )
        assert max(drawn.values()) == 1
    used = Counter(event.key_id for event in run.events if isinstance(event, SessionBegan) and not event.renewed)
    assert max(used.values()) == 1
    books = [event for event in run.events if isinstance(event, LedgerClosed)]
    assert books
    for closed in books:
        spent = sum(bits for name, bits in closed.accounts.items() if name != "ingested")
        assert spent == closed.accounts.get("ingested", 0)


def is_over(event: Alarmed) -> bool:
    return event.over


def is_raised(event: Alarmed) -> bool:
    return not event.over


@pytest.mark.emu
async def test_faults_of_light_and_lines_raise_alarms_and_pass(tmp_path: Path) -> None:
    async with live(Request(scenario=quick(), out=tmp_path / "run", channel="aead")) as net:
        await refuses(net)

        began = await net.order("eavesdropper", LINK, value=1.0, for_s=2.0)
        raised = await net.until(Alarmed, lambda alarm: is_raised(alarm) and "QBER" in alarm.reason, after=began)
        over = await net.until(Alarmed, is_over, after=raised)
        await net.until(SessionBegan, after=over)

        await net.order("cut", LINK, for_s=0.5)
        cut = await net.order("cut", LINK, for_s=3.0)  # the second one counts
        begun = await net.until(FaultChanged, lambda change: change.fault == f"cut {LINK}", after=cut)
        ended = await net.until(FaultChanged, lambda change: not change.active, after=begun)
        dark = [event for event in net.events[begun:ended] if isinstance(event, SlotBegan)]
        assert len(dark) >= 4  # three seconds have six slots
        assert not any(event.links for event in dark[1:-1])
        await net.until(BlockDistilled, after=ended)

        split = await net.order("partition", LINK, for_s=4.0)
        raised = await net.until(Alarmed, lambda alarm: "can't reach the KME" in alarm.reason, after=split)
        await net.until(Starved, lambda starved: starved.held, after=split)
        over = await net.until(Alarmed, is_over, after=raised)
        await net.until(SessionBegan, after=over)
        run = await net.end()
    require_sound(run)


async def refuses(net: Live) -> None:
    """Check that what can't be is refused in words."""
    for kind, target, words in (
        ("flood", LINK, "no such kind of fault: 'flood'; there are eavesdropper"),
        ("cut", "user1-user3", "there is no link 'user1-user3'; there are user1-user2"),
        ("down", "user3", "there is no node 'user3'"),
        ("partition", "user1,user1", "expected a link or NODE,NODE"),
        ("charon", LINK, "expected TUNNEL.client or TUNNEL.server, got 'user1-user2'"),
        ("charon", f"{LINK}.client", "tunnels are not IPsec"),
    ):
        with pytest.raises(ScenarioError, match=words):
            await net.order(kind, target)
    with pytest.raises(ScenarioError, match="share from 0 to 1, got 2"):
        await net.order("eavesdropper", LINK, value=2.0)


@pytest.mark.emu
async def test_nodes_that_die_stores_that_lock_and_clocks_that_are_wrong_cost_no_key_twice(tmp_path: Path) -> None:
    async with live(Request(scenario=quick(), out=tmp_path / "run", channel="aead")) as net:
        began = await net.order("down", "user1", for_s=2.0)
        killed = await net.until(ProcessChanged, lambda change: is_now(change, "user1", "killed"), after=began)
        await net.until(SessionEnded, lambda ended: ended.reason == "failed", after=began)
        started = await net.until(ProcessChanged, lambda change: is_now(change, "user1", "started"), after=killed)
        again = await net.until(SessionBegan, after=started)

        os.kill(pid_of(net, "user2"), signal.SIGKILL)  # nobody ordered that
        ended = await net.until(ProcessChanged, lambda change: is_now(change, "user2", "ended"), after=again)
        started = await net.until(ProcessChanged, lambda change: is_now(change, "user2", "started"), after=ended)
        again = await net.until(SessionBegan, after=started)
        assert any("user2 ended by itself (killed by signal 9" in text for text in net.said)

        locked = await net.order("store", "user1", for_s=4.0)
        raised = await net.until(Alarmed, lambda alarm: "store of user1" in alarm.reason, after=max(locked, again))
        over = await net.until(Alarmed, is_over, after=raised)
        again = await net.until(SessionBegan, after=over)

        stepped = await net.order("clock", "user2", value=120.0, for_s=2.0)
        back = await net.until(FaultChanged, lambda change: not change.active, after=max(again, stepped))
        await net.until(SessionBegan, after=back)
        run = await net.end()
    assert len({event.kme for event in run.events if isinstance(event, LedgerClosed)}) == 2
    require_sound(run)


def is_now(change: ProcessChanged, process: str, state: str) -> bool:
    return (change.process, change.state) == (process, state)


def pid_of(net: Live, process: str) -> int:
    """Return the process id of a process that runs."""
    started = [event for event in net.events if isinstance(event, ProcessChanged) and is_now(event, process, "started")]
    return int(started[-1].detail.removeprefix("process "))


@pytest.mark.emu
async def test_faults_of_the_scenario_happen_in_its_time(tmp_path: Path) -> None:
    faults = {
        "locked": {"at_s": 42.0, "until_s": 126.0, "store": "user2"},  # 2 s to 6 s by the clock
        "split": {"at_s": 168.0, "until_s": 252.0, "partition": ("user1", "user2")},
    }
    scenario = quick(slots=28, fault=faults)
    run = await emulate(Request(scenario=scenario, out=tmp_path / "run", channel="aead"))

    changes = [(event.fault, event.active) for event in run.events if isinstance(event, FaultChanged)]
    assert changes == [("locked", True), ("locked", False), ("split", True), ("split", False)]
    alarms = [event.reason for event in run.events if isinstance(event, Alarmed) and not event.over]
    assert any("store of user2" in reason for reason in alarms)
    assert any("can't reach the KME" in reason for reason in alarms)
    require_sound(run)


@pytest.mark.emu
async def test_before_the_run_has_begun_faults_are_refused_and_do_no_harm(tmp_path: Path) -> None:
    net = Live(Request(scenario=quick(), out=tmp_path / "run", channel="aead"))
    try:
        while not (net.out / "control").exists() and not net.run.done():  # noqa: ASYNC110 no event
            await asyncio.sleep(0.05)
        with pytest.raises(ScenarioError, match="the run has not begun"):
            await net.order("down", "user1", for_s=1.0)
        await net.until(SessionBegan, timeout_s=150.0)
    finally:
        await net.end()


async def test_where_nothing_runs_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no emulation runs there"):
        await ask(tmp_path, Wanted(fault=Fault(kind="cut", target=LINK)))


def test_a_table_of_the_scenario_says_what_is_to_be_done_beside_the_source() -> None:
    table = Scheduled(at_s=1.0, down="user1", partition=("user1", "user2"), clock="user2", clock_step_s=60.0)

    kinds = {(fault.kind, fault.target, fault.value, fault.on) for fault in faults_of(table, on=True)}
    assert kinds == {
        ("down", "user1", 1.0, True),
        ("partition", "user1,user2", 1.0, True),
        ("clock", "user2", 60.0, True),
    }


def test_a_partition_is_of_a_link_or_of_two_nodes() -> None:
    scenario = quick()
    assert pair_of(scenario, LINK) == pair_of(scenario, "user1,user2") == ("user1", "user2")
    with pytest.raises(ScenarioError, match="there is no node 'user9'"):
        pair_of(scenario, "user1,user9")
