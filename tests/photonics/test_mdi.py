import math

import numpy as np
import pytest

from bellweave.distill.finite_key import mdi as published
from bellweave.errors import ScenarioError
from bellweave.photonics import mdi, mdi_theory
from bellweave.photonics.mdi_params import MdiLink, Sender
from bellweave.photonics.params import Detector
from bellweave.rng import stream

IDEAL = MdiLink(name="ideal", light="single-photon", pulse_rate_hz=2e5)


def like(setting: published.Setting) -> MdiLink:
    arm = Sender(loss_db=setting.loss_db_per_km * setting.length_km / 2.0)
    dark_hz = -math.log1p(-setting.dark_probability) * 1e9
    detector = Detector(efficiency=setting.efficiency, dark_rate_hz=dark_hz)
    return MdiLink(name="m", alice=arm, bob=arm, intensities=setting.intensities, detector=detector, gate_ps=1_000)


@pytest.mark.parametrize("length_km", [0.0, 50.0, 150.0])
def test_equal_arms_and_full_visibility_give_ma_and_razavis_formulas(length_km: float) -> None:
    setting = published.Setting(length_km=length_km, misalignment=0.0)
    expected = mdi_theory.expect(like(setting))

    for a, b in np.ndindex(3, 3):
        gains = published.gains(setting.intensities[a], setting.intensities[b], setting)
        assert expected.gain(0, a, b) == pytest.approx(gains.z, rel=1e-5)
        assert expected.gain(1, a, b) == pytest.approx(gains.x, rel=1e-5)
        assert expected.error(0, a, b) * gains.z == pytest.approx(gains.z_wrong, rel=1e-5)
        assert expected.error(1, a, b) * gains.x == pytest.approx(gains.x_wrong, rel=1e-5)


def test_single_photons_have_ma_and_razavis_yield_and_error() -> None:
    setting = published.Setting(length_km=50.0, misalignment=0.0)

    ours, theirs = mdi_theory.single_photons(like(setting)), published.single_photons(setting)

    assert ours.gain(1) == pytest.approx(theirs.gain, rel=1e-6)
    assert ours.error(1) == pytest.approx(theirs.error, rel=1e-6)


def test_the_asymptotic_key_is_the_published_rate() -> None:
    setting = published.Setting(length_km=50.0, misalignment=0.0)
    sends = like(setting)

    share = mdi_theory.key_share(sends, setting.correction)

    signal_in_z = (sends.z_probability * sends.shares[0]) ** 2
    assert share / signal_in_z == pytest.approx(published.rate(setting, published.single_photons(setting)), rel=1e-5)


def test_linear_optics_herald_half_of_all_single_photon_pairs_without_error() -> None:
    expected = mdi_theory.expect(IDEAL)

    assert [expected.gain(basis) for basis in (0, 1)] == pytest.approx([0.5, 0.5])
    assert [expected.error(basis) for basis in (0, 1)] == pytest.approx([0.0, 0.0], abs=1e-12)


@pytest.mark.parametrize("visibility", [0.0, 0.5, 0.9])
def test_lost_visibility_gives_errors_in_x_only(visibility: float) -> None:
    expected = mdi_theory.expect(MdiLink(name="m", light="single-photon", visibility=visibility))

    assert expected.error(0) == pytest.approx(0.0, abs=1e-12)
    assert expected.error(1) == pytest.approx((1.0 - visibility) / 2.0)


def test_two_equal_photons_never_leave_by_different_outputs() -> None:
    clicks = mdi_theory.patterns(IDEAL, (0, 0), (0, 0), None, None)

    assert clicks[0b0101] == pytest.approx(0.0, abs=1e-12)
    assert clicks[0b0001] + clicks[0b0100] == pytest.approx(1.0)


def test_coherent_light_errs_in_a_quarter_of_x_however_well_it_interferes() -> None:
    expected = mdi_theory.expect(MdiLink(name="m", intensities=(1e-3,), shares=(1.0,)))

    assert expected.error(0) == pytest.approx(0.0, abs=1e-6)
    assert expected.error(1) == pytest.approx(0.25, abs=1e-3)


def test_the_same_seed_gives_the_same_rounds_and_another_block_others() -> None:
    coherent = MdiLink(name="m", pulse_rate_hz=2e5)

    first, again, other = (mdi.pulses(coherent, 1, block) for block in (0, 0, 1))

    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.id, two.id)
        assert np.array_equal(one.bit, two.bit)
    assert not np.array_equal(first[0].id, other[0].id)
    assert np.array_equal(first[0].id, first[1].id)
    assert np.array_equal(first[0].announcement, first[1].announcement)  # type: ignore[arg-type]


def test_a_block_is_whole_however_it_is_cut_into_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mdi, "CHUNK", 30_000)

    alice, _ = mdi.pulses(IDEAL, 1, 0)

    assert len(alice) == pytest.approx(1e5 * 0.5 * 2.0, abs=4.0 * math.sqrt(5e4))
    assert int(alice.id[-1]) > 190_000


def test_a_sender_chooses_as_often_as_set() -> None:
    setup = MdiLink(name="m", z_probability=0.7, shares=(0.2, 0.5, 0.3))

    sent = mdi.send(setup, 100_000, stream(1, "send"))

    assert np.mean(sent.basis) == pytest.approx(0.3, abs=0.006)
    assert np.mean(sent.bit) == pytest.approx(0.5, abs=0.007)
    assert np.bincount(sent.intensity) / 1e5 == pytest.approx([0.2, 0.5, 0.3], abs=0.007)


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ({"shares": (0.5, 0.5)}, "mdi.m.shares"),
        ({"shares": (0.5, 0.3, 0.3)}, "mdi.m.shares"),
        ({"gate_ps": 20_000}, "mdi.m.gate_ps"),
        ({"detector": Detector(efficiencies=(0.5, 0.5))}, "mdi.m.detector.efficiencies"),
        ({"detector": Detector(dead_time_ps=50_000)}, "mdi.m.detector"),
    ],
)
def test_an_impossible_link_is_refused_by_its_path(keys: dict[str, object], path: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        mdi.pulses(MdiLink(name="m", **keys), 1, 0)  # type: ignore[arg-type]

    assert refused.value.path == path
