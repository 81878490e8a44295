"""The schedulers: round robin, a fixed table, deficit-weighted matching, and the optimum plan."""

from collections.abc import Mapping, Sequence

from bellweave.errors import ScenarioError
from bellweave.network import optimum
from bellweave.network.matching import best
from bellweave.network.params import Schedule
from bellweave.network.rounds import rounds
from bellweave.network.scheduling import Link, Scheduler, Situation


def make_scheduler(schedule: Schedule, links: Mapping[str, Link]) -> Scheduler:
    """Return the scheduler that a scenario asks for.

    Args:
        schedule: Which one.
        links: All links, in the scenario's order.
    """
    match schedule.scheduler:
        case "round-robin":
            return RoundRobin(links, schedule.sources)
        case "table":
            return Table(schedule.table)
        case "deficit":
            return Deficit(schedule.sources)
        case "optimum":
            return Optimum(schedule.sources, schedule.frame_slots)


class RoundRobin:
    """Every link in turn; with several sources as many disjoint ones at once as fit, every link once a round.

    Links that can't be served now lose their turn, and nobody gets it: the others keep theirs.
    """

    def __init__(self, links: Mapping[str, Link], sources: int) -> None:
        self._rounds = rounds(links, sources)

    def choose(self, situation: Situation) -> Sequence[str]:
        """Return the links whose turn it is."""
        turn = self._rounds[situation.slot % len(self._rounds)]
        return tuple(name for name in turn if name in situation.links)


class Table:
    """The slots of a table, repeated."""

    def __init__(self, table: Sequence[Sequence[str]]) -> None:
        if not table:
            raise ScenarioError("the scheduler `table` needs at least one slot", path="schedule.table")
        self._table = table

    def choose(self, situation: Situation) -> Sequence[str]:
        """Return the links of the table's slot."""
        turn = self._table[situation.slot % len(self._table)]
        return tuple(name for name in turn if name in situation.links)


class Deficit:
    """Serves those who lack most: a matching by deficit, the time for which a link's stock does not last.

    A link is owed what its demand has taken since the start; it holds its level. The weight of a link is how many
    seconds of its demand a slot can make good: ``min(yield, owed) / demand``, owed = what is missing to two slots'
    worth of rounds. Links without demand are served where nobody else wants the slot, the emptiest first.
    """

    def __init__(self, sources: int) -> None:
        self._sources = sources

    def choose(self, situation: Situation) -> Sequence[str]:
        """Return the matching whose links would run dry first."""
        weights = {name: _need(situation, name) for name in situation.links}
        return best(weights, situation.links, self._sources)


def _need(situation: Situation, name: str) -> float:
    """Return how much a link needs a slot: large where its stock lasts short, tiny where nothing uses it."""
    demand, level = situation.demand_bits_per_s[name], situation.level_bits[name]
    if situation.yield_bits[name] <= 0.0:
        return 0.0
    if demand <= 0.0:
        return 1e-9 / (1.0 + level)
    lasts_s = level / demand
    return situation.slot_s / (situation.slot_s + lasts_s)


class Optimum:
    """The plan that serves the largest share of every demand, made anew for each frame from stock and demand.

    An integer program finds how many slots each link gets; the counts are decomposed into matchings, and these are
    spread over the frame so that nobody waits long.
    """

    def __init__(self, sources: int, frame_slots: int) -> None:
        self._sources = sources
        self._frame_slots = frame_slots
        self._frame: list[tuple[str, ...]] = []
        self._until = 0
        self._known: frozenset[str] = frozenset()

    def choose(self, situation: Situation) -> Sequence[str]:
        """Return the plan's links of this slot; a new plan is made at a frame's end or when links come or go."""
        if situation.slot >= self._until or self._known != frozenset(situation.links):
            self._known = frozenset(situation.links)
            counts = optimum.slot_counts(situation, self._sources, self._frame_slots)
            self._frame = optimum.spread(counts, situation.links, self._sources, self._frame_slots)
            self._until = situation.slot + self._frame_slots
        position = self._frame_slots - (self._until - situation.slot)
        return self._frame[position] if position < len(self._frame) else ()
