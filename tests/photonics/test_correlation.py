"""Peaks among time differences: found where they were put, and only if chance does not explain them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave import rng
from bellweave.photonics import correlation
from bellweave.photonics.correlation import NoPeakError

times = st.lists(st.integers(0, 200), max_size=15).map(lambda values: np.sort(np.array(values, np.int64)))


@given(a=times, b=times, offset=st.integers(-30, 30), reach=st.integers(0, 40))
def test_all_differences_in_reach_are_returned(
    a: "np.typing.NDArray[np.int64]", b: "np.typing.NDArray[np.int64]", offset: int, reach: int
) -> None:
    _, _, found = correlation.differences(a, b, np.full(b.size, float(offset)), reach)

    table = np.subtract.outer(b - offset, a).ravel()
    assert sorted(found.tolist()) == sorted(table[np.abs(table) <= reach].tolist())


def test_a_peak_stands_where_it_was_put() -> None:
    g = rng.stream(1, "peak")
    values = np.sort(np.concatenate([g.uniform(-1e5, 1e5, 2_000), g.normal(12_345.0, 300.0, 100)]))

    peak = correlation.densest(values, 2_000.0, 1e5)

    assert abs(peak.centre_ps - 12_345.0) < 5 * 300.0 / 10
    assert peak.significant
    assert abs(peak.expected - 20.0) < 5.0


def test_a_flat_background_has_no_significant_peak() -> None:
    values = np.sort(rng.stream(2, "flat").uniform(-1e5, 1e5, 2_000))

    assert not correlation.densest(values, 2_000.0, 1e5).significant


def test_a_dead_channel_has_no_peak() -> None:
    assert not correlation.densest(np.zeros(0), 2_000.0, 1e5).significant


def test_too_few_clicks_are_named() -> None:
    with pytest.raises(NoPeakError, match="1 of Bob"):
        correlation.coarse_offset(np.array([1, 2, 3]), np.array([1]), 1_000)
