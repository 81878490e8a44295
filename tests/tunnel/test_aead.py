"""The record layer: what is sealed is opened once, and nothing else is."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.tunnel.aead import (
    GRACE_S,
    HEADER_BYTES,
    LAST_COUNTER,
    OVERHEAD_BYTES,
    WINDOW,
    CounterUsedUpError,
    Ends,
    Opener,
    ReplayWindow,
    Sealer,
    epoch_of,
)

ENDS = Ends("t", "t.client", "t.server")
K1 = "00000000-0000-4000-8000-000000000001"
K2 = "00000000-0000-4000-8000-000000000002"
KEY = bytes(range(32))


def pair(counter: int = 0) -> tuple[Sealer, Opener]:
    opener = Opener(ENDS, "client")
    opener.add(KEY, K1)
    return Sealer(KEY, K1, ENDS, "client", counter), opener


@given(st.binary(max_size=200))
def test_what_is_sealed_is_opened(plaintext: bytes) -> None:
    sealer, opener = pair()

    record = sealer.seal(plaintext)

    assert len(record) == len(plaintext) + OVERHEAD_BYTES
    assert opener.open(record, 0.0) == (K1, plaintext)


def test_a_record_shows_its_epoch_and_counter_and_nothing_of_its_text() -> None:
    sealer, _ = pair()

    first, second = sealer.seal(b"secret words"), sealer.seal(b"secret words")

    assert first[:HEADER_BYTES] == epoch_of(K1) + bytes(8)
    assert second[:HEADER_BYTES] == epoch_of(K1) + (1).to_bytes(8, "big")
    assert b"secret" not in first
    assert first[HEADER_BYTES:] != second[HEADER_BYTES:]


@given(st.data())
def test_a_record_that_was_changed_anywhere_is_dropped(data: st.DataObject) -> None:
    sealer, opener = pair()
    record = bytearray(sealer.seal(b"some text"))
    place = data.draw(st.integers(0, len(record) - 1))
    record[place] ^= 1 << data.draw(st.integers(0, 7))

    assert opener.open(bytes(record), 0.0) is None
    assert opener.dropped.forged + opener.dropped.unknown == 1


@given(st.binary(max_size=OVERHEAD_BYTES + 40))
def test_any_bytes_may_come(record: bytes) -> None:
    _, opener = pair()

    assert opener.open(record, 0.0) is None


@given(st.lists(st.integers(0, 60), max_size=120))
def test_records_are_taken_in_any_order_and_once(order: list[int]) -> None:
    sealer, opener = pair()
    records = [sealer.seal(bytes([number])) for number in range(61)]

    taken = [opened for number in order if (opened := opener.open(records[number], 0.0)) is not None]

    assert taken == [(K1, bytes([number])) for number in dict.fromkeys(order)]
    assert opener.dropped.replayed == len(order) - len(set(order))


@given(st.lists(st.one_of(st.integers(0, 3 * WINDOW), st.integers(LAST_COUNTER - 5, LAST_COUNTER)), max_size=60))
def test_the_window_knows_every_counter_in_its_reach_and_takes_none_behind_it(counters: list[int]) -> None:
    window = ReplayWindow()
    seen: set[int] = set()

    for counter in counters:
        expected = counter not in seen and counter > max(seen, default=-1) - WINDOW
        assert window.fresh(counter) is expected
        if expected:
            window.note(counter)
            seen.add(counter)


def test_a_forged_record_does_not_move_the_window() -> None:
    sealer, opener = pair()
    forged = epoch_of(K1) + LAST_COUNTER.to_bytes(8, "big") + bytes(40)

    assert opener.open(forged, 0.0) is None
    assert opener.open(sealer.seal(b"x"), 0.0) == (K1, b"x")


def test_a_sealer_refuses_to_wrap() -> None:
    sealer, opener = pair(counter=LAST_COUNTER)

    assert opener.open(sealer.seal(b"the last"), 0.0) == (K1, b"the last")
    for _ in range(2):
        with pytest.raises(CounterUsedUpError, match="2\\^64 records"):
            sealer.seal(b"one more")


def test_a_record_sent_back_to_its_sender_is_dropped() -> None:
    sealer, _ = pair()
    own = Opener(ENDS, "server")
    own.add(KEY, K1)

    assert own.open(sealer.seal(b"x"), 0.0) is None
    assert own.dropped.forged == 1


@pytest.mark.parametrize(
    "ends",
    [
        Ends("u", "t.client", "t.server"),
        Ends("t", "u.client", "t.server"),
        Ends("t", "t.client", "u.server"),
        Ends("t", "t.clientt", ".server"),
        Ends("tt", ".client", "t.server"),
    ],
)
def test_a_record_of_another_tunnel_is_dropped_even_under_the_same_key(ends: Ends) -> None:
    sealer, _ = pair()
    other = Opener(ends, "client")
    other.add(KEY, K1)

    assert other.open(sealer.seal(b"x"), 0.0) is None
    assert other.dropped.forged == 1


def test_a_record_says_nothing_under_another_key_id_of_the_same_key() -> None:
    sealer, opener = pair()
    opener.add(KEY, K2)
    record = sealer.seal(b"x")

    assert opener.open(epoch_of(K2) + record[16:], 0.0) is None
    assert opener.dropped.forged == 1


def test_a_retired_epoch_is_taken_for_a_grace_and_then_forgotten() -> None:
    sealer, opener = pair()
    records = [sealer.seal(b"x") for _ in range(3)]
    opener.add(bytes(32), K2)

    opener.retire(K1, 10.0)
    opener.retire(K1, 11.0)  # twice does not make it longer

    assert opener.open(records[0], 10.0 + 0.99 * GRACE_S) == (K1, b"x")
    assert opener.open(records[1], 10.0 + GRACE_S) is None
    assert opener.dropped.unknown == 1
    assert opener.epochs == {K2}


def test_a_forgotten_epoch_is_unknown_at_once_and_unknown_ones_may_be_forgotten() -> None:
    sealer, opener = pair()

    opener.forget(K1)
    opener.forget(K2)
    opener.retire(K2, 0.0)

    assert opener.open(sealer.seal(b"x"), 0.0) is None
    assert (opener.dropped.unknown, opener.epochs) == (1, frozenset())


def test_an_epoch_that_is_there_is_not_added_again_for_its_window_would_be_lost() -> None:
    _, opener = pair()

    with pytest.raises(ValueError, match="is there already"):
        opener.add(KEY, K1.upper())


@pytest.mark.parametrize("key_id", ["", "00", "k1", K1 + "00"])
def test_a_key_id_is_a_uuid(key_id: str) -> None:
    with pytest.raises(ValueError, match="is a UUID"):
        epoch_of(key_id)


def test_nonces_of_an_epoch_differ() -> None:
    sealer, _ = pair()

    headers = [sealer.seal(b"")[:HEADER_BYTES] for _ in range(50)]

    assert all(one < other for one, other in pairwise(headers))
