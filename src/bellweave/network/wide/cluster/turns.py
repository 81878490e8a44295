"""Whose turn it is in a cluster: disjoint pairs of slaves run Ekert91 at once, one pair MDI-QKD.

Ekert91 is measured at the slaves, so floor(V/2) pairs of V slaves run at once (Eq. 5); the measurement of MDI-QKD is at
the master, which has one. A pair may have both in the same slot. With equal weights the pairs take turns as in a
tournament, each once a round. Otherwise the pairs are chosen whose weight times the slots since they were last served
is largest in total: every pair comes up, in the long run the more often the more it weighs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from bellweave.network.matching import best
from bellweave.network.rounds import rounds
from bellweave.network.scheduling import Link
from bellweave.network.wide.theory import ekert_pairs_at_once


@dataclass(frozen=True)
class Turn:
    """What one slot is for.

    Attributes:
        ekert: Names of the pairs that run Ekert91, no slave in two of them.
        mdi: Name of the pair that has the master's measurement; None if no pair wants any.
    """

    ekert: tuple[str, ...]
    mdi: str | None


def every_pair(slaves: tuple[str, ...]) -> dict[str, Link]:
    """Return all pairs of slaves by name.

    >>> every_pair(("a", "b", "c"))
    {'a-b': ('a', 'b'), 'a-c': ('a', 'c'), 'b-c': ('b', 'c')}
    """
    return {f"{a}-{b}": (a, b) for a, b in combinations(slaves, 2)}


class Turns:
    """The master's schedule, slot by slot.

    Args:
        pairs: Who wants key, by name.
        weights: Share of each pair among those that compete, > 0; None: all alike.
    """

    def __init__(self, pairs: Mapping[str, Link], weights: Mapping[str, float] | None = None) -> None:
        self._pairs = dict(pairs)
        self._most = ekert_pairs_at_once(len({slave for pair in pairs.values() for slave in pair}))
        equal = weights is None or len(set(weights.values())) <= 1
        self._rounds = rounds(self._pairs, self._most) if equal and self._pairs else ()
        self._weights = dict.fromkeys(pairs, 1.0) if equal or weights is None else dict(weights)
        self._waited = {"ekert": dict.fromkeys(pairs, 1), "mdi": dict.fromkeys(pairs, 1)}
        self._slot = 0

    def following(self) -> Turn:
        """Return the next slot's turn."""
        if not self._pairs:
            return Turn((), None)
        if self._rounds:
            chosen = self._rounds[self._slot % len(self._rounds)]
        else:
            chosen = best(self._needs("ekert"), self._pairs, self._most)
        needs = self._needs("mdi")
        turn = Turn(chosen, max(needs, key=needs.__getitem__))
        for protocol, served in (("ekert", turn.ekert), ("mdi", (turn.mdi,))):
            waited = self._waited[protocol]
            for name in waited:
                waited[name] = 1 if name in served else waited[name] + 1
        self._slot += 1
        return turn

    def _needs(self, protocol: str) -> dict[str, float]:
        return {name: self._weights[name] * waited for name, waited in self._waited[protocol].items()}
