"""Key within clusters: Eqs. 5 and 6 in ``paper`` mode; source, photons and the master's turns in ``physical`` mode."""

import math
from collections.abc import Sequence

import msgspec

from bellweave.network.wide import theory
from bellweave.network.wide.cluster.turns import Turns
from bellweave.network.wide.params import Demand
from bellweave.plan.cluster_rates import cluster_bits_per_attempt, physical_rates
from bellweave.plan.wide_key import cluster_ekert_bits, cluster_mdi_bits
from bellweave.plan.wide_lanes import Lane
from bellweave.plan.wide_records import ClusterPlan, DemandPlan, names_of
from bellweave.scenario.cluster_optics import Pair
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import ATTEMPT_S, Map, backbone_of

TURNS = 840
"""Blocks whose turns are counted: a multiple of most tournaments' lengths."""


def local_plan(scenario: Scenario, net: Map, name: str, demand: Demand, lanes: tuple[Lane, ...]) -> DemandPlan:
    """Return what a demand within a cluster gets; ``lanes``: slave, master, slave, or none."""
    plan = _by_eq6(scenario, net, name, demand, lanes)
    return _in_turns(scenario, plan) if lanes and backbone_of(scenario).mode == "physical" else plan


def _in_turns(scenario: Scenario, plan: DemandPlan) -> DemandPlan:
    """Return a plan within a cluster with what photons, protocols and finite blocks give in the master's turns."""
    backbone, params, pair = backbone_of(scenario), scenario.distill, _pair(scenario, plan.a, plan.b)
    ekert, mdi = _turns(scenario, scenario.slave[plan.a].master)[plan.demand]
    rates = physical_rates(pair)
    bits = ekert * cluster_ekert_bits(pair, params, backbone.block_s) / backbone.block_s
    bits += mdi * cluster_mdi_bits(pair, params, backbone.mdi_block_s) / backbone.mdi_block_s
    return msgspec.structs.replace(
        plan,
        rate_per_s=ekert * rates.pairs_per_s,
        timed_per_s=ekert * rates.pairs_per_s,
        qber=rates.ekert_qber,
        chsh=rates.chsh,
        key_bits_per_s=bits if plan.asked_bits_per_s is None else min(bits, plan.asked_bits_per_s),
        asymptotic_bits_per_s=ekert * rates.ekert_bits_per_s + mdi * rates.mdi_bits_per_s,
    )


def _turns(scenario: Scenario, master: str) -> dict[str, tuple[float, float]]:
    """Return the shares of the blocks of Ekert91 and of MDI-QKD that each demand within a cluster gets."""
    demands = {name: each for name, each in scenario.demand.items() if _within(scenario, each, master)}
    pairs = {name: (each.a, each.b) for name, each in demands.items()}
    turns = Turns(pairs, {name: each.weight for name, each in demands.items()})
    counts = {name: [0, 0] for name in pairs}
    for turn in (turns.following() for _ in range(TURNS)):
        for name in turn.ekert:
            counts[name][0] += 1
        if turn.mdi is not None:
            counts[turn.mdi][1] += 1
    return {name: (ekert / TURNS, mdi / TURNS) for name, (ekert, mdi) in counts.items()}


def _within(scenario: Scenario, demand: Demand, master: str) -> bool:
    return all(scenario.slave[end].master == master for end in (demand.a, demand.b))


def _pair(scenario: Scenario, a: str, b: str) -> Pair:
    return Pair(scenario.master[scenario.slave[a].master], a, scenario.slave[a], b, scenario.slave[b])


def _by_eq6(scenario: Scenario, net: Map, name: str, demand: Demand, lanes: tuple[Lane, ...]) -> DemandPlan:
    master = scenario.master[net.masters[demand.a]]
    units = min(lanes[0].units) if lanes else 0
    beside = sum(
        net.same_cluster(each.a, each.b) and net.masters[each.a] == net.masters[demand.a]
        for each in scenario.demand.values()
    )
    bits = (master.ekert_rate * units + master.mdi_rate * master.units / beside) / ATTEMPT_S if units else 0.0
    pairs = master.ekert_rate * units / ATTEMPT_S
    return DemandPlan(
        demand=name,
        a=demand.a,
        b=demand.b,
        kind="cluster",
        paths=names_of(net, lanes),
        units=tuple(lane.units for lane in lanes),
        length_km=float(net.topology.length_km[list(lanes[0].edges)].sum()) if lanes else None,
        eq9_per_s=None,
        alone_per_s=None,
        rate_per_s=pairs,
        timed_per_s=pairs,
        fidelity=None,
        qber=None,
        chsh=None,
        key_bits_per_s=bits if demand.bits_per_s is None else min(bits, demand.bits_per_s),
        trusted_bits_per_s=None,
        trusted_nodes=0,
        asked_bits_per_s=demand.bits_per_s,
    )


def cluster_plan(scenario: Scenario, name: str, demands: Sequence[DemandPlan]) -> ClusterPlan:
    """Return what a cluster gives, with the plans of all demands."""
    plan = _cluster_by_eq6(scenario, name)
    if backbone_of(scenario).mode == "paper":
        return plan
    own = [each for each in demands if each.kind == "cluster" and scenario.slave[each.a].master == name]
    pairs = [_pair(scenario, each.a, each.b) for each in own]
    return msgspec.structs.replace(
        plan,
        bits_per_attempt=cluster_bits_per_attempt(pairs, plan.slaves),
        bits_per_s=math.fsum(each.key_bits_per_s for each in own),
    )


def _cluster_by_eq6(scenario: Scenario, name: str) -> ClusterPlan:
    master = scenario.master[name]
    slaves = [each for each in scenario.slave.values() if each.master == name]
    bits = theory.cluster_key_bits(
        len(slaves),
        min((each.units for each in slaves), default=0),
        master.units,
        ekert_rate=master.ekert_rate,
        mdi_rate=master.mdi_rate,
    )
    return ClusterPlan(
        master=name,
        slaves=len(slaves),
        pairs_at_once=theory.ekert_pairs_at_once(len(slaves)),
        bits_per_attempt=bits,
        bits_per_s=bits / ATTEMPT_S,
    )
