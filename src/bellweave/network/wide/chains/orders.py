"""Who swaps with whom: swap orders as the spans that each repeater joins, and the optimum's shares as a mix of orders.

1. An order of a chain of h hops is a tree: repeater j joins span (left, j) to span (j, right). Each span has one
   parent, so spans that wait for each other never hold each other's units, and a chain with an order can not dead-lock.
   ``asap`` is no tree: a repeater joins whatever ends there to whatever begins there.
2. The linear program's shares x[i, m, j] mix trees. They are taken apart into trees, and every tree gets units of its
   own on each hop (a lane). Lanes do not meet, so that a mix can not dead-lock either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]
Shares = Mapping[tuple[int, int, int], float]
"""Rate at which pairs (i, m) and (m, j) are swapped at m, in pairs per attempt period or in any unit."""

NEGLIGIBLE = 1e-9
"""Share of the largest rate below which a tree is not worth a unit."""


@dataclass(frozen=True, eq=False)
class Order:
    """The spans that the repeaters join.

    Attributes:
        left: Shape (h + 1,), where the span that ends at repeater j begins; entries 0 and h mean nothing.
        right: Shape (h + 1,), where the span that begins there ends.
    """

    left: Ints
    right: Ints

    @property
    def hops(self) -> int:
        """Number of hops."""
        return len(self.left) - 1


def hop_by_hop(hops: int) -> Order:
    """Return the paper's order: the pair of node 0 grows by one hop at a time.

    >>> hop_by_hop(3).right.tolist()[1:3]
    [2, 3]
    """
    return Order(np.zeros(hops + 1, np.int64), np.minimum(np.arange(1, hops + 2, dtype=np.int64), hops))


def nested(hops: int) -> Order:
    """Return the order that halves: two halves are built, then joined.

    >>> nested(4).left.tolist()[1:4], nested(4).right.tolist()[1:4]
    ([0, 0, 2], [2, 4, 4])
    """
    left, right = np.zeros(hops + 1, np.int64), np.full(hops + 1, hops, np.int64)
    spans = [(0, hops)]
    while spans:
        start, end = spans.pop()
        if end - start > 1:
            middle = (start + end) // 2
            left[middle], right[middle] = start, end
            spans += [(start, middle), (middle, end)]
    return Order(left, right)


@dataclass(frozen=True, eq=False)
class Lane:
    """A part of a chain's units that works by an order of its own.

    Attributes:
        order: None: as soon as possible.
        units: Shape (h,), its units on every hop.
    """

    order: Order | None
    units: Ints


def shares_of(left: Ints32, middle: Ints32, right: Ints32, swaps_per_s: NDArray[np.float64]) -> Shares:
    """Return shares from columns, such as those of :func:`bellweave.network.wide.flow.chain.optimal_shares`."""
    rows = zip(left.tolist(), middle.tolist(), right.tolist(), swaps_per_s.tolist(), strict=True)
    return {(start, node, end): rate for start, node, end, rate in rows}


def trees(shares: Shares, swap: Sequence[float]) -> list[tuple[Order, float, NDArray[np.float64]]]:
    """Return the trees that the shares mix, the most used first.

    Args:
        shares: Of the linear program, for a chain.
        swap: Success of a swap, of each node, h + 1 numbers; the first and the last are not used.

    Returns:
        Each with the rate at which it swaps for the last time, and the pairs that it takes of each hop, shape (h,).
    """
    hops = len(swap) - 1
    rest = {key: rate for key, rate in shares.items() if rate > 0.0}
    least = NEGLIGIBLE * max(rest.values(), default=0.0)
    found: list[tuple[Order, float, NDArray[np.float64]]] = []
    while hops > 1:
        order, scale, use = _most_used(rest, swap)
        if order is None:
            break
        rate = min(rest[key] / factor for key, factor in scale.items())
        for key, factor in scale.items():
            rest[key] -= rate * factor
            if rest[key] <= least:
                del rest[key]
        if rate > least:
            found.append((order, rate, rate * use))
    return sorted(found, key=lambda tree: -tree[1])


def _most_used(
    rest: Shares, swap: Sequence[float]
) -> tuple[Order | None, dict[tuple[int, int, int], float], NDArray[np.float64]]:
    """Return the tree that takes the largest share at every span, the swaps it needs per last swap, and per hop."""
    hops = len(swap) - 1
    left, right = np.zeros(hops + 1, np.int64), np.full(hops + 1, hops, np.int64)
    scale: dict[tuple[int, int, int], float] = {}
    use = np.zeros(hops)
    spans = [(0, hops, 1.0)]
    while spans:
        start, end, needed = spans.pop()
        if end - start == 1:
            use[start] = needed
            continue
        best = max(((rate, key) for key, rate in rest.items() if (key[0], key[2]) == (start, end)), default=None)
        if best is None:
            return None, {}, use
        middle = best[1][1]
        needed = needed / swap[middle] if (start, end) != (0, hops) else 1.0
        scale[best[1]] = needed
        left[middle], right[middle] = start, end
        spans += [(start, middle, needed), (middle, end, needed)]
    return Order(left, right), scale, use


def lanes(shares: Shares, swap: Sequence[float], units: Sequence[int], least: int = 1) -> list[Lane]:
    """Return the lanes that follow the linear program's shares with whole units.

    A hop's units are divided by the pairs that the trees take of it, ``least`` a tree; where some hop has too few for
    all trees, the least used trees are left out. The more units, the closer to the shares.

    Args:
        shares: Of the linear program.
        swap: As for :func:`trees`.
        units: Of each hop, h numbers, ``least`` or more.
        least: Units that a lane needs on a hop.

    Raises:
        ValueError: If the shares hold no complete tree.
    """
    if len(units) == 1:
        return [Lane(None, np.asarray(units, np.int64))]
    found = trees(shares, swap)[: min(units) // least]
    if not found:
        raise ValueError(f"no tree of swaps over {len(units)} hops has a share of its own at every step")
    use = np.stack([tree[2] for tree in found])
    split = np.stack([apportioned(use[:, hop], count, least) for hop, count in enumerate(units)], axis=1)
    return [Lane(tree[0], split[number]) for number, tree in enumerate(found)]


def apportioned(weights: NDArray[np.float64], count: int, least: int = 1) -> Ints:
    """Return ``count`` divided by weights into whole numbers >= ``least`` (Webster's method).

    Raises:
        ValueError: If there are more weights than things to divide.

    >>> apportioned(np.array([5.0, 3.0, 0.1]), 10).tolist()
    [6, 3, 1]
    """
    if len(weights) * least > count:
        raise ValueError(f"{count} units can not be divided by {len(weights)}, {least} at least for each")
    parts = np.maximum(least, np.floor(weights / weights.sum() * (count - least * len(weights)))).astype(np.int64)
    while parts.sum() < count:
        parts[int(np.argmax(weights / (parts + 0.5)))] += 1
    return np.asarray(parts, np.int64)
