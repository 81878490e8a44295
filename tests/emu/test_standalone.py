"""The same network on three hosts: network namespaces, joined by a bridge, that share nothing but the wire."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bellweave.edge.doctor import examine
from bellweave.edge.world import Spawned, World
from bellweave.emu import standalone
from bellweave.emu.prepare import Plan
from bellweave.errors import ScenarioError
from bellweave.results.io import read_events
from bellweave.results.network_records import BlockDistilled, Event, LedgerClosed, SessionBegan, SlotBegan
from bellweave.sim.network import simulate_network
from bellweave.testing.data_centres import small
from bellweave.testing.system import missing

HOSTS = {"source": "10.77.0.1", "user1": "10.77.0.2", "user2": "10.77.0.3"}

SCENARIO = small(
    2,
    16,
    every_tunnel={"period_s": 2.0, "start_s": 1.0, "retry_s": 0.5, "mode": "ppk"},
    schedule={"speed": 21.0},
)


def prepared(folder: Path) -> dict[str, Path]:
    plan = Plan(scenario=SCENARIO, hosts=HOSTS, folders=dict.fromkeys(SCENARIO.node, ""), ports=9400)
    return standalone.prepare(plan, folder)


def test_what_is_prepared_is_one_private_file_for_each_process(tmp_path: Path) -> None:
    folders = prepared(tmp_path / "net")

    assert folders == {name: tmp_path / "net" / name for name in HOSTS}
    for name, folder in folders.items():
        (file,) = folder.iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        assert standalone.load(folder, name).name == name
    with pytest.raises(ScenarioError, match="is for user1, not for user2"):
        standalone.load(folders["user1"], "user2")
    with pytest.raises(ScenarioError, match="into a new folder"):
        prepared(tmp_path / "net")


def test_a_source_that_has_begun_does_not_begin_again(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "net")["source"]
    (folder / standalone.BEGUN).touch()
    with pytest.raises(ScenarioError, match="prepare anew"):
        standalone.load(folder, "source")


@pytest.mark.emu
async def test_three_hosts_make_the_key_of_the_simulation_and_a_tunnel_of_it(tmp_path: Path) -> None:
    if not any(check.ok for check in examine().checks if "namespaces" in check.name):
        missing("network namespaces", "bellweave doctor")
    folders = prepared(tmp_path / "net")
    async with World() as world:
        await joined(world)
        started = {name: await start(world, name, folders[name]) for name in HOSTS}
        try:
            async with asyncio.timeout(250.0):
                codes = {name: await spawned.wait() for name, spawned in started.items()}
        except TimeoutError:
            logs = "\n".join((folder / "log").read_text() for folder in folders.values())
            raise AssertionError(f"they did not end: {logs[-4000:]}") from None
    assert codes == dict.fromkeys(HOSTS, 0), (folders["user1"] / "log").read_text()[-3000:]
    events = {name: read_events(folder / "run") for name, folder in folders.items()}
    simulated = simulate_network(SCENARIO).events
    assert of(events["source"], SlotBegan) == 16
    assert blocks(events["user1"]) == blocks(simulated)
    assert of(events["user1"], SessionBegan) >= 2
    assert of(events["user1"], LedgerClosed) == of(events["user2"], LedgerClosed) == 1


def of(events: Sequence[Event], kind: type[Event]) -> int:
    return sum(isinstance(event, kind) for event in events)


def blocks(events: Sequence[Event]) -> list[BlockDistilled]:
    found = [event for event in events if isinstance(event, BlockDistilled)]
    return [event.block for event in found]  # type: ignore[misc]


async def joined(world: World) -> None:
    """Make a namespace for each host, and a bridge between them."""
    names = list(HOSTS)
    await world.ip(
        "",
        "link add name br0 type bridge forward_delay 0",
        "link set br0 up",
        *(f"netns add {name}" for name in names),
        *(f"link add name eth0 netns {name} type veth peer name p{place}" for place, name in enumerate(names)),
        *(f"link set p{place} master br0 up" for place in range(len(names))),
    )
    for name, address in HOSTS.items():
        await world.ip(name, "link set lo up", f"addr add {address}/24 dev eth0", "link set eth0 up")


async def start(world: World, name: str, folder: Path) -> Spawned:
    command = [sys.executable, "-m", "bellweave", "emulate", "--node", name, "--from", str(folder)]
    return await world.spawn(name, command, log=folder / "log")
