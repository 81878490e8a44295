"""Conversions, at values that one knows by heart."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave import units


def test_well_known_losses() -> None:
    assert units.transmission(0.0) == 1.0
    assert units.transmission(10.0) == pytest.approx(0.1)
    assert units.transmission(3.0103) == pytest.approx(0.5, abs=1e-6)
    assert units.to_db(0.01) == pytest.approx(20.0)
    assert units.to_db(0.0) == math.inf


@given(loss_db=st.floats(0.0, 200.0))
def test_decibels_are_undone(loss_db: float) -> None:
    assert units.to_db(units.transmission(loss_db)) == pytest.approx(loss_db, abs=1e-9)


@given(one=st.floats(0.0, 50.0), other=st.floats(0.0, 50.0))
def test_losses_add_and_transmissions_multiply(one: float, other: float) -> None:
    assert units.transmission(one + other) == pytest.approx(units.transmission(one) * units.transmission(other))


@given(picoseconds=st.integers(0, 10**15))
def test_seconds_are_undone_up_to_1000_s(picoseconds: int) -> None:
    assert units.s_to_ps(units.ps_to_s(picoseconds)) == picoseconds
    assert units.PS_PER_S == 1000**3 * units.PS_PER_NS


@pytest.mark.parametrize("loss_db", [-1.0, math.nan])
def test_gain_is_no_loss(loss_db: float) -> None:
    with pytest.raises(ValueError, match="loss_db must be >= 0"):
        units.transmission(loss_db)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan])
def test_more_than_all_is_no_transmission(fraction: float) -> None:
    with pytest.raises(ValueError, match=r"lies in \[0, 1\]"):
        units.to_db(fraction)
