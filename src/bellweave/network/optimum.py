"""The optimum plan of a frame: slot counts by linear and integer program, then matchings spread over the frame.

Counting slots instead of placing them keeps the programs small (a variable a link): the time-indexed form is out of
reach at 16 users. A linear program finds the best counts in fractions of slots, and with them the bound that no
schedule can pass; an integer program rounds them, each by less than one slot. Counts that fit the users' time and the
sources' always fit into slots when there is one source; with more, a few sessions may find no place (three users can't
share two sources, and so with any odd number of them): they are left out.
"""

import heapq
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, hstack, vstack

from bellweave.network.colouring import coloured
from bellweave.network.incidence import user_rows
from bellweave.network.scheduling import Link, Situation

Floats = NDArray[np.float64]

NODES = 200
"""Longest search of the integer program, in branches; what it has then is used. A limit in time would not repeat."""


@dataclass(frozen=True)
class Bound:
    """What no schedule can pass.

    Attributes:
        share: The smallest share of demand that can be served on every link, at most 1.
        slots: By link, slots of the frame, fractions among them.
    """

    share: float
    slots: Mapping[str, float]


def bound(situation: Situation, sources: int, frame_slots: int) -> Bound:
    """Return the best slot counts of a frame if slots could be split.

    Maximises the smallest share of demand that is served over the frame (stock counts), then what is of use in total.

    Args:
        situation: Links, stock, demand, yield.
        sources: Links served at once.
        frame_slots: Length of the frame.
    """
    names = [name for name in situation.links if situation.yield_bits[name] > 0.0]
    if not names:
        return Bound(share=0.0, slots={})
    n = len(names)
    demand = np.array([situation.demand_bits_per_s[name] for name in names]) * frame_slots * situation.slot_s
    stock = np.array([situation.level_bits[name] for name in names])
    gain = np.array([situation.yield_bits[name] for name in names])
    wanted = np.minimum(frame_slots, np.maximum(0.0, demand - stock) / gain)
    # variables: slots of each link, at most what it can use; the share
    users = user_rows(names, situation.links)
    least, limits = _share_rows(gain, demand, stock)
    most_links = min(sources, users.shape[0] // 2)
    rows = vstack(
        [hstack([users, csr_array((users.shape[0], 1))]), csr_array(np.r_[np.ones(n), 0.0][None, :]), least],
        format="csr",
    )
    most = np.r_[np.full(users.shape[0], frame_slots), float(most_links * frame_slots), limits]
    found = linprog(
        np.r_[np.full(n, -1e-3 / (sources * frame_slots)), -1.0],
        A_ub=rows,
        b_ub=most,
        bounds=[(0.0, each) for each in wanted] + [(0.0, 1.0)],
        method="highs-ipm",  # with one source among 128 users 0.3 s, the simplex method 7 s
    )
    if found.x is None:
        raise RuntimeError(f"the slot counts have no solution: {found.message}")
    return Bound(share=float(found.x[-1]), slots=dict(zip(names, map(float, found.x[:n]), strict=True)))


def slot_counts(
    situation: Situation, sources: int, frame_slots: int, owed: dict[str, float] | None = None
) -> dict[str, int]:
    """Return how many of the frame's slots each link gets: :func:`bound`'s, rounded, and then what nobody needs.

    Which counts are rounded up is an integer program: those whose links would lose most of their demand otherwise.
    Slots that are left fill stocks, the one that lasts shortest first.

    Args:
        situation: Links, stock, demand, yield.
        sources: Links served at once.
        frame_slots: Length of the frame.
        owed: What links lost by rounding in earlier frames, in slots; brought up to date. Where there are more links
            than slots, every link so gets its turn in some frame.
    """
    owed = {} if owed is None else owed
    fractions = bound(situation, sources, frame_slots).slots
    if not fractions:
        return {}
    names = list(fractions)
    slots = np.array([fractions[name] for name in names])
    base = np.floor(slots + 1e-6)
    behind = np.maximum(0.0, slots - base) + np.array([owed.get(name, 0.0) for name in names])
    lost = behind * np.array([_gain_per_demand(situation, name, frame_slots) for name in names])
    users = user_rows(names, situation.links)
    found = milp(
        -lost,
        constraints=[
            LinearConstraint(users, ub=frame_slots - users @ base),
            LinearConstraint(np.ones((1, len(names))), ub=sources * frame_slots - base.sum()),
        ],
        bounds=Bounds(0.0, (lost > 0.0).astype(float)),
        integrality=np.ones(len(names), np.int64),
        options={"node_limit": NODES, "mip_rel_gap": 1e-3},
    )
    if found.x is not None:
        base += np.round(found.x)
    counts = {name: int(count) for name, count in zip(names, base, strict=True)}
    _fill(counts, situation, sources, frame_slots)
    owed |= {name: max(0.0, owed.get(name, 0.0) + fractions[name] - counts[name]) for name in names}
    return {name: count for name, count in counts.items() if count > 0}


def _gain_per_demand(situation: Situation, name: str, frame_slots: int) -> float:
    demand = situation.demand_bits_per_s[name] * frame_slots * situation.slot_s
    return situation.yield_bits[name] / demand if demand > 0.0 else 0.0


def _fill(counts: dict[str, int], situation: Situation, sources: int, frame_slots: int) -> None:
    """Give idle slots away, one by one, each to the link with the least key for its demand that has time."""
    idle = sources * frame_slots - sum(counts.values())
    busy: dict[str, int] = {}
    for name, count in counts.items():
        for user in situation.links[name]:
            busy[user] = busy.get(user, 0) + count

    def comfort(name: str) -> tuple[float, float]:
        stock = situation.level_bits[name] + counts[name] * situation.yield_bits[name]
        demand = situation.demand_bits_per_s[name]
        return (stock / demand if demand > 0.0 else math.inf, stock)

    queue = [(comfort(name), at, name) for at, name in enumerate(counts)]
    heapq.heapify(queue)
    while idle > 0 and queue:
        _, at, name = heapq.heappop(queue)
        if all(busy[user] < frame_slots for user in situation.links[name]):
            counts[name] += 1
            idle -= 1
            for user in situation.links[name]:
                busy[user] += 1
            heapq.heappush(queue, (comfort(name), at, name))


def spread(
    counts: Mapping[str, int], links: Mapping[str, Link], sources: int, frame_slots: int
) -> list[tuple[str, ...]]:
    """Return the frame: matchings that serve each link so often, a link's slots as evenly apart as they come.

    Each session of a link has a moment at which it would ideally be: session n of c, (n + 1/2)/c of the frame. The next
    slot is always the one whose links are due first on average.
    """
    busy: Counter[str] = Counter()
    for name, count in counts.items():
        busy.update(dict.fromkeys(links[name], count))
    hardest = sorted(counts, key=lambda name: -max(busy[user] for user in links[name]))
    turns_of = [
        ((turn + 0.5) / counts[name], at, name) for at, name in enumerate(hardest) for turn in range(counts[name])
    ]
    sessions = [name for *_, name in sorted(turns_of)]  # what finds no place are the last of every link, not one link's
    plan, _ = coloured(sessions, links, sources, frame_slots)
    left = Counter(slot for slot in plan if slot)
    turns = dict.fromkeys(counts, 0)
    frame = []
    while left:
        due = {slot: sum((turns[name] + 0.5) / counts[name] for name in slot) / len(slot) for slot in left}
        slot = min(due, key=due.__getitem__)
        frame.append(slot)
        for name in slot:
            turns[name] += 1
        left[slot] -= 1
        if not left[slot]:
            del left[slot]
    return frame


def _share_rows(gain: Floats, demand: Floats, stock: Floats) -> tuple[csr_array, Floats]:
    """Return rows ``share - gain slots / demand <= stock / demand`` for the links with demand, and their limits."""
    columns = np.flatnonzero(demand > 0.0)
    index, n = np.arange(columns.size), gain.size
    data = np.r_[-gain[columns] / demand[columns], np.ones(columns.size)]
    places = (np.r_[index, index], np.r_[columns, np.full(columns.size, n)])
    return csr_array((data, places), shape=(columns.size, n + 1)), stock[columns] / demand[columns]
