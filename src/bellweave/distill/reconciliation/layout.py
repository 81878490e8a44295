"""The arrays of Cascade's engine, and what their columns mean (:mod:`bellweave.distill.reconciliation.kernel`).

Words hold bit j of a frame in bit j mod 64 of word j // 64; messages are packed as everywhere, first bit on top.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Indices = NDArray[np.int32]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Int = int | np.int64

# columns of Plan.geometry, one row a pass
TOP, BLOCKS, PREFIX, WORK, PLAIN, TIERS, TREE = range(7)
GEOMETRY = TREE + 3
# columns of Plan.rules, and of State.control, one row a frame
SIZE, REUSE, INFER, CHECKS, IN_A_ROW, MAX_REPAIRS = range(6)
PHASE, START, ASKED, OPENED, SERVED, ACTIVE, FLIPS, STATIC = range(8)
SUBSET, PENDING, ANSWERS, CLEAN, LOW, HIGH, REPAIRS, WAITING = range(8, 16)
CONTROL = WAITING + 1
# phases of a frame
NEXT, TOPS, SEARCH, SUBSETS, HALVE, VERDICT, FINISHED, FAILED, BROKEN = range(9)
# what a disclosed bit is
IS_TOP, IS_BISECTION, IS_CHECK, IS_REPAIR, IS_VERDICT = range(5)
KINDS = IS_VERDICT + 1

MAX_CLEAN_SUBSETS = 64
"""A frame that differs shows so in half of its subsets; this many even ones in a row mean that somebody lied."""


class Plan(NamedTuple):
    """What is fixed before a frame is seen.

    Attributes:
        geometry: Shape (passes, GEOMETRY).
        rules: Shape (6,), the columns above: bits of a frame, flags, numbers of subset checks and repairs.
        order: Shape (passes, slots), the bit in each slot, -1 where there is none.
        place: Shape (passes, bits), the slot of each bit.
    """

    geometry: Ints
    rules: Ints
    order: Indices
    place: Indices


class State(NamedTuple):
    """What both parties know of each frame; the same at both ends.

    Attributes:
        control: Shape (frames, CONTROL + passes), the columns above, then the length of each pass's work list.
        tree: Shape (frames, words), the nodes.
        work: Shape (frames, entries), the work lists: nodes as index << 5 | height.
        active: Shape (frames, bits), the nodes that are being searched.
        wrong: Shape (frames, words), the bits that were corrected.
    """

    control: Ints
    tree: Words
    work: Indices
    active: Indices
    wrong: Words


class Own(NamedTuple):
    """What one party alone knows of each frame: its bits as they were, and their running parities in each pass's order.

    Attributes:
        words: Shape (frames, words).
        prefix: Shape (frames, words), bit j of a pass's part = parity of its first j slots.
    """

    words: Words
    prefix: Words


class Frame(NamedTuple):
    """One frame's row of each array of :class:`State`."""

    control: Ints
    tree: Words
    work: Indices
    active: Indices
    wrong: Words


class Private(NamedTuple):
    """One frame's row of each array of :class:`Own`."""

    words: Words
    prefix: Words
