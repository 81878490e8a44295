"""Two-qubit states, channels and tables."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave import bell
from bellweave.errors import ScenarioError
from bellweave.rng import stream

PHI = bell.bell_state("phi+")


def table(rho: bell.Complex) -> bell.Reals:
    return bell.joint_table(rho, bell.effects(), bell.effects())


def errors(rho: bell.Complex) -> tuple[float, float]:
    """Error rates in Z and X of a state that should be Phi+."""
    correlation = bell.correlation(table(rho))
    return (1.0 - correlation[0, 0]) / 2.0, (1.0 - correlation[1, 1]) / 2.0


@pytest.mark.parametrize(("name", "z", "x"), [("phi+", 1, 1), ("phi-", 1, -1), ("psi+", -1, 1), ("psi-", -1, -1)])
def test_bell_states_correlate_as_in_the_book(name: bell.BellName, z: int, x: int) -> None:
    correlation = bell.correlation(table(bell.bell_state(name)))

    assert np.allclose(correlation, [[z, 0], [0, x]])
    assert math.isclose(bell.chsh(bell.bell_state(name)), 2.0 * math.sqrt(2.0))


@given(st.floats(0.0, 1.0))
def test_visibility_scales_every_correlation(visibility: float) -> None:
    assert np.allclose(bell.correlation(table(bell.werner("phi+", visibility))), visibility * np.eye(2))


CHANNELS = [
    bell.depolarising(0.3),
    bell.dephasing(0.2),
    bell.bit_flip(0.1),
    bell.misalignment(0.7),
    bell.gaussian_rotation(0.5),
    bell.intercept_resend(0.4, "random"),
    bell.intercept_resend(1.0, "x"),
    bell.compose(bell.gaussian_rotation(0.5), bell.misalignment(0.4), bell.depolarising(0.1)),
]


@pytest.mark.parametrize("channel", CHANNELS)
def test_channels_keep_probability_and_signal_nothing_to_the_other_side(channel: bell.Complex) -> None:
    assert np.allclose(np.einsum("mji,mjk->ik", channel.conj(), channel), np.eye(2))
    rho = bell.density_matrix(bell.on_bob(bell.on_alice(bell.werner("psi+", 0.9), channel), channel))
    joint = table(rho)
    assert np.allclose(joint.sum(axis=(2, 3)), 1.0)
    assert np.allclose(joint.sum(axis=3)[:, 0], joint.sum(axis=3)[:, 1])


def test_compose_applies_its_first_argument_first() -> None:
    first, second = bell.misalignment(0.6), bell.dephasing(0.5)

    assert np.allclose(bell.on_bob(PHI, bell.compose(first, second)), bell.on_bob(bell.on_bob(PHI, first), second))
    assert not np.allclose(bell.on_bob(PHI, bell.compose(first, second)), bell.on_bob(PHI, bell.compose(second, first)))


def test_channels_act_on_the_side_that_their_name_says() -> None:
    ket = np.zeros((4, 4), np.complex128)
    ket[0, 0] = 1.0  # |00>
    flip = bell.bit_flip(1.0)

    assert bell.on_alice(ket, flip)[2, 2] == 1.0
    assert bell.on_bob(ket, flip)[1, 1] == 1.0


@pytest.mark.parametrize("sigma", [math.pi / 6, math.pi / 9, math.pi / (6 * math.sqrt(2))])
def test_gaussian_rotation_gives_the_error_of_one_and_of_two_arms(sigma: float) -> None:
    noise = bell.gaussian_rotation(sigma)

    assert np.allclose(errors(bell.on_bob(PHI, noise)), (1.0 - math.exp(-(sigma**2) / 2)) / 2)
    assert np.allclose(errors(bell.on_alice(bell.on_bob(PHI, noise), noise)), (1.0 - math.exp(-(sigma**2))) / 2)


def test_the_papers_sigma_gives_6_405_percent_on_one_arm_and_11_99_on_two() -> None:
    noise = bell.gaussian_rotation(math.pi / 6)

    assert round(errors(bell.on_bob(PHI, noise))[0], 5) == 0.06405
    assert round(errors(bell.on_alice(bell.on_bob(PHI, noise), noise))[1], 4) == 0.1199


def test_rotating_every_pair_by_drawn_angles_gives_the_averaged_table() -> None:
    """SQUANCH's way, pair by pair: RX then RZ with fresh angles on either photon. 4 sigma of 20,000 pairs."""
    rng, sigma, pairs = stream(1, "angles"), 0.6, 20_000
    drawn = np.zeros((pairs, 2, 2, 2, 2))
    for index in range(pairs):
        rho = PHI
        for side in (bell.on_alice, bell.on_bob):
            x, z = rng.normal(0.0, sigma, 2)
            rho = side(rho, (bell.rotation(bell.PAULI_Z, z) @ bell.rotation(bell.PAULI_X, x))[np.newaxis])
        drawn[index] = table(rho)
    noise = bell.gaussian_rotation(sigma)
    exact = table(bell.on_bob(bell.on_alice(PHI, noise), noise))

    assert np.all(np.abs(drawn.mean(axis=0) - exact) <= 4.0 * drawn.std(axis=0) / math.sqrt(pairs) + 1e-12)
    assert float(drawn.std(axis=0).max()) / math.sqrt(pairs) < 0.002


@given(st.floats(0.0, 1.0), st.sampled_from(["phi+", "psi-"]))
def test_full_intercept_resend_leaves_a_quarter_and_half_the_error(noise: float, name: bell.BellName) -> None:
    rho = bell.werner(name, 1.0 - noise)
    before = np.abs(np.diag(bell.correlation(table(rho))))
    after = np.abs(np.diag(bell.correlation(table(bell.on_alice(rho, bell.intercept_resend(1.0, "random"))))))

    assert np.allclose((1.0 - after) / 2.0, 0.25 + (1.0 - before) / 4.0)


def test_intercept_resend_in_one_basis_spares_that_basis() -> None:
    assert np.allclose(errors(bell.on_bob(PHI, bell.intercept_resend(1.0, "z"))), (0.0, 0.5))
    assert np.allclose(errors(bell.on_bob(PHI, bell.intercept_resend(0.5, "x"))), (0.25, 0.0))


@given(st.floats(-4.0, 4.0), st.floats(-4.0, 4.0), st.floats(0.0, 1.0))
def test_turned_x_measurements_correlate_as_the_cosine_of_the_sum(a: float, b: float, visibility: float) -> None:
    joint = bell.joint_table(PHI, bell.effects(a, visibility), bell.effects(b))

    assert math.isclose(bell.correlation(joint)[1, 1], visibility * math.cos(a + b), abs_tol=1e-12)


def test_a_fixed_misalignment_costs_both_bases_alike() -> None:
    assert np.allclose(errors(bell.on_bob(PHI, bell.misalignment(0.4))), math.sin(0.2) ** 2)


def test_a_density_matrix_is_taken_from_real_and_imaginary_parts() -> None:
    entries = np.stack([bell.werner("psi-", 0.8).real, np.zeros((4, 4))], axis=-1)

    assert np.allclose(bell.density_matrix(entries.tolist()), bell.werner("psi-", 0.8))


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.eye(3) / 3, "shape"),
        (np.eye(4) / 2, "trace 1, not 2"),
        (np.diag([1.5, -0.5, 0.0, 0.0]), "negative eigenvalue; the lowest is -0.5"),
        (np.diag([1.0, 0.0, 0.0, 0.0]) + np.diag([0.1, 0.0, 0.0], 1), "Hermitian"),
        (np.full((4, 4), np.nan), "Hermitian"),
    ],
)
def test_what_is_no_density_matrix_is_refused_with_its_path(matrix: bell.Reals, words: str) -> None:
    with pytest.raises(ScenarioError, match=words) as caught:
        bell.density_matrix(matrix, path="source.x.density_matrix")

    assert caught.value.path == "source.x.density_matrix"


@pytest.mark.parametrize("name", ["unbiased", "ekert"])
def test_ekert_settings_reach_the_highest_chsh_value_and_agree_in_the_key_bases(name: bell.SettingsName) -> None:
    settings = bell.ekert_settings(name)
    for state in ("phi+", "phi-", "psi+", "psi-"):
        table = bell.joint_table(
            bell.bell_state(state),
            bell.effects_at(settings.alice_rad),
            bell.effects_at(bell.bob_angles(settings, state)),
        )

        correlation = bell.correlation(table)

        assert bell.chsh_value(settings, correlation) == pytest.approx(2.0 * math.sqrt(2.0))
        assert [correlation[pair] for pair in settings.key] == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(("name", "overlap"), [("unbiased", 0.5), ("ekert", (2.0 + math.sqrt(2.0)) / 4.0)])
def test_only_the_unbiased_settings_have_mutually_unbiased_key_bases(name: bell.SettingsName, overlap: float) -> None:
    settings = bell.ekert_settings(name)
    (first, _), (second, _) = settings.key

    one, other = bell.effects_at((settings.alice_rad[first], settings.alice_rad[second]))

    assert np.trace(one[0] @ other[0]).real == pytest.approx(overlap)
    assert settings.unbiased == (overlap == 0.5)
    assert sum(settings.alice_share) == pytest.approx(1.0)
    assert sum(settings.bob_share) == pytest.approx(1.0)


def test_more_rounds_can_test_and_fewer_make_key() -> None:
    settings = bell.ekert_settings("unbiased", test_share=0.2)

    assert settings.test_share == pytest.approx(0.2)
    assert settings.key_share == pytest.approx(0.4)
