"""A chain's best rate, and the swaps that reach it: what the swap order ``optimal`` follows.

Equal hops have a closed form (:func:`equal_rate`), which the linear program confirms. For hops that differ,
:func:`chain_rate` solves the program over pairs up to ``MOST_HOPS``, and the one over trees beyond; both give the
optimum.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bellweave.network.wide.flow.one_path import path_rate
from bellweave.network.wide.flow.pairs import best_chain
from bellweave.network.wide.theory import distribution_rate
from bellweave.network.wide.topology import Topology, chain

Floats = NDArray[np.float64]
Indices = NDArray[np.int32]

EQUAL = 1e-12
"""Relative difference below which hops count as equal."""

MOST_HOPS = 6
"""Beyond, trees take less time than pairs."""


def equal_rate(hops: int, swap_probability: float, link_per_s: float = 1.0) -> float:
    """Return the best rate, pairs/s, of a chain of equal hops: Eq. 9 with m p / attempt_s as ``link_per_s``.

    One hop is 0/0 as printed: its rate is the link's.

    Args:
        hops: k >= 1.
        swap_probability: q in [0, 1], of every repeater.
        link_per_s: Pairs/s that one edge makes.

    Source: Li et al. 2022, Eq. 9; Dai, Peng, Win 2020.

    >>> round(equal_rate(5, 0.9), 4), round(equal_rate(10, 0.6), 4)
    (0.7674, 0.1705)
    """
    return link_per_s * distribution_rate(hops, 1, 1.0, swap_probability)


def chain_rate(
    link_per_s: Floats, swap_probability: Floats, tolerance: float = 1e-7, *, useful_per_s: float = 0.0
) -> float:
    """Return the best rate, pairs/s, of a chain whose hops differ.

    Args:
        link_per_s: Shape (k,), pairs/s that each edge makes.
        swap_probability: Shape (k - 1,), of the nodes between them.
        tolerance: Relative, for hops that differ and are more than ``MOST_HOPS``; the rate is a lower bound.
        useful_per_s: A rate that is sure to be below this need not be exact; what is returned is below it, too.
    """
    least, most = float(link_per_s.min()), float(link_per_s.max())
    if least <= 0.0 or np.any(swap_probability <= 0.0):
        return 0.0
    first = float(swap_probability[0]) if swap_probability.size else 1.0
    if most - least <= EQUAL * most and np.all(np.abs(swap_probability - first) <= EQUAL):
        return equal_rate(link_per_s.size, first, least)
    if link_per_s.size > MOST_HOPS:
        return path_rate(link_per_s, swap_probability, tolerance, useful_per_s=useful_per_s)
    return float(best_chain(_as_chain(link_per_s, swap_probability)).rates_per_s[0])


@dataclass(frozen=True, eq=False)
class Shares:
    """Which swaps a chain makes at its optimum; one row for each kind of swap (left, middle, right).

    A swap is made when one pair of each kind waits for it. The kernel takes the swaps apart into trees, each of them an
    order with units of its own (:func:`bellweave.network.wide.chains.orders.trees`).

    Attributes:
        rate_per_s: Pairs/s from end to end.
        left, middle, right: Shape (r,), int32, node numbers along the chain.
        swaps_per_s: Shape (r,), tried.
    """

    rate_per_s: float
    left: Indices
    middle: Indices
    right: Indices
    swaps_per_s: Floats


def optimal_shares(topology: Topology) -> Shares:
    """Return the swaps of a chain's optimum, the longest spans first.

    Args:
        topology: Node h is joined to h + 1.

    Raises:
        ValueError: If it is no chain in this order.
    """
    best = best_chain(topology)
    order = np.argsort(best.swaps[:, 0] - best.swaps[:, 2], kind="stable")
    swaps, rate = best.swaps[order], best.swaps_per_s[order]
    left, middle, right = swaps.astype(np.int32).T
    return Shares(float(best.rates_per_s[0]), left, middle, right, rate)


def _as_chain(link_per_s: Floats, swap_probability: Floats) -> Topology:
    """Return a chain with these rates: as attempt periods, of one unit that always succeeds."""
    shape = chain(link_per_s.size, success=1.0, units=1)
    inner = np.concatenate(([0.0], swap_probability, [0.0]))
    return replace(shape, swap_probability=inner, attempt_s=1.0 / link_per_s)
