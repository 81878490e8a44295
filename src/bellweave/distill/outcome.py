"""What goes into a distillation beside the rounds, and what comes out."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from bellweave.blocks import Bytes, Provenance, Role, SecretBlock, pack_bits
from bellweave.distill import accounting
from bellweave.distill.confirmation import Paid
from bellweave.distill.evidence import Evidence
from bellweave.distill.ledger import Book, Corrections, Estimate, Ledger
from bellweave.distill.params import Distillation, Mint
from bellweave.errors import RejectionReason

UNAUTHENTICATED = "The classical messages are authentic: their digests were compared, but no key was spent on it."

AUTHENTICATED = (
    "The classical messages are authentic if the start key of their authentication was secret, and the keys "
    "that renewed it since."
)

PARTLY = "Proven is any choice of `provable_bits` of the key's bits as long as the others stay unused."
"""A hash that is longer than the proof allows holds, in any part of allowed length, a hash that the proof covers."""


Minted = Mint | Literal["chsh"]
"""What may fix a key's length; ``chsh`` where a CHSH test is the evidence."""


class Context(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which block this is; the same at both ends.

    Attributes:
        link: Name of the link.
        block_id: Unique on the link.
        start_s, end_s: When the block's photons were detected, seconds since the start of the run.
        provenance: Where the rounds come from.
        mint: The accounting that fixes the key's length.
        assumptions: What the security of the rounds is conditional on, one sentence each.
    """

    link: str
    block_id: str
    start_s: float
    end_s: float
    provenance: Provenance
    mint: Minted = "provable"
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """One party's end of a distillation. All but ``block`` is public and the same at both ends.

    Attributes:
        ledger: Where every bit went; it closes.
        estimate: What the sample showed; counts of zero if it was never drawn.
        corrections: What reconciliation did.
        accountings: Key length in bits, >= 0, that each accounting gives; empty if the block was rejected before.
        block: The key, or None.
        rejection: Why there is none, or None.
    """

    ledger: Ledger
    estimate: Estimate
    corrections: Corrections
    accountings: dict[str, int]
    block: SecretBlock | None = None
    rejection: RejectionReason | None = None


def accepted(
    key: Bytes,
    role: Role,
    params: Distillation,
    context: Context,
    book: Book,
    paid: Paid | None = None,
    evidence: Evidence | None = None,
) -> Outcome:
    """Return the outcome of a block that gave ``key``, shape (length,), length >= 1.

    What the pool of authentication keys took from its front is not in the block; if it took all, the block is empty.
    """
    taken = paid.taken_bits if paid else 0
    book.add(final=key.size - taken, authentication=taken)
    book.add(removed=book.ledger.left)
    accountings = key_lengths(book)
    proven = min(accountings["provable"], key.size)
    provable = max(0, proven - taken)
    block = SecretBlock(
        block_id=context.block_id,
        link=context.link,
        role=role,
        bits=pack_bits(key[taken:]),
        bit_count=key.size - taken,
        accountings=accountings,
        minted_by=context.mint,
        provable_bits=provable,
        epsilon=min(1.0, params.epsilon + (paid.epsilon if paid else 0.0)) if provable else 1.0,
        method=(accounting if evidence is None else evidence).method(params) if provable else "none",
        assumptions=(
            *context.assumptions,
            AUTHENTICATED if paid else UNAUTHENTICATED,
            *_conditions(params, provable, key.size - taken, evidence),
        ),
        authentication_bits=paid.spent_bits if paid else 0,
        start_s=context.start_s,
        end_s=context.end_s,
        provenance=context.provenance,
    )
    return Outcome(book.ledger, book.estimate, book.corrections, accountings, block=block)


def _conditions(params: Distillation, provable: int, minted: int, evidence: Evidence | None) -> tuple[str, ...]:
    if not provable:
        return ()
    found = (accounting if evidence is None else evidence).assumptions(params)
    return found if provable == minted else (*found, PARTLY)


def rejected(reason: RejectionReason, book: Book) -> Outcome:
    """Return the outcome of a block that gave no key."""
    book.add(rejected=book.ledger.left)
    return Outcome(book.ledger, book.estimate, book.corrections, key_lengths(book), rejection=reason)


def key_lengths(book: Book) -> dict[str, int]:
    """Return the accountings without what is missing: lengths >= 0, which add up."""
    return {name: max(0, length) for name, length in book.accountings.items()}
