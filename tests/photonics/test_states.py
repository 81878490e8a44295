"""Joint tables of whole links."""

import math

import numpy as np

from bellweave import bell
from bellweave.photonics import states
from bellweave.photonics.params import Arm, CwSource, Eavesdropper, Node, Noise, OpticalLink, PulsedSource, TimeBin

SIGMA = math.pi / (6.0 * math.sqrt(2.0))
PULSED = PulsedSource(repetition_rate_hz=1e6, mean_pairs_per_pulse=0.1)


def optical(alice: Noise, bob: Noise, source: CwSource | None = None, eve: Eavesdropper | None = None) -> OpticalLink:
    ends = [Arm(node=Node(noise=noise), loss_db={}) for noise in (alice, bob)]
    return OpticalLink(
        name="a-b",
        source=source or CwSource(pair_rate_hz=1.0),
        alice=ends[0],
        bob=ends[1],
        window_ps=1,
        block_s=1.0,
        eavesdropper=eve,
    )


def time_bin(phase: float = 0.0, drift: float = 0.0, visibility: float = 1.0) -> Arm:
    analyser = TimeBin(bin_separation_ps=10, phase_rad=phase, phase_drift_rad_per_s=drift, visibility=visibility)
    return Arm(node=Node(analyser=analyser), loss_db={})


def qber(link: OpticalLink) -> tuple[float, float]:
    correlation = bell.correlation(states.tables(link, 0.0)[0])
    return (1.0 - correlation[0, 0]) / 2.0, (1.0 - correlation[1, 1]) / 2.0


def test_the_papers_links_have_6_405_percent() -> None:
    assert np.allclose(qber(optical(Noise(), Noise(rotation_sigma_rad=math.pi / 6))), 0.06405, atol=1e-5)
    assert np.allclose(qber(optical(*(Noise(rotation_sigma_rad=SIGMA),) * 2)), 0.06405, atol=1e-5)


def test_each_noise_does_what_it_says() -> None:
    assert np.allclose(qber(optical(Noise(depolarising_probability=0.1), Noise())), 0.05)
    assert np.allclose(qber(optical(Noise(), Noise(dephasing_probability=0.1))), (0.0, 0.1))
    assert np.allclose(qber(optical(Noise(misalignment_rad=0.3), Noise())), math.sin(0.15) ** 2)
    assert np.allclose(qber(optical(Noise(misalignment_rad=0.3), Noise(misalignment_rad=0.3))), 0.0)


def test_the_eavesdropper_attacks_the_arm_and_the_share_that_she_chose() -> None:
    noise = Noise(rotation_sigma_rad=0.4)
    before = qber(optical(noise, noise))[0]

    for arm in ("alice", "bob"):
        eve = Eavesdropper(arm=arm)
        assert np.allclose(qber(optical(noise, noise, eve=eve)), 0.25 + before / 2.0)
    assert np.allclose(qber(optical(Noise(), Noise(), eve=Eavesdropper(fraction=0.2, basis="x"))), (0.1, 0.0))


def test_bob_flips_where_the_state_anti_correlates() -> None:
    expected = {"phi+": (False, False), "phi-": (False, True), "psi+": (True, False), "psi-": (True, True)}
    for name, flips in expected.items():
        source = CwSource(pair_rate_hz=1.0, state=name, visibility=0.3)  # type: ignore[arg-type]
        assert states.flips(optical(Noise(), Noise(), source)) == flips


def test_a_given_density_matrix_replaces_the_state() -> None:
    matrix = bell.werner("psi-", 0.8)
    rows = tuple(tuple((float(x.real), float(x.imag)) for x in row) for row in matrix)
    source = CwSource(pair_rate_hz=1.0, density_matrix=rows)  # type: ignore[arg-type]

    assert np.allclose(states.source_state(source), matrix)
    assert states.flips(optical(Noise(), Noise(), source)) == (True, True)


def test_phases_add_and_visibilities_multiply_in_x_only() -> None:
    link = OpticalLink(
        name="a",
        source=PULSED,
        alice=time_bin(0.5, visibility=0.9),
        bob=time_bin(0.3, visibility=0.8),
        window_ps=1,
        block_s=1.0,
    )
    correlation = bell.correlation(states.tables(link, 0.0)[0])

    assert math.isclose(correlation[1, 1], 0.72 * math.cos(0.8))
    assert math.isclose(correlation[0, 0], 1.0)


def test_a_phase_of_pi_is_a_flip() -> None:
    link = OpticalLink(name="a", source=PULSED, alice=time_bin(math.pi), bob=time_bin(), window_ps=1, block_s=1.0)

    assert states.flips(link) == (False, True)


def test_drift_is_cut_into_slices_and_goes_on_from_block_to_block() -> None:
    link = OpticalLink(
        name="a", source=PULSED, alice=time_bin(drift=0.5), bob=time_bin(0.1, drift=0.25), window_ps=1, block_s=2.0
    )

    tables = states.tables(link, 4.0)

    assert tables.shape[0] == states.slices(link) == 75
    found = bell.correlation(tables)[:, 1, 1]
    assert np.allclose(found, np.cos(0.1 + 0.75 * (4.0 + (np.arange(75) + 0.5) / 37.5)))
    exact = (math.sin(0.1 + 0.75 * 6.0) - math.sin(0.1 + 0.75 * 4.0)) / (0.75 * 2.0)
    assert abs(found.mean() - exact) < 2e-5
