"""Sessions into slots: no user twice in a slot, at most K sessions in each. Edge colouring; a colour is a slot.

A session takes the first slot in which both of its users are free. Where there is none, its users are free in two
different slots, and sessions are swapped between these along an alternating path from the second user (Kempe chain), so
that one slot is free for both. Then slots are evened out in the same way, until sizes differ by one at most. That never
fails, so K sessions a slot are enough wherever there is room for all of them at all.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence

from bellweave.network.scheduling import Link

Slot = dict[str, str]
"""User to the link that serves it; a link stands at both of its users."""


def coloured(
    sessions: Iterable[str],
    links: Mapping[str, Link],
    most: int,
    slots: int,
    *,
    start: Iterable[Iterable[str]] = (),
) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return ``slots`` matchings of at most ``most`` links, and the sessions that found no place in them.

    Args:
        sessions: Links, as often as they are to be served.
        links: All links by name.
        most: Links at once.
        slots: Slots.
        start: Matchings that are in place before the sessions.
    """
    plan: list[Slot] = [{} for _ in range(slots)]
    for slot, placed in zip(plan, start, strict=False):
        for name in placed:
            _put(slot, name, links)
    left = [name for name in sessions if not _place(plan, name, links)]
    _even(plan, links)
    done = [_names(slot) for slot in plan]
    left += [name for names in done for name in names[most:]]
    return [tuple(names[:most]) for names in done], left


def _place(plan: list[Slot], name: str, links: Mapping[str, Link]) -> bool:
    first, second = links[name]
    at_first = [slot for slot in plan if first not in slot]
    for slot in at_first:
        if second not in slot:
            _put(slot, name, links)
            return True
    at_second = [slot for slot in plan if second not in slot]
    for here in at_first:
        for there in at_second:
            path = _path(here, there, second, links)
            if not any(first in links[step] for step in path):
                _swap(here, there, path, links)
                _put(here, name, links)
                return True
    return False


def _path(here: Slot, there: Slot, user: str, links: Mapping[str, Link]) -> list[str]:
    """Return the links met from a user that only ``here`` serves, those of ``here`` and ``there`` in turn."""
    path: list[str] = []
    while (name := here.get(user)) is not None:
        path.append(name)
        first, second = links[name]
        user = second if user == first else first
        here, there = there, here
    return path


def _swap(here: Slot, there: Slot, path: Sequence[str], links: Mapping[str, Link]) -> None:
    """Move every other link of the path from here to there, and those between them from there to here."""
    for name in path[::2]:
        _take(here, name, links)
    for name in path[1::2]:
        _take(there, name, links)
        _put(here, name, links)
    for name in path[::2]:
        _put(there, name, links)


def _even(plan: list[Slot], links: Mapping[str, Link]) -> None:
    """Move sessions from full slots to empty ones until sizes differ by one at most; a slot's size is twice its links.

    Where one matching is larger than another, some alternating path of the two has one link more of the larger.
    """
    least = [(len(slot), at) for at, slot in enumerate(plan)]
    fullest = [(-size, at) for size, at in least]
    heapq.heapify(least)
    heapq.heapify(fullest)
    while least:
        (less, low), (more, high) = least[0], fullest[0]
        if less != len(plan[low]):
            heapq.heapreplace(least, (len(plan[low]), low))
        elif -more != len(plan[high]):
            heapq.heapreplace(fullest, (-len(plan[high]), high))
        elif -more - less <= 2:
            return
        else:
            full, empty = plan[high], plan[low]
            starts = (user for user in full if user not in empty)
            path = next(path for user in starts if len(path := _path(full, empty, user, links)) % 2)
            _swap(full, empty, path, links)


def _put(slot: Slot, name: str, links: Mapping[str, Link]) -> None:
    for user in links[name]:
        slot[user] = name


def _take(slot: Slot, name: str, links: Mapping[str, Link]) -> None:
    for user in links[name]:
        del slot[user]


def _names(slot: Slot) -> list[str]:
    return list(dict.fromkeys(slot.values()))
