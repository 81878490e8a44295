"""The paper's network with IPsec: four nodes, 24 hosts with a gateway each, twelve tunnels; and as racks."""

import asyncio
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from bellweave.edge.doctor import examine
from bellweave.emu.control import Wanted, ask
from bellweave.emu.messages import Fault
from bellweave.emu.supervisor import Request, emulate
from bellweave.results.network_records import (
    FaultChanged,
    Happening,
    LedgerClosed,
    Probed,
    ProcessChanged,
    Refreshed,
    SessionBegan,
    SessionEnded,
)
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.testing.data_centres import small
from bellweave.testing.system import missing

pytestmark = pytest.mark.emu


@pytest.fixture(autouse=True)
def ipsec() -> None:
    if not examine().ipsec:
        missing("IPsec", "bellweave doctor")


def paper(slots: int) -> Scenario:
    """Return the paper's network, slots of half a second, keys of 128 bits every eight seconds."""
    scenario = load("datacenter")
    assert scenario.schedule is not None
    replace = msgspec.structs.replace
    return replace(
        scenario,
        run=replace(scenario.run, level="coincidences"),
        schedule=replace(scenario.schedule, slots=slots, speed=21.0),
        kms=replace(scenario.kms, key_size_bits=128),
        tunnel={
            name: replace(
                tunnel, key_bits=128, period_s=8.0, start_s=4.0 + place / 4.0, retry_s=1.0, session_s=None, mode="ppk"
            )
            for place, (name, tunnel) in enumerate(scenario.tunnel.items())
        },
    )


async def test_twelve_tunnels_between_24_hosts_come_up_and_refresh_from_distilled_keys(tmp_path: Path) -> None:
    scenario = paper(slots=36)
    run = await emulate(Request(scenario=scenario, out=tmp_path / "run", channel="ipsec"))

    up = Counter(event.tunnel for event in run.events if isinstance(event, SessionBegan))
    assert set(up) == set(scenario.tunnel)
    assert len(up) == 12
    assert max(Counter(event.key_id for event in run.events if isinstance(event, SessionBegan)).values()) == 1
    assert {event.reason for event in run.events if isinstance(event, SessionEnded)} <= {"replaced", "end of run"}
    assert sum(isinstance(event, ProcessChanged) and event.state == "ready" for event in run.events) >= 24 + 1 + 5
    assert sum(event.received for event in run.events if isinstance(event, Probed)) > 12 * 20
    assert len([event for event in run.events if isinstance(event, LedgerClosed)]) == 12
    assert sum(isinstance(event, Refreshed) for event in run.events) == sum(up.values())


async def test_a_daemon_that_is_killed_comes_back_and_so_does_its_tunnel(tmp_path: Path) -> None:
    every_tunnel = {"period_s": 1.0, "start_s": 1.0, "retry_s": 0.5, "mode": "ppk"}
    scenario = small(2, 400, every_tunnel=every_tunnel, schedule={"speed": 21.0})
    events: list[Happening] = []
    stop = asyncio.Event()
    request = Request(scenario=scenario, out=tmp_path / "run", channel="ipsec", layout="rack")
    run = asyncio.create_task(emulate(request, stop=stop, watch=events.append))

    async def session_after(place: int) -> int:
        async with asyncio.timeout(150.0):
            while not any(isinstance(event, SessionBegan) for event in events[place:]):
                assert not run.done()
                await asyncio.sleep(0.1)
        return len(events)

    try:
        before = await session_after(0)
        for side in ("client", "server"):
            await ask(request.out, Wanted(fault=Fault(kind="charon", target=f"user1-user2.{side}")))
            killed = await ready_after(events, before)
            before = await session_after(killed)
    finally:
        stop.set()
        await run
    states = [event.state for event in events if isinstance(event, ProcessChanged) and "charon" in event.process]
    assert states.count("killed") == 2
    assert [event.active for event in events if isinstance(event, FaultChanged)] == [True, False, True, False]
    used = Counter(event.key_id for event in events if isinstance(event, SessionBegan))
    assert max(used.values()) == 1


def is_now(event: Happening, state: str) -> bool:
    return isinstance(event, ProcessChanged) and event.process.startswith("charon") and event.state == state


async def ready_after(events: list[Happening], place: int) -> int:
    """Wait until a daemon is ready after so many events, and return how many there were."""
    async with asyncio.timeout(60.0):
        while True:
            for number, event in enumerate(events[place:], place):
                if is_now(event, "ready"):
                    return number
            await asyncio.sleep(0.1)
