"""What a chain's state holds: the columns of its arrays, and the state itself. Times are integer picoseconds.

1. A pair has two sides, 0 at its left end and 1 at its right end; a column that both sides have is followed by that of
   side 1, so that ``BORN + side`` is a column. A node has two lists: 0 of pairs that begin there, 1 of pairs that end
   there. Side 0 of a pair holds a unit of the hop on the right of its node, ``END - side`` in both cases.
2. ``FREE + side`` of a hop counts units that hold nothing. It is negative while units are taken away from pairs that
   still use them. A hop attempts with as many units as are free on both sides.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NEVER = 1 << 62
AT_ONCE = -1
"""``NEXT`` of a hop whose attempts have just ended, at the end of their period."""

# hop
PERIOD, UNITS, FREE, _, FLYING, STARTED, NEXT, TABLE, SKIPS, HOP_FIELDS = range(10)
# hop, real: correlations of a fresh pair, log(1 - p), weight of the gates and of the readout that purify
LOG_FAILURE, GATES, READOUT, HOP_REALS = range(3, 7)
# node: its lists' first and last pairs; where the spans end that it swaps; time a swap takes; place in light time
HEAD, _, TAIL, _, SPAN, _, BUSY, LIGHT, LIFETIME, CUTOFF, LISTED, NODE_FIELDS = range(12)
# node, real: q, 1 / coherence in 1/ps, weight of the swap
SWAP, DECAY, SWAP_WEIGHT, NODE_REALS = range(4)
# pair: DUE_PLACE is its place among the deadlines, DONE the sides that have measured (1, 2 or both)
LABEL, END, _, MADE, BORN, _, OLDEST, WAITS, _, AFTER, _, BEFORE, _, TOLD, _, DUE, DUE_PLACE, DONE, PAIR_FIELDS = range(
    19
)
# counters
LINKS, JOINED, SWAPS, MEASURED, EXPIRED, CUT, DROPPED, HELD, ATTEMPTS, NEXT_LABEL, NOW, SPARE = range(12)
EVENTS, EVENT_ORDER, DUES, DELIVERED, TRACED, FRESH, WORK, PURIFICATIONS, IMPROVED, COUNTERS = range(12, 22)
# switches; ROUNDS of purification, TWIRL: its pairs are made Werner pairs
ASAP, PHYSICAL, EXCLUSIVE, TIMED, TRACING, ROUNDS, TWIRL, SWITCHES = range(8)
# events: time, order, kind, which, label
FREE_NODE, FREE_SIDE, _, TELL, _, COMPARED = range(6)
"""``COMPARED + level``: both ends know of a pair of that level that purification has made."""
EVENT_FIELDS = 5
# delivered: label, time, birth of its oldest link; traced: label, its two parts (or -1), place, time. The place is a
# hop (a link), a node (a swap), or -1 - hop (purification)
DELIVERED_FIELDS, TRACE_FIELDS = 3, 5

# WAITS of a pair's side
NOT_LISTED, UNTOLD, READY = range(3)

FINISHED, ROOM_NEEDED = range(2)
"""What the kernel returns."""


class State(NamedTuple):
    """A chain between two moments; all arrays are changed in place.

    Attributes:
        switches: Shape (SWITCHES,).
        counters: Shape (COUNTERS,).
        hops: Shape (h, HOP_FIELDS).
        hop_reals: Shape (h, HOP_REALS).
        nodes: Shape (h + 1, NODE_FIELDS).
        node_reals: Shape (h + 1, NODE_REALS).
        tables: Shape (kinds of hop, m + 1, m + 1), cumulative binomials.
        pairs: Shape (most pairs, PAIR_FIELDS); ``LABEL`` is -1 where there is none.
        correlation: Shape (most pairs, 3), without the outer qubits' decay.
        spare: Shape (most pairs,), stack of empty rows of ``pairs``.
        dues: Shape (most pairs,), heap of rows of ``pairs`` by ``DUE``.
        fresh: Shape (most pairs,), stack of pairs that their ends are still to be told of.
        work: Shape (h + 1,), stack of nodes that can swap.
        waiting: Shape (h, rounds), the pair of a hop and a level that waits for another to be purified with, or -1.
        random: Shape (4,).
        events: Shape (any, EVENT_FIELDS), heap by time and order.
        delivered: Shape (any, DELIVERED_FIELDS).
        delivered_correlation: Shape (any, 3).
        trace: Shape (any, TRACE_FIELDS).
    """

    switches: Ints
    counters: Ints
    hops: Ints
    hop_reals: Floats
    nodes: Ints
    node_reals: Floats
    tables: Floats
    pairs: Ints
    correlation: Floats
    spare: Ints
    dues: Ints
    fresh: Ints
    work: Ints
    waiting: Ints
    random: NDArray[np.uint64]
    events: Ints
    delivered: Ints
    delivered_correlation: Floats
    trace: Ints
