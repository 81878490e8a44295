"""What operations book."""

from hypothesis import given
from hypothesis import strategies as st

from bellweave.kms.ledger import ACCOUNTS, Book, consumed, given_up, imbalance_bits, settled, taken, total_bits
from bellweave.testing.stores import note

SIZES = st.integers(0, 1000)


def test_a_book_closes_whatever_is_moved() -> None:
    book = Book()
    book.ingest(800)
    for move in (*settled("confirmed", 100, 16), *consumed(0, 10, 20, "reserved")):
        book.move(*move)
    assert {name: bits for name, bits in book.bits.items() if bits} == {
        "ingested": 800,
        "available": 800 - 128 - 240,
        "authentication": 128,
        "purged": 80,
        "reserved": 160,
    }
    assert imbalance_bits(book.bits) == 0
    assert set(book.bits) == set(ACCOUNTS)


@given(SIZES, SIZES)
def test_settling_moves_all_of_a_quarantined_block_and_only_the_tag_of_a_good_one(one: int, other: int) -> None:
    tag_bytes, size_bytes = sorted((one, other))
    assert sum(bits for *_, bits in settled("quarantined", size_bytes, tag_bytes)) == 8 * size_bytes
    assert sum(bits for *_, bits in settled("confirmed", size_bytes, tag_bytes)) == 8 * tag_bytes


@given(SIZES, SIZES, SIZES)
def test_a_slice_and_what_it_jumps_over_are_all_that_it_uses(used: int, jump: int, length: int) -> None:
    moves = consumed(used, used + jump, length, "delivered")
    assert total_bits(moves, "purged") == 8 * jump
    assert total_bits(moves, "delivered") == 8 * length
    assert all(source == "available" for source, _, _ in moves)


def test_a_key_is_booked_once_and_a_copy_never() -> None:
    key, copy = note(1), note(2, (), size_bytes=4, copy=b"copy")
    assert taken(key, booked=False) == (("reserved", "delivered", 256),)
    assert given_up(key, booked=False) == (("reserved", "purged", 256),)
    assert taken(note(3, purpose="relay"), booked=False) == (("reserved", "relay_pads", 256),)
    for each, booked in ((key, True), (copy, False), (copy, True)):
        assert taken(each, booked=booked) == given_up(each, booked=booked) == ()
