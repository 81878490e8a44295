"""The plane of a backbone and the slaves of some clusters in one process, over real TLS: who is sent what, and what
the slaves make of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bellweave.blocks import SecretBlock
from bellweave.dialogue import Message
from bellweave.edge.tls import server_context
from bellweave.emu import lines
from bellweave.emu.backbone import Backbone
from bellweave.emu.device import Device
from bellweave.emu.messages import Begun, Ended, Measurement
from bellweave.results.network_records import BlockLost, Event
from bellweave.results.wide_records import KeyMade, PairsClosed, WideEvent
from bellweave.roles.randomness import Randomness, Secret, Seeded
from bellweave.scenario.changes import changed
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.sim.cluster import Sampled
from bellweave.sim.network.nodes import Nodes
from bellweave.sim.wide import simulate_wide
from bellweave.sim.wide.physical import made_of
from bellweave.testing.certificates import Files, Pki

pytestmark = [pytest.mark.emu, pytest.mark.agreement]

FROM_SOURCE: set[type[Message]] = {Begun, Measurement, Ended}


def physical(**values: object) -> Scenario:
    """Return good pairs, which give key within seconds: far ones, and both kinds within a cluster."""
    changes: dict[str, object] = {
        "backbone.mode": "physical",
        "backbone.block_pairs": 20_000,
        "backbone.block_s": 0.5,
        "backbone.mdi_block_s": 0.5,
        "demand.alice-anna.bits_per_s": 20_000.0,
        "hop.*.fidelity": 0.999,
        "hop.*.units": 150,
        "slave.*.units": 400,
        "master.*.visibility": 0.998,
        "kms.mint": "provable",
        "run.duration_s": 2.0,
    }
    return changed(load("backbone"), changes | values)


@dataclass
class Lab:
    """A backbone and the devices of its slaves on loopback."""

    scenario: Scenario
    folder: Path
    secret: dict[str, Randomness] | None = None
    events: list[WideEvent | Event] = field(default_factory=list)
    blocks: dict[tuple[str, str], SecretBlock] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    devices: dict[str, Device] = field(default_factory=dict)
    running: "dict[str, asyncio.Task[None]]" = field(default_factory=dict)

    def randomness(self, name: str) -> Randomness:
        return self.secret[name] if self.secret else Seeded(self.scenario.run.seed)

    async def live(self, until: Callable[[], bool] | None = None, dies: str = "") -> None:
        """Run to the end; once ``until`` is met, the slave ``dies`` is gone."""
        pki = Pki(self.folder)
        files = {name: certified(pki, self.folder, name) for name in (*self.scenario.slave, "source")}
        own = files["source"]
        backbone = Backbone(self.scenario, self.randomness("source"), note=self.events.append, say=self.said.append)
        addresses = {
            "source": ("127.0.0.1", await backbone.serve(server_context(own.ca, own.cert, own.key), "127.0.0.1"))
        }
        for name in self.scenario.slave:
            self.devices[name] = self.device(name, files[name], addresses)
            addresses[name] = ("127.0.0.1", await self.devices[name].listen("127.0.0.1"))
        for name, device in self.devices.items():
            device._addresses = addresses  # all listen before one knows where the others do
            self.running[name] = asyncio.create_task(device.run())
        plane = asyncio.create_task(backbone.run())
        try:
            async with asyncio.timeout(90.0):
                if until is not None:
                    while not until():  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                    self.running.pop(dies).cancel()
                    await self.devices[dies].close()
                await plane
                await asyncio.gather(*self.running.values())
        finally:
            plane.cancel()
            await asyncio.gather(plane, return_exceptions=True)
            for device in self.devices.values():
                await device.close()
            await backbone.close()

    def device(self, name: str, files: Files, addresses: dict[str, tuple[str, int]]) -> Device:
        async def ingest(block: SecretBlock, peer: str) -> None:
            assert peer in self.scenario.slave
            assert (name, block.block_id) not in self.blocks
            self.blocks[name, block.block_id] = block

        return Device(
            name,
            self.scenario,
            self.randomness(name),
            ca=files.ca,
            cert=files.cert,
            key=files.key,
            source=addresses["source"],
            peers={},
            ingest=ingest,
            note=self.events.append,
        )

    def made(self) -> list[KeyMade]:
        return [event for event in self.events if isinstance(event, KeyMade)]


def certified(pki: Pki, folder: Path, name: str) -> Files:
    issued = pki.authority.issue("device", name, listens=True)
    files = Files(folder / "ca.crt", folder / f"{name}.crt", folder / f"{name}.key")
    files.ca.write_bytes(pki.authority.own().certificate)
    issued.write(files.cert, files.key)
    return files


def counts(events: object) -> list[tuple[object, ...]]:
    assert isinstance(events, list | tuple)
    made = [each for each in events if isinstance(each, KeyMade)]
    return sorted(
        (e.demand, e.method, e.pairs, e.sifted_bits, e.final_bits, e.provable_bits, e.ingested_bits, e.chsh or 0.0)
        for e in made
    )


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Message]]:
    """All that the source says to its nodes."""
    words: list[tuple[str, Message]] = []
    say = lines.Lines.say

    def spy(self: lines.Lines, name: str, message: Message) -> None:
        words.append((name, message))
        say(self, name, message)

    monkeypatch.setattr(lines.Lines, "say", spy)
    return words


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scenario], "Simulated"]:
    def run(scenario: Scenario) -> Simulated:
        found = Simulated()
        ingest = Nodes.ingest

        def ingesting(self: Nodes, name: str, block: SecretBlock, peer: str) -> None:
            found.blocks[name, block.block_id] = block
            ingest(self, name, block, peer)

        def making(block: Sampled, *rest: object) -> object:
            found.sampled.append(block)
            return made_of(block, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(Nodes, "ingest", ingesting)
        monkeypatch.setattr("bellweave.sim.wide.network.made_of", making)
        found.events = list(simulate_wide(scenario).events)
        return found

    return run


@dataclass
class Simulated:
    """What a simulation's key servers took, and what its slaves measured."""

    blocks: dict[tuple[str, str], SecretBlock] = field(default_factory=dict)
    sampled: list[Sampled] = field(default_factory=list)
    events: list[WideEvent] = field(default_factory=list)


async def test_slaves_distil_between_them_what_each_has_measured_to_the_simulations_key(
    tmp_path: Path, sent: list[tuple[str, Message]], simulated: Callable[[Scenario], Simulated]
) -> None:
    scenario = physical()
    lab = Lab(scenario, tmp_path)
    await lab.live()
    theirs = simulated(scenario)

    assert {each.method for each in lab.made()} == {"backbone", "ekert91", "mdi"}
    assert {each.method for each in lab.made() if each.final_bits} == {"backbone", "ekert91"}  # so few give no MDI key
    assert lab.blocks == theirs.blocks
    assert counts(lab.events) == counts(theirs.events)
    for (name, block_id), block in lab.blocks.items():
        demand = scenario.demand[block.link]
        other = demand.b if name == demand.a else demand.a
        assert block.agrees_with(lab.blocks[other, block_id])
    assert not [each for each in lab.said if "understood" in each]

    # the process that simulates the physics says nothing but this, to each slave its own half
    assert {type(message) for _, message in sent} <= FROM_SOURCE
    told = [(name, message) for name, message in sent if isinstance(message, Measurement)]
    halves = {
        (name, each.block.block_id): (mine, foreign)
        for each in theirs.sampled
        for name, mine, foreign in (
            (scenario.demand[each.block.link].a, each.alice, each.bob),
            (scenario.demand[each.block.link].b, each.bob, each.alice),
        )
    }
    assert len(told) == len(halves)
    protocols = {"backbone": "pairs", "ekert91": "ekert", "mdi": "mdi"}
    for name, message in told:
        block_id = f"{message.demand}/{protocols[message.method]}/{scenario.run.seed}/{message.number}"
        mine, foreign = halves[name, block_id]
        assert message.bit == mine.bit.tobytes()
        assert mine.bit.tobytes() != foreign.bit.tobytes()
        columns = {message.setting, message.bit, message.intensity, message.announcement}
        assert foreign.bit.tobytes() not in columns


async def test_without_a_seed_both_slaves_hold_the_same_key_which_no_simulation_has(
    tmp_path: Path, simulated: Callable[[Scenario], Simulated]
) -> None:
    scenario = physical(**{"run.duration_s": 1.2})
    shared = dict.fromkeys(scenario.demand, bytes(range(32)))
    names = (*scenario.slave, "source")
    secret: dict[str, Randomness] = {
        name: Secret("a1b2", bytes([number] * 32), {} if name == "source" else shared)
        for number, name in enumerate(names)
    }
    lab = Lab(scenario, tmp_path, secret)
    await lab.live()

    assert lab.blocks
    known = {block.bits for block in simulated(scenario).blocks.values()}
    for (_, block_id), block in lab.blocks.items():
        assert "/a1b2/" in block_id
        assert block.bits not in known
        same = [each for (_, other), each in lab.blocks.items() if other == block_id]
        assert len(same) == 2
        assert same[0].agrees_with(same[1])


async def test_a_slave_that_dies_costs_its_blocks_and_the_books_are_closed_all_the_same(tmp_path: Path) -> None:
    lab = Lab(physical(**{"run.duration_s": 3.0}), tmp_path)
    await lab.live(until=lambda: any(each.demand == "alice-anna" for each in lab.made()), dies="anna")

    assert {each.demand for each in lab.events if isinstance(each, PairsClosed)} == set(lab.scenario.demand)
    assert all(each.demand in lab.scenario.demand for each in lab.made())
    lost = [each for each in lab.events if isinstance(each, BlockLost)]
    assert {each.link for each in lost} <= set(lab.scenario.demand)
    assert any(each.ingested_bits for each in lab.made() if each.demand == "alice-bob")
