"""Pairs of roles, and something for them to work on."""

from dataclasses import dataclass, field

import numpy as np

from bellweave import rng
from bellweave.blocks import Rounds
from bellweave.dialogue import Codec, Dialogue
from bellweave.distill import messages, session
from bellweave.distill.params import Distillation, Mint

DISTILLATION = Codec(*messages.KINDS)
"""Codec of a line that carries nothing but a distillation."""


def correlated_rounds(
    generator: np.random.Generator, count: int, qber: float, *, same_basis: float = 1.0
) -> tuple[Rounds, Rounds]:
    """Return Alice's and Bob's rounds.

    Args:
        generator: Draws bits, bases and errors.
        count: Rounds, >= 0.
        qber: Chance that Bob's bit is wrong where the bases agree; elsewhere it is random.
        same_basis: Chance that the bases agree.
    """
    basis = generator.integers(0, 2, count, np.uint8)
    bit = generator.integers(0, 2, count, np.uint8)
    other = (generator.random(count) >= same_basis).astype(np.uint8)
    wrong = (generator.random(count) < np.where(other, 0.5, qber)).astype(np.uint8)
    ids = np.arange(count, dtype=np.int64)
    return Rounds(ids, basis, bit), Rounds(ids, basis ^ other, bit ^ wrong)


@dataclass(frozen=True)
class Block:
    """One simulated block that two roles can distil; each call of :meth:`roles` makes them anew.

    Attributes:
        seed: Fixes rounds and protocol seeds.
        count: Rounds.
        qber: Chance of an error where the bases agree.
        params: How to distil.
        mint: The accounting that fixes the key's length.
        same_basis: Chance that the bases agree.
    """

    seed: int
    count: int
    qber: float
    params: Distillation = field(default_factory=Distillation)
    mint: Mint = "paper"
    same_basis: float = 1.0

    @property
    def context(self) -> session.Context:
        """What both ends know of the block."""
        return session.Context(
            link="alice-bob",
            block_id=f"block-{self.seed}",
            start_s=0.0,
            end_s=10.5,
            provenance="simulated",
            mint=self.mint,
        )

    def roles(self) -> tuple[Dialogue[session.Outcome], Dialogue[session.Outcome]]:
        """Return Alice's and Bob's roles."""
        generator = rng.stream(self.seed, "testing", "rounds")
        alice, bob = correlated_rounds(generator, self.count, self.qber, same_basis=self.same_basis)
        return (
            session.alice(alice, self.params, self.context, rng.stream(self.seed, "testing", "alice")),
            session.bob(bob, self.params, self.context, rng.stream(self.seed, "testing", "bob")),
        )
