"""The source and the devices of some nodes in one process, over real TLS: the simulation's bits, and what fails."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bellweave.blocks import SecretBlock
from bellweave.edge.tls import server_context
from bellweave.emu.device import Device
from bellweave.emu.messages import Fault
from bellweave.emu.source import Source
from bellweave.errors import ScenarioError
from bellweave.results.network_records import Alarmed, BlockDistilled, BlockLost, Event, FaultChanged, SlotBegan
from bellweave.results.records import BlockRecord
from bellweave.roles.randomness import Randomness, Secret, Seeded
from bellweave.roles.source import sampled
from bellweave.scenario.changes import hastened
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import NetworkRun, simulate_network
from bellweave.sim.network.nodes import Nodes
from bellweave.testing.certificates import Files, Pki
from bellweave.testing.data_centres import small

pytestmark = pytest.mark.emu

HANG_S = 60.0
"""What takes so long hangs: machines that do other things too are slow, but not that slow."""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let blocks under way take their time: what comes out is asked here, not when."""
    monkeypatch.setattr("bellweave.emu.device.DRAIN_S", HANG_S)


LINK = "user1-user2"


@dataclass
class Lab:
    """A source and devices that find each other on loopback."""

    scenario: Scenario
    folder: Path
    secret: dict[str, Randomness] | None = None
    events: list[Event] = field(default_factory=list)
    blocks: dict[tuple[str, str], SecretBlock] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    devices: dict[str, Device] = field(default_factory=dict)
    running: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    addresses: dict[str, tuple[str, int]] = field(default_factory=dict)

    def randomness(self, name: str) -> Randomness:
        return self.secret[name] if self.secret else Seeded(self.scenario.run.seed)

    async def start(self) -> None:
        self.pki = Pki(self.folder)
        self.files = {name: self.certified(name) for name in (*self.scenario.node, "source")}
        self.source = Source(self.scenario, self.randomness("source"), note=self.events.append, say=self.said.append)
        shown = self.files["source"]
        port = await self.source.serve(server_context(shown.ca, shown.cert, shown.key), "127.0.0.1")
        self.addresses["source"] = ("127.0.0.1", port)
        ports = [await self.listens(name, 0) for name in self.scenario.node]
        self.addresses |= {name: ("127.0.0.1", own) for name, own in zip(self.scenario.node, ports, strict=True)}
        for name in self.scenario.node:  # a device is told its peers' ports when it is made
            await self.devices[name].close()
            await self.listens(name, self.addresses[name][1])

    def certified(self, name: str) -> Files:
        issued = self.pki.authority.issue("device", name, listens=True)
        files = Files(self.folder / "ca.crt", self.folder / f"{name}.crt", self.folder / f"{name}.key")
        files.ca.write_bytes(self.pki.authority.own().certificate)
        issued.write(files.cert, files.key)
        return files

    async def listens(self, name: str, port: int) -> int:
        async def ingest(block: SecretBlock, peer: str) -> None:
            assert block.role in {"alice", "bob"}
            assert (name, block.block_id) not in self.blocks
            self.blocks[name, block.block_id] = block

        files = self.files[name]
        self.devices[name] = Device(
            name,
            self.scenario,
            self.randomness(name),
            ca=files.ca,
            cert=files.cert,
            key=files.key,
            source=self.addresses["source"],
            peers=self.addresses,
            ingest=ingest,
            note=self.events.append,
        )
        return await self.devices[name].listen("127.0.0.1", port)

    def join(self, name: str) -> None:
        self.running[name] = asyncio.create_task(self.devices[name].run())

    async def kill(self, name: str) -> None:
        self.running[name].cancel()
        await asyncio.wait((self.running[name],))
        await self.devices[name].close()

    async def until(self, met: Callable[[], bool]) -> None:
        async with asyncio.timeout(HANG_S):
            while not met():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def slots(self) -> int:
        return sum(isinstance(event, SlotBegan) for event in self.events)

    def records(self, link: str = LINK) -> list[BlockRecord]:
        return [event.block for event in self.events if isinstance(event, BlockDistilled) and event.block.link == link]


def emulated(
    scenario: Scenario,
    folder: Path,
    meanwhile: Callable[[Lab], Awaitable[None]] | None = None,
    secret: dict[str, Randomness] | None = None,
) -> Lab:
    """Run source and devices to the end."""
    lab = Lab(scenario, folder, secret)

    async def main() -> None:
        await lab.start()
        for name in scenario.node:
            lab.join(name)
        source = asyncio.create_task(lab.source.run())
        try:
            async with asyncio.timeout(4 * HANG_S):
                if meanwhile is not None:
                    await meanwhile(lab)
                await source
                await asyncio.gather(*lab.running.values())
        finally:
            source.cancel()
            await asyncio.gather(source, return_exceptions=True)
            for device in lab.devices.values():
                await device.close()
            await lab.source.close()

    asyncio.run(main())
    return lab


def simulated(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> tuple[NetworkRun, dict[tuple[str, str], SecretBlock]]:
    """Return a simulation's run, and each node's secret blocks."""
    blocks: dict[tuple[str, str], SecretBlock] = {}
    ingest = Nodes.ingest

    def spy(self: Nodes, name: str, block: SecretBlock, peer: str) -> None:
        blocks[name, block.block_id] = block
        ingest(self, name, block, peer)

    monkeypatch.setattr(Nodes, "ingest", spy)
    return simulate_network(scenario), blocks


def distilled(events: Any) -> list[tuple[int, int, BlockRecord]]:
    found = [event for event in events if isinstance(event, BlockDistilled)]
    found.sort(key=lambda event: (event.block.link, event.block.block))
    return [(event.slot, event.ingested_bits, event.block) for event in found]


def preset(name: str, level: str, slots: int, speed: float, **link: object) -> Scenario:
    scenario = load(name)
    assert scenario.schedule is not None
    links = {key: msgspec.structs.replace(each, **link) for key, each in scenario.link.items()}
    scenario = msgspec.structs.replace(
        scenario,
        link=links,
        schedule=msgspec.structs.replace(scenario.schedule, slots=slots),
        run=msgspec.structs.replace(scenario.run, level=level),
    )
    return hastened(scenario, speed)


def vienna(level: str) -> Scenario:
    """A link with clocks that must be found, in turns with nobody."""
    tree = msgspec.to_builtins(load("vienna2004"))
    tree["link"]["alice-bob"]["calibration"] = {"slice_s": 0.5, "search_ps": 20_000_000}
    tree["node"]["bob"]["clock"] = {"offset_ps": 3_000_000, "drift": 1e-8, "channel_delay_ps": [0, 3000, 7000, 1000]}
    tree["source"] = {"eps": {"kind": "cw", "local_pair_rate_hz": 8200.0}}
    tree["schedule"] = {"slots": 1, "slot_s": 10.5, "speed": 20.0}
    tree["run"]["level"] = level
    return msgspec.convert(tree, Scenario)


# ------------------------------------------------------------------------------------------------------- the same bits


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(preset("datacenter-modern", "coincidences", 6, 20.0), id="modern, coincidences"),
        pytest.param(preset("datacenter", "tags", 6, 40.0), id="the paper's, tags"),
        pytest.param(vienna("tags"), id="clocks to be found, tags"),
        pytest.param(vienna("coincidences"), id="clocks to be found, coincidences"),
        pytest.param(
            small(3, 12, distill={"accumulate_blocks": 2}, schedule={"speed": 40.0}, drift={"rad_per_sqrt_hour": 2.0}),
            id="accumulated, with drift",
        ),
    ],
)  # fmt: skip
@pytest.mark.agreement
def test_devices_over_tls_make_the_simulations_bits(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = emulated(scenario, tmp_path)
    run, blocks = simulated(scenario, monkeypatch)

    assert blocks
    assert lab.blocks == blocks
    assert distilled(lab.events) == distilled(run.events)
    turns = [
        [(e.slot, e.links, e.lost_s) for e in events if isinstance(e, SlotBegan)] for events in (lab.events, run.events)
    ]
    assert turns[0] == turns[1]


def test_slots_go_by_the_wall_clock_as_much_faster_as_the_speed_says(tmp_path: Path) -> None:
    lab = emulated(small(2, 8, schedule={"speed": 105.0}), tmp_path)
    began = [event.at_s for event in lab.events if isinstance(event, SlotBegan)]

    assert all(0.0 <= at_s - 0.1 * number < 5.0 for number, at_s in enumerate(began))  # not the 84 s of photons
    assert began[-1] >= 0.7


def test_slots_that_end_late_are_said_and_none_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*given: Any) -> Any:
        time.sleep(0.25)
        return sampled(*given)

    monkeypatch.setattr("bellweave.emu.source.sampled", slow)
    lab = emulated(small(2, 8, schedule={"speed": 210.0}), tmp_path)

    assert [record.block for record in lab.records()] == list(range(8))
    assert any("s late: its photons take longer to sample than it lasts, 0.05 s" in sentence for sentence in lab.said)


def test_without_a_seed_both_ends_hold_the_same_key_and_another_one_each_time(tmp_path: Path) -> None:
    scenario, shared = small(2, 2, schedule={"speed": 100.0}), {LINK: bytes(range(32))}

    def run(own: int, folder: Path) -> Lab:
        folder.mkdir()
        secret: dict[str, Randomness] = {
            name: Secret(f"run{own}", bytes([own, at]) * 16, {} if name == "source" else shared)
            for at, name in enumerate(("source", "user1", "user2"))
        }
        return emulated(scenario, folder, secret=secret)

    one, two = run(1, tmp_path / "one"), run(2, tmp_path / "two")
    for lab in (one, two):
        mine, theirs = (
            {key[1]: block.bits for key, block in lab.blocks.items() if key[0] == f"user{n}"} for n in (1, 2)
        )
        assert mine
        assert mine == theirs
    assert not {block.bits for block in one.blocks.values()} & {block.bits for block in two.blocks.values()}


# ------------------------------------------------------------------------------------------------------ faults


def test_an_eavesdropper_on_command_raises_the_alarm_until_she_goes(tmp_path: Path) -> None:
    async def spied(lab: Lab) -> None:
        await lab.until(lambda: len(lab.records()) >= 2)
        lab.source.command(Fault(kind="eavesdropper", target=LINK))
        await lab.until(lambda: any(isinstance(event, Alarmed) for event in lab.events))
        lab.source.command(Fault(kind="eavesdropper", target=LINK, on=False))

    lab = emulated(small(2, 40, schedule={"speed": 100.0}, every_node={"noise": {}}), tmp_path, spied)

    assert [event.over for event in lab.events if isinstance(event, Alarmed)] == [False, True]
    assert any((record.estimate.qber or 0.0) > 0.15 and record.rejection for record in lab.records())
    assert lab.records()[-1].rejection is None


def test_a_link_that_is_cut_on_command_gives_nothing_until_it_is_mended(tmp_path: Path) -> None:
    seen: list[int] = []

    async def cut(lab: Lab) -> None:
        await lab.until(lambda: lab.slots() >= 3)
        lab.source.command(Fault(kind="cut", target=LINK))
        await lab.until(lambda: lab.slots() >= 13)
        seen.append(lab.slots())
        lab.source.command(Fault(kind="cut", target=LINK, on=False))

    lab = emulated(small(2, 20, schedule={"speed": 100.0}), tmp_path, cut)
    served = [event.slot for event in lab.events if isinstance(event, SlotBegan) and event.links]

    assert set(served).isdisjoint(range(3, seen[0]))
    assert len(served) >= 3 + 20 - seen[0]
    assert [record.block for record in lab.records()] == list(range(len(lab.records())))


def test_a_source_refuses_faults_that_are_none_of_its_business(tmp_path: Path) -> None:
    async def wrong(lab: Lab) -> None:
        for fault in (
            Fault(kind="cut", target="nowhere"),
            Fault(kind="store", target="user1"),
            Fault(kind="eavesdropper", target=LINK, value=2.0),
        ):
            with pytest.raises(ScenarioError):
                lab.source.command(fault)

    assert emulated(small(2, 1, schedule={"speed": 100.0}), tmp_path, wrong).records()


def test_a_scenarios_faults_begin_and_end_in_photon_time(tmp_path: Path) -> None:
    spy = {"at_s": 31.5, "until_s": 73.5, "set": {f"link.{LINK}.eavesdropper": {"fraction": 1.0}}}
    scenario = small(2, 10, schedule={"speed": 100.0}, fault={"spy": spy}, every_node={"noise": {}})
    lab = emulated(scenario, tmp_path)
    changes = [event for event in lab.events if isinstance(event, FaultChanged)]

    assert [event.active for event in changes] == [True, False]
    assert all(0.0 <= event.at_s - due_s < 5.0 for event, due_s in zip(changes, (0.315, 0.735), strict=True))
    assert [record.block for record in lab.records() if record.rejection] == [3, 4, 5, 6]


@pytest.mark.parametrize("dies", ["user1", "user2"])
def test_a_device_that_dies_and_returns_costs_only_the_blocks_that_it_was_away_for(dies: str, tmp_path: Path) -> None:
    async def killed(lab: Lab) -> None:
        await lab.until(lambda: lab.slots() >= 5)
        await lab.kill(dies)
        away = lab.slots()
        await lab.until(lambda: lab.slots() >= away + 5)
        await lab.listens(dies, lab.addresses[dies][1])
        lab.join(dies)

    scenario = small(3, 60, schedule={"speed": 90.0}, distill={"accumulate_blocks": 2})
    lab = emulated(scenario, tmp_path, killed)
    idle = [
        event for event in lab.events if isinstance(event, SlotBegan) and not any(dies in each for each in event.links)
    ]
    holders: dict[str, list[str]] = {}
    for name, block_id in lab.blocks:
        holders.setdefault(block_id, []).append(name)

    assert len(idle) > 5
    assert any(
        event.slot > 50 for event in lab.events if isinstance(event, BlockDistilled) and dies in event.block.link
    )
    assert any(isinstance(event, BlockLost) for event in lab.events)
    for link in ("user1-user2", "user1-user3", "user2-user3"):
        lonely = [held for block_id, held in holders.items() if block_id.startswith(link) and len(held) != 2]
        assert len(lonely) <= 1, "what was under way when it died may have reached one end only"
    for one in lab.blocks.values():
        for other in lab.blocks.values():
            assert one.block_id != other.block_id or one.agrees_with(other)


# ---------------------------------------------------------------------------------------------------- who is let in


def test_nobody_can_be_a_node_with_another_nodes_certificate(tmp_path: Path) -> None:
    async def posed(lab: Lab) -> None:
        lab.files["user3"] = lab.certified("user3")
        lab.addresses["user3"] = ("127.0.0.1", 1)
        scenario, lab.scenario = lab.scenario, small(3, 1)
        await lab.listens("user3", 0)
        lab.scenario = scenario
        stranger = lab.devices.pop("user3")
        running = asyncio.create_task(stranger.run())
        await lab.until(lambda: any("its certificate is that of" in sentence for sentence in lab.said))
        assert not running.done()
        running.cancel()
        await asyncio.wait((running,))
        await stranger.close()

    lab = emulated(small(2, 20, schedule={"speed": 100.0}), tmp_path, posed)

    assert any("its certificate is that of" in sentence for sentence in lab.said)
    assert lab.records()
