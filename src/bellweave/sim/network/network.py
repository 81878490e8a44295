"""Everything that lives in one run: nodes, slots, tunnels, and the faults that befall them."""

from collections.abc import Iterable, Sequence

import simpy

from bellweave.network.params import Schedule
from bellweave.network.schedulers import make_scheduler
from bellweave.network.scheduling import Link
from bellweave.plan.slot_bits import SlotBits
from bellweave.results.network_records import Event, FaultChanged
from bellweave.roles.randomness import Seeded
from bellweave.roles.source import Knowledge, Presence, Sources
from bellweave.scenario.demand import demand_bits_per_s
from bellweave.scenario.schema import Scenario
from bellweave.scenario.timeline import State, Timeline
from bellweave.sim.block import Distilled
from bellweave.sim.network.books import Books
from bellweave.sim.network.gateways import TunnelRun
from bellweave.sim.network.journal import Journal
from bellweave.sim.network.nodes import Nodes, Process
from bellweave.sim.network.slots import Slots

BYTE = 8
"""A KME keeps whole bytes of a block."""

GRACE_S = 1.0
GRACE_TRIPS = 30
"""Virtual time after the last slot, in which exchanges that are under way end: so long, and so many one-way trips."""


class Network:
    """A scenario's network in virtual time."""

    def __init__(self, env: simpy.Environment, scenario: Scenario, schedule: Schedule, journal: Journal[Event]) -> None:
        self._env, self._scenario, self._schedule, self._journal = env, scenario, schedule, journal
        self._timeline = Timeline(scenario)
        self._links: dict[str, Link] = {name: (link.alice, link.bob) for name, link in scenario.link.items()}
        self._link_of = {frozenset(ends): name for name, ends in self._links.items()}
        self._nodes = Nodes(env, scenario)
        self.books = Books(self._nodes, self._links)
        local_s = scenario.data_network.local_latency_s
        self._tunnels = {
            name: TunnelRun(env, name, tunnel, self._nodes, journal, local_s, self._given)
            for name, tunnel in scenario.tunnel.items()
        }
        knowledge = Knowledge(demand_bits_per_s(scenario), self.books.level_bits, SlotBits(scenario))
        scheduler, randomness = make_scheduler(schedule, self._links), Seeded(scenario.run.seed)
        sources = Sources(scenario, schedule, scheduler, self._timeline, knowledge, randomness)
        self._slots = Slots(env, scenario, sources, journal, self._hand, self._presence)

    def live(self, slots: int) -> Process[None]:
        """Run so many slots, and what else happens meanwhile; afterwards every session has ended."""
        slot_s, speed = self._schedule.slot_s, self._schedule.speed
        self._nodes.connect()
        # moments that are set now come before all others of the same time, in this order: see `run`
        states = [state for state in self._timeline.states if state.at_s < slots * slot_s]
        faults = [self._env.timeout(state.at_s / speed) for state in states]
        boundaries = [self._env.timeout(slot * slot_s / speed) for slot in range(slots + 1)]
        self._env.process(self._change(states, faults))
        running = self._env.process(self._slots.run(boundaries))
        yield boundaries[0]
        self._start(self._tunnels)
        yield boundaries[-1]
        for tunnel in self._tunnels.values():
            tunnel.finish()
        grace = self._env.timeout(GRACE_S + GRACE_TRIPS * self._nodes.latency_s)
        distillations: list[simpy.Process] = yield running
        yield simpy.AllOf(self._env, [*distillations, grace])
        for tunnel in self._tunnels.values():
            tunnel.end_session("end of run")

    # ---------------------------------------------------------------------------------------------------------- faults

    def _change(self, states: Sequence[State], moments: Sequence[simpy.Event]) -> Process[None]:
        """Note each fault's begin and end; stop nodes that fail, and start them again when they return."""
        active: tuple[str, ...] = ()
        down: frozenset[str] = frozenset()
        for state, moment in zip(states, moments, strict=True):
            yield moment
            for name in [*active, *state.active]:
                if (name in active) != (name in state.active):
                    self._journal.note(FaultChanged(at_s=self._env.now, fault=name, active=name in state.active))
            for name in sorted(state.down - down):
                self._fail(name)
            for name in sorted(down - state.down):
                self._env.process(self._return(name))
            active, down = state.active, state.down

    def _fail(self, name: str) -> None:
        self._nodes[name].fail()
        for peer in self._nodes[name].kme.directory.peers:
            self._nodes[peer].kme.lost(name)
        self._slots.forget(name)
        for tunnel in self._tunnels_at(name):
            self._tunnels[tunnel].stop("failed")

    def _return(self, name: str) -> Process[None]:
        """Start a node's KME again; when it is in step with its peers that are up its tunnels start."""
        self._nodes[name].restart()
        present = self._nodes.presence((name,))
        greetings = [self._env.process(self._nodes.greet(name, peer)) for peer in self._nodes.peers_up(name)]
        yield simpy.AllOf(self._env, greetings)
        if self._nodes.presence((name,)) == present:
            self._start(self._tunnels_at(name))

    def _tunnels_at(self, node: str) -> list[str]:
        return [name for name, tunnel in self._scenario.tunnel.items() if node in {tunnel.client, tunnel.server}]

    def _start(self, names: Iterable[str]) -> None:
        """Start tunnels whose two nodes are up."""
        for name in names:
            tunnel = self._scenario.tunnel[name]
            if self._nodes.presence((tunnel.client, tunnel.server)) is not None:
                self._tunnels[name].start()

    # ------------------------------------------------------------------------------------------------------------- key

    def _presence(self, link: str) -> Presence | None:
        return self._nodes.presence(self._links[link])

    def _hand(self, link: str, done: Distilled) -> int:
        """Bring a distilled block to both KMEs, and let them confirm it; return how many bits they took."""
        if done.alice is None or done.bob is None or done.alice.bit_count < BYTE:
            return 0
        alice, bob = self._links[link]
        for name, peer, block in ((alice, bob, done.alice), (bob, alice, done.bob)):
            self._nodes.ingest(name, block, peer)
        self._env.process(self._settle(link))
        bits = done.alice.bit_count // BYTE * BYTE
        self.books.ingested(link, bits)
        return bits

    def _settle(self, link: str) -> Process[None]:
        yield from self._nodes.tend(*self._links[link])
        self._journal.note(self.books.sample(link, self._env.now))

    def _given(self, tunnel: str, node: str, bits: int) -> None:
        """A key was delivered: note the stock of the tunnel's link."""
        ends = self._scenario.tunnel[tunnel]
        link = self._link_of.get(frozenset((ends.client, ends.server)))
        if link is not None:
            self.books.given(link, node, bits)
            self._journal.note(self.books.sample(link, self._env.now))
