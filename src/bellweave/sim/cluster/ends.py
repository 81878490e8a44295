"""Both ends of one block: their sessions in memory, and what they gave.

This driver knows both ends and may compare them; the roles (:mod:`bellweave.roles.slave`) do not. Random streams are
named after the link, the protocol and the block: equal arguments give equal bytes.
"""

from dataclasses import dataclass, field
from typing import Literal

from bellweave.blocks import Role, Rounds, SecretBlock
from bellweave.dialogue import Dialogue
from bellweave.distill.evidence import Evidence
from bellweave.distill.outcome import Outcome
from bellweave.distill.params import Distillation
from bellweave.errors import ProtocolError
from bellweave.results.records import BlockRecord
from bellweave.roles.node import counted
from bellweave.roles.randomness import Seeded
from bellweave.roles.slave import CODEC, Block, Ekert, Mdi, Outcomes, session
from bellweave.sim.classical import converse

Level = Literal["photons", "rounds"]
"""``photons``: every click, every pulse. ``rounds``: only matched or heralded ones, from closed forms."""

Singles = tuple[int | None, int | None]
"""Clicks of Alice's and of Bob's detectors, where there are any."""

NONE: Singles = (None, None)


@dataclass(frozen=True)
class Distilled:
    """What a block gave.

    Attributes:
        record: Its public counts.
        evidence: What its test showed; None with single photons, whose session tests enough.
        rounds: Matched or heralded rounds before the test.
        alice, bob: Each end's secret block; None if it was rejected.
    """

    record: BlockRecord
    evidence: Evidence | None
    rounds: int
    alice: SecretBlock | None
    bob: SecretBlock | None


@dataclass(frozen=True, eq=False)
class Sampled:
    """What two slaves measured of a block, before a word is said: only who simulates the physics has both.

    Attributes:
        block: Which.
        how: What they run.
        alice, bob: Each end's own, of the same rounds.
    """

    block: Block
    how: Ekert | Mdi
    alice: Outcomes = field(repr=False)
    bob: Outcomes = field(repr=False)

    def __len__(self) -> int:
        return len(self.alice)


def distilled(sampled: Sampled, params: Distillation, seed: int) -> Distilled:
    """Let both ends distil what they measured; arguments and errors are those of :func:`both_ends`."""
    ends = _known(sampled.alice), _known(sampled.bob)
    return both_ends(sampled.block, sampled.how, params, ends, seed)


def both_ends(
    block: Block,
    how: Ekert | Mdi,
    params: Distillation,
    ends: tuple[Dialogue[Outcomes], Dialogue[Outcomes]],
    seed: int,
    singles: Singles = NONE,
) -> Distilled:
    """Run both ends and return what they have.

    Args:
        block: Which.
        how: What they run.
        params: How to distil.
        ends: Alice's and Bob's ways to what they have of each round.
        seed: The run's.
        singles: Their clicks.

    Raises:
        ProtocolError: If they hold different keys, which no physics explains.
    """
    randomness, context, matched = Seeded(seed), how.context(block), list[int]()

    def end(role: Role, measuring: Dialogue[Outcomes]) -> Dialogue[tuple[Outcome, Evidence | None]]:
        def testing() -> Dialogue[tuple[Rounds, Evidence | None]]:
            held = yield from measuring
            matched.append(len(held))
            return (yield from how.testing(role, held))

        return session(role, testing(), params, context, randomness, block.link)

    (hers, evidence), (his, _) = converse(end("alice", ends[0]), end("bob", ends[1]), CODEC)
    if hers.block is not None and (his.block is None or not hers.block.agrees_with(his.block)):
        raise ProtocolError(f"{block.block_id}: the two ends hold different keys")
    record = counted(context, block.number, seed, singles, 0, hers)
    return Distilled(record, evidence, matched[0], hers.block, his.block)


def _known(held: Outcomes) -> Dialogue[Outcomes]:
    yield from ()
    return held
