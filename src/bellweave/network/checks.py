"""Schedules that can't be, and demands that can't be met: checked before a run, with the numbers."""

from collections.abc import Mapping

from bellweave.errors import ScenarioError
from bellweave.network.params import Schedule
from bellweave.network.scheduling import Link


def check_schedule(schedule: Schedule, links: Mapping[str, Link], lost_s: float) -> None:
    """Do nothing if the schedule is possible.

    Args:
        schedule: The schedule.
        links: All links by name.
        lost_s: What reconfiguration and synchronisation take of a slot.

    Raises:
        ScenarioError: If there is no link or two join the same users, nothing of a slot is left, or the table is
            missing, names an unknown link, gives a user two sessions at once, or needs more sources than there are;
            with the path and the numbers.
    """
    if not links:
        raise ScenarioError("there is no link to serve", path="schedule")
    known: dict[frozenset[str], str] = {}
    for name, users in links.items():
        first = known.setdefault(frozenset(users), name)
        if first != name:  # key servers have one pool a pair, whose books are kept against one link
            both = " and ".join(sorted(users))
            raise ScenarioError(f"joins {both}, as link.{first} does; a pair has one link", path=f"link.{name}")
    if lost_s >= schedule.slot_s:
        raise ScenarioError(
            f"switching and synchronising take {lost_s:g} s, so a slot must be longer, got {schedule.slot_s:g}",
            path="schedule.slot_s",
        )
    if schedule.scheduler == "table" and not schedule.table:
        raise ScenarioError("the scheduler `table` needs at least one slot", path="schedule.table")
    for number, slot in enumerate(schedule.table):
        _check_slot(slot, links, schedule.sources, f"schedule.table[{number}]")


def _check_slot(slot: tuple[str, ...], links: Mapping[str, Link], sources: int, path: str) -> None:
    link_of: dict[str, str] = {}
    for name in slot:
        if name not in links:
            raise ScenarioError(f"there is no link {name!r}; there are {', '.join(sorted(links)) or 'none'}", path=path)
        for user in links[name]:
            if user in link_of:
                raise ScenarioError(
                    f"{link_of[user]} and {name} overlap: {user} is in one session at a time", path=path
                )
            link_of[user] = name
    if len(slot) > sources:
        raise ScenarioError(
            f"serves {len(slot)} links at once ({', '.join(slot)}), schedule.sources is {sources}", path=path
        )


def check_pairs(pairs: Mapping[str, Link], links: Mapping[str, Link]) -> None:
    """Do nothing if the two nodes of every pair share a link: only then is there key for them.

    Args:
        pairs: Who wants key, by the path that says so.
        links: All links by name.

    Raises:
        ScenarioError: With the path, and with whom the two do share links.
    """
    joined = {frozenset(link) for link in links.values()}
    for path, pair in pairs.items():
        if frozenset(pair) not in joined:
            near = "; ".join(f"{user}: {', '.join(_partners(user, links)) or 'nobody'}" for user in pair)
            raise ScenarioError(f"no link joins {pair[0]} and {pair[1]}; links join {near}", path=path)


def _partners(user: str, links: Mapping[str, Link]) -> list[str]:
    return sorted({other for link in links.values() if user in link for other in link if other != user})


def doubts(schedule: Schedule, links: Mapping[str, Link], lost_s: float, demand: Mapping[str, float]) -> list[str]:
    """Return what is possible but hardly meant, a sentence each, with its path and numbers.

    Args:
        schedule: A possible schedule.
        links: All links by name.
        lost_s: What reconfiguration and synchronisation take of a slot.
        demand: Key that is asked for, bits/s, by link.
    """
    found = []
    users = {user for link in links.values() for user in link}
    if links and schedule.sources > len(users) // 2:
        found.append(
            f"schedule.sources: {schedule.sources} sources, but {len(users)} users make at most {len(users) // 2} "
            "pairs at once; the others idle"
        )
    if lost_s > schedule.slot_s / 2.0:
        found.append(
            f"schedule.slot_s: switching and synchronising take {lost_s:g} s of {schedule.slot_s:g} s, "
            f"{lost_s / schedule.slot_s:.0%}"
        )
    if schedule.scheduler == "table":
        served = {name for slot in schedule.table for name in slot}
        found += [
            f"schedule.table: {name} is in no slot, but {bits_per_s:.3g} bit/s are asked of it"
            for name, bits_per_s in demand.items()
            if bits_per_s > 0.0 and name not in served
        ]
    elif schedule.table:
        found.append(f"schedule.table: is not used by the scheduler `{schedule.scheduler}`")
    return found


def unmet(demand: Mapping[str, float], expected: Mapping[str, float]) -> list[str]:
    """Return the links that are asked for more than they give in the long run, a sentence each with both rates.

    Args:
        demand: Key that is asked for, bits/s, by link.
        expected: Key that comes, bits/s, by link; a link that is missing gives nothing.
    """
    found = []
    for name, asked in demand.items():
        given = expected.get(name, 0.0)
        if asked > given:
            longer = (
                f"the periods would have to be {asked / given:.3g} times as long" if given > 0.0 else "no key comes"
            )
            found.append(f"link.{name}: its tunnels ask for {asked:.4g} bit/s, {given:.4g} are expected: {longer}")
    return found
