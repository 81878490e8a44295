"""Who is served in the next slot: one interface, and what a scheduler may know.

A schedule is a sequence of matchings: in each slot at most ``sources`` links that share no user. Schedulers are in
:mod:`bellweave.network.schedulers`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Link = tuple[str, str]
"""The two users of a link."""


@dataclass(frozen=True)
class Situation:
    """What a scheduler may know when a slot begins.

    Attributes:
        slot: Number of the slot, from 0.
        links: Links by name that can be served now (both users up, path there), in the scenario's order.
        level_bits: Key in stock, by link; what both ends hold.
        demand_bits_per_s: Key that is asked for, by link; 0 where nothing uses it.
        yield_bits: Key that a slot is expected to give, by link.
        slot_s: How long a slot lasts, by the clock of those who ask for key.
    """

    slot: int
    links: Mapping[str, Link]
    level_bits: Mapping[str, float]
    demand_bits_per_s: Mapping[str, float]
    yield_bits: Mapping[str, float]
    slot_s: float


class Scheduler(Protocol):
    """Chooses the links of each slot, in order of slots; may remember what it chose."""

    def choose(self, situation: Situation) -> Sequence[str]:
        """Return links that share no user, at most as many as there are sources; none where none is of use."""
        ...
