"""The key that plans expect of mean blocks against what both ends distil of simulated ones."""

from typing import Any

import numpy as np
import pytest

from bellweave.bell import ekert_settings
from bellweave.distill.params import Authentication, Distillation
from bellweave.network.wide import states
from bellweave.network.wide.params import Ekert91, Master, MdiQkd, Slave
from bellweave.plan.wide import key_fraction, plan_wide
from bellweave.plan.wide_key import cluster_ekert_bits, cluster_mdi_bits, pairs_bits
from bellweave.scenario.changes import changed
from bellweave.scenario.cluster_optics import Pair
from bellweave.scenario.load import load
from bellweave.sim.cluster import distil_ekert, distil_mdi, distil_pairs

PARAMS = Distillation(qber_threshold=0.05)


def pair(**master: Any) -> Pair:
    slave = Slave(master="m", length_km=1.0)
    return Pair(Master(**master), "a", slave, "b", slave)


@pytest.mark.parametrize("name", ["unbiased", "ekert"])
@pytest.mark.parametrize(
    "params", [PARAMS, Distillation(qber_threshold=0.05, authentication=Authentication(scheme="one-time"))]
)
def test_a_block_of_pairs_gives_what_both_ends_distil_of_one(name: Any, params: Distillation) -> None:
    how, count = Ekert91(settings=name), 120_000
    state = states.werner(0.98)
    correlations = np.tile(states.correlations(state), (count, 1))
    done = distil_pairs("a-b", correlations, how, params, seed=1, block=0, start_s=0.0, end_s=1.0)
    expected = pairs_bits(state, ekert_settings(name), how.epsilon, params, count)

    assert done.alice is not None
    paid = done.record.ledger.authentication
    assert (paid > 0) == (params.authentication is not None)
    assert expected == pytest.approx(done.record.ledger.distilled, rel=0.06)


def test_a_block_gives_less_than_its_pairs_would_without_end_and_a_short_one_nothing() -> None:
    state, settings = states.werner(0.98), ekert_settings("unbiased")
    shares = [pairs_bits(state, settings, 1e-10, PARAMS, count) / count for count in (2_000, 1e5, 1e6, 1e8)]

    assert shares[0] == 0.0
    assert shares == sorted(shares)
    assert 0.0 < shares[1] < shares[-1] < key_fraction(state, settings)


def test_pairs_above_the_threshold_or_without_a_violation_give_nothing() -> None:
    settings = ekert_settings("unbiased")

    assert pairs_bits(states.werner(0.9), settings, 1e-10, PARAMS, 1e8) == 0.0
    assert pairs_bits(states.werner(0.7), ekert_settings("ekert"), 1e-10, PARAMS, 1e8) == 0.0


def test_a_clusters_blocks_give_what_its_slaves_distil() -> None:
    own = pair(source_pair_rate_hz=3e5)
    done = distil_ekert(own, PARAMS, seed=1, block=0, block_s=1.0, level="rounds")

    assert done.alice is not None
    assert cluster_ekert_bits(own, PARAMS, 1.0) == pytest.approx(done.record.ledger.distilled, rel=0.06)


@pytest.mark.parametrize(("light", "block_s"), [("coherent", 10.0), ("single-photon", 0.01)])
def test_blocks_of_mdi_qkd_give_what_its_slaves_distil(light: Any, block_s: float) -> None:
    own = pair(mdi=MdiQkd(light=light, pulse_rate_hz=1e8 if light == "single-photon" else 3e7))
    done = distil_mdi(own, PARAMS, seed=1, block=0, block_s=block_s, level="rounds")

    assert done.alice is not None
    assert cluster_mdi_bits(own, PARAMS, block_s) == pytest.approx(done.record.ledger.distilled, rel=0.15)


def test_a_physical_plan_expects_what_blocks_mint_and_says_what_they_would_without_end() -> None:
    scenario = changed(load("cluster"), {"backbone": {"mode": "physical"}})
    plan = plan_wide(scenario)

    for each in plan.demands:
        assert each.asymptotic_bits_per_s is not None
        assert 0.0 < each.key_bits_per_s < each.asymptotic_bits_per_s
        assert each.chsh is not None
        assert each.chsh > 2.0
    assert plan.clusters[0].bits_per_s == pytest.approx(sum(each.key_bits_per_s for each in plan.demands))
    assert all(each.asymptotic_bits_per_s is None for each in plan_wide(load("cluster")).demands)


def test_blocks_that_are_too_short_raise_a_doubt() -> None:
    scenario = changed(load("backbone"), {"backbone": {"mode": "physical", "block_pairs": 2_000}})

    assert any("raise backbone.block_pairs" in each for each in plan_wide(scenario).warnings)
