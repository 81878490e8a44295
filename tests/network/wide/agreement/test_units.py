"""Books of memory units: free and held are all there are, and leases end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.network.wide.agreement.units import Units


def test_a_reservation_is_granted_while_there_are_units() -> None:
    units = Units({"e": 10})

    assert units.reserve("e", 1, 6, 0.0, 5.0)
    assert not units.reserve("e", 2, 5, 0.0, 5.0)
    assert units.free("e", 0.0) == 4


def test_the_same_request_may_change_and_prolong_what_it_holds() -> None:
    units = Units({"e": 10})
    units.reserve("e", 1, 6, 0.0, 1.0)

    assert units.reserve("e", 1, 9, 0.5, 1.0)
    assert units.held("e", 1, 1.2) == 9
    assert units.free("e", 1.2) == 1


def test_what_nobody_prolongs_is_free_again() -> None:
    units = Units({"e": 10})
    units.reserve("e", 1, 6, 0.0, 1.0)

    assert units.free("e", 1.0) == 10


def test_no_units_are_no_reservation() -> None:
    with pytest.raises(ValueError, match="at least one unit"):
        Units({"e": 10}).reserve("e", 1, 0, 0.0, 1.0)


STEPS = st.tuples(st.integers(0, 4), st.integers(1, 12), st.floats(0.0, 2.0), st.booleans())


@given(st.lists(STEPS, max_size=40))
def test_free_and_held_are_all(steps: list[tuple[int, int, float, bool]]) -> None:
    units, now_s = Units({"e": 12}), 0.0
    for request, wanted, after_s, gives in steps:
        now_s += after_s
        if gives:
            units.release("e", request)
        else:
            units.reserve("e", request, wanted, now_s, 1.0)
        assert units.free("e", now_s) + sum(units.held("e", each, now_s) for each in range(5)) == 12
        assert units.free("e", now_s) >= 0
