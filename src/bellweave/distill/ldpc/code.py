"""A family of codes of every rate: the rows of one sparse matrix, merged.

The mother code has as many rows as a frame has bits; each bit stands in 3 or 12 of them, drawn by public
pseudo-random numbers. A code with fewer rows joins neighbouring rows to groups and discloses the sums alone. Cutting a
group in two costs one bit and discloses both halves: more rows can follow one by one when a decoder fails, and nothing
that was sent is lost (after Varodayan, Aaron, Girod, "Rate-adaptive codes for distributed source coding", 2006).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bellweave.distill.reconciliation.compiling import compiled, inlined
from bellweave.distill.reconciliation.layout import Bytes, Indices, Int, Ints
from bellweave.distill.reconciliation.subsets import mix

DEGREES = ((3, 0.85), (12, 0.15))
"""In how many rows a bit stands, and which share of the bits does; the best of ten that we tried at 2 and 6.4 %."""


Floats = NDArray[np.float32]


class Mother(NamedTuple):
    """The mother code.

    Attributes:
        start: Shape (rows + 1,), where each row's bits begin in ``column``.
        column: Shape (edges,), the bits of one row after the other.
    """

    start: Ints
    column: Indices


@lru_cache(maxsize=8)
def mother(bits: int) -> Mother:
    """Return the mother code for frames of that many bits."""
    degree = np.full(bits, DEGREES[-1][0], np.int64)
    first = 0
    for value, share in DEGREES[:-1]:
        last = first + round(share * bits)
        degree[first:last] = value
        first = last
    edges = int(degree.sum())
    start, column = np.zeros(bits + 1, np.int64), np.zeros(edges, np.int32)
    _connect(np.repeat(np.arange(bits, dtype=np.int32), degree), start, column)
    return Mother(start, column)


@compiled
def _connect(bit_of_edge: Indices, start: Ints, column: Indices) -> None:
    """Deal the shuffled edges out to the rows, as many to each as to any other."""
    edges, rows = bit_of_edge.size, start.size - 1
    for edge in range(edges):
        column[edge] = bit_of_edge[edge]
    for edge in range(edges - 1, 0, -1):
        other = np.int64(mix(edges, edge) % np.uint64(edge + 1))
        column[edge], column[other] = column[other], column[edge]
    for row in range(rows + 1):
        start[row] = edges * row // rows


def groups(rows: int, count: int) -> Ints:
    """Return the ends of ``count`` groups of neighbouring rows, shape (count,), strictly increasing."""
    ends: Ints = (np.arange(1, count + 1, dtype=np.int64) * rows) // count
    return ends


def refined(ends: Ints, more: int) -> tuple[Ints, Ints]:
    """Cut groups in two.

    Args:
        ends: Ends of the groups.
        more: How many to cut, if there are as many of two rows and more; they are spread evenly.

    Returns:
        All ends, and the new ones among them.
    """
    begins = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    wide = np.flatnonzero(ends - begins > 1)
    chosen = wide[(np.arange(min(more, wide.size)) * wide.size) // max(1, min(more, wide.size))]
    new: Ints = (begins[chosen] + ends[chosen]) // 2
    return np.sort(np.concatenate([ends, new])), new


@compiled
def prefix_syndrome(bits: Bytes, code: Mother, prefix: Bytes) -> None:
    """Fill ``prefix``, shape (rows + 1,): the parity of the first r rows together."""
    total = np.uint8(0)
    row = 0
    for edge in range(code.column.size):
        while code.start[row] == edge:
            prefix[row] = total
            row += 1
        total ^= bits[code.column[edge]]
    prefix[row:] = total


@compiled
def decode(
    code: Mother, ends: Ints, odd: Bytes, prior: float, wrong: Bytes, work: Bytes, belief: Floats, rounds: Int
) -> Int:
    """Find errors that explain the parities: layered normalised min-sum.

    Args:
        code: The mother code.
        ends: Ends of the groups.
        odd: Shape (groups,), whether the two parties' parities of each group differ.
        prior: log((1 - Q) / Q).
        wrong: Takes the errors, shape (bits,).
        work: Unused edges are marked here, shape (edges,).
        belief: Shape (bits + edges,), float32, working memory.
        rounds: Most iterations.

    Returns:
        The iterations it took, 0 if it failed.
    """
    bits = wrong.size
    for j in range(bits):
        belief[j] = prior
    for edge in range(code.column.size):
        belief[bits + edge] = 0.0
    _mark_doubles(code, ends, wrong, work)
    for number in range(rounds):
        begin = 0
        unhappy: Int = 0
        for group in range(ends.size):
            end = code.start[ends[group]]
            unhappy += _layer(code.column, begin, end, odd[group], belief, bits, work)
            begin = end
        if not unhappy:
            for j in range(bits):
                wrong[j] = belief[j] < 0
            return number + 1
    return 0


@inlined
def _mark_doubles(code: Mother, ends: Ints, seen: Bytes, double: Bytes) -> None:
    """Mark both edges of a bit that stands twice in one group: it cancels out."""
    begin = np.int64(0)
    for group in range(ends.size):
        end = code.start[ends[group]]
        for edge in range(begin, end):
            seen[code.column[edge]] = 0
        for edge in range(begin, end):
            seen[code.column[edge]] ^= 1
        for edge in range(begin, end):
            double[edge] = seen[code.column[edge]] == 0
            # of three edges of one bit, one stays
        for edge in range(begin, end):
            if seen[code.column[edge]] == 1:
                seen[code.column[edge]] = 2
            elif seen[code.column[edge]] == 2:
                double[edge] = 1
        begin = end


@inlined
def _layer(column: Indices, begin: Int, end: Int, odd: Int, belief: Floats, bits: Int, double: Bytes) -> Int:
    """Update the bits of one group; return whether it contradicted the beliefs held before."""
    least, second = np.float32(1e9), np.float32(1e9)
    negative = np.int64(odd)
    before = np.int64(odd)
    for edge in range(begin, end):
        if double[edge]:
            continue
        held = belief[column[edge]]
        value = held - belief[bits + edge]
        before ^= np.int64(held < 0)
        negative ^= np.int64(value < 0)
        size = abs(value)
        second = min(second, max(least, size))
        least = min(least, size)
    for edge in range(begin, end):
        if double[edge]:
            continue
        j = column[edge]
        value = belief[j] - belief[bits + edge]
        size = second if abs(value) == least else least
        size *= np.float32(0.8)
        message = -size if (negative ^ np.int64(value < 0)) else size
        belief[j] = value + message
        belief[bits + edge] = message
    return before
