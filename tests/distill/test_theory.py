"""Closed forms against the check values of facts/distillation.md."""

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
