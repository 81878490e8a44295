"""The sample is random, the same at both ends, and gone afterwards."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave import rng
from bellweave.dialogue import Abort
from bellweave.distill import estimation, messages
from bellweave.distill.ledger import Book
from bellweave.distill.params import Distillation
from bellweave.distill.sifting import Sifted
from bellweave.errors import BlockRejected, ProtocolError
from bellweave.sim.classical import converse, settle
from bellweave.testing.pairs import DISTILLATION, correlated_rounds


def sampled(seed: int, count: int, qber: float, params: Distillation) -> tuple[Sifted, Sifted, Book, Book]:
    alice, bob = correlated_rounds(rng.stream(seed, "estimation"), count, qber)
    books = Book(), Book()
    for book in books:
        book.add(matched=count, sifted_z=count - int(alice.basis.sum()), sifted_x=int(alice.basis.sum()))
    ends = converse(
        estimation.alice(Sifted(alice.basis, alice.bit), params, rng.stream(seed, "seeds"), books[0]),
        estimation.bob(Sifted(bob.basis, bob.bit), params, books[1]),
        DISTILLATION,
    )
    return *ends, *books


@given(seed=st.integers(0, 1000), count=st.integers(2, 300), fraction=st.floats(0.01, 0.99))
def test_the_sample_is_taken_out_at_both_ends(seed: int, count: int, fraction: float) -> None:
    params = Distillation(sample_fraction=fraction, qber_limit=0.49)
    hers, his, book, other = sampled(seed, count, 0.0, params)

    assert np.array_equal(hers.bit, his.bit)
    assert np.array_equal(hers.basis, his.basis)
    assert len(hers) == count - book.ledger.sample >= 1
    assert book.estimate == other.estimate
    assert book.estimate.errors == 0
    assert book.estimate.sample == book.ledger.sample == min(max(int(count * fraction), 1), count - 1)


def test_the_estimate_is_the_error_rate_within_four_sigma() -> None:
    *_, book, _ = sampled(1, 40_000, 0.05, Distillation())

    assert book.estimate.qber == pytest.approx(0.05, abs=4 * (0.05 * 0.95 / 10_000) ** 0.5)
    assert book.estimate.qber_z == pytest.approx(0.05, abs=4 * (0.05 * 0.95 / 4_900) ** 0.5)


def test_every_place_is_as_likely_as_any_other() -> None:
    """400 draws of 25 in 100: 100 expected at each place, sigma 8.7; 4.5 sigma for the worst of 100."""
    hits = np.zeros(100)
    for seed in range(400):
        hits[estimation.draw(seed.to_bytes(32, "big"), 100, 0.25)] += 1

    assert hits.sum() == 10_000
    assert np.abs(hits - 100).max() < 4.5 * 8.7


def test_the_limit_itself_passes_and_one_error_more_does_not() -> None:
    ones, zeros = np.ones(100, np.uint8), np.zeros(100, np.uint8)
    for limit, rejected in ((0.28, False), (0.27, True)):
        theirs = ones.copy()
        sample = estimation.draw(rng.stream(1, "limit").bytes(32), 100, 0.25)
        theirs[sample[:7]] = 0  # 7 of 25: 28 %
        params = Distillation(qber_limit=limit)
        ends = settle(
            estimation.alice(Sifted(zeros, ones), params, rng.stream(1, "limit"), Book()),
            estimation.bob(Sifted(zeros, theirs), params, Book()),
            DISTILLATION,
        )
        assert [isinstance(end, BlockRejected) for end in ends] == [rejected, rejected]


def test_the_rarer_basis_is_disclosed_whole() -> None:
    params = Distillation(estimation="per-basis")
    basis = np.array([0, 1, 0, 0, 1, 0], np.uint8)
    bit = np.array([0, 1, 1, 0, 0, 1], np.uint8)
    books = Book(), Book()
    for book in books:
        book.add(matched=6, sifted_z=4, sifted_x=2)
    hers, his = converse(
        estimation.alice(Sifted(basis, bit), params, rng.stream(1, "a"), books[0]),
        estimation.bob(Sifted(basis, bit), params, books[1]),
        DISTILLATION,
    )

    assert hers.bit.tolist() == his.bit.tolist() == [0, 1, 0, 1]
    assert not hers.basis.any()
    assert (books[0].estimate.sample_z, books[0].estimate.sample_x) == (0, 2)
    assert estimation.places(Sifted(1 - basis, bit), bytes(32), params).tolist() == [1, 4]


def test_one_basis_alone_can_not_be_estimated_per_basis() -> None:
    lone = Sifted(np.zeros(100, np.uint8), np.zeros(100, np.uint8))
    params = Distillation(estimation="per-basis")
    ends = settle(
        estimation.alice(lone, params, rng.stream(1, "a"), Book()), estimation.bob(lone, params, Book()), DISTILLATION
    )

    assert [isinstance(end, BlockRejected) and end.reason for end in ends] == ["too few sifted bits"] * 2


def test_a_seed_of_another_length_is_refused() -> None:
    role = estimation.bob(Sifted(np.zeros(100, np.uint8), np.zeros(100, np.uint8)), Distillation(), Book())
    role.send(None)

    assert isinstance(role.send(messages.Sample(seed=b"short", bits=bytes(4))), Abort)
    with pytest.raises(ProtocolError, match="32 bytes, not 5"):
        role.send(None)
