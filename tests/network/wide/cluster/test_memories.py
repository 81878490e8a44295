import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave.network.wide.cluster.memories import Filling, filling, measured_per_slot, simulate
from bellweave.network.wide.params import Memory
from bellweave.rng import stream

SERVICE_S = 1.14e-3


@given(
    units=st.integers(1, 20),
    success=st.floats(0.0, 1.0),
    lifetime=st.floats(0.1, 50.0),
    slot=st.floats(0.1, 50.0),
    slots=st.integers(0, 50),
)
@settings(max_examples=60, deadline=None)
def test_every_qubit_is_measured_expired_or_held(
    units: int, success: float, lifetime: float, slot: float, slots: int
) -> None:
    seen = simulate(Filling(units, success, 1.0, lifetime, slot), slots, stream(1, "memories"))

    assert seen.stored == seen.measured + seen.expired + seen.held
    assert 0 <= seen.held <= units
    assert seen.attempts <= units * slots


@pytest.mark.parametrize("success", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("lifetime_s", [0.5e-3, 4e-3, 10e-3, 30e-3])
def test_the_mean_measured_in_a_slot_is_the_closed_form(success: float, lifetime_s: float) -> None:
    memory, slots = Filling(20, success, SERVICE_S, lifetime_s, 30e-3), 20_000

    seen = simulate(memory, slots, stream(2, "slots", str(success), str(lifetime_s)))

    expected = measured_per_slot(memory)
    assert seen.measured / slots == pytest.approx(expected, abs=4.0 * math.sqrt(20 * 0.25 / slots) + 1e-12)


def test_key_grows_linearly_with_the_lifetime_and_then_no_more() -> None:
    measured = [measured_per_slot(Filling(20, 1.0, 1.0, float(lifetime), 100.0)) for lifetime in range(41)]

    assert measured[:21] == pytest.approx(list(range(21)))
    assert measured[20:] == pytest.approx([20.0] * 21)


def test_a_qubit_that_outlives_its_slot_is_measured_in_the_next() -> None:
    memory = Filling(units=10, success=1.0, service_s=1.0, lifetime_s=8.0, slot_s=5.0)

    one, two = (simulate(memory, slots, stream(3, "x")) for slots in (1, 2))

    assert (one.stored, one.measured, one.held) == (10, 5, 5)
    # three more of the first ten end before they are 8 s old, two are too old, and two of the five new ones follow
    assert (two.stored, two.measured, two.expired, two.held) == (15, 10, 2, 3)


def test_a_cutoff_before_the_lifetime_counts() -> None:
    memory = Memory(lifetime_s=0.1, cutoff_s=0.01)

    found = filling(10, 0.5, memory, 100e-6, 1.0)

    assert found.lifetime_s == 0.01
    assert found.service_s == pytest.approx(SERVICE_S)
    assert found.in_time == 8
    assert math.isinf(filling(10, 0.5, Memory(), 100e-6, 1.0).lifetime_s)


def test_endless_slots_do_not_follow_each_other() -> None:
    with pytest.raises(ValueError, match="endless"):
        simulate(Filling(1, 0.5, 1.0), 2, stream(1, "x"))
