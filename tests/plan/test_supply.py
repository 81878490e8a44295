"""What a slot gives: everything that stands between photons and key is paid."""

import math

import msgspec
import pytest

from bellweave.errors import ScenarioError
from bellweave.network.drift import variance_rad2
from bellweave.network.params import Drift
from bellweave.plan import expected_block
from bellweave.plan.supply import slot_yields, turns_of
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario


def changed(scenario: Scenario, part: str, /, **values: object) -> Scenario:
    return msgspec.structs.replace(scenario, **{part: msgspec.structs.replace(getattr(scenario, part), **values)})


def test_switching_costs_a_slot_its_share_of_photons() -> None:
    modern = msgspec.structs.replace(load("datacenter-modern"), drift=None)

    slot = slot_yields(modern)["alice-bob"]

    assert slot.photon_s == pytest.approx(1.0 - 0.11)
    assert slot.sifted_bits == pytest.approx(0.89 * expected_block(modern, "alice-bob").quantities["sifted_bits"])


def test_a_link_that_goes_on_from_slot_to_slot_is_not_switched_again() -> None:
    table = (("alice-bob",), ("alice-bob",), ("bob-charlie",), ("bob-charlie", "alice-diana"))
    scenario = changed(load("datacenter-modern"), "schedule", scheduler="table", sources=2, table=table)

    slots = slot_yields(scenario)

    assert slots["alice-bob"].photon_s == pytest.approx(1.0 - 0.11 / 2)
    assert slots["alice-diana"].photon_s == pytest.approx(1.0 - 0.11)


def test_confirmation_authentication_and_broken_bytes_are_paid_by_each_block() -> None:
    modern = load("datacenter-modern")
    free = changed(changed(modern, "kms", confirmation_bits=0), "distill", authentication=None)

    paid = slot_yields(modern)["alice-bob"]

    assert slot_yields(free)["alice-bob"].key_bits - paid.key_bits == pytest.approx(256 + 128)
    assert paid.provable_bits - paid.key_bits == pytest.approx(256 + 128 + 3.5)


def test_blocks_that_are_accumulated_pay_once_and_prove_more() -> None:
    modern = load("datacenter-modern")
    dim = msgspec.structs.replace(modern.source["eps"], pair_rate_hz=50_000.0)
    modern = msgspec.structs.replace(modern, source={"eps": dim})

    one = slot_yields(modern)["alice-bob"]
    ten = slot_yields(changed(modern, "distill", accumulate_blocks=10))["alice-bob"]

    assert ten.sifted_bits == pytest.approx(one.sifted_bits)
    assert ten.key_bits > one.key_bits


def test_a_threshold_at_the_error_rate_itself_passes_half_of_all_blocks() -> None:
    modern = load("datacenter-modern")
    at_rate = changed(modern, "distill", qber_threshold=slot_yields(modern)["alice-bob"].qber)

    assert slot_yields(at_rate)["alice-bob"].passing == pytest.approx(0.5, abs=0.05)


def test_blocks_too_short_to_be_opened_give_nothing() -> None:
    short = changed(load("datacenter"), "schedule", slot_s=0.1)  # 11 sifted bits, the least is 64

    assert slot_yields(short)["alice-bob"].passing == pytest.approx(0.0, abs=1e-12)


def test_drift_counts_with_its_mean_over_the_run() -> None:
    """Two ends; a walk that is never corrected has half of its final variance in the mean. Accidentals don't turn."""
    modern = load("datacenter-modern")
    still = slot_yields(msgspec.structs.replace(modern, drift=None))["alice-bob"]
    drift = Drift(rad_per_sqrt_hour=0.3, feedback_s=1e6)

    moving = slot_yields(msgspec.structs.replace(modern, drift=drift))["alice-bob"]

    variance = 2.0 * variance_rad2(drift, 600.0) / 2.0
    assert 1.0 - 2.0 * moving.qber == pytest.approx((1.0 - 2.0 * still.qber) * math.exp(-variance / 2.0), rel=1e-5)
    assert moving.key_bits < still.key_bits


def test_only_schedulers_that_go_by_demand_have_no_fixed_turns() -> None:
    scenario = load("datacenter")

    assert turns_of(scenario) == tuple((name,) for name in scenario.link)
    assert turns_of(changed(scenario, "schedule", scheduler="deficit")) is None


def test_a_scenario_without_schedule_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"schedule: a plan of a network needs"):
        slot_yields(load("vienna2004"))
