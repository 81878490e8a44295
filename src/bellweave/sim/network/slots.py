"""Slots in virtual time: when they begin and end, and what becomes of the photons that they collect.

What a slot serves and collects is the sources' role (:mod:`bellweave.roles.source`), in photon time; here it passes
``speed`` times as fast. A node that fails before its KME has the key takes with it the rounds that it holds, and those
that its peers hold for it; what is held when the run ends is too little to distil. Both are told as lost.
"""

from collections.abc import Callable, Sequence

import simpy

from bellweave.network.scheduling import Link
from bellweave.results.network_records import BlockDistilled, BlockLost, Event, SlotBegan
from bellweave.roles.source import Presence, RawBlock, Sources
from bellweave.roles.watchman import Watchman
from bellweave.scenario.schema import Scenario
from bellweave.sim.block import Distilled, distil_blocks
from bellweave.sim.network.journal import Journal
from bellweave.sim.network.nodes import Process

OTHER_MESSAGES = 12
"""One-way messages of a distillation besides its parity rounds: sifting, sample, verification, amplification, ends."""

Hand = Callable[[str, Distilled], int]
"""Brings a link's distilled block to the KMEs of its two nodes; returns how many bits they took."""


class Slots:
    """The sources' slots, from the first to the last.

    Args:
        sources: What the sources do.
        hand: What takes the distilled blocks.
        presence: Of a link's two nodes.
    """

    def __init__(
        self,
        env: simpy.Environment,
        scenario: Scenario,
        sources: Sources,
        journal: Journal[Event],
        hand: Hand,
        presence: Callable[[str], Presence | None],
    ) -> None:
        self._env, self._scenario, self._sources = env, scenario, sources
        self._journal, self._hand, self._presence = journal, hand, presence
        self._links: dict[str, Link] = {name: (link.alice, link.bob) for name, link in scenario.link.items()}
        self._held: dict[str, list[RawBlock]] = {}
        self._watchman = Watchman(scenario.monitor)

    def run(self, boundaries: Sequence[simpy.Event]) -> Process[list[simpy.Process]]:
        """Run the slots between these moments; return the distillations that were begun, for some go on a while."""
        distillations: list[simpy.Process] = []
        yield boundaries[0]
        for number, end in enumerate(boundaries[1:]):
            slot = self._sources.begin(number, self._presence)
            lost_s = max(slot.lost_s.values(), default=0.0)
            self._journal.note(SlotBegan(at_s=self._env.now, slot=number, links=slot.links, lost_s=lost_s))
            yield end
            for block in self._sources.end(self._presence):
                blocks = self._held_with(block)
                if blocks:
                    distillations.append(self._env.process(self._distil(number, block.optical.name, blocks)))
        for link, (alice, _) in self._links.items():
            self._give_up(link, alice, "the run ended before there were enough to distil as one")
        return distillations

    def forget(self, node: str) -> None:
        """A node failed: the rounds that it held for blocks to come are lost, and so are its peers'."""
        for link, ends in self._links.items():
            if node in ends:
                self._give_up(link, node, f"{node} failed before there were enough to distil as one")

    def _give_up(self, link: str, node: str, reason: str) -> None:
        held = self._held.pop(link, [])
        if held:
            numbers = tuple(block.number for block in held)
            self._journal.note(BlockLost(at_s=self._env.now, link=link, node=node, blocks=numbers, reason=reason))

    def _held_with(self, block: RawBlock) -> list[RawBlock]:
        """Hold a block; return those that are now to be distilled as one, if there are enough."""
        held = self._held.setdefault(block.optical.name, [])
        held.append(block)
        return self._held.pop(block.optical.name) if len(held) == self._scenario.distill.accumulate_blocks else []

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
