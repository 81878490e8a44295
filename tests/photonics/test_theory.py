"""Closed forms against published values and against each other."""

import math
from fractions import Fraction

import numpy as np
import pytest

from bellweave.photonics import theory
from bellweave.photonics.params import (
    Arm,
    CwSource,
    Detector,
    Eavesdropper,
    Node,
    Noise,
    OpticalLink,
    Polarisation,
    PulsedSource,
    Source,
    TimeBin,
)

SIGMA = math.pi / (6.0 * math.sqrt(2.0))


def arm(
    loss_db: float = 0.0, encoding: Polarisation | TimeBin | None = None, noise: Noise | None = None, **detector: float
) -> Arm:
    node = Node(
        analyser=encoding or Polarisation(),
        detector=Detector(**detector),  # type: ignore[arg-type]
        noise=noise or Noise(),
    )
    return Arm(node=node, loss_db={"path": loss_db})


def optical(source: Source, alice: Arm, bob: Arm, window_ps: int = 10_000, **keys: object) -> OpticalLink:
    return OpticalLink(
        name="a-b",
        source=source,
        alice=alice,
        bob=bob,
        window_ps=window_ps,
        block_s=10.5,
        **keys,  # type: ignore[arg-type]
    )


def test_the_papers_links_sift_2449_and_1169_bits() -> None:
    source = CwSource(local_pair_rate_hz=8200.0)
    rotated = Noise(rotation_sigma_rad=SIGMA)
    vienna = theory.expect(optical(source, arm(), arm(12.45, noise=Noise(rotation_sigma_rad=math.pi / 6))))
    centre = theory.expect(optical(source, arm(7.83, noise=rotated), arm(7.83, noise=rotated)))

    assert abs(vienna.sifted_hz * 10.5 - 2449) < 1.0
    assert abs(centre.sifted_hz * 10.5 - 1169) < 1.0
    assert abs(vienna.qber - 0.06405) < 5e-5
    assert abs(centre.qber - 0.06405) < 5e-5
    assert math.isclose(vienna.sift_factor, 0.5)


def test_neumanns_singles_coincidences_and_accidentals() -> None:
    """Neumann et al. 2021: S = B eta + DC; CC = B eta_A eta_B erf(w / (2 sqrt 2 sigma)); acc = S_A S_B w."""
    rate, eta, dark, jitter, window = 1e5, 0.05, 500.0, 300, 1000
    end = arm(10.0, efficiency=0.5, dark_rate_hz=dark, jitter_ps=jitter)
    mean = theory.expect(optical(CwSource(pair_rate_hz=rate), end, end, window_ps=window))

    singles = rate * eta + 4.0 * dark
    assert math.isclose(mean.singles_alice_hz, singles)
    true = rate * eta**2 * math.erf(window / (2.0 * math.sqrt(2.0) * math.hypot(jitter, jitter)))
    assert math.isclose(mean.true_hz.sum(), true, rel_tol=2e-3)  # ours counts both ends of a discrete window
    lonely = singles - true
    assert math.isclose(mean.accidental_hz.sum(), lonely**2 * window * 1e-12, rel_tol=2e-3)
    assert math.isclose(
        mean.qber, 0.5 * mean.accidental_hz.sum() / mean.coincidences_hz, rel_tol=0.03
    )  # and a few double clicks


def test_dead_time_saturates_singles() -> None:
    mean = theory.expect(optical(CwSource(pair_rate_hz=4e6), arm(dead_time_ps=1_000_000), arm()))

    assert math.isclose(mean.singles_alice_hz, 4.0 * 1e6 / (1.0 + 1e6 * 1e-6))


def test_full_intercept_resend_gives_a_quarter_and_half_the_error() -> None:
    end = arm(noise=Noise(rotation_sigma_rad=SIGMA))
    source = CwSource(pair_rate_hz=1.0)
    clean, attacked = (
        theory.expect(optical(source, end, end)),
        theory.expect(optical(source, end, end, eavesdropper=Eavesdropper())),
    )

    assert math.isclose(attacked.qber, 0.25 + clean.qber / 2.0, rel_tol=1e-6)
    assert attacked.key_rate_bps == 0.0


@pytest.mark.parametrize(
    ("arguments", "gain", "error"),
    [
        ((0.05, 0.1, 0.1, 1e-5, 0.015), 1.11853079e-3, 0.05347617),
        ((0.01, 0.5, 0.5, 1e-6, 0.015), 5.01808178e-3, 0.02035690),
        ((0.1, 0.02, 0.02, 6.02e-6, 0.015), 1.02908281e-4, 0.08854510),
    ],
)
def test_ma_fung_lo_reproduces_published_values(arguments: tuple[float, ...], gain: float, error: float) -> None:
    found = theory.ma_fung_lo(*arguments)

    assert math.isclose(found[0], gain, rel_tol=5e-9)
    assert math.isclose(found[1], error, rel_tol=5e-7)


def test_ma_fung_lo_keeps_its_digits_at_tiny_gains() -> None:
    """The textbook form in exact fractions; in floats it would give 0."""
    lam, eta, y0 = 1e-9, 1e-6, 1e-12
    a = Fraction(eta) * Fraction(lam)
    c, dark = 2 * a - Fraction(eta) * a, 1 - Fraction(y0)
    exact = 1 - 2 * dark / (1 + a) ** 2 + dark**2 / (1 + c) ** 2

    assert math.isclose(theory.ma_fung_lo(lam, eta, eta, y0, 0.015)[0], float(exact), rel_tol=1e-12)


@pytest.mark.parametrize(
    ("lam", "eta", "y0"), [(0.05, 0.1, 1e-5), (0.3, 0.8, 1e-3), (0.01, 0.5, 1e-6), (1.0, 1.0, 0.0), (0.3, 0.2, 0.0)]
)
def test_inclusion_and_exclusion_agree_with_ma_fung_lo(lam: float, eta: float, y0: float) -> None:
    """Thermal pulses, both ends always in Z, random double clicks: their Eqs. 9 and 10 with e_d = 0."""
    period_ps, window_ps = 10**6, 999_999
    # Two detectors a side: both silent with probability 1 - Y0. With (window + 1) ps the gate is one microsecond.
    dark_rate_hz = -math.log1p(-y0) / 2.0 / 1e-6
    always_z = Polarisation(basis_choice="keyed", z_probability=1.0, slot_ps=10**12)
    end = arm(encoding=always_z, efficiency=eta, dark_rate_hz=dark_rate_hz)
    source = PulsedSource(
        repetition_rate_hz=1e12 / period_ps, mean_pairs_per_pulse=2.0 * lam, statistics="thermal", state="psi-"
    )

    mean = theory.expect(optical(source, end, end, window_ps=window_ps))

    gain, error = theory.ma_fung_lo(lam, eta, eta, y0, 0.0)
    assert math.isclose(mean.sifted_z_hz / 1e6, gain, rel_tol=1e-6)
    # Theirs has no click of a dark count beside one of a photon, which we toss a coin for: about Y0 / 2.
    assert error - 1e-9 <= mean.qber_z <= error + 0.5 * y0 + 1e-9


def test_ma_fung_los_detector_error_is_ours_where_single_pairs_dominate() -> None:
    always_z = Polarisation(basis_choice="keyed", z_probability=1.0)
    turned = Noise(misalignment_rad=2.0 * math.asin(math.sqrt(0.015)))
    alice, bob = (arm(encoding=always_z, efficiency=0.1, noise=noise) for noise in (Noise(), turned))
    source = PulsedSource(repetition_rate_hz=1e6, mean_pairs_per_pulse=0.002, statistics="thermal")

    found = theory.expect(optical(source, alice, bob)).qber_z

    assert math.isclose(found, theory.ma_fung_lo(0.001, 0.1, 0.1, 0.0, 0.015)[1], rel_tol=1e-3)


def test_time_bin_and_passive_polarisation_agree_where_physics_does() -> None:
    """The interferometer is a passive choice of 1/2; without dark counts nothing else differs."""
    source = PulsedSource(repetition_rate_hz=1e7, mean_pairs_per_pulse=0.1)
    noise = Noise(rotation_sigma_rad=SIGMA)
    polarised, binned = (
        theory.expect(optical(source, arm(3.0, encoding, noise), arm(5.0, encoding, noise)))
        for encoding in (Polarisation(), TimeBin(bin_separation_ps=20_000))
    )

    assert np.allclose(polarised.cells_hz, binned.cells_hz)


def test_faint_pulses_are_a_continuous_source_without_accidentals() -> None:
    pulsed = PulsedSource(repetition_rate_hz=1e9, mean_pairs_per_pulse=1e-6)
    found = theory.expect(optical(pulsed, arm(3.0), arm(5.0), window_ps=1000))

    assert math.isclose(found.sifted_hz, 0.5 * 1000.0 * 10**-0.8, rel_tol=1e-4)
    assert found.qber < 1e-5


def test_the_key_rate_is_shor_and_preskills() -> None:
    mean = theory.expect(optical(CwSource(pair_rate_hz=1000.0), arm(), arm(noise=Noise(dephasing_probability=0.05))))

    assert math.isclose(
        mean.key_rate_bps, mean.sifted_hz * (1.0 - theory.entropy(mean.qber_x) - theory.entropy(mean.qber_z))
    )
    assert abs(mean.qber_x - 0.05) < 1e-4
    assert mean.qber_z < 1e-4
