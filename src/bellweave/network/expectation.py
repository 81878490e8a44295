"""What each link gets from a schedule in the long run, given what a slot gives."""

from collections import Counter
from collections.abc import Mapping

from bellweave.network import optimum
from bellweave.network.params import Schedule
from bellweave.network.rounds import rounds
from bellweave.network.scheduling import Link, Situation


def slot_shares(
    schedule: Schedule, links: Mapping[str, Link], slot_bits: Mapping[str, float], demand: Mapping[str, float]
) -> dict[str, float]:
    """Return the share of slots that serve each link.

    ``round-robin`` and ``table`` are counted. ``deficit`` and ``optimum`` go by demand: for them it is what the best
    schedule gives, :func:`~bellweave.network.optimum.bound`.

    Args:
        schedule: The schedule.
        links: All links by name.
        slot_bits: Key that a slot gives, by link.
        demand: Key that is asked for, bits/s, by link.
    """
    if schedule.scheduler in {"deficit", "optimum"}:
        nothing = dict.fromkeys(links, 0.0)
        situation = Situation(0, links, nothing, demand, slot_bits, schedule.wall_slot_s)
        slots = optimum.bound(situation, schedule.sources, schedule.frame_slots).slots
        return {name: slots.get(name, 0.0) / schedule.frame_slots for name in links}
    turns = schedule.table if schedule.scheduler == "table" else rounds(links, schedule.sources)
    served = Counter(name for turn in turns for name in turn)
    return {name: served[name] / len(turns) for name in links}


def bits_per_s(
    schedule: Schedule, links: Mapping[str, Link], slot_bits: Mapping[str, float], demand: Mapping[str, float]
) -> dict[str, float]:
    """Return the key that each link is expected to get in the long run; arguments as :func:`slot_shares`."""
    shares = slot_shares(schedule, links, slot_bits, demand)
    return {name: share * slot_bits[name] / schedule.wall_slot_s for name, share in shares.items()}
