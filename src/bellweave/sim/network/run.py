"""Run a network scenario in virtual time.

Same scenario, seed and version: same bytes. A run is short (seconds), so one that was cut is run again from the start
rather than resumed: its directory is taken over if it holds the same run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import simpy

from bellweave.errors import ScenarioError
from bellweave.network.params import Schedule
from bellweave.network.schedulers import make_scheduler
from bellweave.network.scheduling import Link
from bellweave.plan import expected_block
from bellweave.results.io import NetworkWriter
from bellweave.results.network_records import Event
from bellweave.results.records import Manifest, Shard
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.load import checked_scenario, to_toml
from bellweave.scenario.schema import Scenario
from bellweave.scenario.timeline import Timeline
from bellweave.sim.block import Distilled
from bellweave.sim.network.books import Books, Lazy
from bellweave.sim.network.gateways import TunnelRun
from bellweave.sim.network.journal import Journal
from bellweave.sim.network.nodes import NodeFailedError, Nodes, Process
from bellweave.sim.network.slots import Slots, announce_faults
from bellweave.sim.run import describe

GRACE_S = 1.0
"""Virtual time after the last slot, in which its key still reaches the KMEs."""

Watch = Callable[[Event], None]


@dataclass(frozen=True)
class NetworkRun:
    """A network run: what was run, and what happened, in order.

    Attributes:
        duration_s: Virtual time of all slots.
    """

    manifest: Manifest
    scenario: Scenario
    events: tuple[Event, ...]
    duration_s: float


def simulate_network(scenario: Scenario, out: Path | None = None, *, watch: Watch | None = None) -> NetworkRun:
    """Simulate a network scenario and return its events in the order of virtual time.

    Args:
        scenario: With a ``[schedule]``.
        out: Run directory to write; None keeps the events in memory.
        watch: Called with each event, for progress.

    Raises:
        ScenarioError: If the scenario is impossible, has no schedule, or the directory is another run's.
    """
    scenario = checked_scenario(scenario)
    if scenario.schedule is None:
        raise ScenarioError("a network run needs a [schedule] table", path="schedule")
    slots = scenario.schedule.slots or scenario.run.blocks
    run = describe(scenario, Shard(blocks=slots), verb="simulate-network")
    duration_s = slots * scenario.schedule.slot_s
    if out is None:
        journal = Journal(watch=watch)
        _run(scenario, scenario.schedule, slots, journal)
    else:
        with NetworkWriter(out, run, to_toml(scenario)) as file:
            journal = Journal(file, watch)
            _run(scenario, scenario.schedule, slots, journal)
    return NetworkRun(run, scenario, tuple(journal.events), duration_s)


def _run(scenario: Scenario, schedule: Schedule, slots: int, journal: Journal) -> None:
    env = simpy.Environment()
    network = _Network(env, scenario, journal)
    env.process(network.start())
    env.process(announce_faults(env, network.timeline, journal))
    env.process(network.fail_and_return())
    env.process(network.slots(schedule).run(slots))
    env.run(until=slots * schedule.slot_s + GRACE_S)
    for tunnel in network.tunnels.values():
        tunnel.end_session("end of run")
    for closed in network.books.close(env.now):
        journal.note(closed)


class _Network:
    """Everything that lives in one run."""

    def __init__(self, env: simpy.Environment, scenario: Scenario, journal: Journal) -> None:
        self._env, self._scenario, self._journal = env, scenario, journal
        self.timeline = Timeline(scenario)
        self.links: dict[str, Link] = {name: (link.alice, link.bob) for name, link in scenario.link.items()}
        self._link_of = {frozenset(ends): name for name, ends in self.links.items()}
        self.nodes = Nodes(env, scenario)
        self.books = Books(self.nodes, self.links)
        self.tunnels: dict[str, TunnelRun] = {}
        self._slots: Slots | None = None

    def start(self) -> Process[None]:
        """Let the KMEs greet each other, then start the tunnels."""
        for name in self.nodes.by_name:
            yield from self.nodes.greet(name)
        local_s = self._scenario.data_network.local_latency_s
        for name, tunnel in self._scenario.tunnel.items():
            self.tunnels[name] = TunnelRun(self._env, name, tunnel, self.nodes, self._journal, local_s, self._sample_of)

    def slots(self, schedule: Schedule) -> Slots:
        """Return the slots, with what their scheduler may know."""
        demand = dict.fromkeys(self.links, 0.0)
        for tunnel in self._scenario.tunnel.values():
            link = self._link_of.get(frozenset((tunnel.client, tunnel.server)))
            if link is not None:
                demand[link] += tunnel.key_bits / tunnel.period_s
        self._slots = Slots(
            self._env,
            self._scenario,
            schedule,
            make_scheduler(schedule, self.links),
            self.timeline,
            self._journal,
            self._hand,
            (demand, self.books.level_bits, Lazy(self.links, _yields(self._scenario))),
        )
        return self._slots

    def fail_and_return(self) -> Process[None]:
        """Stop nodes that fail, and start them again when they return."""
        down: frozenset[str] = frozenset()
        for state in self.timeline.states:
            if state.at_s > self._env.now:
                yield self._env.timeout(state.at_s - self._env.now)
            for name in sorted(state.down - down):
                self._fail(name)
            for name in sorted(down - state.down):
                self.nodes[name].restart()
                yield from self.nodes.greet(name)
                for tunnel in self._tunnels_at(name):
                    tunnel.start()
            down = state.down

    def _fail(self, name: str) -> None:
        self.nodes[name].fail()
        for peer in self.nodes[name].kme.directory.peers:
            self.nodes[peer].kme.lost(name)
        if self._slots is not None:
            self._slots.forget(name)
        for tunnel in self._tunnels_at(name):
            tunnel.stop("failed")

    def _tunnels_at(self, node: str) -> list[TunnelRun]:
        """Return the tunnels of a node whose other end is up."""
        table = self._scenario.tunnel
        return [run for name, run in self.tunnels.items() if node in {table[name].client, table[name].server}]

    def _hand(self, link: str, done: Distilled) -> Process[None]:
        """Bring a distilled block to both KMEs, and let them confirm it."""
        if done.alice is None or done.bob is None or done.alice.bit_count == 0:
            return
        alice, bob = self.links[link]
        for name, peer, block in ((alice, bob, done.alice), (bob, alice, done.bob)):
            if self.nodes[name].up:
                yield from self._performed(name, self.nodes[name].kme.ingest(block, peer, self._env.now))
        lead, second = sorted((alice, bob))
        if self.nodes[lead].up and self.nodes[second].up:
            yield from self._performed(lead, self.nodes[lead].kme.tick(self._env.now))
        self._journal.note(self.books.sample(link, self._env.now))

    def _performed(self, name: str, work: object) -> Process[None]:
        try:
            yield from self.nodes.perform(name, work)  # type: ignore[arg-type]
        except NodeFailedError:
            return

    def _sample_of(self, tunnel: str) -> None:
        """A key was delivered: note the stock of the tunnel's link."""
        ends = self._scenario.tunnel[tunnel]
        link = self._link_of.get(frozenset((ends.client, ends.server)))
        if link is not None:
            self._journal.note(self.books.sample(link, self._env.now))


def _yields(scenario: Scenario) -> Callable[[str], float]:
    """Return what a slot of a link is expected to give; equal links are worked out once."""
    known: dict[bytes, float] = {}

    def value(link: str) -> float:
        optical = msgspec.structs.replace(optical_link(scenario, link), name="")
        key = msgspec.msgpack.encode(optical)
        if key not in known:
            accountings: Mapping[str, float] = expected_block(scenario, link).accountings
            known[key] = accountings[scenario.kms.mint] / scenario.distill.accumulate_blocks
        return known[key]

    return value
