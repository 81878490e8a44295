"""The schedulers: round robin, a fixed table, deficit-weighted matching, and the optimum plan."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

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
    """The slots of a table, repeated; it has been checked (:mod:`bellweave.network.checks`)."""

    def __init__(self, table: Sequence[Sequence[str]]) -> None:
        self._table = table

    def choose(self, situation: Situation) -> Sequence[str]:
        """Return the links of the table's slot."""
        turn = self._table[situation.slot % len(self._table)]
        return tuple(name for name in turn if name in situation.links)


class Deficit:
    """Serves those who lack most: the heaviest matching by how many seconds of its demand a link is behind.

    Since it could first be served, a link is owed demand x time, and has been given what its slots were expected to
    yield: given / demand - time is how long that lasts from now on, negative where it lags behind. A stock that lasts
    shorter says more: blocks were rejected, or whoever uses it took a lot at once. A link that lags weighs 1 + lag in
    slots, any other slot / (slot + how long it lasts).

    So demands that are too large together are served in equal shares, and an attacked link whose blocks are rejected
    does not take the others' time. Links without demand get slots that nobody else can use, the emptiest first.
    """

    def __init__(self, sources: int) -> None:
        self._sources = sources
        self._waited_s: Counter[str] = Counter()
        self._given_bits: defaultdict[str, float] = defaultdict(float)

    def choose(self, situation: Situation) -> Sequence[str]:
        """Return the matching whose links lack most."""
        chosen = best({name: self._need(situation, name) for name in situation.links}, situation.links, self._sources)
        self._waited_s.update(dict.fromkeys(situation.links, situation.slot_s))
        for name in chosen:
            self._given_bits[name] += situation.yield_bits[name]
        return chosen

    def _need(self, situation: Situation, name: str) -> float:
        """Return the weight of a link, > 0; 0 where a slot gives nothing."""
        demand, level, slot_s = situation.demand_bits_per_s[name], situation.level_bits[name], situation.slot_s
        if situation.yield_bits[name] <= 0.0:
            return 0.0
        if demand <= 0.0:
            return 1e-9 / (1.0 + level)
        lasts_s = min(self._given_bits[name] / demand - self._waited_s[name], level / demand)
        return 1.0 - lasts_s / slot_s if lasts_s < 0.0 else slot_s / (slot_s + lasts_s)


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
        self._owed: dict[str, float] = {}

    def choose(self, situation: Situation) -> Sequence[str]:
        """Return the plan's links of this slot; a new plan is made at a frame's end or when links come or go."""
        if situation.slot >= self._until or self._known != frozenset(situation.links):
            self._known = frozenset(situation.links)
            counts = optimum.slot_counts(situation, self._sources, self._frame_slots, self._owed)
            self._frame = optimum.spread(counts, situation.links, self._sources, self._frame_slots)
            self._until = situation.slot + self._frame_slots
        position = self._frame_slots - (self._until - situation.slot)
        return self._frame[position] if position < len(self._frame) else ()
