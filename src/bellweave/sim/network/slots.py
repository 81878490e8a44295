"""Slots: who is served, what is lost, and what becomes of the photons.

A slot's photons are worth something only if both nodes are up from its beginning until their KMEs have the key; a node
that fails takes with it the rounds that it holds, and those that its peers hold for it.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import simpy

from bellweave import rng
from bellweave.network.drift import Walk
from bellweave.network.params import Schedule
from bellweave.network.scheduling import Link, Scheduler, Situation
from bellweave.results.network_records import BlockDistilled, Event, SlotBegan
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.schema import Scenario
from bellweave.scenario.timeline import State, Timeline
from bellweave.sim.block import Distilled, RawBlock, distil_blocks
from bellweave.sim.network.journal import Journal
from bellweave.sim.network.monitor import Watchman
from bellweave.sim.network.nodes import Presence, Process

OTHER_MESSAGES = 12
"""One-way messages of a distillation besides its parity rounds: sifting, sample, verification, amplification, ends."""

Hand = Callable[[str, Distilled], int]
"""Brings a link's distilled block to the KMEs of its two nodes; returns how many bits they took."""


class Slots:
    """The sources' slots, from the first to the last.

    Args:
        hand: What takes the distilled blocks.
        presence: Of a link's two nodes.
        knowledge: What a scheduler reads, by link: bits asked for a second, bits in stock, bits a slot gives.
    """

    def __init__(
        self,
        env: simpy.Environment,
        scenario: Scenario,
        schedule: Schedule,
        scheduler: Scheduler,
        timeline: Timeline,
        journal: Journal[Event],
        hand: Hand,
        presence: Callable[[str], Presence | None],
        knowledge: tuple[Mapping[str, float], Mapping[str, float], Mapping[str, float]],
    ) -> None:
        self._env, self._scenario, self._schedule = env, scenario, schedule
        self._scheduler, self._timeline, self._journal, self._hand = scheduler, timeline, journal, hand
        self._presence = presence
        self._demand, self._level, self._yields = knowledge
        self._links: dict[str, Link] = {name: (link.alice, link.bob) for name, link in scenario.link.items()}
        self._held: dict[str, list[RawBlock]] = {}
        self._numbers: dict[str, int] = {}
        self._watchman = Watchman(scenario.monitor)
        self._walks = _walks(scenario)

    def run(self, boundaries: Sequence[simpy.Event]) -> Process[list[simpy.Process]]:
        """Run the slots between these moments; return the distillations that were begun, for some go on a while."""
        before: frozenset[str] = frozenset()
        distillations: list[simpy.Process] = []
        yield boundaries[0]
        for slot, end in enumerate(boundaries[1:]):
            start_s = self._env.now
            chosen = tuple(self._scheduler.choose(self._situation(slot, self._timeline.at(start_s))))
            lost_s = {link: 0.0 if link in before else self._lost_s(link) for link in chosen}
            self._journal.note(
                SlotBegan(at_s=start_s, slot=slot, links=chosen, lost_s=max(lost_s.values(), default=0.0))
            )
            present = {link: self._presence(link) for link in chosen}
            yield end
            middle = self._timeline.at(start_s + self._schedule.slot_s / 2.0)
            for link in chosen:
                if link not in middle.cut and present[link] is not None and present[link] == self._presence(link):
                    blocks = self._collect(link, start_s, lost_s[link], middle)
                    if blocks:
                        distillations.append(self._env.process(self._distil(slot, link, blocks)))
            before = frozenset(chosen)
        return distillations

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

    def _lost_s(self, link: str) -> float:
        """Return what a link loses of a slot if it had none before; one that goes on loses nothing."""
        switch = self._scenario.switch
        if switch is None or not self._scenario.link[link].via_switch:
            return 0.0
        return switch.reconfiguration_s + switch.synchronisation_s

    def _collect(self, link: str, start_s: float, lost_s: float, state: State) -> list[RawBlock]:
        """Take the slot's photons; return the blocks that are now to be distilled as one, if there are enough."""
        optical = optical_link(self._drifted(state, link, start_s), link)
        optical = msgspec.structs.replace(optical, block_s=self._schedule.slot_s - lost_s)
        number = self._numbers.get(link, 0)
        self._numbers[link] = number + 1
        held = self._held.setdefault(link, [])
        held.append(RawBlock(optical, number, start_s + lost_s))
        return self._held.pop(link) if len(held) == self._scenario.distill.accumulate_blocks else []

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
        present = self._presence(link)
        done = distil_blocks(self._scenario, blocks)
        trips = 2 * done.record.corrections.parity_rounds + OTHER_MESSAGES
        yield self._env.timeout(trips * self._scenario.data_network.latency_s)
        whole = present is not None and present == self._presence(link)  # else one end has lost it: no key of the link
        ingested_bits = self._hand(link, done) if whole else 0
        now_s = self._env.now
        self._journal.note(BlockDistilled(at_s=now_s, slot=slot, block=done.record, ingested_bits=ingested_bits))
        alarm = self._watchman.look(done.record, now_s)
        if alarm is not None:
            self._journal.note(alarm)


def _walks(scenario: Scenario) -> dict[str, Walk]:
    if scenario.drift is None:
        return {}
    seed = scenario.run.seed
    return {name: Walk(scenario.drift, rng.stream(seed, "node", name, "drift")) for name in scenario.node}
