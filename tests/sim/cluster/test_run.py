import math

import msgspec
import numpy as np
import pytest

from bellweave.distill.chsh import ChshTest
from bellweave.distill.decoys import DecoyTest
from bellweave.distill.params import Authentication, Distillation
from bellweave.network.wide.params import Detectors, Ekert91, Master, MdiQkd, Memory, Slave
from bellweave.photonics import ekert_theory, mdi_theory
from bellweave.scenario.cluster_optics import ekert_link, mdi_link, settings
from bellweave.sim.cluster import Pair, distil_ekert, distil_mdi, distil_pairs

PARAMS = Distillation(sample_fraction=0.1, qber_threshold=0.03)
BLOCK_S = 0.3


def pair(*, bob: Slave | None = None, **master: object) -> Pair:
    return Pair(Master(**master), "ada", Slave(master="m"), "bea", bob or Slave(master="m", length_km=3.0))  # type: ignore[arg-type]


OWN = pair(ekert=Ekert91(settings="ekert"))
SINGLE = pair(mdi=MdiQkd(light="single-photon", pulse_rate_hz=1e6))


@pytest.mark.parametrize("level", ["photons", "rounds"])
def test_ekert91_gives_proven_key_at_both_ends_from_unbiased_bases(level: str) -> None:
    made = distil_ekert(pair(), PARAMS, seed=1, block=0, block_s=BLOCK_S, level=level)  # type: ignore[arg-type]

    assert made.alice is not None
    assert made.bob is not None
    assert made.alice.agrees_with(made.bob)
    assert made.alice.provable_bits == made.alice.bit_count > 1_000
    assert made.record.ledger.closes()
    assert isinstance(made.evidence, ChshTest)
    assert made.evidence.bound > 2.0


@pytest.mark.parametrize("level", ["photons", "rounds"])
@pytest.mark.parametrize("which", ["unbiased", "ekert"])
def test_rounds_error_rates_and_s_are_those_of_theory(which: str, level: str) -> None:
    own = pair(ekert=Ekert91(settings=which))  # type: ignore[arg-type]
    expected = ekert_theory.expect(ekert_link(own, BLOCK_S), settings(own))

    made = distil_ekert(own, PARAMS, seed=2, block=3, block_s=BLOCK_S, level=level)  # type: ignore[arg-type]

    rounds, key = expected.coincidences_hz * BLOCK_S, expected.key_hz * BLOCK_S
    assert made.rounds == pytest.approx(rounds, abs=4.0 * math.sqrt(rounds))
    assert made.record.ledger.sifted == pytest.approx(key, abs=4.0 * math.sqrt(key))
    errors = made.record.estimate.errors + made.record.corrections.errors
    mean = (expected.qber(0) + expected.qber(1)) / 2.0 * key
    assert errors == pytest.approx(mean, abs=4.0 * math.sqrt(mean))
    assert isinstance(made.evidence, ChshTest)
    assert made.evidence.value == pytest.approx(expected.chsh, abs=4.0 * made.evidence.stderr)


def test_ekerts_own_settings_give_key_by_the_chsh_value_and_call_nothing_proven() -> None:
    made = distil_ekert(OWN, PARAMS, seed=1, block=0, block_s=BLOCK_S)

    assert made.alice is not None
    assert made.alice.minted_by == "chsh"
    assert made.alice.bit_count > 1_000
    assert (made.alice.provable_bits, made.alice.epsilon, made.alice.method) == (0, 1.0, "none")
    assert any("asymptotic" in sentence for sentence in made.alice.assumptions)
    assert not any("mutually unbiased, and" in sentence for sentence in made.alice.assumptions)


@pytest.mark.parametrize("which", ["unbiased", "ekert"])
def test_without_a_violation_there_is_no_key(which: str) -> None:
    noisy = pair(visibility=0.69, ekert=Ekert91(settings=which))  # type: ignore[arg-type]

    made = distil_ekert(noisy, PARAMS, seed=1, block=0, block_s=0.1)

    assert made.record.rejection == "chsh not above 2"
    assert made.alice is made.bob is None
    assert isinstance(made.evidence, ChshTest)
    assert made.evidence.value < 2.0


def test_too_few_test_rounds_show_no_violation_either() -> None:
    made = distil_ekert(pair(), PARAMS, seed=1, block=0, block_s=0.0005)

    assert isinstance(made.evidence, ChshTest)
    assert made.evidence.value > 2.2
    assert made.evidence.bound < 2.0
    assert made.record.rejection == "chsh not above 2"


def test_equal_arguments_give_equal_bytes_and_other_blocks_other_ones() -> None:
    first, again, other = (distil_ekert(pair(), PARAMS, seed=7, block=block, block_s=0.1) for block in (0, 0, 1))

    assert msgspec.msgpack.encode(first.record) == msgspec.msgpack.encode(again.record)
    assert first.alice is not None
    assert again.alice is not None
    assert other.alice is not None
    assert first.alice.bits == again.alice.bits
    assert first.alice.bits[:16] != other.alice.bits[:16]


def test_a_memory_costs_rounds_by_its_efficiency_and_s_by_its_decay() -> None:
    memory = Memory(efficiency=0.5, coherence_s=20e-3)
    stored = pair(bob=Slave(master="m", length_km=3.0, memory=memory))

    plain, kept = (ekert_theory.expect(ekert_link(each, 1.0), settings(each)) for each in (pair(), stored))

    assert kept.key_hz / plain.key_hz == pytest.approx(0.5, rel=1e-3)
    assert kept.chsh / plain.chsh == pytest.approx(math.exp(-1.04e-3 / 20e-3), rel=2e-3)


def test_single_photons_through_the_master_give_proven_key_from_both_bases() -> None:
    made = distil_mdi(SINGLE, PARAMS, seed=1, block=0, block_s=BLOCK_S)

    assert made.alice is not None
    assert made.bob is not None
    assert made.alice.agrees_with(made.bob)
    assert made.alice.provable_bits > 1_000
    assert made.evidence is None
    assert made.record.estimate.qber_z == pytest.approx(0.0, abs=1e-3)
    assert made.record.estimate.qber_x == pytest.approx(0.01, abs=0.006)


def test_coherent_pulses_with_decoys_give_proven_key_once_there_are_enough() -> None:
    mdi = MdiQkd(intensities=(0.7, 0.1, 0.0), shares=(0.3, 0.5, 0.2), z_probability=0.4, pulse_rate_hz=3e7)
    own = pair(mdi=mdi, detectors=Detectors(efficiency=0.85, dark_rate_hz=10.0))
    params = Distillation(sample_fraction=0.02, epsilon=1e-6)

    short, enough = (
        distil_mdi(own, params, seed=1, block=0, block_s=block_s, level="rounds") for block_s in (0.1, 10.0)
    )

    assert short.record.rejection == "too short"
    assert enough.alice is not None
    assert enough.bob is not None
    assert enough.alice.agrees_with(enough.bob)
    assert enough.alice.provable_bits == enough.alice.bit_count > 1_000
    assert enough.alice.method.startswith("Curty")
    assert isinstance(enough.evidence, DecoyTest)
    asymptotic = mdi_theory.key_share(mdi_link(own, 10.0)) * 3e8
    assert enough.alice.bit_count < asymptotic


def test_pulses_that_hardly_interfere_give_no_key() -> None:
    made = distil_mdi(
        pair(visibility=0.2, mdi=MdiQkd(light="single-photon", pulse_rate_hz=1e6)), PARAMS, seed=1, block=0, block_s=0.1
    )

    assert made.record.rejection == "qber above limit"


@pytest.mark.parametrize("which", ["unbiased", "ekert"])
def test_pairs_of_the_backbone_give_key_by_their_own_correlations(which: str) -> None:
    weight = np.repeat([0.99, 0.93], 50_000)
    correlations = weight[:, np.newaxis] * np.array([0.98, 0.98, 1.0])  # dephased a little, each pair by its own state

    made = distil_pairs(
        "a-b",
        correlations,
        Ekert91(settings=which),  # type: ignore[arg-type]
        PARAMS if which == "ekert" else Distillation(qber_threshold=0.05),
        seed=1,
        block=0,
        start_s=3.0,
        end_s=4.0,
    )

    assert isinstance(made.evidence, ChshTest)
    expected = math.sqrt(2.0) * float(np.mean(correlations[:, 0] + correlations[:, 2]))
    assert made.evidence.value == pytest.approx(expected, abs=4.0 * made.evidence.stderr)
    assert made.alice is not None
    assert made.bob is not None
    assert made.alice.agrees_with(made.bob)
    assert (made.alice.start_s, made.alice.end_s) == (3.0, 4.0)
    assert (made.alice.provable_bits > 0) == (which == "unbiased")
    assert made.rounds == 100_000


@pytest.mark.parametrize("protocol", ["ekert", "mdi"])
def test_all_that_crosses_is_authenticated_where_keys_are_set_up(protocol: str) -> None:
    params = msgspec.structs.replace(PARAMS, authentication=Authentication(reserve_bits=1024))
    distil, own = (distil_ekert, pair()) if protocol == "ekert" else (distil_mdi, SINGLE)

    made = distil(own, params, seed=1, block=0, block_s=BLOCK_S)

    assert made.alice is not None
    assert made.bob is not None
    assert made.alice.agrees_with(made.bob)
    assert made.alice.authentication_bits > 0
    assert made.record.ledger.closes()
