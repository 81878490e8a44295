"""The ledger: where every sifted bit went. Counts only, so that blocks, runs and shards add up."""

from typing import Annotated, Literal, Self

import msgspec

from bellweave.blocks import Basis, Bytes
from bellweave.dialogue import Dialogue, reject

Kind = Literal["top", "bisection", "check", "repair", "tag"]
"""What a disclosed bit was: parity of a whole block, of half a searched one, a random subset, a repair, a hash."""

Count = Annotated[int, msgspec.Meta(ge=0)]


class Counts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of structs of counts that add up."""

    def __add__(self, other: Self) -> Self:
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Ledger(Counts, frozen=True, kw_only=True):
    """Counts of one block, or of many.

    Attributes:
        matched: Rounds before sifting.
        mismatched: Rounds whose bases differ.
        sifted_z, sifted_x: Rounds whose bases agree.
        sample: Bits disclosed to estimate the error rate.
        top, bisection, check, repair, tag: Bits about the key that were disclosed, by :data:`Kind`.
        removed: Bits that privacy amplification removed beyond the disclosed ones.
        final: Bits of key that applications get.
        rejected: What was left of blocks that gave no key.
        authentication: Bits of key that the pool of authentication keys took instead, to replace what the block spent
            and to fill its reserve.
    """

    matched: Count = 0
    mismatched: Count = 0
    sifted_z: Count = 0
    sifted_x: Count = 0
    sample: Count = 0
    top: Count = 0
    bisection: Count = 0
    check: Count = 0
    repair: Count = 0
    tag: Count = 0
    removed: Count = 0
    final: Count = 0
    rejected: Count = 0
    authentication: Count = 0

    @property
    def distilled(self) -> int:
        """Bits of key before the pool of authentication keys took its part."""
        return self.final + self.authentication

    @property
    def sifted(self) -> int:
        """Rounds whose bases agree."""
        return self.sifted_z + self.sifted_x

    @property
    def disclosed(self) -> int:
        """Bits about the key that were disclosed, of every kind."""
        return self.top + self.bisection + self.check + self.repair + self.tag

    @property
    def left(self) -> int:
        """Sifted bits not accounted for yet; 0 once the block is done."""
        return self.sifted - self.sample - self.disclosed - self.removed - self.distilled - self.rejected

    def closes(self) -> bool:
        """Return whether every round and every sifted bit is accounted for, exactly."""
        return self.left == 0 and self.matched == self.mismatched + self.sifted


class Estimate(Counts, frozen=True, kw_only=True):
    """What the sample showed, per basis."""

    sample_z: Count = 0
    sample_x: Count = 0
    errors_z: Count = 0
    errors_x: Count = 0

    @property
    def sample(self) -> int:
        """Bits compared."""
        return self.sample_z + self.sample_x

    @property
    def errors(self) -> int:
        """Bits that differed."""
        return self.errors_z + self.errors_x

    @property
    def qber(self) -> float | None:
        """Share of bits that differed; None without a sample."""
        return _ratio(self.errors, self.sample)

    @property
    def qber_z(self) -> float | None:
        """The same in basis Z."""
        return _ratio(self.errors_z, self.sample_z)

    @property
    def qber_x(self) -> float | None:
        """The same in basis X."""
        return _ratio(self.errors_x, self.sample_x)


class Corrections(Counts, frozen=True, kw_only=True):
    """What reconciliation did.

    Attributes:
        errors_z, errors_x: Bits corrected, per basis.
        parity_rounds: Rounds of parities or tags: one message each way.
        answered: Bits that Bob told about the frames: one for each of Alice's parities, and one for each comparison.
        frames: Frames that the block was cut into, as far as they were begun.
        frames_repaired: Frames that were wrong when their tag came.
        repairs: Searches after the tag.
        residual_errors: Bits corrected after the tag; in ``errors_z`` and ``errors_x`` too.
    """

    errors_z: Count = 0
    errors_x: Count = 0
    parity_rounds: Count = 0
    answered: Count = 0
    frames: Count = 0
    frames_repaired: Count = 0
    repairs: Count = 0
    residual_errors: Count = 0

    @property
    def errors(self) -> int:
        """Bits corrected."""
        return self.errors_z + self.errors_x


class Book:
    """One party's public counts of a block in progress; what a rejected block leaves behind is here."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.estimate = Estimate()
        self.corrections = Corrections()
        self.accountings: dict[str, int] = {}

    def add(self, **counts: int) -> None:
        """Add counts to the ledger."""
        self.ledger += Ledger(**counts)

    def disclose(self, kind: Kind, count: int) -> Dialogue[None]:
        """Book bits *before* they are disclosed; reject a block that has not that many left, for no key can follow.

        Both ends book the same, so both stop at the same place. It also bounds a search that a meddler led astray.
        """
        if count > self.ledger.left:
            yield from reject("too short", f"{count} more {kind} bits would disclose all of the block")
        self.add(**{kind: count})


def per_basis(basis: Bytes) -> tuple[int, int]:
    """Return how many rounds are in basis Z and in basis X."""
    x = int((basis == Basis.X).sum())
    return int(basis.size) - x, x


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
