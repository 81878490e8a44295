"""Networks of users, and schedulers that are played against them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from bellweave.network.scheduling import Link, Scheduler, Situation


def complete(users: int) -> dict[str, Link]:
    """Return the links of users who are all joined to each other."""
    names = [f"u{number:03d}" for number in range(users)]
    return {f"{first}-{second}": (first, second) for first, second in combinations(names, 2)}


def situation(
    links: Mapping[str, Link], demand: Sequence[float], yields: Sequence[float], slot_s: float = 1.0
) -> Situation:
    """Return the first slot's situation: nothing in stock; demands and yields in the order of the links."""
    nothing = dict.fromkeys(links, 0.0)
    return Situation(
        0, links, nothing, dict(zip(links, demand, strict=True)), dict(zip(links, yields, strict=True)), slot_s
    )


@dataclass
class Played:
    """What a scheduler did.

    Attributes:
        slots: Links of each slot.
        made_bits: Key that came, by link.
        used_bits: Key that was used, by link.
    """

    slots: list[tuple[str, ...]] = field(default_factory=list)
    made_bits: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    used_bits: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def share(self, first: Situation) -> float:
        """Return the smallest share of demand that came, at most 1."""
        time_s = len(self.slots) * first.slot_s
        asked = {name: rate * time_s for name, rate in first.demand_bits_per_s.items() if rate > 0.0}
        return min((min(1.0, self.made_bits[name] / bits) for name, bits in asked.items()), default=1.0)


def play(scheduler: Scheduler, first: Situation, slots: int, *, down: Mapping[int, set[str]] | None = None) -> Played:
    """Play so many slots: a slot yields what is expected of it, demand takes what there is.

    Args:
        scheduler: A fresh scheduler.
        first: The first slot's situation.
        slots: How many.
        down: Users that are down from a slot on.
    """
    played, level, gone = Played(), dict(first.level_bits), set[str]()
    for slot in range(slots):
        gone = (down or {}).get(slot, gone)
        links = {name: link for name, link in first.links.items() if not gone & set(link)}
        chosen = tuple(scheduler.choose(replace(first, slot=slot, links=links, level_bits=dict(level))))
        played.slots.append(chosen)
        for name in chosen:
            level[name] += first.yield_bits[name]
            played.made_bits[name] += first.yield_bits[name]
        for name, rate in first.demand_bits_per_s.items():
            used = min(level[name], rate * first.slot_s)
            level[name] -= used
            played.used_bits[name] += used
    return played
