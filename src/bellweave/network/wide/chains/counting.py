"""Chains whose pairs are all alike: a compiled loop that only counts them, for ``paper`` mode and long sweeps.

Where pairs are perfect, last for ever, and swaps and messages take no time, pairs of a span are exchangeable, and a
chain with an order is its numbers of waiting pairs. Every period each hop draws its successes from the binomial of its
free units, then each repeater, inner spans first, draws those of its swaps. The law of the counts is that of
:class:`~bellweave.network.wide.chains.run.Chain`; labels, times in a period and states are what it lacks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bellweave.network.wide.chains import orders
from bellweave.network.wide.chains.draws import SEARCHED, binomial_table, called, inlined, seeded, successes, uniform
from bellweave.network.wide.chains.making import edges_of
from bellweave.network.wide.topology import Topology

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ATTEMPTS, LINKS, SWAPS, JOINED, HELD, TOTALS = range(6)


@dataclass(frozen=True, eq=False)
class Tally:
    """What a chain made; ``links + joined == 2 swaps + measured + held``.

    Attributes:
        delivered: Shape (batches,), pairs delivered in each batch of periods.
        periods: In a batch.
        attempts, links, swaps, joined, held: As in :class:`~bellweave.network.wide.chains.run.Counts`.
    """

    delivered: Ints
    periods: int
    attempts: int
    links: int
    swaps: int
    joined: int
    held: int

    @property
    def measured(self) -> int:
        """Pairs delivered in all batches."""
        return int(self.delivered.sum())

    @property
    def rate(self) -> float:
        """Pairs per period."""
        return self.measured / (self.periods * len(self.delivered))

    @property
    def rate_error(self) -> float:
        """Standard error of the rate, from the batches; inf for one batch."""
        if len(self.delivered) < 2:
            return math.inf
        return float(self.delivered.std(ddof=1)) / self.periods / math.sqrt(len(self.delivered))


def tally(
    topology: Topology,
    path: Sequence[int],
    rng: np.random.Generator,
    *,
    periods: int,
    batches: int = 20,
    order: Literal["nested", "hop-by-hop"] = "nested",
    units: Sequence[int] | None = None,
) -> Tally:
    """Return what a chain delivers in ``batches`` times ``periods`` periods, from empty memories on.

    Memories and swaps are as in ``paper`` mode without lifetimes; what else the topology says of them is not used.

    Args:
        topology: The network.
        path: Its nodes.
        rng: Seeds the run.
        periods: Attempt periods in a batch.
        batches: Of which the first ones fill the memories.
        order: Who swaps with whom.
        units: Of each hop; None: all.

    Raises:
        ValueError: If attempts take different times on different hops.
    """
    edges = edges_of(topology, path)
    attempt_s = topology.attempt_s[edges]
    if attempt_s.max() > attempt_s.min():
        raise ValueError(f"hops attempt in step, not every {attempt_s.min()} to {attempt_s.max()} s: run a Chain")
    own = np.asarray(topology.units[edges] if units is None else units, np.int64)
    tree = orders.nested(len(edges)) if order == "nested" else orders.hop_by_hop(len(edges))
    most = int(own.max())
    hop_kinds, hop_kind = np.unique(topology.success[edges], return_inverse=True)
    node_kinds, node_kind = np.unique(topology.swap_probability[list(path)], return_inverse=True)
    tables = np.stack([binomial_table(float(kind), most) for kind in (*hop_kinds, *node_kinds)])
    delivered, totals = np.zeros(batches, np.int64), np.zeros(TOTALS, np.int64)
    free, waiting = np.stack((own, own)), np.zeros((2, len(edges) + 1), np.int64)
    kinds = np.concatenate((hop_kind, len(hop_kinds) + node_kind)).astype(np.int64)
    _count(_plan(tree), tree.left, tree.right, free, waiting, tables, kinds, seeded(rng), periods, delivered, totals)
    totals[HELD] = waiting.sum()
    return Tally(delivered, periods, *(int(total) for total in totals))


def _plan(tree: orders.Order) -> Ints:
    """Return where pairs of each span wait, and who swaps when; shape (2h, 3).

    Columns 0 and 1: node (-1: they are delivered) and side; rows 0 to h - 1 are the hops' own pairs, row h - 1 + j
    those that repeater j makes. Column 2: the repeaters, inner spans first.
    """
    hops = tree.hops
    waits = np.full((2 * hops, 3), -1, np.int64)
    spans = {(hop, hop + 1): hop for hop in range(hops)}
    spans |= {(int(tree.left[node]), int(tree.right[node])): hops - 1 + node for node in range(1, hops)}
    for node in range(1, hops):
        waits[spans[int(tree.left[node]), node], :2] = node, 1
        waits[spans[node, int(tree.right[node])], :2] = node, 0
    inner_first = sorted(range(1, hops), key=lambda node: int(tree.right[node] - tree.left[node]))
    waits[: hops - 1, 2] = inner_first
    return waits


@inlined
def _successes(u: float, row: Floats, attempts: int) -> int:
    """Return what ``successes`` does, where they are not rare.

    A short row is compared as a whole: to leave at the first number above costs more, in branches foretold wrongly.
    """
    if attempts > SEARCHED:
        return successes(u, row, attempts)
    k = 0
    for place in range(attempts):
        k += u >= row[place]
    return k


@called
def _count(
    waits: Ints,
    left: Ints,
    right: Ints,
    free: Ints,
    waiting: Ints,
    tables: Floats,
    kinds: Ints,
    random: NDArray[np.uint64],
    periods: int,
    delivered: Ints,
    totals: Ints,
) -> None:
    """Run all batches; ``free[side]`` of every hop, ``waiting[side]`` of every node, 0: pairs that begin there."""
    hops = free.shape[1]
    for batch in range(delivered.shape[0]):
        for _ in range(periods):
            for hop in range(hops):
                units = min(free[0, hop], free[1, hop])
                if units == 0:
                    continue
                made = _successes(uniform(random), tables[kinds[hop], units], units)
                totals[ATTEMPTS] += units
                totals[LINKS] += made
                if waits[hop, 0] < 0:
                    delivered[batch] += made
                    continue
                free[0, hop] -= made
                free[1, hop] -= made
                waiting[waits[hop, 1], waits[hop, 0]] += made
            for turn in range(hops - 1):
                node = waits[turn, 2]
                swaps = min(waiting[0, node], waiting[1, node])
                if swaps == 0:
                    continue
                made = _successes(uniform(random), tables[kinds[hops + node], swaps], swaps)
                totals[SWAPS] += swaps
                totals[JOINED] += made
                waiting[0, node] -= swaps
                waiting[1, node] -= swaps
                free[1, node - 1] += swaps
                free[0, node] += swaps
                row = hops - 1 + node
                gone = swaps - made
                if waits[row, 0] < 0:
                    delivered[batch] += made
                    gone = swaps
                else:
                    waiting[waits[row, 1], waits[row, 0]] += made
                free[0, left[node]] += gone
                free[1, right[node] - 1] += gone
