"""The sampling bounds against the check values of facts/distillation.md, section 7, and against each other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave import rng
from bellweave.distill.finite_key import tails

CASES = [(1832, 609, 0.064, 0.1), (918, 306, 0.058, 0.08), (300, 150, 0.02, 0.05), (5000, 5000, 0.03, 0.02)]


@pytest.mark.parametrize(
    ("tail", "case", "failure"),
    [
        (tails.serfling, (10_000, 10_000, 0.01, 0.05), 3.731314e-06),
        (tails.serfling, (10_000, 10_000, 0.01, 0.07), 2.295351e-11),
        (tails.lim21, (1550, 1550, 0.0455, 0.11), 1.094898e-06),
        (tails.exact, (1832, 609, 0.064, 0.1), 3.486996e-06),
    ],
)
def test_check_values(tail: tails.Bound, case: tuple[int, int, float, float], failure: float) -> None:
    assert tail(*case) == pytest.approx(failure, rel=2e-6)


@pytest.mark.parametrize(
    ("case", "ln_square"),
    [
        ((1832, 609, 0.064, 0.1), -25.132940),
        ((2015, 1085, 0.0451, 0.08), -32.214544),
        ((10_000, 3_000, 0.03, 0.03), -25.734046),
    ],
)
def test_logarithms_of_the_exact_tail(case: tuple[int, int, float, float], ln_square: float) -> None:
    assert 2.0 * math.log(tails.exact(*case)) == pytest.approx(ln_square, abs=5e-6)


@pytest.mark.parametrize("case", CASES)
def test_no_number_of_errors_is_worse_than_the_one_the_exact_tail_takes(
    case: tuple[int, int, float, float],
) -> None:
    """The event for w errors in all: at most a in the sample, at least b in the rest."""
    key, sample, threshold, nu = case
    shown = math.floor(sample * threshold + 1e-9)
    hidden = math.ceil(key * (threshold + nu) - 1e-9)
    worst = max(
        tails.ln_hypergeometric(min(shown, w - hidden), key + sample, w, sample)
        for w in range(hidden, hidden + 3 * shown + 20)
    )

    assert tails.exact(*case) == pytest.approx(math.exp(worst / 2.0), rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_the_proven_bounds_lie_above_the_exact_tail(case: tuple[int, int, float, float]) -> None:
    assert tails.exact(*case) < tails.lim21(*case)
    assert tails.exact(*case) < tails.serfling(*case)


@given(total=st.integers(1, 60), data=st.data())
def test_the_hypergeometric_sum_is_that_of_whole_numbers(total: int, data: st.DataObject) -> None:
    marked = data.draw(st.integers(0, total))
    drawn = data.draw(st.integers(0, total))
    most = data.draw(st.integers(-1, total))
    ways = sum(math.comb(marked, x) * math.comb(total - marked, drawn - x) for x in range(min(most, drawn, marked) + 1))
    expected = ways / math.comb(total, drawn)

    assert math.exp(tails.ln_hypergeometric(most, total, marked, drawn)) == pytest.approx(expected, abs=1e-12)


def test_drawn_samples_hide_errors_as_often_as_the_exact_tail_says() -> None:
    """2 * 10^5 draws of 40 from 120 with a + b errors; sigma is that of a binomial count."""
    key, sample, threshold, nu = 80, 40, 0.05, 0.1
    shown, hidden = 2, 12
    chance = tails.exact(key, sample, threshold, nu) ** 2
    draws = rng.stream(1, "tails").hypergeometric(shown + hidden, key + sample - shown - hidden, sample, 200_000)
    seen = np.count_nonzero(draws <= shown)

    assert abs(seen - 200_000 * chance) < 4.0 * math.sqrt(200_000 * chance)
