"""A round: every link once, in as few slots as K sources allow."""

from collections.abc import Mapping

from bellweave.network.colouring import coloured
from bellweave.network.scheduling import Link
from bellweave.network.theory import round_bound


def rounds(links: Mapping[str, Link], most: int) -> tuple[tuple[str, ...], ...]:
    """Return the slots of one round: each link in exactly one of them, no user twice in a slot, at most ``most`` links.

    With one source: the links in their order. Where all users are joined to all others it is a tournament (circle
    method), evened out where less than half of the users can be served at once: the fewest slots, ceil(L/K). Elsewhere
    links are coloured into the fewest slots that anything could do with, or one more until they fit: never more than
    twice as many, and hardly ever more than one.
    """
    if most == 1:
        return tuple((name,) for name in links)
    place = {name: at for at, name in enumerate(links)}
    tournament = _tournament(links)
    complete = sum(map(len, tournament)) == len(links)  # not with two links between the same users
    slots = round_bound(links.values(), most)
    while True:
        whole = complete and len(tournament) <= slots
        plan, left = coloured(() if whole else links, links, most, slots, start=tournament if whole else ())
        if not left:
            return tuple(tuple(sorted(slot, key=place.__getitem__)) for slot in plan)
        slots += 1


def _tournament(links: Mapping[str, Link]) -> list[list[str]]:
    """Return the turns of a tournament by the circle method, N/2 pairs at a time; pairs without a link left out."""
    names: dict[frozenset[str | None], str] = {frozenset(link): name for name, link in links.items()}
    circle: list[str | None] = list(dict.fromkeys(user for link in links.values() for user in link))
    if len(circle) % 2:
        circle.append(None)
    half, turns = len(circle) // 2, []
    for _ in range(len(circle) - 1):
        pairs = (frozenset(pair) for pair in zip(circle[:half], reversed(circle[half:]), strict=True))
        turns.append([names[pair] for pair in pairs if pair in names])
        circle = [circle[0], circle[-1], *circle[1:-1]]
    return turns
