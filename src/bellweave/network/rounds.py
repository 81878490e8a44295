"""A round: every link once, in as few slots as K sources allow."""

from collections.abc import Mapping

from bellweave.network.scheduling import Link


def rounds(links: Mapping[str, Link], most: int) -> tuple[tuple[str, ...], ...]:
    """Return the slots of one round: each link in exactly one of them, no user twice in a slot, at most ``most`` links.

    With one source: the links in their order. Where all users are joined to all others and half of them or more can be
    served at once, it is a tournament (circle method): N - 1 slots for N users, N where N is odd. Otherwise links are
    packed in their order, each into the first slot that has room, starting from the tournament's order where there is
    one: never more than twice the fewest slots.
    """
    if most == 1:
        return tuple((name,) for name in links)
    names = {frozenset(link): name for name, link in links.items()}
    users = list(dict.fromkeys(user for link in links.values() for user in link))
    order = [names[pair] for turn in _tournament(users) for pair in turn if pair in names]
    slots: list[list[str]] = []
    for name in order:
        _first_fit(slots, name, links, most)
    return tuple(tuple(sorted(slot, key=list(links).index)) for slot in slots)


def _first_fit(slots: list[list[str]], name: str, links: Mapping[str, Link], most: int) -> None:
    for slot in slots:
        if len(slot) < most and not any(set(links[name]) & set(links[other]) for other in slot):
            slot.append(name)
            return
    slots.append([name])


def _tournament(users: list[str]) -> list[list[frozenset[str]]]:
    """Return the turns of a round-robin tournament by the circle method: each pair once, N/2 pairs at a time."""
    circle: list[str | None] = [*users, None] if len(users) % 2 else list(users)
    half, turns = len(circle) // 2, []
    for _ in range(len(circle) - 1):
        pairs = zip(circle[:half], reversed(circle[half:]), strict=True)
        turns.append([frozenset((a, b)) for a, b in pairs if a is not None and b is not None])
        circle = [circle[0], circle[-1], *circle[1:-1]]
    return turns
