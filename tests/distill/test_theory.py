"""Closed forms against the check values of facts/distillation.md."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from bellweave.distill import theory


@pytest.mark.parametrize(
    ("qber", "efficiency", "rate"),
    [
        (0.01, 1, 0.838414),
        (0.03, 1.05, 0.601497),
        (0.05, 1.1, 0.398566),
        (0.064, 1, 0.313754),
        (0.064, 1.05, 0.296598),
        (0.064, 1.107, 0.277040),
        (0.064, 1.2, 0.245130),
    ],
)
def test_shor_preskill_rates(qber: float, efficiency: float, rate: float) -> None:
    assert theory.shor_preskill(qber, qber, efficiency) == pytest.approx(rate, abs=5e-7)


@pytest.mark.parametrize(("efficiency", "threshold"), [(1, 0.110028), (1.05, 0.106024), (1.2, 0.095494)])
def test_shor_preskill_thresholds(efficiency: float, threshold: float) -> None:
    found = brentq(lambda q: theory.shor_preskill(q, q, efficiency), 0.01, 0.2)

    assert found == pytest.approx(threshold, abs=5e-7)


def test_the_papers_rows() -> None:
    """Facts page, section 8."""
    assert theory.shannon_minimum(1832, 0.064) == pytest.approx(628.6, abs=0.05)
    assert theory.shannon_minimum(918, 0.058) == pytest.approx(293.3, abs=0.05)
    assert theory.bbbss92(1832, 0.064) == pytest.approx(331.6, abs=0.05)
    assert theory.bbbss92(918, 0.058) == pytest.approx(150.6, abs=0.05)
    assert theory.individual_attacks(1832, 0.064) == pytest.approx(567.7, abs=0.05)
    assert theory.individual_attacks(918, 0.058) == pytest.approx(261.8, abs=0.05)
    assert theory.cascade_top(1832, 0.064) == 289


@pytest.mark.parametrize(
    ("visibility", "rate"),
    [
        (1.0, 1.0),
        (0.98, 0.776598),
        (0.96, 0.612291),
        (0.94, 0.470078),
        (0.92, 0.342186),
        (0.90, 0.224950),
        (0.88, 0.116229),
        (0.86, 0.014614),
    ],
)
def test_chsh_rates_of_werner_states(visibility: float, rate: float) -> None:
    found = theory.chsh_asymptotic(2 * math.sqrt(2) * visibility, (1 - visibility) / 2)

    assert found == pytest.approx(rate, abs=5e-7)


def test_chsh_threshold_and_what_local_models_give() -> None:
    found = brentq(lambda q: theory.chsh_asymptotic(2 * math.sqrt(2) * (1 - 2 * q), q), 0.01, 0.1)

    assert found == pytest.approx(0.071492, abs=5e-7)
    assert theory.chsh_asymptotic(2.0, 0.05) < 0
    assert "not device-independent" in theory.CHSH_LABEL


def test_what_the_papers_printed_leak_can_and_can_not_do() -> None:
    """Facts page, section 8: 399 bits are below both bounds at 6.4 %, and would do for 3.5 %."""
    assert theory.counting_bound(1832, 117) == pytest.approx(622.9, abs=0.05)
    assert brentq(lambda q: theory.shannon_minimum(1832, q) - 399, 0.001, 0.2) == pytest.approx(0.0348, abs=5e-5)
    assert 399 / theory.shannon_minimum(1832, 0.064) == pytest.approx(0.635, abs=5e-4)
    assert (399 + 297) / theory.shannon_minimum(1832, 0.064) == pytest.approx(1.107, abs=5e-4)
    assert 352 / theory.shannon_minimum(918, 0.058) == pytest.approx(1.200, abs=5e-4)
    assert 352 / theory.shannon_minimum(918, 0.064) == pytest.approx(1.118, abs=5e-4)
    assert 1832 * 0.064 / 0.11 * theory.binary_entropy(0.11) == pytest.approx(533, abs=0.5)
    assert 918 - 352 - theory.shannon_minimum(918, 0.058) == pytest.approx(272.7, abs=0.05)
    assert brentq(lambda q: theory.bbbss92(918, q) - 13, 1e-5, 0.1) == pytest.approx(0.005, abs=1e-5)
    assert brentq(lambda q: theory.shannon_minimum(918, q) - 13, 1e-5, 0.1) == pytest.approx(0.0013, abs=5e-5)


@given(qber=st.floats(0.0, 1.0))
def test_entropy_is_symmetric_and_its_bound_never_falls(qber: float) -> None:
    assert 0.0 <= theory.binary_entropy(qber) <= 1.0
    assert theory.binary_entropy(qber) == pytest.approx(theory.binary_entropy(1.0 - qber), abs=1e-9)
    assert theory.entropy_bound(qber) >= theory.binary_entropy(qber)


@given(bits=st.integers(1, 5000), qber=st.floats(0.0, 0.2))
def test_cascades_closed_forms_are_finite_everywhere(bits: int, qber: float) -> None:
    assert theory.cascade_top(bits, qber) >= 4
    assert 0.0 <= theory.cascade_bisection(bits, qber) <= 2 * bits


def test_impossible_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\], not 1.5"):
        theory.binary_entropy(1.5)


def test_individual_attacks_know_all_from_one_half_on() -> None:
    assert theory.individual_attacks(100, 0.5) == theory.individual_attacks(100, 0.9) == 100.0
