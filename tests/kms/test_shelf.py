import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.kms.records import Buffer, Portion, Slice, Statement, Stock
from bellweave.kms.shelf import Reserved, Shelf

BUFFER = Buffer(master="alice", slave="bob", pool="kme-a|kme-b/direct")


def stock(number: int, length_bytes: int, cursor_bytes: int = 0, made_s: float = 0.0, expires_s: float = 9.0) -> Stock:
    statement = Statement(
        block_ids=(f"block {number}",),
        origin="direct",
        hops=1,
        epsilon=1e-10,
        provable=True,
        provenance="test",
        made_s=made_s,
    )
    portion = Portion(
        buffer=BUFFER, number=number, block_id=f"block {number}", start_bytes=0, length_bytes=length_bytes
    )
    material = bytes((number * 50 + index) % 256 for index in range(length_bytes))
    return Stock(
        portion=portion, cursor_bytes=cursor_bytes, material=material, statement=statement, expires_s=expires_s
    )


def shelf(*lengths_bytes: int, lowers_cursors: bool = True) -> Shelf:
    result = Shelf(BUFFER, "kme-b", lowers_cursors=lowers_cursors)
    for number, length_bytes in enumerate(lengths_bytes):
        result.put(stock(number, length_bytes), 0)
    return result


def reserved(on: Shelf, size_bytes: int) -> Reserved:
    result = on.reserve(size_bytes, 0.0)
    assert result is not None
    return result


def test_keys_are_sliced_off_the_front_without_overlap() -> None:
    held = shelf(10)

    assert reserved(held, 4).slices == (Slice(0, 0, 4),)
    assert reserved(held, 4).slices == (Slice(0, 4, 4),)
    assert held.usable_bytes(0.0) == 2


def test_a_key_is_merged_over_portions_and_its_statement_names_their_blocks() -> None:
    key = reserved(shelf(3, 2, 10), 6)

    assert key.slices == (Slice(0, 0, 3), Slice(1, 0, 2), Slice(2, 0, 1))
    assert key.bits == bytes((0, 1, 2, 50, 51, 100))
    assert key.statement.block_ids == ("block 0", "block 1", "block 2")


def test_too_little_changes_nothing() -> None:
    held = shelf(3, 2)

    assert held.reserve(6, 0.0) is None
    assert reserved(held, 5).bits == bytes((0, 1, 2, 50, 51))


def test_bytes_that_are_given_back_are_sliced_again() -> None:
    held = shelf(3, 2)
    held.give_back(reserved(held, 5))

    assert held.usable_bytes(0.0) == 5
    assert reserved(held, 5).slices == (Slice(0, 0, 3), Slice(1, 0, 2))


def test_bytes_given_back_behind_a_key_that_is_under_way_come_back_when_that_is_given_back_too() -> None:
    held = shelf(8)
    first, second = reserved(held, 4), reserved(held, 4)
    held.give_back(first)

    assert held.usable_bytes(0.0) == 0
    held.give_back(second)
    assert held.usable_bytes(0.0) == 8


def test_nothing_of_a_portion_in_doubt_is_used_until_it_is_claimed_again_with_the_peers_mark() -> None:
    held = shelf(10)
    first, second = reserved(held, 4), reserved(held, 4)
    held.doubt(first)

    assert held.reserve(1, 0.0) is None
    held.put(stock(0, 10), 4)
    assert held.reserve(1, 0.0) is None  # the second is still under way
    held.delivered(second)
    held.put(stock(0, 10), 8)
    assert reserved(held, 2).slices == (Slice(0, 8, 2),)


def test_with_several_servers_on_a_store_a_cursor_is_never_lowered() -> None:
    held = shelf(10, lowers_cursors=False)
    held.doubt(reserved(held, 4))
    held.put(stock(0, 10), 0)

    assert reserved(held, 4).slices == (Slice(0, 4, 4),)


def test_a_shelf_that_is_cleared_holds_nothing_and_forgets_keys_under_way_when_they_end() -> None:
    held = shelf(10, 10)
    key = reserved(held, 4)
    held.clear()

    assert held.usable_bytes(0.0) == 0
    assert (held.holds(0), held.holds(1)) == (True, False)
    held.give_back(key)
    assert not held.holds(0)


def test_expired_portions_and_those_made_too_early_are_passed_over() -> None:
    held = Shelf(BUFFER, "kme-b", lowers_cursors=True)
    held.put(stock(0, 10, expires_s=5.0), 0)
    held.put(stock(1, 10, made_s=1.0), 0)
    held.put(stock(2, 10, made_s=3.0), 0)

    assert held.usable_bytes(6.0, 2.0) == 10
    young = held.reserve(4, 6.0, 2.0)
    any_age = held.reserve(4, 6.0)
    assert young is not None
    assert any_age is not None
    assert young.slices == (Slice(2, 0, 4),)
    assert any_age.slices == (Slice(1, 0, 4),)
    assert held.reserve(7, 6.0, 2.0) is None


def test_what_the_store_counts_as_unused_is_known_while_keys_are_under_way() -> None:
    held = shelf(10)
    key = reserved(held, 4)

    assert held.unsettled_bytes() == 10
    held.delivered(key)
    assert held.unsettled_bytes() == 6


@pytest.mark.parametrize("lowers_cursors", [True, False])
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    steps=st.lists(st.tuples(st.sampled_from(("reserve", "give back", "deliver")), st.integers(0, 9)), max_size=60),
)
def test_no_byte_is_in_two_keys_unless_it_was_given_back(
    lowers_cursors: bool, lengths: list[int], steps: list[tuple[str, int]]
) -> None:
    held = shelf(*lengths, lowers_cursors=lowers_cursors)
    under_way: list[Reserved] = []
    used: set[tuple[int, int]] = set()
    for what, size in steps:
        if what == "reserve":
            key = held.reserve(size + 1, 0.0)
            if key is not None:
                assert not _bytes(key) & used
                used |= _bytes(key)
                under_way.append(key)
        elif under_way:
            key = under_way.pop(size % len(under_way))
            if what == "deliver":
                held.delivered(key)
            else:
                held.give_back(key)
                used -= _bytes(key)
    assert held.usable_bytes(0.0) <= sum(lengths) - len(used)


def _bytes(key: Reserved) -> set[tuple[int, int]]:
    return {(each.number, each.start_bytes + offset) for each in key.slices for offset in range(each.length_bytes)}


def test_a_reservation_shows_no_key() -> None:
    assert repr(reserved(shelf(4), 4)) == "<Reserved 4 bytes of kme-a|kme-b/direct>"
