"""Verification lets equal bits pass and catches unequal ones as often as it says."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bellweave import rng
from bellweave.blocks import Bytes
from bellweave.distill import verification
from bellweave.distill.ledger import Book
from bellweave.errors import BlockRejected, PeerAborted
from bellweave.sim.classical import settle
from bellweave.testing.pairs import DISTILLATION


def verdict(bits: Bytes, other: Bytes, length: int, seed: int) -> bool:
    """Return whether the two pass; the roles need not know that ``length`` is shorter than parameters allow."""
    books = Book(), Book()
    for book in books:
        book.add(matched=bits.size, sifted_z=bits.size)
    alice, bob = settle(
        verification.alice(bits, length, rng.stream(seed, "verification"), books[0]),
        verification.bob(other, length, books[1]),
        DISTILLATION,
    )
    assert books[0].ledger == books[1].ledger
    assert books[0].ledger.tag == length
    if bob is None:
        assert alice is None
        return True
    assert isinstance(bob, BlockRejected)
    assert isinstance(alice, PeerAborted)
    assert bob.reason == alice.rejection == "verification failed"
    return False


@given(seed=st.integers(0, 1000), count=st.integers(50, 500))
def test_equal_bits_always_pass(seed: int, count: int) -> None:
    bits = rng.stream(seed, "bits").integers(0, 2, count, np.uint8)

    assert verdict(bits, bits.copy(), 50, seed)


@given(seed=st.integers(0, 1000), count=st.integers(50, 500), data=st.data())
def test_planted_errors_are_caught(seed: int, count: int, data: st.DataObject) -> None:
    """The chance to miss one is 2^-50."""
    bits = rng.stream(seed, "bits").integers(0, 2, count, np.uint8)
    other = bits.copy()
    other[data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=6, unique=True))] ^= 1

    assert not verdict(bits, other, 50, seed)


def test_a_short_tag_misses_planted_errors_as_often_as_its_length_says() -> None:
    """Two wrong bits, tags of 3 bits, 800 seeds: 100 misses expected, sigma 9.4; 4 sigma."""
    bits = rng.stream(1, "bits").integers(0, 2, 200, np.uint8)
    other = bits.copy()
    other[[17, 101]] ^= 1
    missed = sum(verdict(bits, other, 3, seed) for seed in range(800))

    assert abs(missed - 100) < 4 * 9.4
