"""Physical mode: states that decay, Ekert91, finite key, classical latency."""

import math

import pytest

from bellweave.plan.wide import plan_wide
from bellweave.results.wide_records import KeyMade, LanesSet
from bellweave.scenario.changes import changed
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.sim.wide import WideRun, simulate_wide
from bellweave.sim.wide.summary import summarise

SIGMA = 4.0


def physical(**changes: object) -> Scenario:
    values: dict[str, object] = {
        "backbone.mode": "physical",
        "backbone.block_pairs": 25_000,
        "hop.*.fidelity": 0.999,
        "hop.*.units": 150,
        "slave.*.units": 400,
        "master.*.visibility": 0.998,
        "kms.mint": "provable",
        "run.duration_s": 2.0,
    }
    return changed(load("backbone"), values | changes)


def blocks(run: WideRun, demand: str) -> list[KeyMade]:
    return [event for event in run.events if isinstance(event, KeyMade) and event.demand == demand]


@pytest.fixture(scope="module")
def run() -> WideRun:
    return simulate_wide(physical())


def test_pairs_become_provable_key_by_ekert91(run: WideRun) -> None:
    whole = [event for event in blocks(run, "alice-bob") if event.rejection is None]

    assert whole
    for event in whole:
        assert event.method == "backbone"
        assert 0 < event.provable_bits <= event.final_bits
        assert event.ingested_bits == event.final_bits // 8 * 8
        assert abs(event.sifted_bits - 0.25 * event.pairs) < SIGMA * math.sqrt(0.25 * 0.75 * event.pairs)


def test_qber_and_chsh_are_no_better_than_at_best_and_close_to_it(run: WideRun) -> None:
    plans = {each.demand: each for each in plan_wide(run.scenario).demands}
    for name in ("alice-bob", "anna-boris"):
        own, plan = summarise(run).demands[name], plans[name]
        assert own.qber is not None
        assert own.chsh is not None
        assert plan.qber is not None
        assert plan.chsh is not None
        tested = 0.5 * own.pairs
        sampled = own.sifted_bits * 0.1
        # nothing decays here, so that the best is what comes
        assert abs(own.chsh - plan.chsh) < SIGMA * 4.0 / math.sqrt(tested)
        assert abs(own.qber - plan.qber) < SIGMA * math.sqrt(plan.qber / sampled)


def test_memories_that_decay_cost_fidelity(run: WideRun) -> None:
    decayed = simulate_wide(physical(**{f"repeater.n{number}.memory.coherence_s": 0.2 for number in (1, 2, 3)}))
    before, after = (summarise(each).demands["alice-bob"] for each in (run, decayed))

    assert before.chsh is not None
    assert after.chsh is not None
    assert after.chsh < before.chsh - 0.02


def test_letters_and_sessions_take_light_its_time(run: WideRun) -> None:
    first = next(event for event in run.events if isinstance(event, LanesSet) and event.demand == "alice-bob")
    way_s = 110.0 / 2.0e5

    # to Bob and back twice, and one edge after the other
    assert first.at_s > 2 * 2 * way_s
    for event in blocks(run, "alice-bob"):
        since_s = event.at_s / 0.1 % 1.0 * 0.1
        assert since_s > 12 * way_s


def test_a_cluster_distils_blocks_of_ekert91_and_mdi() -> None:
    scenario = physical(
        **{
            "backbone.mdi_block_s": 0.5,
            "backbone.block_s": 0.5,
            "run.duration_s": 1.6,
            "demand.alice-anna.bits_per_s": 1e6,
        }
    )
    made = blocks(simulate_wide(scenario), "alice-anna")  # its lanes are set up a little after the first block began

    assert [event.method for event in made].count("ekert91") == 2
    assert [event.method for event in made].count("mdi") == 2
    for event in made:
        if event.method == "ekert91":
            assert event.provable_bits > 0
            assert event.chsh is not None
            assert event.chsh > 2.5


def test_a_cluster_makes_no_blocks_that_nobody_asked_for() -> None:
    scenario = physical(**{"backbone.block_s": 0.2, "run.duration_s": 1.1, "demand.alice-anna.bits_per_s": 2000.0})
    made = blocks(simulate_wide(scenario), "alice-anna")

    assert 1 <= len(made) < 4


def test_a_node_that_fails_during_a_session_has_lost_the_block() -> None:
    scenario = physical(**{"fault": {"f": {"at_s": 1.01, "down": "anna"}}, "backbone.block_s": 0.5})
    lost = [event for event in blocks(simulate_wide(scenario), "alice-anna") if event.at_s > 1.01]

    assert not [event for event in lost if event.ingested_bits]
