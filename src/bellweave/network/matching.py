"""Which links fit into one slot: matchings of at most K edges in a graph of users."""

from collections.abc import Hashable, Iterable, Mapping, Sequence

import networkx as nx

from bellweave.network.scheduling import Link

BRANCHED = 4
"""Up to so many links at once the best matching is found by branch and bound; beyond it, by Edmonds' algorithm."""


def is_matching(links: Iterable[Link]) -> bool:
    """Return whether no two of the links share a user."""
    users = [user for link in links for user in link]
    return len(users) == len(set(users))


def best(weights: Mapping[str, float], links: Mapping[str, Link], most: int) -> tuple[str, ...]:
    """Return disjoint links of the largest total weight, at most ``most``; links of no weight (<= 0) are left out.

    Exact for ``most`` up to 4 and for ``most`` = half the users or more; in between, the heaviest ``most`` links of the
    best matching without that limit. Equal weights: the first in the order of ``weights``.
    """
    order = sorted((name for name in weights if weights[name] > 0.0), key=lambda name: -weights[name])
    if most <= BRANCHED:
        return _branched(order, weights, links, most)
    graph: nx.Graph[Hashable] = nx.Graph()
    for name in order:
        first, second = links[name]
        if not graph.has_edge(first, second):
            graph.add_edge(first, second, weight=weights[name], name=name)
    chosen = {graph.edges[edge]["name"] for edge in nx.max_weight_matching(graph)}
    return tuple(name for name in order if name in chosen)[:most]


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


def decomposed(
    counts: Mapping[str, int], links: Mapping[str, Link], most: int, slots: int
) -> tuple[list[tuple[str, ...]], dict[str, int]]:
    """Return at most ``slots`` matchings that serve each link so many times, and what did not fit.

    In every slot the links that are furthest behind come first: those whose users have least time left for what they
    still have to do. Where the counts are feasible this rarely leaves anything; what it leaves is returned.
    """
    left = {name: count for name, count in counts.items() if count > 0}
    plan: list[tuple[str, ...]] = []
    while left and len(plan) < slots:
        busy: dict[str, int] = {}
        for name, count in left.items():
            for user in links[name]:
                busy[user] = busy.get(user, 0) + count
        time_left = slots - len(plan)
        weights = {name: count + _urgency(links[name], busy, time_left) for name, count in left.items()}
        slot = best(weights, links, most)
        plan.append(slot)
        for name in slot:
            left[name] -= 1
            if not left[name]:
                del left[name]
    return plan, left


def _urgency(link: Link, busy: Mapping[str, int], time_left: int) -> float:
    """Users whose remaining sessions fill all the time that is left have to be served now."""
    return float(sum(1_000_000 if busy[user] >= time_left else busy[user] for user in link))
