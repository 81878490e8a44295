"""Repeaters and memories for so much key over such a distance."""

import math

import msgspec
import numpy as np
import pytest

from bellweave import rng
from bellweave.errors import ScenarioError
from bellweave.network.wide.params import Purification, Repeater
from bellweave.plan.wide import best_state
from bellweave.plan.wide_design import WideDesign, design, numbers, scenario_of
from bellweave.plan.wide_lanes import Lane
from bellweave.plan.wide_trial import Trial, Wish, chain_of
from bellweave.scenario.load import checked_scenario, load
from bellweave.sim.wide import simulate_wide
from bellweave.sim.wide.summary import summarise

REPEATER = Repeater(swap_probability=0.9)


def stream(name: str) -> np.random.Generator:
    return rng.stream(1, "design", name)


def made(**changes: object) -> WideDesign:
    wish = Wish(distance_km=200.0, bits_per_s=500.0, repeater=REPEATER)
    return design(msgspec.structs.replace(wish, **changes), (1, 4, 9, 19), stream)


def test_the_best_candidate_takes_the_fewest_units_and_gives_enough() -> None:
    found = made()
    able = [each for each in found.candidates if each.total_units is not None]
    best = next(each for each in able if each.repeaters == found.best)

    assert best.total_units == min(each.total_units or 0 for each in able)
    for each in able:
        assert each.bits_per_s is not None
        assert each.units_at_least is not None
        assert each.units is not None
        assert each.bits_per_s >= 500.0
        assert each.units >= each.units_at_least
        assert each.total_units == 2 * each.units * (each.repeaters + 1)
        assert each.lifetime_s is not None
        assert each.trusted_bits_per_s is not None
        assert each.trusted_bits_per_s > each.bits_per_s


def test_too_few_repeaters_need_too_many_units() -> None:
    (first, *_) = design(Wish(distance_km=500.0, bits_per_s=1000.0, repeater=REPEATER), (1,), stream).candidates

    assert first.units is None
    assert "units on a hop" in first.why


def test_the_closed_form_is_a_lower_bound_of_what_the_kernel_needs() -> None:
    trial = Trial(Wish(distance_km=200.0, bits_per_s=500.0, repeater=REPEATER), 9, stream)
    least = trial.least_units()

    assert least is not None
    assert trial.run(max(1, least - 1)).bits_per_s < 500.0 * 1.1


def test_physical_pairs_need_more_units_and_memories_that_remember() -> None:
    paper = made().candidates[1]
    real = made(mode="physical", fidelity=0.99, most_rounds=0).candidates[1]

    assert paper.units is not None
    assert real.units is not None
    assert real.coherence_s is not None
    assert real.units > 3 * paper.units
    assert real.fidelity is not None
    assert 0.9 < real.fidelity < 0.99**5 + 0.01


def test_many_bad_swaps_leave_nothing() -> None:
    found = made(mode="physical", fidelity=0.95, most_rounds=0)

    assert found.candidates[-1].units is None
    assert "no entanglement" in found.candidates[-1].why


WORN = Repeater(gate_fidelity=0.998, readout_error=0.001)


def purified(**changes: object) -> tuple[Wish, WideDesign]:
    wish = Wish(distance_km=100.0, bits_per_s=20.0, repeater=WORN, fidelity=0.93, mode="physical")
    wish = msgspec.structs.replace(wish, **changes)
    return wish, design(wish, (4,), stream)


def test_purification_is_chosen_where_pairs_give_no_key_without_it() -> None:
    _, without = purified(most_rounds=0)
    wish, found = purified()
    (best,) = found.candidates
    scenario = checked_scenario(scenario_of(load("backbone"), found))

    assert "in blocks of 100000" in without.candidates[0].why
    assert best.rounds >= 1
    assert best.units is not None
    assert best.bits_per_s is not None
    assert best.bits_per_s >= wish.bits_per_s
    assert scenario.backbone is not None
    assert scenario.backbone.purification == Purification(protocol="dejmps", rounds=best.rounds)


def test_purification_is_left_out_where_it_costs_more_pairs_than_it_gives_key() -> None:
    _, good = purified(fidelity=0.995)
    _, spoilt = purified(repeater=Repeater(gate_fidelity=0.9))

    assert good.candidates[0].rounds == 0
    assert good.candidates[0].units is not None
    assert spoilt.candidates[0].units is None


def test_a_trial_expects_the_state_that_a_plan_of_its_scenario_expects() -> None:
    wish, _ = purified(most_rounds=0)
    trial = Trial(wish, 4, stream, rounds=2)
    topology = chain_of(wish, 4, 3, lifetime_s=math.inf, coherence_s=math.inf)
    lane = Lane(tuple(range(6)), tuple(range(5)), (3,) * 5, 0.0)

    assert trial.best_fraction() == pytest.approx(trial.fraction(best_state(topology, lane, trial.purification)))
    assert trial.least_units() is not None


def test_a_design_that_is_simulated_gives_what_it_was_designed_for() -> None:
    wish = Wish(distance_km=200.0, bits_per_s=600.0, repeater=REPEATER)
    scenario = checked_scenario(scenario_of(load("backbone"), design(wish, (4, 9), stream)))
    scenario = msgspec.structs.replace(scenario, run=msgspec.structs.replace(scenario.run, duration_s=2.0))
    (own,) = summarise(simulate_wide(scenario)).demands.values()

    assert len(own.path) == 1 + {4: 5, 9: 10}[len(scenario.repeater) + 2]
    assert own.bits_per_s > 0.85 * 600.0  # its memories live as short as they may


def test_numbers_of_repeaters_keep_hops_within_limits() -> None:
    for km in (10.0, 60.0, 500.0, 3000.0):
        for count in numbers(km):
            assert km / (count + 1) <= 150.0 + 1e-9
        assert len(numbers(km)) <= 12


def test_ends_swap_nothing_and_measure_like_repeaters() -> None:
    chain = chain_of(Wish(distance_km=100.0, bits_per_s=1.0), 4, 3, lifetime_s=1.0, coherence_s=math.inf)

    assert chain.swap_probability.tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]
    assert chain.length_km == pytest.approx(20.0)
    assert set(chain.lifetime_s) == {1.0}


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ScenarioError, match="are > 0"):
        design(Wish(distance_km=0.0, bits_per_s=1.0), (1,), stream)
    with pytest.raises(ScenarioError, match="hop-by-hop, nested or asap"):
        design(Wish(distance_km=1.0, bits_per_s=1.0, swap_order="optimal"), (1,), stream)
    with pytest.raises(ScenarioError, match="two repeaters or more"):
        scenario_of(load("backbone"), WideDesign(wish=Wish(distance_km=1.0, bits_per_s=1.0), candidates=(), best=None))
