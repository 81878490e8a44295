"""What the sources do: which links a slot serves, and which blocks of photons it collects. All times are photon time.

A slot's photons are worth something only if both nodes of the link are there from its beginning to its end. A fault of
the scenario acts as it is at the middle of a slot; one on command as it is at the slot's end.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from bellweave.blocks import Detections, Rounds
from bellweave.errors import ScenarioError
from bellweave.network.drift import Walk
from bellweave.network.params import Schedule
from bellweave.network.scheduling import Link, Scheduler, Situation
from bellweave.photonics import link as photons
from bellweave.photonics.params import Eavesdropper, OpticalLink
from bellweave.roles.node import Facts
from bellweave.roles.randomness import Randomness
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.schema import Scenario
from bellweave.scenario.timeline import State, Timeline

Presence = tuple[int, ...]
"""How often each node of a link has started: as long as it stays the same, none of them has failed."""

Present = Callable[[str], Presence | None]
"""Says of a link whether both of its nodes are there, and None if one is not."""


@dataclass(frozen=True)
class RawBlock:
    """One block of a link before anything is detected.

    Attributes:
        optical: What its photons meet.
        number: Counts the link's blocks; names its random streams.
        start_s: When it begins, seconds since the start of the run.
    """

    optical: OpticalLink
    number: int
    start_s: float

    @property
    def facts(self) -> Facts:
        """What is public about it."""
        return Facts(self.number, self.start_s, self.optical.block_s)


@dataclass(frozen=True)
class Knowledge:
    """What a scheduler reads, by link.

    Attributes:
        demand_bits_per_s: Key that is asked for, a second of the key servers' clock.
        level_bits: Key in stock; may change all the time.
        yield_bits: Key that a slot is expected to give.
    """

    demand_bits_per_s: Mapping[str, float]
    level_bits: Mapping[str, float]
    yield_bits: Mapping[str, float]


@dataclass(frozen=True)
class Slot:
    """A slot that has begun.

    Attributes:
        number: Its number.
        start_s: When.
        lost_s: What each of the links that it serves loses of it; one that the slot before served as well, nothing.
    """

    number: int
    start_s: float
    lost_s: Mapping[str, float]

    @property
    def links(self) -> tuple[str, ...]:
        """The links that it serves."""
        return tuple(self.lost_s)


class Sources:
    """The sources of a network, slot by slot.

    Args:
        scenario: As it was written.
        schedule: Its schedule.
        scheduler: Chooses the links of each slot.
        timeline: The scenario's faults.
        knowledge: What the scheduler reads.
        randomness: What drift is drawn from.
    """

    def __init__(
        self,
        scenario: Scenario,
        schedule: Schedule,
        scheduler: Scheduler,
        timeline: Timeline,
        knowledge: Knowledge,
        randomness: Randomness,
    ) -> None:
        self._scenario, self._schedule, self._scheduler = scenario, schedule, scheduler
        self._timeline, self._knowledge = timeline, knowledge
        self._links: dict[str, Link] = {name: (link.alice, link.bob) for name, link in scenario.link.items()}
        self._numbers = dict.fromkeys(self._links, 0)
        self._walks: dict[str, Walk] = {}
        if scenario.drift is not None:
            self._walks = {name: Walk(scenario.drift, randomness.drift(name)) for name in scenario.node}
        self._cut: set[str] = set()
        self._taps: dict[str, Eavesdropper] = {}
        self._before: frozenset[str] = frozenset()
        self._slot = Slot(-1, 0.0, {})
        self._began: dict[str, Presence | None] = {}

    def begin(self, number: int, present: Present) -> Slot:
        """Begin a slot; slots come in order.

        Args:
            number: Counts them from 0.
            present: Of a link's two nodes, at this moment.
        """
        start_s = number * self._schedule.slot_s
        state = self._timeline.at(start_s)
        served = {
            name: ends
            for name, ends in self._links.items()
            if name not in state.cut and name not in self._cut and present(name) is not None
        }
        known = self._knowledge
        wall_s = self._schedule.wall_slot_s  # stock and demand live by the key servers' clock
        situation = Situation(number, served, known.level_bits, known.demand_bits_per_s, known.yield_bits, wall_s)
        chosen = tuple(self._scheduler.choose(situation))
        lost_s = {link: 0.0 if link in self._before else self._lost_s(link) for link in chosen}
        self._slot = Slot(number, start_s, lost_s)
        self._began = {link: present(link) for link in chosen}
        self._before = frozenset(chosen)
        return self._slot

    def end(self, present: Present) -> list[RawBlock]:
        """End the slot, and return the block of each link that was served and whose nodes were there all the time.

        Args:
            present: Of a link's two nodes, at this moment.
        """
        slot, began = self._slot, self._began
        middle = self._timeline.at(slot.start_s + self._schedule.slot_s / 2.0)
        return [
            self._collected(link, slot, middle)
            for link in slot.links
            if link not in middle.cut
            and link not in self._cut
            and began[link] is not None
            and began[link] == present(link)
        ]

    def cut(self, link: str, *, on: bool) -> None:
        """Cut a link's quantum channel on command, or mend it; what the scenario cuts stays cut.

        Raises:
            ScenarioError: There is no such link.
        """
        self._require(link)
        (self._cut.add if on else self._cut.discard)(link)

    def tap(self, link: str, fraction: float) -> None:
        """Let an eavesdropper intercept this share of a link's photons from now on; 0: she goes.

        Raises:
            ScenarioError: There is no such link, or the share is none.
        """
        self._require(link)
        if not 0.0 <= fraction <= 1.0:
            raise ScenarioError(
                f"an eavesdropper intercepts a share from 0 to 1, got {fraction:g}", path=f"link.{link}"
            )
        if fraction:
            self._taps[link] = Eavesdropper(fraction=fraction)
        else:
            self._taps.pop(link, None)

    def _require(self, link: str) -> None:
        if link not in self._links:
            raise ScenarioError(f"there is no link {link!r}; there are {', '.join(sorted(self._links)) or 'none'}")

    def _lost_s(self, link: str) -> float:
        """Return what a link loses of a slot if it had none before."""
        switch = self._scenario.switch
        if switch is None or not self._scenario.link[link].via_switch:
            return 0.0
        return switch.reconfiguration_s + switch.synchronisation_s

    def _collected(self, link: str, slot: Slot, state: State) -> RawBlock:
        optical = optical_link(self._drifted(state, link, slot.start_s), link)
        optical = msgspec.structs.replace(optical, block_s=self._schedule.slot_s - slot.lost_s[link])
        if link in self._taps:
            optical = msgspec.structs.replace(optical, eavesdropper=self._taps[link])
        number = self._numbers[link]
        self._numbers[link] = number + 1
        return RawBlock(optical, number, slot.start_s + slot.lost_s[link])

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


Sampled = tuple[Detections | Rounds, Detections | Rounds]
"""What each node of a link has of a block, Alice first: detections, or rounds at the level ``coincidences``."""


def sampled(scenario: Scenario, block: RawBlock, randomness: Randomness) -> Sampled:
    """Return what the two nodes of a link see of a block; each may be given its own only."""
    sample = photons.tags if scenario.run.level == "tags" else photons.coincidences
    return sample(block.optical, randomness.photons(), block.number, block.start_s)
