"""Closed forms of a key rotation: cases that can be counted, and limits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.tunnel.params import Tunnel
from bellweave.tunnel.theory import (
    demanded_bits_per_s,
    expected_oldest_key_s,
    expected_sessions,
    mean_key_age_s,
    missed_probability,
    older_share,
    periods,
    run_probability,
)

PLAIN = Tunnel(client="alice", server="bob", key_bits=256, period_s=60.0)
RETRYING = Tunnel(client="alice", server="bob", key_bits=256, period_s=60.0, retry_s=15.0)


def test_the_paper_s_twelve_tunnels_ask_for_102_bits_a_second() -> None:
    assert 12 * demanded_bits_per_s(Tunnel(client="a", server="b", key_bits=512)) == pytest.approx(102.4)


@pytest.mark.parametrize(
    ("start_s", "duration_s", "count"), [(0.0, 60.0, 1), (0.0, 60.1, 2), (60.0, 1050.0, 17), (9.0, 5.0, 0)]
)
def test_periods_are_counted_from_the_first_due_key_to_the_end(start_s: float, duration_s: float, count: int) -> None:
    assert periods(Tunnel(client="a", server="b", start_s=start_s), duration_s) == count


@pytest.mark.parametrize("tunnel", [PLAIN, RETRYING])
def test_without_refusals_a_key_is_replaced_each_period(tunnel: Tunnel) -> None:
    assert expected_sessions(tunnel, 600.0) == 10.0
    assert mean_key_age_s(tunnel) == pytest.approx(30.0)
    assert expected_oldest_key_s(tunnel, 10) == 60.0
    assert older_share(tunnel, 45.0) == pytest.approx(0.25)
    assert older_share(tunnel, 60.0) == pytest.approx(0.0)


@pytest.mark.parametrize("tunnel", [PLAIN, RETRYING])
def test_where_every_attempt_is_refused_no_key_comes(tunnel: Tunnel) -> None:
    assert expected_sessions(tunnel, 600.0, 1.0) == 0.0
    assert mean_key_age_s(tunnel, 1.0) == math.inf
    assert older_share(tunnel, 1e6, 1.0) == 1.0
    assert expected_oldest_key_s(tunnel, 9, 1.0) == 600.0


def test_retries_make_a_missed_period_rare() -> None:
    """Four attempts a period: at 0, 15, 30 and 45 s."""
    assert missed_probability(RETRYING, 0.5) == 0.5**4
    assert mean_key_age_s(RETRYING, 0.5) < mean_key_age_s(PLAIN, 0.5) / 2.0


@given(refusal=st.floats(0.0, 0.9), age_s=st.floats(0.0, 400.0))
def test_without_retries_the_share_is_the_closed_form(refusal: float, age_s: float) -> None:
    j, rest = divmod(age_s, 60.0)

    expected = refusal**j * (1.0 - (1.0 - refusal) * rest / 60.0)

    assert older_share(PLAIN, age_s, refusal) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("refusal", [0.05, 0.4, 0.7])
@pytest.mark.parametrize("retry_s", [None, 5.0, 15.0, 25.0])
def test_the_mean_age_is_the_area_under_the_share_of_older_keys(refusal: float, retry_s: float | None) -> None:
    tunnel = Tunnel(client="a", server="b", period_s=60.0, retry_s=retry_s)
    step_s = 5.0  # the share is linear between multiples of 5 s, so the trapezoidal rule is exact

    older = [older_share(tunnel, step * step_s, refusal) for step in range(600)]

    assert older[-1] < 1e-6
    assert step_s * (sum(older) - older[0] / 2.0) == pytest.approx(mean_key_age_s(tunnel, refusal), rel=1e-5)


@pytest.mark.parametrize(("trials", "length"), [(1, 1), (4, 2), (7, 3), (6, 7), (5, 5)])
def test_the_probability_of_a_run_is_what_counting_all_outcomes_gives(trials: int, length: int) -> None:
    q = 0.3
    whole = 0.0
    for outcome in range(1 << trials):
        missed = f"{outcome:0{trials}b}"
        if "1" * length in missed:
            whole += q ** missed.count("1") * (1.0 - q) ** missed.count("0")

    assert run_probability(trials, length, q) == pytest.approx(whole)
