"""What is remembered of a stream."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.kms import stream_state
from bellweave.kms.stream_state import Seen, Stream, chunk_id
from bellweave.kms.stream_terms import Terms


def test_the_id_of_a_chunk_is_a_hash_of_stream_and_index() -> None:
    ksid = bytes(range(16))

    assert chunk_id(ksid, 258) == hashlib.sha256(ksid + b"\0\0\1\2").digest()[:16]
    assert chunk_id(ksid, 258, 3) == hashlib.sha256(ksid + b"\0\0\1\2" + b"\0\0\0\3").digest()[:16]


@given(st.lists(st.integers(0, 40)))
def test_indexes_are_in_the_set_when_they_were_added(indexes: list[int]) -> None:
    seen = Seen()
    for index in indexes:
        seen.add(index)

    assert [index for index in range(42) if index in seen] == sorted(set(indexes))
    assert seen.end == max(indexes, default=-1) + 1
    assert seen.floor == next(index for index in range(42) if index not in indexes)


def test_indexes_in_order_take_no_room() -> None:
    seen = Seen()
    for index in range(10_000):
        seen.add(index ^ 1)

    assert seen.floor == 10_000
    assert not seen._above


def test_of_too_many_indexes_out_of_order_the_lowest_gaps_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_state, "MOST_OUT_OF_ORDER", 3)
    seen = Seen()
    for index in (10, 20, 30, 40):
        seen.add(index)

    assert 0 in seen
    assert 11 not in seen
    assert 40 in seen
    assert len(seen._above) == 3


def test_an_attempt_that_came_to_nothing_is_not_counted_twice() -> None:
    stream = Stream(bytes(16), "alice", "alice", "bob", Terms(), 0.0)
    stream.failed(7, 0)
    stream.failed(7, 0)

    assert stream.key_id(7) == chunk_id(bytes(16), 7, 1)
    assert stream.key_id(8) == chunk_id(bytes(16), 8)
