"""Which links fit into one slot: matchings of at most K edges in a graph of users."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from bellweave.network.incidence import user_rows
from bellweave.network.scheduling import Link

BRANCHED = 4
"""Up to so many links at once the best matching is found by branch and bound; beyond it, by an integer program."""


def is_matching(links: Iterable[Link]) -> bool:
    """Return whether no two of the links share a user."""
    users = [user for link in links for user in link]
    return len(users) == len(set(users))


def best(weights: Mapping[str, float], links: Mapping[str, Link], most: int) -> tuple[str, ...]:
    """Return disjoint links of the largest total weight, at most ``most``, heaviest first.

    Links of no weight (<= 0) are left out. Which of several equally good matchings it is, is fixed by the order of
    ``weights``: up to :data:`BRANCHED` the one that is first in it.
    """
    order = _worth_a_look(weights, links, most)
    if not order or most <= BRANCHED:
        return _branched(order, weights, links, most)
    gain = np.array([weights[name] for name in order]) / weights[order[0]]
    found = milp(
        -gain,
        constraints=[
            LinearConstraint(user_rows(order, links), ub=1.0),
            LinearConstraint(np.ones((1, gain.size)), ub=most),
        ],
        bounds=Bounds(0.0, 1.0),
        integrality=np.ones(gain.size, np.int64),
        options={"mip_rel_gap": 0.0},
    )
    if found.x is None:
        raise RuntimeError(f"the matching has no solution: {found.message}")
    chosen = [name for name, share in zip(order, found.x, strict=True) if share > 0.5]
    # the solver does not see weights below a millionth of the largest; they get what is left
    for name in order:
        if len(chosen) < most and is_matching(links[each] for each in (*chosen, name)):
            chosen.append(name)
    return tuple(sorted(chosen, key=order.index))


def _worth_a_look(weights: Mapping[str, float], links: Mapping[str, Link], most: int) -> list[str]:
    """Return the links that a best matching needs at most, heaviest first.

    K - 1 other links hold 2 (K - 1) users. So of a user's links the heaviest 2 K - 1 are enough: one of them leads to a
    user who is free. And of what is left the heaviest 2 (K - 1)(2 K - 1) + 1: one of them joins two users who are.
    """
    first: dict[frozenset[str], str] = {}
    for name in sorted((name for name in weights if weights[name] > 0.0), key=lambda name: -weights[name]):
        first.setdefault(frozenset(links[name]), name)
    seen: Counter[str] = Counter()
    kept = []
    for name in first.values():
        seen.update(links[name])
        if all(seen[user] < 2 * most for user in links[name]):
            kept.append(name)
    return kept[: 2 * (most - 1) * (2 * most - 1) + 1]


def _branched(
    order: Sequence[str], weights: Mapping[str, float], links: Mapping[str, Link], most: int
) -> tuple[str, ...]:
    """Branch on whether a link is taken, heaviest first; a branch ends when even disjoint links could not make it."""
    found: tuple[float, tuple[str, ...]] = (0.0, ())

    def search(start: int, taken: tuple[str, ...], users: frozenset[str], total: float) -> None:
        nonlocal found
        if total > found[0]:
            found = (total, taken)
        if len(taken) == most:
            return
        for position in range(start, len(order)):
            name = order[position]
            if total + weights[name] * (most - len(taken)) <= found[0] * (1.0 + 1e-12):
                return
            first, second = links[name]
            if first not in users and second not in users:
                search(position + 1, (*taken, name), users | {first, second}, total + weights[name])

    search(0, (), frozenset(), 0.0)
    return found[1]
