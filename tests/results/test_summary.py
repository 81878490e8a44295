"""Summaries of counts."""

import math

from hypothesis import given
from hypothesis import strategies as st

from bellweave.results.summary import mean


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=50))
def test_mean_and_standard_error_are_the_textbook_ones(values: list[int]) -> None:
    found = mean(values)

    assert found is not None
    n, centre = len(values), sum(values) / len(values)
    assert math.isclose(found.value, centre)
    assert found.stderr is not None
    assert math.isclose(found.stderr**2 * n * (n - 1), sum((v - centre) ** 2 for v in values), abs_tol=1e-6)


def test_nothing_has_no_mean_and_one_value_no_error() -> None:
    assert mean([]) is None
    single = mean([4.0])
    assert single is not None
    assert (single.value, single.stderr, single.n) == (4.0, None, 1)
