"""Sifting keeps the rounds of equal bases, in order, at both ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave import rng
from bellweave.dialogue import Abort
from bellweave.distill import messages, sifting
from bellweave.distill.ledger import Book
from bellweave.errors import ProtocolError
from bellweave.sim.classical import converse
from bellweave.testing.pairs import DISTILLATION, correlated_rounds


@given(seed=st.integers(0, 1000), count=st.integers(0, 200), same_basis=st.floats(0.0, 1.0))
def test_what_is_kept_is_what_both_measured_alike(seed: int, count: int, same_basis: float) -> None:
    alice, bob = correlated_rounds(rng.stream(seed, "sifting"), count, 0.0, same_basis=same_basis)
    books = Book(), Book()
    hers, his = converse(sifting.alice(alice, 0, books[0]), sifting.bob(bob, 0, books[1]), DISTILLATION)
    equal = alice.basis == bob.basis

    assert np.array_equal(hers.bit, his.bit)
    assert np.array_equal(hers.bit, alice.bit[equal])
    assert np.array_equal(hers.basis, his.basis)
    assert books[0].ledger == books[1].ledger
    assert books[0].ledger.matched == count
    assert books[0].ledger.mismatched == count - len(hers)
    assert books[0].ledger.sifted_x == int(hers.basis.sum())


def test_bits_are_not_shown() -> None:
    alice, _ = correlated_rounds(rng.stream(1, "shown"), 10, 0.0)

    assert "bit" not in repr(sifting.Sifted(alice.basis, alice.bit))


@pytest.mark.parametrize("bases", [b"", b"\0", b"\0\0\0", b"\0\xff"])
def test_bases_of_another_number_of_rounds_are_refused(bases: bytes) -> None:
    """Ten rounds take two bytes, the last six bits zero."""
    _, bob = correlated_rounds(rng.stream(1, "length"), 10, 0.0)
    role = sifting.bob(bob, 0, Book())
    role.send(None)

    assert isinstance(role.send(messages.Bases(bases=bases)), Abort)
    with pytest.raises(ProtocolError):
        role.send(None)
