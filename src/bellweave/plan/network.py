"""What closed forms expect of a network that takes turns: budget per link, keys per tunnel, when they come.

Every slot of a link gives the mean key, requests of a link's tunnels come at the same moments, and key is with the KMEs
when the slot ends. ``round-robin`` and ``table`` are followed slot by slot; for schedulers that go by demand the share
of slots is what the best schedule gives (what nobody needs is shared out by demand too), and moments are about right.
"""

import math
from collections import defaultdict
from collections.abc import Mapping

import msgspec

from bellweave.distill.finite_key import planning
from bellweave.distill.finite_key.planning import Conditions
from bellweave.network import theory
from bellweave.network.expectation import slot_shares
from bellweave.network.theory import Demand, Supply
from bellweave.plan.budget import LinkBudget, Moments, NetworkPlan, TunnelBudget
from bellweave.plan.everyone import all_keyed_s, asked_s
from bellweave.plan.link import EFFICIENCY, loss_db
from bellweave.plan.margin import demanded_shares, margin
from bellweave.plan.supply import SlotYield, duration_s, schedule_of, slot_yields, turns_of
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.demand import demand_bits_per_s, link_of_tunnel, links_of, warnings
from bellweave.scenario.schema import Scenario
from bellweave.tunnel.params import Tunnel
from bellweave.tunnel.theory import demanded_bits_per_s, periods

SIGMAS = 2.0
"""How far above the error rate an accumulated block's threshold lies; one honest statement in forty then fails."""

FEW_BITS = 100.0
"""Fewer never prove anything."""

Turns = tuple[tuple[str, ...], ...]


def plan_network(scenario: Scenario) -> NetworkPlan:
    """Return what theory expects of a network.

    Raises:
        ScenarioError: The scenario has no schedule.
    """
    schedule, turns = schedule_of(scenario), turns_of(scenario)
    yields, demand = slot_yields(scenario), demand_bits_per_s(scenario)
    slot_bits = {name: each.key_bits for name, each in yields.items()}
    tight = margin(scenario, yields)
    enough = tight is not None and tight.factor >= 1.0
    shares = (
        demanded_shares(scenario, yields, tight.factor)
        if turns is None and tight is not None and enough
        else slot_shares(schedule, links_of(scenario), slot_bits, demand)
    )
    proofs: dict[tuple[SlotYield, float], float] = {}
    users: dict[str, list[Tunnel]] = {name: [] for name in scenario.link}
    of_tunnel = link_of_tunnel(scenario)
    for name, link in of_tunnel.items():
        users[link].append(scenario.tunnel[name])
    supplies = _supplies(scenario, turns, yields, shares)
    links = {
        name: _link(scenario, name, yields[name], shares[name], (supplies[name], users[name]), proofs)
        for name in scenario.link
    }
    tunnels = tuple(_tunnel(scenario, name, links[link]) for name, link in of_tunnel.items())
    used = [link for link in links.values() if link.tunnels]
    moments = [link.moments for link in used]
    sessions_s = {name: shares[name] * yields[name].photon_s / schedule.slot_s for name in links}
    plan = NetworkPlan(
        scheduler=schedule.scheduler,
        sources=schedule.sources,
        slot_s=schedule.slot_s,
        duration_s=duration_s(scenario),
        demand_factor=tight.factor if tight else None,
        limited_by=tight.limited_by if tight else "",
        source_share=sum(sessions_s.values()) / schedule.sources,
        switching_share=(sum(shares.values()) - sum(sessions_s.values())) / schedule.sources,
        user_share=_user_shares(scenario, sessions_s),
        links=tuple(links.values()),
        tunnels=tunnels,
        run_asked=sum(tunnel.run_asked for tunnel in tunnels),
        run_keys=sum(each.run_keys for each in moments),
        first_key_s=min((each.first_key_s for each in moments if each.first_key_s is not None), default=None),
        all_keyed_s=_latest([each.all_keyed_s for each in moments]),
        steady_s=_latest([each.steady_s for each in moments]),
        warnings=(),
    )
    doubts = warnings(scenario, None if enough else slot_bits) + _late(plan)
    return msgspec.structs.replace(plan, warnings=tuple(doubts))


def _supplies(
    scenario: Scenario, turns: Turns | None, yields: Mapping[str, SlotYield], shares: Mapping[str, float]
) -> dict[str, Supply]:
    """Return each link's key, block by block: after its first slot, and then evenly apart."""
    schedule, together = schedule_of(scenario), scenario.distill.accumulate_blocks
    if turns is None:  # those that are served at all come first, about in their order
        served = [name for name, share in shares.items() if share]
        turns = tuple(tuple(served[at : at + schedule.sources]) for at in range(0, len(served), schedule.sources))
    begins: dict[str, int] = {}
    for at, turn in enumerate(turns):
        for name in turn:
            begins.setdefault(name, at)
    found = {}
    for name, share in shares.items():
        every_s = schedule.wall_slot_s / share if share else math.inf
        first_s = (begins[name] + 1) * schedule.wall_slot_s + (together - 1) * every_s if share else math.inf
        found[name] = Supply(first_s, together * every_s, yields[name].key_bits * together if share else 0.0)
    return found


def _link(
    scenario: Scenario,
    name: str,
    slot: SlotYield,
    share: float,
    use: tuple[Supply, list[Tunnel]],
    proofs: dict[tuple[SlotYield, float], float],
) -> LinkBudget:
    schedule, optical = schedule_of(scenario), optical_link(scenario, name)
    supply, tunnels = use
    run_slots = (schedule.slots or scenario.run.blocks) * share
    if (slot, run_slots) not in proofs:
        proofs[slot, run_slots] = _proven(scenario, slot, run_slots)
    moments = _moments(scenario, tunnels, supply) if tunnels else Moments()
    return LinkBudget(
        link=name,
        alice=scenario.link[name].alice,
        bob=scenario.link[name].bob,
        loss_alice_db=loss_db(optical.alice),
        loss_bob_db=loss_db(optical.bob),
        slot_share=share,
        slot=slot,
        run_slots=run_slots,
        run_provable_bits=proofs[slot, run_slots],
        supply_bps=supply.bits_per_s,
        demand_bps=sum(demanded_bits_per_s(tunnel) for tunnel in tunnels),
        tunnels=len(tunnels),
        moments=moments,
    )


def _moments(scenario: Scenario, tunnels: list[Tunnel], supply: Supply) -> Moments:
    """Return what a link's tunnels get, and when; unequal ones are taken as so many of their mean."""
    bits, rate_bps = sum(each.key_bits for each in tunnels), sum(map(demanded_bits_per_s, tunnels))
    demand = Demand(min(each.start_s for each in tunnels), bits / rate_bps, bits / len(tunnels), len(tunnels))
    before_s = duration_s(scenario) * (1.0 - theory.ROUNDING) - theory.ROUNDING  # none is asked for at the very end
    patient = all(each.retry_s is not None for each in tunnels)
    ready_s = supply.enough_s(demand.key_bits)
    firsts_s = [at_s for each in tunnels if math.isfinite(at_s := asked_s(each, ready_s))]
    keys = theory.keys_with_waiting if patient else theory.keys_without_waiting
    return Moments(
        shortest_period_s=_finite(theory.shortest_period_s(supply.bits_per_s, demand.key_bits, len(tunnels))),
        first_key_s=min(firsts_s, default=None),
        all_keyed_s=all_keyed_s(tunnels, supply, by_turns=scenario.kms.low_keys > 0),
        steady_s=theory.steady_s(supply, demand) if supply.bits > 0.0 else None,
        run_keys=keys(supply, demand, before_s),
    )


def _proven(scenario: Scenario, slot: SlotYield, slots: float) -> float:
    given = Conditions(qber=slot.qber, efficiency=EFFICIENCY, epsilon=scenario.distill.epsilon, sigmas=SIGMAS)
    total = slot.sifted_bits * slots
    return planning.accumulated(total, 1, given) if total >= FEW_BITS else 0.0


def _tunnel(scenario: Scenario, name: str, link: LinkBudget) -> TunnelBudget:
    tunnel = scenario.tunnel[name]
    asked_per_hour = 3600.0 / tunnel.period_s
    factor = link.supply_bps / link.demand_bps
    return TunnelBudget(
        tunnel=name,
        link=link.link,
        asked_per_hour=asked_per_hour,
        keys_per_hour=min(1.0, factor) * asked_per_hour,
        largest_refresh_per_hour=factor * asked_per_hour,
        run_asked=periods(tunnel, duration_s(scenario)),
    )


def _user_shares(scenario: Scenario, sessions_s: Mapping[str, float]) -> dict[str, float]:
    shares: defaultdict[str, float] = defaultdict(float)
    for name, ends in links_of(scenario).items():
        for user in ends:
            shares[user] += sessions_s[name]
    return dict(shares)


def _late(plan: NetworkPlan) -> list[str]:
    """Return what does not happen, or not within the run."""
    found = [
        f"link.{link.link}: those of its {link.tunnels} tunnels who ask first take what there is, and some never get a "
        "key; kms.low_keys = 1 and kms.high_keys = 1 serve them by turns"
        for link in plan.links
        if link.moments.first_key_s is not None and link.moments.all_keyed_s is None
    ]
    for what, at_s in (("every tunnel has had a key", plan.all_keyed_s), ("no tunnel waits any more", plan.steady_s)):
        if at_s is not None and at_s > plan.duration_s:
            found.append(f"schedule.slots: the run ends after {plan.duration_s:g} s, {what} from {at_s:g} s on")
    return found


def _latest(moments_s: list[float | None]) -> float | None:
    known_s = [at_s for at_s in moments_s if at_s is not None]
    return max(known_s, default=None) if len(known_s) == len(moments_s) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
