"""What a scenario's tunnels ask of its links, and what about its network is doubtful."""

from collections.abc import Mapping

from bellweave.network import checks, expectation
from bellweave.network.scheduling import Link
from bellweave.scenario.assemble import lost_s
from bellweave.scenario.schema import Scenario
from bellweave.tunnel import theory as tunnels


def links_of(scenario: Scenario) -> dict[str, Link]:
    """Return the two users of every link."""
    return {name: (link.alice, link.bob) for name, link in scenario.link.items()}


def link_of_tunnel(scenario: Scenario) -> dict[str, str]:
    """Return the link whose key each tunnel uses: the first that joins its two nodes."""
    by_ends: dict[frozenset[str], str] = {}
    for name, ends in links_of(scenario).items():
        by_ends.setdefault(frozenset(ends), name)
    return {name: by_ends[frozenset((tunnel.client, tunnel.server))] for name, tunnel in scenario.tunnel.items()}


def demand_bits_per_s(scenario: Scenario) -> dict[str, float]:
    """Return the key that is asked for, by link, in bits/s; 0 where no tunnel uses a link."""
    asked = dict.fromkeys(scenario.link, 0.0)
    for name, link in link_of_tunnel(scenario).items():
        asked[link] += tunnels.demanded_bits_per_s(scenario.tunnel[name])
    return asked


def warnings(scenario: Scenario, slot_bits: Mapping[str, float] | None = None) -> list[str]:
    """Return what about a network is possible but doubtful, a sentence each; none for a scenario without schedule.

    Args:
        scenario: A checked scenario.
        slot_bits: Key that a slot is expected to give, by link; None: whether demands can be met is not looked at.
    """
    schedule = scenario.schedule
    if schedule is None:
        return []
    links, asked = links_of(scenario), demand_bits_per_s(scenario)
    found = checks.doubts(schedule, links, lost_s(scenario), asked)
    if slot_bits is not None:
        found += checks.unmet(asked, expectation.bits_per_s(schedule, links, slot_bits, asked))
    return found
