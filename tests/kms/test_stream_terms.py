"""What is agreed on is the nearest that can be had."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.kms.params import Kms
from bellweave.kms.stream_terms import JSON, LARGEST, LONGEST_TIMEOUT_MS, Terms, negotiate

PARAMS = Kms(key_size_bits=256, min_key_size_bits=64, max_key_size_bits=8192, key_lifetime_s=3600.0)

PYTHON_CLIENT = Terms(
    chunk_bytes=512, max_bps=40_000, min_bps=5_000, jitter_bps=10, timeout_ms=5_000, ttl_s=3_600, mimetype=JSON
)

numbers = st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 5000))


def test_what_the_example_client_asks_for_is_what_it_gets() -> None:
    assert negotiate(PYTHON_CLIENT, PARAMS) == (PYTHON_CLIENT, True)


def test_zeros_leave_it_to_the_kme() -> None:
    agreed, met = negotiate(Terms(), PARAMS)

    assert met
    assert (agreed.chunk_bytes, agreed.timeout_ms, agreed.ttl_s) == (32, 5_000, 3_600)
    assert agreed.mimetype == ""


@pytest.mark.parametrize(("asked", "given_bytes"), [(1, 8), (8, 8), (1024, 1024), (1025, 1024), (LARGEST, 1024)])
def test_a_chunk_is_no_longer_and_no_shorter_than_a_key(asked: int, given_bytes: int) -> None:
    agreed, met = negotiate(Terms(chunk_bytes=asked), PARAMS)

    assert agreed.chunk_bytes == given_bytes
    assert met


def test_another_format_of_metadata_is_answered_with_ours() -> None:
    agreed, met = negotiate(Terms(mimetype="text/xml"), PARAMS)

    assert (agreed.mimetype, met) == (JSON, False)


def test_a_least_rate_above_the_highest_is_countered() -> None:
    agreed, met = negotiate(Terms(max_bps=10, min_bps=20), PARAMS)

    assert (agreed.min_bps, met) == (10, False)


def test_a_least_rate_that_no_stream_can_carry_is_countered() -> None:
    agreed, met = negotiate(Terms(chunk_bytes=32, min_bps=2**31), PARAMS)

    assert (agreed.min_bps, met) == (256_000, False)


@given(
    st.builds(
        Terms, chunk_bytes=numbers, max_bps=numbers, min_bps=numbers, jitter_bps=numbers, priority=numbers,
        timeout_ms=numbers, ttl_s=numbers, mimetype=st.sampled_from(["", JSON, "text/xml"]),
    )
)  # fmt: skip
def test_what_was_agreed_on_is_possible_and_is_met_when_asked_for_again(asked: Terms) -> None:
    agreed, met = negotiate(asked, PARAMS)

    assert PARAMS.min_key_size_bits <= 8 * agreed.chunk_bytes <= PARAMS.max_key_size_bits
    assert 0 < agreed.timeout_ms <= LONGEST_TIMEOUT_MS
    assert 0 < agreed.ttl_s <= PARAMS.key_lifetime_s
    assert negotiate(agreed, PARAMS) == (agreed, True)
    assert not met or (agreed.mimetype, agreed.min_bps) == (asked.mimetype, asked.min_bps)
