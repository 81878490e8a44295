"""By which factor a network's demand could grow, and what runs short first.

A link with demand d takes the share w = d slot_s / bits of all slots. ``round-robin`` and ``table`` give it a share of
their own, whatever it needs. A scheduler that goes by demand can share out all slots as long as the shares of all links
sum up to no more than are served at once, and those of each user to no more than 1: the best factor is the smallest of
these limits over what is needed. It is a bound: users who form odd circles can make it unreachable by a little.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping

import msgspec

from bellweave.network.theory import links_at_once
from bellweave.plan.supply import SlotYield, schedule_of, turns_of
from bellweave.scenario.demand import demand_bits_per_s, links_of
from bellweave.scenario.schema import Scenario


class Margin(msgspec.Struct, frozen=True, kw_only=True):
    """The scarcest thing.

    Attributes:
        factor: Supply over demand: all demand may grow by it.
        limited_by: What then runs short: ``link.NAME``, ``node.NAME`` (its time) or ``schedule.sources`` (theirs).
    """

    factor: float
    limited_by: str


def margin(scenario: Scenario, yields: Mapping[str, SlotYield]) -> Margin | None:
    """Return by which factor demand could grow under the scenario's schedule; None without demand.

    Args:
        scenario: With a schedule.
        yields: What a slot gives, at least of the links with demand.
    """
    demand = {name: asked for name, asked in demand_bits_per_s(scenario).items() if asked > 0.0}
    if not demand:
        return None
    turns = turns_of(scenario)
    found = _by_time(scenario, demand, yields) if turns is None else _by_turn(scenario, demand, yields, turns)
    limit = min(found, key=found.__getitem__)
    return Margin(factor=found[limit], limited_by=limit)


def needed_shares(scenario: Scenario, demand: Mapping[str, float], yields: Mapping[str, SlotYield]) -> dict[str, float]:
    """Return the share of slots that each link's demand takes; infinity where slots give no key."""
    slot_s = schedule_of(scenario).wall_slot_s
    return {
        name: asked * slot_s / bits if (bits := yields[name].key_bits) > 0.0 else math.inf
        for name, asked in demand.items()
    }


def demanded_shares(scenario: Scenario, yields: Mapping[str, SlotYield], factor: float) -> dict[str, float]:
    """Return the share of slots of each link when all demand has grown by a factor."""
    demand = demand_bits_per_s(scenario)
    needed = needed_shares(scenario, {name: asked for name, asked in demand.items() if asked > 0.0}, yields)
    return {name: factor * needed.get(name, 0.0) for name in demand}


def _by_turn(
    scenario: Scenario, demand: Mapping[str, float], yields: Mapping[str, SlotYield], turns: tuple[tuple[str, ...], ...]
) -> dict[str, float]:
    served = Counter(name for turn in turns for name in turn)
    needed = needed_shares(scenario, demand, yields)
    return {f"link.{name}": served[name] / len(turns) / share for name, share in needed.items()}


def _by_time(scenario: Scenario, demand: Mapping[str, float], yields: Mapping[str, SlotYield]) -> dict[str, float]:
    links = links_of(scenario)
    needed = needed_shares(scenario, demand, yields)
    busy: defaultdict[str, float] = defaultdict(float)
    for name, share in needed.items():
        for user in links[name]:
            busy[user] += share
    users = {user for ends in links.values() for user in ends}
    at_once = links_at_once(len(users), schedule_of(scenario).sources)
    return {"schedule.sources": at_once / sum(needed.values())} | {
        f"node.{user}": 1.0 / share for user, share in busy.items()
    }
