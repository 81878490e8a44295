"""Closed forms of a network that takes turns: rounds, supply and demand of a link, waiting times, scale.

Everything is deterministic: a slot of a link gives ``bits`` of key, a tunnel asks for a key of ``bits`` each period.
What chance adds (blocks vary, some are rejected) is the simulation's business.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from bellweave.network.scheduling import Link

ROUNDING = 1e-9
"""Moments closer than this share of a period are the same moment."""

# --------------------------------------------------------------------------------------------------------------- rounds


def links_at_once(users: int, sources: int) -> int:
    """Return how many links can be served in one slot: a user is in one of them, so floor(N/2) at most.

    >>> links_at_once(5, 8)
    2
    """
    return min(sources, users // 2)


def round_slots(users: int, sources: int) -> int:
    """Return the fewest slots in which each pair of ``users`` >= 2 is served once: ceil(L/K), L = N(N - 1)/2.

    K = min(sources, floor(N/2)). With K = floor(N/2) this is N - 1 for even and N for odd N: the complete graph's
    edges split into so many matchings. Fewer at once always fit: two matchings whose sizes differ by more than one can
    be evened out along an alternating path, so L links fill ceil(L/K) slots with at most K each.

    >>> round_slots(4, 1), round_slots(4, 2), round_slots(5, 2), round_slots(64, 3)
    (6, 3, 5, 672)
    """
    return math.ceil(math.comb(users, 2) / links_at_once(users, sources))


def round_bound(links: Iterable[Link], sources: int) -> int:
    """Return a number of slots that no round of these links can stay below: its busiest user's links, and ceil(L/K).

    A round of a graph without parallel links takes at most one slot more (Vizing's theorem).

    >>> round_bound([("a", "b"), ("a", "c"), ("a", "d")], 2)
    3
    """
    listed = list(links)
    busy = Counter(user for link in listed for user in link)
    return max(max(busy.values(), default=0), math.ceil(len(listed) / sources))


def overhead_share(lost_s: float, slot_s: float) -> float:
    """Return the share of a slot that switching and synchronising take, in [0, 1].

    >>> round(overhead_share(0.010 + 0.1, 1.0), 3)
    0.11
    """
    return min(1.0, lost_s / slot_s)


def shortest_slot_s(lost_s: float, share: float) -> float:
    """Return the slot of which ``lost_s`` takes no more than ``share`` > 0.

    >>> shortest_slot_s(0.5, 0.1)
    5.0
    """
    return lost_s / share


@dataclass(frozen=True)
class Utilisation:
    """Shares of time, in [0, 1].

    Attributes:
        source: In which a source's pairs reach two users who take them.
        user: In which a user takes part in a session.
    """

    source: float
    user: float


def utilisation(users: int, sources: int, lost_s: float, slot_s: float) -> Utilisation:
    """Return how busy sources and users are in a saturated round robin of all pairs.

    A round has L useful turns in R slots of K sources; a user takes part in N - 1 of them.

    >>> utilisation(4, 1, 0.0, 10.5)
    Utilisation(source=1.0, user=0.5)
    """
    slots, useful = round_slots(users, sources), 1.0 - overhead_share(lost_s, slot_s)
    return Utilisation(source=useful * math.comb(users, 2) / (slots * sources), user=useful * (users - 1) / slots)


# ---------------------------------------------------------------------------------------------------- supply and demand


@dataclass(frozen=True)
class Supply:
    """Key of one link, block by block.

    Attributes:
        first_s: When the first block is there.
        every_s: Time between two blocks.
        bits: Of each block.
    """

    first_s: float
    every_s: float
    bits: float

    @property
    def bits_per_s(self) -> float:
        """In the long run."""
        return self.bits / self.every_s

    def bits_until(self, now_s: float) -> float:
        """Return what has come up to and including a moment."""
        if now_s < self.first_s:
            return 0.0
        return self.bits * (math.floor((now_s - self.first_s) / self.every_s + ROUNDING) + 1)

    def enough_s(self, bits: float) -> float:
        """Return when so many bits have come: with the block that completes them; infinity if never."""
        if self.bits <= 0.0:
            return math.inf if bits > 0.0 else 0.0
        blocks = math.ceil(bits / self.bits - ROUNDING)
        return self.first_s + (blocks - 1) * self.every_s if blocks > 0 else 0.0


@dataclass(frozen=True)
class Demand:
    """Keys that the tunnels of one link ask for, all at the same moments.

    Attributes:
        start_s: When the first ones are due.
        period_s: Time between two.
        key_bits: Of a key.
        tunnels: Keys at each moment.
    """

    start_s: float
    period_s: float
    key_bits: float
    tunnels: int = 1

    @property
    def bits_per_s(self) -> float:
        """In the long run."""
        return self.tunnels * self.key_bits / self.period_s

    def asked_s(self, key: int) -> float:
        """Return when the key of that number, from 0, is asked for."""
        return self.start_s + key // self.tunnels * self.period_s


def turns(position: int, round_length: int, slot_s: float, bits: float, *, blocks: int = 1) -> Supply:
    """Return the supply of a link in a saturated round robin: one slot a round, a block each ``blocks`` rounds.

    Args:
        position: Of the link's slot in the round, from 0.
        round_length: Slots of a round.
        slot_s: Length of a slot.
        bits: Key of a block; where several slots are distilled as one (``blocks``), of all of them together.
        blocks: Slots that are distilled as one.

    >>> turns(0, 6, 10.5, 554.0)
    Supply(first_s=10.5, every_s=63.0, bits=554.0)
    """
    every_s = round_length * slot_s
    return Supply((position + 1) * slot_s + (blocks - 1) * every_s, blocks * every_s, bits)


def first_key_s(supply: Supply, key_bits: float) -> float:
    """Return when a link holds its first key: its first slot, accumulation, and as many blocks as a key takes.

    >>> first_key_s(turns(5, 6, 10.5, 300.0), 512)
    126.0
    """
    return supply.enough_s(key_bits)


def shortest_period_s(supply_bps: float, key_bits: float, tunnels: int = 1) -> float:
    """Return the shortest refresh period that a link sustains, seconds; infinity without supply.

    In the long run a period's keys may take no more than a period's supply: P >= tunnels x key_bits / supply.

    >>> round(shortest_period_s(554 / 63, 512, 2), 2)
    116.45
    """
    return tunnels * key_bits / supply_bps if supply_bps > 0.0 else math.inf


def largest_refresh_hz(supply_bps: float, key_bits: float, tunnels: int = 1) -> float:
    """Return the largest refresh rate of each tunnel that a link sustains: 1 / :func:`shortest_period_s`."""
    return supply_bps / (tunnels * key_bits)


def wait_s(supply: Supply, demand: Demand, key: int) -> float:
    """Return how long the key of that number (from 0) is waited for, if whoever asks waits and nobody overtakes.

    Key n is there once the cumulated supply reaches (n + 1) keys, and is asked for at a known moment: the wait is the
    time by which supply comes later.

    >>> link, tunnels = Supply(10.5, 63.0, 554.0), Demand(60.0, 60.0, 512.0, tunnels=2)
    >>> [wait_s(link, tunnels, key) for key in range(4)]
    [0.0, 13.5, 16.5, 79.5]
    """
    return max(0.0, supply.enough_s((key + 1) * demand.key_bits) - demand.asked_s(key))


def keys_with_waiting(supply: Supply, demand: Demand, until_s: float) -> int:
    """Return the keys delivered by a moment, it included, if refused tunnels keep asking: the lesser of both sums."""
    if until_s < demand.start_s:
        return 0
    asked = demand.tunnels * (math.floor((until_s - demand.start_s) / demand.period_s + ROUNDING) + 1)
    return min(asked, math.floor(supply.bits_until(until_s) / demand.key_bits + ROUNDING))


def keys_without_waiting(supply: Supply, demand: Demand, until_s: float) -> int:
    """Return the keys delivered by a moment, it included, if a refused tunnel asks again a period later.

    At every moment of asking the stock gives min(tunnels, floor(stock / key)) keys; what is refused is not made up for.
    Supply that comes at the very moment of asking counts.

    The data-centre paper's network with its printed 554 bits a block, six links and two tunnels each:

    >>> paper, blocks = Demand(60.0, 60.0, 512.0, tunnels=2), [turns(n, 6, 10.5, 554.0) for n in range(6)]
    >>> [sum(keys_without_waiting(link, paper, until_s) for link in blocks) for until_s in (60.0, 300.0, 1050.0)]
    [5, 28, 103]
    """
    keys = 0
    for period in range(math.floor((until_s - demand.start_s) / demand.period_s + ROUNDING) + 1):
        stock = supply.bits_until(demand.start_s + period * demand.period_s) - keys * demand.key_bits
        keys += min(demand.tunnels, math.floor(stock / demand.key_bits + ROUNDING))
    return keys


def steady_s(supply: Supply, demand: Demand) -> float | None:
    """Return the moment from which on no key is waited for; None where supply is not above demand in the long run.

    With k, T, B: key, time between blocks, block; P, m: period, tunnels; and f, s: first block, first moment of asking,
    key n waits less than f - s + P - (n + 1) g, where g = P/m - k T/B > 0. So the last key that waits has
    n < (f - s + P) / g, and is looked for from there.

    >>> steady_s(Supply(100.0, 10.0, 512.0), Demand(0.0, 60.0, 256.0, tunnels=2))
    120.0
    """
    if supply.bits_per_s <= demand.bits_per_s:
        return None
    gain_s = demand.period_s / demand.tunnels - demand.key_bits / supply.bits_per_s
    last = math.floor((supply.first_s - demand.start_s + demand.period_s) / gain_s)
    for key in range(last, -1, -1):
        if wait_s(supply, demand, key) > 0.0:
            return demand.asked_s(key + demand.tunnels - key % demand.tunnels)
    return demand.start_s


# ---------------------------------------------------------------------------------------------------------------- scale


def link_bits_per_s(users: int, sources: int, slot_s: float, slot_bits: float) -> float:
    """Return the key rate of each link of ``users`` users who all share pairs, in a saturated round robin.

    >>> round(link_bits_per_s(4, 1, 10.5, 554.0), 3)
    8.794
    """
    return slot_bits / (round_slots(users, sources) * slot_s)


def most_users(sources: int, slot_s: float, slot_bits: float, demand_bits_per_s: float) -> int:
    """Return the largest number of users with a demand between all of them that the sources meet; 1: not even two.

    A round may take no longer than a slot's key lasts: R(N) slot_s <= slot_bits / demand. With one source that is
    N(N - 1)/2 <= slot_bits / (demand slot_s). R is at least N - 1, however many sources there are.

    >>> most_users(1, 1.0, 20_000.0, 256 / 60)
    97
    """
    if demand_bits_per_s <= 0.0:
        raise ValueError(f"without a demand any number of users is served, got {demand_bits_per_s} bit/s")
    slots = math.floor(slot_bits / (demand_bits_per_s * slot_s) + ROUNDING)
    if slots < 1:
        return 1
    low, high = 1, slots + 2  # R(N) >= N - 1, so slots + 2 users are too many
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if round_slots(middle, sources) <= slots else (low, middle)
    return low


def sources_needed(users: int, slot_s: float, slot_bits: float, demand_bits_per_s: float) -> int | None:
    """Return the fewest sources that meet a demand between all pairs of users; None where no number does.

    More than floor(N/2) serve nobody, so a round never takes less than N - 1 slots (N for odd N).

    >>> sources_needed(64, 1.0, 2_000.0, 256 / 60), sources_needed(640, 1.0, 2_000.0, 256 / 60)
    (5, None)
    """
    slots = math.floor(slot_bits / (demand_bits_per_s * slot_s) + ROUNDING)
    if slots < round_slots(users, users // 2):
        return None
    return math.ceil(math.comb(users, 2) / slots)
