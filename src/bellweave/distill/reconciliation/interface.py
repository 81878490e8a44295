"""What a session asks of a reconciler."""

from typing import Protocol

from bellweave.blocks import Bytes
from bellweave.dialogue import Dialogue
from bellweave.distill.ldpc.reconciler import Ldpc
from bellweave.distill.ledger import Book
from bellweave.distill.params import Reconciliation
from bellweave.distill.reconciliation.cascade import Cascade
from bellweave.distill.sifting import Sifted
from bellweave.rng import Entropy


class Reconciler(Protocol):
    """A pair of roles after which both hold Alice's bits, verified.

    Rules for every implementation:

    1. Block sizes or code rates follow ``book.estimate``; a wrong estimate costs bits, rounds or the block, never
       correctness.
    2. Every bit about the key is booked by kind before it is disclosed, alike at both ends; so are corrections.
    3. When both roles return, their bits differ with probability 2^-``tag_bits`` at most, whatever happened before.
       A block that can't be brought there is rejected at both ends.
    """

    def alice(self, sifted: Sifted, tag_bits: int, entropy: Entropy, book: Book) -> Dialogue[Bytes]:
        """Return Alice's bits as they were, shape (n,), n >= 1."""
        ...

    def bob(self, sifted: Sifted, tag_bits: int, book: Book) -> Dialogue[Bytes]:
        """Return the corrected bits, shape (n,)."""
        ...


def named(name: Reconciliation) -> Reconciler:
    """Return the reconciler that ``[distill] reconciliation`` names."""
    return Ldpc() if name == "ldpc" else Cascade(name)
