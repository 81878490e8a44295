"""Sifting: both announce their bases and keep the rounds where these agree."""

from dataclasses import dataclass, field

import numpy as np

from bellweave.blocks import Bytes, Rounds, pack_bits
from bellweave.dialogue import Dialogue, receive, reject
from bellweave.distill.ledger import Book, per_basis
from bellweave.distill.messages import Bases, unpacked


@dataclass(frozen=True, eq=False)
class Sifted:
    """Rounds of equal bases, as one party knows them.

    Attributes:
        basis: Shape (n,), uint8, the same at both ends.
        bit: Shape (n,), uint8, this party's own.
    """

    basis: Bytes
    bit: Bytes = field(repr=False)

    def __len__(self) -> int:
        return int(self.bit.size)


def alice(rounds: Rounds, minimum: int, book: Book) -> Dialogue[Sifted]:
    """Announce, then listen.

    Raises:
        BlockRejected: Fewer than ``minimum`` rounds are left.
    """
    yield Bases(bases=pack_bits(rounds.basis))
    theirs = yield from unpacked((yield from receive(Bases)).bases, len(rounds))
    return (yield from _keep_equal(rounds, theirs, minimum, book))


def bob(rounds: Rounds, minimum: int, book: Book) -> Dialogue[Sifted]:
    """Listen, then announce; otherwise as :func:`alice`."""
    theirs = yield from unpacked((yield from receive(Bases)).bases, len(rounds))
    yield Bases(bases=pack_bits(rounds.basis))
    return (yield from _keep_equal(rounds, theirs, minimum, book))


def _keep_equal(rounds: Rounds, theirs: Bytes, minimum: int, book: Book) -> Dialogue[Sifted]:
    equal = np.flatnonzero(rounds.basis == theirs)
    sifted = Sifted(basis=rounds.basis[equal], bit=rounds.bit[equal])
    sifted_z, sifted_x = per_basis(sifted.basis)
    book.add(matched=len(rounds), mismatched=len(rounds) - len(sifted), sifted_z=sifted_z, sifted_x=sifted_x)
    if len(sifted) < minimum:
        yield from reject("too few sifted bits", f"{len(sifted)}, the minimum is {minimum}")
    return sifted
