"""How probes are counted: nothing twice, nothing forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.edge.probe import (
    BURST,
    LEAST_BYTES,
    MARKER,
    MOST_BYTES,
    PROBE,
    Counted,
    ProbeCounter,
    ProbePlan,
    datagram,
    echo_of,
    read_echo,
    together,
)

STREAM = b"abcd"


@given(
    st.sampled_from([PROBE, BURST]),
    st.binary(min_size=4, max_size=4),
    st.integers(0, 2**64 - 1),
    st.integers(LEAST_BYTES, MOST_BYTES),
)
def test_an_echo_tells_which_probe_it_answers(kind: bytes, stream: bytes, number: int, length: int) -> None:
    data = datagram(kind, stream, number, length)
    echo = echo_of(data)

    assert data.startswith(MARKER)
    assert echo is not None
    assert len(data) == len(echo) == length
    assert read_echo(echo, stream) == (kind, number)
    assert echo_of(echo) is None  # an echo is not answered: two ends never echo each other for ever
    assert read_echo(data, stream) is None
    assert read_echo(echo, bytes(each ^ 1 for each in stream)) is None


@given(st.binary(max_size=2 * LEAST_BYTES))
def test_anything_else_is_neither(data: bytes) -> None:
    assert echo_of(data) is None
    assert read_echo(data, STREAM) is None
    assert read_echo(MARKER + data, STREAM) is None or data[1:5] == STREAM


def test_a_quiet_second_is_counted() -> None:
    counter = ProbeCounter(timeout_s=1.0)
    for number in range(20):
        counter.sent(number, 0.05 * number)
        counter.echoed(number, 200, 0.05 * number + 0.002)

    counted = counter.take(1.0)

    assert counted is not None
    assert (counted.sent, counted.received, counted.lost) == (20, 20, 0)
    assert counted.rtt_s == pytest.approx(0.002)
    assert counted.longest_gap_s == pytest.approx(0.05)
    assert counted.bits_per_s == pytest.approx(20 * 200 * 8)


def test_nothing_counts_before_the_first_answer() -> None:
    counter = ProbeCounter(timeout_s=1.0)
    for number in range(100):
        counter.sent(number, 0.1 * number)
    assert counter.take(9.95) is None

    counter.echoed(98, 200, 9.96)

    counted = counter.take(10.0)
    assert counted is not None
    assert (counted.sent, counted.received, counted.lost) == (2, 1, 0)
    assert counted.longest_gap_s == pytest.approx(0.04)
    assert counted.rtt_s == pytest.approx(0.16)
    assert counted.bits_per_s == pytest.approx(1600 / 0.2)
    counter.echoed(99, 200, 10.01)
    assert (counted := counter.take(11.0)) is not None
    assert (counted.sent, counted.received, counted.lost) == (0, 1, 0)


def test_a_late_echo_is_a_lost_probe_and_a_second_echo_counts_nothing() -> None:
    counter = ProbeCounter(timeout_s=1.0)
    counter.sent(0, 0.0)
    counter.echoed(0, 200, 0.01)
    counter.echoed(0, 200, 0.02)
    counter.sent(1, 0.1)
    counter.echoed(1, 200, 1.1)
    counter.echoed(7, 200, 1.2)

    counted = counter.take(1.5)

    assert counted is not None
    assert (counted.sent, counted.received, counted.lost) == (2, 1, 1)


def test_an_outage_is_seen_while_it_lasts_and_whole_when_it_is_over() -> None:
    counter = ProbeCounter(timeout_s=0.5)
    counter.sent(0, 0.0)
    counter.echoed(0, 200, 0.0)
    for number in range(1, 30):
        counter.sent(number, 0.1 * number)

    during = counter.take(2.0)
    counter.echoed(29, 200, 2.95)
    after = counter.take(3.0)

    assert during is not None
    assert after is not None
    assert (during.longest_gap_s, during.received, during.rtt_s) == (2.0, 1, 0.0)
    assert after.longest_gap_s == pytest.approx(2.95)
    assert during.sent + after.sent == 30
    assert during.lost + after.lost == 25  # those of 2.5 s and later may still come


def test_bursts_count_as_throughput_only() -> None:
    counter = ProbeCounter(timeout_s=1.0)
    counter.sent(0, 0.0)
    counter.echoed(0, 100, 0.1)
    for _ in range(10):
        counter.burst_echoed(1200)

    counted = counter.take(1.0)

    assert counted is not None
    assert (counted.sent, counted.received) == (1, 1)
    assert counted.bits_per_s == pytest.approx(8 * 12_100)


@given(st.lists(st.tuples(st.sampled_from(["send", "echo", "take"]), st.integers(0, 40), st.floats(0.0, 0.7))))
def test_over_a_run_every_probe_is_received_lost_or_on_its_way(steps: list[tuple[str, int, float]]) -> None:
    counter = ProbeCounter(timeout_s=1.0)
    now_s, number = 0.0, 0
    taken: list[Counted] = []
    for what, which, pause_s in [*steps, ("take", 0, 5.0)]:  # at the end none is on its way any more
        now_s += pause_s
        if what == "send":
            counter.sent(number, now_s)
            number += 1
        elif what == "echo":
            counter.echoed(which, 100, now_s)
        elif (counted := counter.take(now_s)) is not None:
            taken.append(counted)

    assert sum(each.sent for each in taken) == sum(each.received + each.lost for each in taken)
    assert all(each.longest_gap_s >= 0.0 for each in taken)


@pytest.mark.parametrize(
    "values", [{"payload_bytes": 10}, {"payload_bytes": 1201}, {"rate_hz": 0.0}, {"timeout_s": -1.0}, {"burst": -1}]
)
def test_a_plan_has_limits(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"bytes|> 0"):
        ProbePlan(**values)  # type: ignore[arg-type]


def test_two_intervals_add_up() -> None:
    one = Counted(sent=20, received=19, lost=1, longest_gap_s=0.1, rtt_s=0.002, bits_per_s=800.0, elapsed_s=1.0)
    other = Counted(sent=10, received=1, lost=5, longest_gap_s=2.5, rtt_s=0.042, bits_per_s=200.0, elapsed_s=2.0)
    none = Counted(sent=3, received=0, lost=3, longest_gap_s=5.0, rtt_s=None, bits_per_s=0.0, elapsed_s=1.0)

    both = together(one, other)

    assert (both.sent, both.received, both.lost, both.longest_gap_s, both.elapsed_s) == (30, 20, 6, 2.5, 3.0)
    assert both.rtt_s == pytest.approx(0.004)
    assert both.bits_per_s == pytest.approx(400.0)
    assert together(none, none).rtt_s is None
    assert together(one, none).rtt_s == pytest.approx(0.002)
