"""Fairness: from one for everybody alike to 1/n for one who has all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.network.fairness import gaps_s, jain

SERVED = st.lists(st.floats(0.0, 1e6), min_size=1, max_size=20)


@given(served=SERVED)
def test_jain_s_index_lies_between_one_over_n_and_one(served: list[float]) -> None:
    assert 1.0 / len(served) - 1e-9 <= jain(served) <= 1.0 + 1e-9


@given(served=st.lists(st.floats(1.0, 1e6), min_size=1, max_size=20), factor=st.floats(0.1, 10.0))
def test_it_does_not_depend_on_the_unit(served: list[float], factor: float) -> None:
    assert jain(factor * each for each in served) == pytest.approx(jain(served))


def test_known_cases() -> None:
    assert jain([3.0, 3.0, 3.0]) == 1.0
    assert jain([0.0, 0.0, 7.0, 0.0]) == 0.25
    assert jain([]) == jain([0.0, 0.0]) == 1.0


@given(moments=st.lists(st.floats(0.0, 100.0), max_size=20).map(sorted))
def test_the_gaps_fill_the_time(moments: list[float]) -> None:
    gaps = gaps_s(moments, 0.0, 100.0)

    assert len(gaps) == len(moments) + 1
    assert sum(gaps) == pytest.approx(100.0)
    assert min(gaps) >= 0.0
