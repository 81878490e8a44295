"""Counts add up, and the book stops what it can't pay for."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.dialogue import Abort
from bellweave.distill.ledger import Book, Corrections, Estimate, Ledger
from bellweave.errors import BlockRejected

counts = st.integers(0, 10**9)
ledgers = st.builds(Ledger, **dict.fromkeys(Ledger.__struct_fields__, counts))


@given(one=ledgers, other=ledgers)
def test_ledgers_add_field_by_field(one: Ledger, other: Ledger) -> None:
    total = one + other

    assert total == other + one
    assert total.sifted == one.sifted + other.sifted
    assert total.disclosed == one.disclosed + other.disclosed
    assert total.left == one.left + other.left
    assert one + Ledger() == one


@given(ledger=ledgers)
def test_a_ledger_survives_being_written_down(ledger: Ledger) -> None:
    assert msgspec.json.decode(msgspec.json.encode(ledger), type=Ledger) == ledger


def test_a_ledger_closes_only_when_every_round_and_every_bit_is_booked() -> None:
    whole = Ledger(
        matched=20, mismatched=10, sifted_z=4, sifted_x=6, sample=2, top=1, bisection=1, tag=1, removed=1, final=4
    )

    assert whole.closes()
    for name in Ledger.__struct_fields__:
        assert not (whole + Ledger(**{name: 1})).closes()


def test_rates_are_computed_when_read_and_absent_without_a_sample() -> None:
    estimate = Estimate(sample_z=10, sample_x=30, errors_z=1, errors_x=0) + Estimate(sample_x=10, errors_x=4)

    assert (estimate.qber, estimate.qber_z, estimate.qber_x) == (0.1, 0.1, 0.1)
    assert (estimate.sample, estimate.errors) == (50, 5)
    assert Estimate().qber is Estimate().qber_z is None
    assert (Corrections(errors_z=2) + Corrections(errors_x=3, parity_rounds=4)).errors == 5


def test_the_book_books_before_it_discloses_and_never_more_than_there_is() -> None:
    book = Book()
    book.add(matched=10, sifted_z=10, sample=3)
    with pytest.raises(StopIteration):
        next(book.disclose("top", 7))
    assert book.ledger.top == 7
    stopped = book.disclose("bisection", 1)

    assert isinstance(next(stopped), Abort)
    with pytest.raises(BlockRejected, match="too short"):
        next(stopped)
    assert book.ledger.left == 0
    assert book.ledger.bisection == 0
