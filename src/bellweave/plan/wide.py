"""What closed forms and linear programs expect of a wide-area network: Eqs. 5 to 9, paths, rates, fidelities.

Rates between clusters are upper bounds: the program's pairs wait for each other for free. Two are given:

* ``rate_per_s``: units attempt whenever they hold nothing, swaps take no time (Dai, Peng, Win 2020; Eq. 9);
* ``timed_per_s``: a unit is also blocked while its pair is brought out and measured. Pairs still find partners at once.

Key in ``physical`` mode is what a run's finite blocks mint, of mean counts (:mod:`bellweave.plan.wide_key`):
``backbone.block_pairs`` pairs between clusters, ``backbone.block_s`` and ``mdi_block_s`` by the master's turns within
one. Beside it stands the asymptotic key, of blocks without end.

Fidelities are upper bounds too: pairs are stored for as long as it takes to measure them, and no longer. Where hops
purify, rates are divided by the links that a purified pair takes on average, and its state is the closed form's.

The trusted-relay path is the same path with a trusted node in the place of every repeater: hops make key of their own
pairs, and the nodes pass on a key by one-time pads. Nothing waits and nothing is swapped, but every node on the way
knows the key.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bellweave.bell import Settings, ekert_settings
from bellweave.distill import theory as distillation
from bellweave.network.wide import states, theory
from bellweave.network.wide.params import Demand, Purification
from bellweave.network.wide.purification import after, errors, rated
from bellweave.network.wide.routing.routers import path_rate
from bellweave.network.wide.topology import Topology
from bellweave.plan.wide_cluster import cluster_plan, local_plan
from bellweave.plan.wide_key import pairs_bits
from bellweave.plan.wide_lanes import Lane, Routes, shared
from bellweave.plan.wide_records import DemandPlan, WidePlan, names_of
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import Map, assembled, backbone_of

EFFICIENCY = 1.16
"""Disclosed bits of reconciliation over the Shannon minimum."""

SAME = 1e-9
"""Relative difference below which the hops of a path count as equal, and Eq. 9 applies."""


def plan_wide(scenario: Scenario) -> WidePlan:
    """Return what theory expects of a wide-area network in which all demands run at once."""
    net, backbone = assembled(scenario), backbone_of(scenario)
    timed = replace(net, topology=with_times(net.topology))
    trusted = replace(net, topology=without_swaps(net.topology))
    routes: Routes = {}
    now = shared(scenario, net, scenario.demand, routes=routes)
    late = shared(scenario, timed, scenario.demand, routes=routes).rates_per_s
    relayed = shared(scenario, trusted, scenario.demand, routes=routes).rates_per_s
    demands = []
    for name, demand in scenario.demand.items():
        if net.same_cluster(demand.a, demand.b):
            demands.append(local_plan(scenario, net, name, demand, now.lanes[name]))
        else:
            rates = now.rates_per_s[name], late[name], relayed[name]
            demands.append(_far(scenario, net, name, demand, now.lanes[name], rates))
    return WidePlan(
        mode=backbone.mode,
        swap_order=backbone.swap_order,
        router=backbone.router,
        fairness=backbone.fairness,
        demands=tuple(demands),
        clusters=tuple(cluster_plan(scenario, name, demands) for name in scenario.master),
        warnings=tuple(_doubts(scenario, demands)),
    )


def with_times(topology: Topology) -> Topology:
    """Return a network whose units are also blocked while their pairs are brought out and measured.

    A unit pair makes a pair in T/p on average and is busy with it for at least the longer of its two ends' times.
    """
    busy_s = topology.retrieval_s + topology.measurement_s
    longer_s = busy_s[topology.ends].max(axis=1)
    return replace(topology, attempt_s=topology.attempt_s + topology.success * longer_s)


def without_swaps(topology: Topology) -> Topology:
    """Return a network in which swaps always succeed: what trusted nodes do."""
    return replace(topology, swap_probability=np.where(topology.swap_probability > 0.0, 1.0, 0.0))


def hop_states(topology: Topology, edges: Sequence[int], purification: Purification | None) -> states.Reals:
    """Return the populations of edges' pairs as they are swapped, shape (edges, 4)."""
    fidelity = topology.fidelity[list(edges)]
    if purification is None:
        return states.werner(fidelity)
    return after(fidelity, purification, errors(topology, list(edges)))[1]


def best_state(topology: Topology, lane: Lane, purification: Purification | None = None) -> states.Reals:
    """Return the populations of a lane's end-to-end pairs if they are stored only to be measured, shape (4,)."""
    busy_s = topology.retrieval_s + topology.measurement_s
    decay = np.exp(-busy_s / topology.coherence_s)
    weight = 1.0
    for node, other in zip(lane.nodes, lane.nodes[1:], strict=False):
        weight *= float(decay[node] * decay[other])
    weight *= float(np.prod(states.weight_of(topology.swap_fidelity[list(lane.nodes[1:-1])])))
    links = states.correlations(hop_states(topology, lane.edges, purification))
    return states.populations(weight * np.prod(links, axis=0))


def settings_of(scenario: Scenario, slave: str) -> Settings:
    """Return the settings of Ekert91 that a slave's cluster uses."""
    own = scenario.master[scenario.slave[slave].master].ekert
    return ekert_settings(own.settings, own.test_share)


def chsh_of(state: states.Reals) -> float:
    """Return the CHSH value at Ekert's settings, which lie in the plane of X and Z."""
    x, _, z = states.correlations(state)
    return float(states.chsh((x + z) / 2.0))


def key_fraction(state: states.Reals, settings: Settings, efficiency: float = EFFICIENCY) -> float:
    """Return the key bits of one pair in this state by Ekert91, asymptotically; 0 where it proves no entanglement."""
    z, x = (float(rate) for rate in states.qber(state))
    chsh = chsh_of(state)
    if chsh <= 2.0:
        return 0.0
    if settings.unbiased:
        secret = (distillation.shor_preskill(x, z, efficiency) + distillation.shor_preskill(z, x, efficiency)) / 2.0
    else:
        secret = distillation.chsh_asymptotic(chsh, (z + x) / 2.0, efficiency)
    return settings.key_share * max(0.0, secret)


def minted_fraction(scenario: Scenario, slave: str, state: states.Reals) -> float:
    """Return the key bits per end-to-end pair of a block of ``backbone.block_pairs``, as a run mints them."""
    pairs, epsilon = backbone_of(scenario).block_pairs, scenario.master[scenario.slave[slave].master].ekert.epsilon
    return pairs_bits(state, settings_of(scenario, slave), epsilon, scenario.distill, pairs) / pairs


def _far(
    scenario: Scenario, net: Map, name: str, demand: Demand, lanes: tuple[Lane, ...], rates: tuple[float, float, float]
) -> DemandPlan:
    backbone = backbone_of(scenario)
    paper, purification = backbone.mode == "paper", backbone.purification
    topology = net.topology
    bound = rated(topology, purification)
    settings = settings_of(scenario, demand.a)
    rate, timed, relayed = rates
    state = best_state(topology, lanes[0], purification) if lanes else None
    fraction, hop, endless = (1.0, 1.0, None) if paper else (0.0, 0.0, 0.0)
    if state is not None and not paper:
        fraction, endless = minted_fraction(scenario, demand.a, state), timed * key_fraction(state, settings)
        hops = hop_states(topology, [edge for lane in lanes for edge in lane.edges], purification)
        hop = min(minted_fraction(scenario, demand.a, each) for each in hops)
    first = lanes[0] if lanes else None
    return DemandPlan(
        demand=name,
        a=demand.a,
        b=demand.b,
        kind="backbone",
        paths=names_of(net, lanes),
        units=tuple(lane.units for lane in lanes),
        length_km=float(topology.length_km[list(first.edges)].sum()) if first else None,
        eq9_per_s=_eq9(bound, first) if first else None,
        alone_per_s=path_rate(bound, first.nodes, first.edges) if first else None,
        rate_per_s=rate,
        timed_per_s=timed,
        fidelity=float(state[0]) if state is not None else None,
        qber=float(np.mean(states.qber(state))) if state is not None else None,
        chsh=chsh_of(state) if state is not None else None,
        key_bits_per_s=timed * fraction,
        asymptotic_bits_per_s=endless,
        trusted_bits_per_s=relayed * hop,
        trusted_nodes=len(first.nodes) - 2 if first else 0,
        asked_bits_per_s=demand.bits_per_s,
    )


def _eq9(topology: Topology, lane: Lane) -> float | None:
    """Return Eq. 9 for a lane's units, pairs/s; None where its hops differ."""
    edges, inner = list(lane.edges), topology.swap_probability[list(lane.nodes[1:-1])]
    columns = (topology.success[edges], topology.attempt_s[edges], np.array(lane.units), inner)
    if any(each.size and np.ptp(each) > SAME * abs(each).max() for each in columns):
        return None
    success, attempt_s, units = float(columns[0][0]), float(columns[1][0]), lane.units[0]
    return theory.distribution_rate(len(edges), units, success, float(inner[0])) / attempt_s


def _doubts(scenario: Scenario, demands: list[DemandPlan]) -> list[str]:
    found = []
    for plan in demands:
        path = f"demand.{plan.demand}"
        if not plan.paths:
            found.append(f"{path}: no path has a free memory unit on every edge")
        elif plan.key_bits_per_s <= 0.0 and (plan.asymptotic_bits_per_s or 0.0) > 0.0:
            longer = "backbone.block_s and mdi_block_s" if plan.kind == "cluster" else "backbone.block_pairs"
            found.append(f"{path}: blocks are too short to prove any key: raise {longer}")
        elif plan.key_bits_per_s <= 0.0 and plan.fidelity is not None:
            found.append(f"{path}: no key, the fidelity is {plan.fidelity:.3f} at best: S = {plan.chsh or 0.0:.3f}")
        elif plan.asked_bits_per_s is not None and plan.asked_bits_per_s > plan.key_bits_per_s:
            asked = f"{plan.asked_bits_per_s:.4g} bit/s are asked for"
            found.append(f"{path}: {asked}, {plan.key_bits_per_s:.4g} are the most that can come")
    for name, slave in scenario.slave.items():
        lifetime_s, busy_s = slave.memory.lifetime_s or math.inf, slave.memory.retrieval_s
        if lifetime_s <= busy_s:
            found.append(f"slave.{name}.memory: a qubit takes {busy_s:g} s to come out and lives {lifetime_s:g} s")
    return found
