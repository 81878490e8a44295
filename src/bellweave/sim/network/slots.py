"""Slots: who is served, what is lost, and what becomes of the photons."""

from collections.abc import Callable, Mapping

import msgspec
import simpy

from bellweave import rng
from bellweave.network.drift import Walk
from bellweave.network.params import Schedule
from bellweave.network.scheduling import Link, Scheduler, Situation
from bellweave.results.network_records import BlockDistilled, FaultChanged, SlotBegan
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.schema import Scenario
from bellweave.scenario.timeline import State, Timeline
from bellweave.sim.block import Distilled, RawBlock, distil_blocks
from bellweave.sim.network.journal import Journal
from bellweave.sim.network.monitor import Watchman
from bellweave.sim.network.nodes import Process

OTHER_MESSAGES = 12
"""One-way messages of a distillation besides its parity rounds: sifting, sample, verification, amplification, ends."""

Hand = Callable[[str, Distilled], Process[None]]
"""Brings a link's distilled block to the KMEs of its two nodes."""


class Slots:
    """The sources' slots, from the first to the last.

    Args:
        demand, level, yields: Mappings that a scheduler reads: bits a second, bits in stock, bits a slot; by link.
    """

    def __init__(
        self,
        env: simpy.Environment,
        scenario: Scenario,
        schedule: Schedule,
        scheduler: Scheduler,
        timeline: Timeline,
        journal: Journal,
        hand: Hand,
        knowledge: tuple[Mapping[str, float], Mapping[str, float], Mapping[str, float]],
    ) -> None:
        self._env, self._scenario, self._schedule = env, scenario, schedule
        self._scheduler, self._timeline, self._journal, self._hand = scheduler, timeline, journal, hand
        self._demand, self._level, self._yields = knowledge
        self._links: dict[str, Link] = {name: (link.alice, link.bob) for name, link in scenario.link.items()}
        self._held: dict[str, list[RawBlock]] = {}
        self._numbers: dict[str, int] = {}
        self._watchman = Watchman(scenario.monitor)
        self._walks = _walks(scenario)

    def run(self, slots: int) -> Process[None]:
        """Run so many slots; the last block is handed over some moments after its slot's end."""
        before: frozenset[str] = frozenset()
        for slot in range(slots):
            start_s = slot * self._schedule.slot_s
            state = self._timeline.at(start_s)
            chosen = tuple(self._scheduler.choose(self._situation(slot, state)))
            lost_s = self._lost_s(chosen, before)
            self._journal.note(SlotBegan(at_s=start_s, slot=slot, links=chosen, lost_s=lost_s))
            yield self._env.timeout((slot + 1) * self._schedule.slot_s - self._env.now)
            middle = self._timeline.at(start_s + self._schedule.slot_s / 2.0)
            for link in chosen:
                self._collect(slot, link, start_s, lost_s, middle)
            before = frozenset(chosen)

    def forget(self, node: str) -> None:
        """A node failed: the rounds that it held for blocks to come are lost, and so are its peers'."""
        for link in [name for name in self._held if node in self._links[name]]:
            del self._held[link]

    def _situation(self, slot: int, state: State) -> Situation:
        served = (
            {name: link for name, link in self._links.items() if not (state.down & set(link) or name in state.cut)}
            if state.down or state.cut
            else self._links
        )
        return Situation(slot, served, self._level, self._demand, self._yields, self._schedule.slot_s)

    def _lost_s(self, chosen: tuple[str, ...], before: frozenset[str]) -> float:
        """Return what a slot loses: links that go on lose nothing, a new one is switched and synchronised."""
        switch = self._scenario.switch
        if switch is None or set(chosen) <= before:
            return 0.0
        return switch.reconfiguration_s + switch.synchronisation_s

    def _collect(self, slot: int, link: str, start_s: float, lost_s: float, state: State) -> None:
        """Take the slot's photons; when enough blocks are together, distil them and hand the key over."""
        if state.down & set(self._links[link]) or link in state.cut:
            return
        optical = optical_link(self._drifted(state, link, start_s), link)
        optical = msgspec.structs.replace(optical, block_s=self._schedule.slot_s - lost_s)
        number = self._numbers.get(link, 0)
        self._numbers[link] = number + 1
        held = self._held.setdefault(link, [])
        held.append(RawBlock(optical, number, start_s + lost_s))
        if len(held) == self._scenario.distill.accumulate_blocks:
            self._env.process(self._distil(slot, link, self._held.pop(link)))

    def _drifted(self, state: State, link: str, start_s: float) -> Scenario:
        """Return the scenario in force with both nodes misaligned as they are at the middle of the slot."""
        if not self._walks:
            return state.scenario
        nodes = dict(state.scenario.node)
        for name in self._links[link]:
            angle = self._walks[name].angle_rad(start_s + self._schedule.slot_s / 2.0)
            noise = nodes[name].noise
            noise = msgspec.structs.replace(noise, misalignment_rad=noise.misalignment_rad + angle)
            nodes[name] = msgspec.structs.replace(nodes[name], noise=noise)
        return msgspec.structs.replace(state.scenario, node=nodes)

    def _distil(self, slot: int, link: str, blocks: list[RawBlock]) -> Process[None]:
        done = distil_blocks(self._scenario, blocks)
        trips = 2 * done.record.corrections.parity_rounds + OTHER_MESSAGES
        yield self._env.timeout(trips * self._scenario.data_network.latency_s)
        yield from self._hand(link, done)
        self._journal.note(BlockDistilled(at_s=self._env.now, slot=slot, block=done.record))
        alarm = self._watchman.look(done.record, self._env.now)
        if alarm is not None:
            self._journal.note(alarm)


def announce_faults(env: simpy.Environment, timeline: Timeline, journal: Journal) -> Process[None]:
    """Note each fault's begin and end as a process."""
    before: tuple[str, ...] = ()
    for state in timeline.states:
        if state.at_s > env.now:
            yield env.timeout(state.at_s - env.now)
        for name in before:
            if name not in state.active:
                journal.note(FaultChanged(at_s=env.now, fault=name, active=False))
        for name in state.active:
            if name not in before:
                journal.note(FaultChanged(at_s=env.now, fault=name, active=True))
        before = state.active


def _walks(scenario: Scenario) -> dict[str, Walk]:
    if scenario.drift is None:
        return {}
    seed = scenario.run.seed
    return {name: Walk(scenario.drift, rng.stream(seed, "node", name, "drift")) for name in scenario.node}
