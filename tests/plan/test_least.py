"""The least value that is enough, of functions that rise, peak and fall."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.plan.least import grid_of, least, rounded_up


@given(st.floats(1e-3, 1e6), st.floats(0.05, 0.999))
def test_the_least_value_lies_on_the_rising_side_of_a_peak(peak: float, needed: float) -> None:
    """x exp(1 - x) has its peak, 1, at x = 1."""
    found = least(lambda value: value / peak * math.exp(1.0 - value / peak), grid_of(1e-6, 1e9), needed)

    assert found.value is not None
    assert found.value <= peak * 1.001
    ratio = found.value / peak
    assert ratio * math.exp(1.0 - ratio) >= needed
    less = 0.99 * ratio
    assert less * math.exp(1.0 - less) < needed or needed > 0.99


def test_where_nothing_is_enough_the_best_is_said() -> None:
    found = least(lambda value: value * math.exp(1.0 - value), grid_of(1e-3, 1e3), 1.5)

    assert found.value is None
    assert found.best == pytest.approx(1.0, rel=1e-3)
    assert least(lambda _value: 0.0, grid_of(1.0, 10.0), 0.5).best is None


@given(st.floats(1e-6, 1e12))
def test_rounding_goes_up_by_less_than_a_thousandth(value: float) -> None:
    assert value * (1.0 - 1e-9) <= rounded_up(value) <= value * 1.001
