"""Closed forms and bounds of wide-area networks."""

import math

import msgspec
import numpy as np
import pytest

from bellweave.bell import ekert_settings
from bellweave.network.wide import states, theory
from bellweave.plan.wide import best_state, key_fraction, plan_wide, with_times
from bellweave.plan.wide_lanes import Lane
from bellweave.scenario.changes import changed
from bellweave.scenario.load import load, parse
from bellweave.scenario.wide import assembled

CHAIN = """
format = 1
name = "chain"
[master.m]
repeater = {{ swap_probability = {q} }}
[master.n]
repeater = {{ swap_probability = {q} }}
[repeater.r]
swap_probability = {q}
[slave.a]
master = "m"
length_km = 20.0
[slave.b]
master = "n"
length_km = 20.0
[hop.m-r]
a = "m"
b = "r"
length_km = 20.0
attempt_s = 200e-6
[hop.r-n]
a = "r"
b = "n"
length_km = 20.0
attempt_s = 200e-6
[demand.d]
a = "a"
b = "b"
[backbone]
mode = "{mode}"
"""


@pytest.mark.parametrize("q", [1.0, 0.9, 0.6])
def test_a_chain_of_equal_hops_has_the_rate_of_eq_9(q: float) -> None:
    (plan,) = plan_wide(parse(CHAIN.format(q=q, mode="paper"))).demands
    expected = theory.distribution_rate(4, 10, 10**-0.8, q) / 200e-6

    assert plan.eq9_per_s == pytest.approx(expected, rel=1e-10)
    assert plan.rate_per_s == pytest.approx(expected, rel=1e-6)
    assert plan.alone_per_s == pytest.approx(expected, rel=1e-6)
    assert plan.timed_per_s < plan.rate_per_s
    assert plan.paths == (("a", "m", "r", "n", "b"),)


def test_hops_that_differ_have_no_eq_9() -> None:
    scenario = changed(parse(CHAIN.format(q=0.9, mode="paper")), {"slave.a.length_km": 10.0})

    assert plan_wide(scenario).demands[0].eq9_per_s is None


def test_measuring_takes_units_time() -> None:
    net = assembled(parse(CHAIN.format(q=0.9, mode="paper"))).topology
    per_s = with_times(net).pairs_per_s

    assert per_s == pytest.approx(10 / (200e-6 / 10**-0.8 + 1.14e-3))


def test_a_trusted_relay_loses_nothing_by_swaps() -> None:
    (plan,) = plan_wide(parse(CHAIN.format(q=0.6, mode="paper"))).demands

    assert plan.trusted_bits_per_s == pytest.approx(10 * 10**-0.8 / 200e-6, rel=1e-6)
    assert plan.trusted_nodes == 3


def test_a_cluster_has_the_key_of_eq_6() -> None:
    plan = plan_wide(load("cluster"))

    assert plan.clusters[0].pairs_at_once == 3
    assert plan.clusters[0].bits_per_attempt == 0.125 * 10 + 0.25 * 10 * 3
    assert sum(each.key_bits_per_s for each in plan.demands) == pytest.approx(plan.clusters[0].bits_per_s)


def test_physical_pairs_are_imperfect_and_give_less_key() -> None:
    paper = plan_wide(parse(CHAIN.format(q=0.9, mode="paper"))).demands[0]
    real = plan_wide(parse(CHAIN.format(q=0.9, mode="physical"))).demands[0]

    assert paper.fidelity == 1.0
    assert paper.key_bits_per_s == paper.timed_per_s
    assert real.fidelity is not None
    assert real.fidelity < 0.98
    assert 0.0 < real.key_bits_per_s < 0.25 * real.timed_per_s


def test_memories_that_forget_leave_no_entanglement() -> None:
    scenario = changed(parse(CHAIN.format(q=0.9, mode="physical")), {"repeater.r.memory": {"coherence_s": 0.001}})
    plan = plan_wide(scenario)

    assert plan.demands[0].key_bits_per_s == 0.0
    assert any("no key" in each for each in plan.warnings)


def test_the_state_of_a_lane_is_what_swapping_makes_of_its_links() -> None:
    scenario = parse(CHAIN.format(q=0.9, mode="physical"))
    net = assembled(scenario)
    nodes = tuple(net.nodes[name] for name in ("a", "m", "r", "n", "b"))
    lane = Lane(nodes, tuple(net.edges[name] for name in ("a", "m-r", "r-n", "b")), (1, 1, 1, 1), 0.0)
    links = [states.werner(net.topology.fidelity[edge]) for edge in lane.edges]
    whole = links[0]
    for link in links[1:]:
        whole = states.swapped(whole, link, 1.0)

    assert best_state(net.topology, lane) == pytest.approx(np.asarray(whole))


def test_perfect_pairs_give_the_share_of_equal_settings() -> None:
    settings = ekert_settings("unbiased")

    assert key_fraction(states.werner(1.0), settings) == pytest.approx(0.25)
    assert key_fraction(states.werner(0.75), settings) == 0.0
    assert key_fraction(states.werner(1.0), ekert_settings("ekert")) == pytest.approx(2 / 9)


def test_more_than_there_is_raises_a_doubt() -> None:
    scenario = changed(load("backbone"), {"demand.alice-bob.bits_per_s": 1e5})

    assert any("demand.alice-bob: 1e+05 bit/s are asked for" in each for each in plan_wide(scenario).warnings)


def test_a_memory_that_lives_no_longer_than_a_retrieval_is_doubtful() -> None:
    scenario = changed(load("cluster"), {"slave.s1.memory.lifetime_s": 1e-3})

    assert any(each.startswith("slave.s1.memory") for each in plan_wide(scenario).warnings)


def test_every_number_of_a_plan_can_be_written() -> None:
    text = msgspec.json.encode(plan_wide(load("mesh")))

    assert b"NaN" not in text
    assert all(math.isfinite(each.rate_per_s) for each in plan_wide(load("mesh")).demands)


def test_purification_costs_links_and_gives_the_closed_forms_state() -> None:
    plain = changed(parse(CHAIN.format(q=0.9, mode="physical")), {"hop.*.fidelity": 0.9})
    before = plan_wide(plain).demands[0]
    purifying = changed(plain, {"backbone.purification": {"protocol": "dejmps", "rounds": 2}})
    after = plan_wide(purifying).demands[0]
    net = assembled(purifying)
    weights, cost = np.ones(3), []
    for name in ("a", "m-r", "r-n", "b"):
        state, links = states.werner(net.topology.fidelity[net.edges[name]]), 1.0
        for _ in range(2):
            chance, state = states.purify("dejmps", state, state)
            links *= 2.0 / float(chance)
        weights *= states.correlations(state)
        cost.append(links)

    assert before.fidelity is not None
    assert after.fidelity is not None
    assert after.fidelity == pytest.approx(float(states.populations(weights)[0]))
    assert after.fidelity > before.fidelity
    assert after.chsh == pytest.approx(math.sqrt(2.0) * (weights[0] + weights[2]))
    assert before.rate_per_s / max(cost) * 0.999 < after.rate_per_s < before.rate_per_s / min(cost) * 1.001
