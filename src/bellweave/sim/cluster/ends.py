"""Both ends of one block: their sessions in memory, and what they gave.

This driver knows both ends and may compare them; the roles do not. Random streams are named after the link, the
protocol and the block: equal arguments give equal bytes.
"""

from dataclasses import dataclass
from typing import Literal, TypeVar

from numpy.random import Generator

from bellweave import rng
from bellweave.blocks import Role, Rounds, SecretBlock
from bellweave.dialogue import Codec, Dialogue
from bellweave.distill import announcing, gf128
from bellweave.distill.authentication_keys import AuthenticationKeys
from bellweave.distill.evidence import Evidence
from bellweave.distill.messages import KINDS as DISTILL_KINDS
from bellweave.distill.outcome import Context, Minted, Outcome
from bellweave.distill.params import Distillation
from bellweave.distill.tested_session import distilled
from bellweave.errors import ProtocolError
from bellweave.photonics.messages import KINDS as PHOTONICS_KINDS
from bellweave.results.records import BlockRecord
from bellweave.roles.node import LEAST_POOL_BYTES
from bellweave.sim.classical import converse

Level = Literal["photons", "rounds"]
"""``photons``: every click, every pulse. ``rounds``: only matched or heralded ones, from closed forms."""

Singles = tuple[int | None, int | None]
"""Clicks of Alice's and of Bob's detectors, where there are any."""

CODEC = Codec(*PHOTONICS_KINDS, *announcing.KINDS, *DISTILL_KINDS)
"""Everything that two slaves say to each other."""

E = TypeVar("E", bound=Evidence | None)


@dataclass(frozen=True)
class Block:
    """Which block this is.

    Attributes:
        link: Name of the link.
        protocol: Name of what makes its rounds.
        seed: The run's.
        number: Counts the blocks of link and protocol.
        start_s, end_s: When its photons are detected.
    """

    link: str
    protocol: str
    seed: int
    number: int
    start_s: float
    end_s: float

    @property
    def block_id(self) -> str:
        """The same at both ends, unique on the link."""
        return f"{self.link}/{self.protocol}/{self.seed}/{self.number}"

    def stream(self, *name: str) -> Generator:
        """Return the block's random stream of that name."""
        return rng.stream(self.seed, self.block_id, *name)

    def context(self, assumptions: tuple[str, ...], mint: Minted = "provable") -> Context:
        """Return what a session needs to know of the block."""
        return Context(
            link=self.link,
            block_id=self.block_id,
            start_s=self.start_s,
            end_s=self.end_s,
            provenance="simulated",
            mint=mint,
            assumptions=assumptions,
        )


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


Testing = Dialogue[tuple[int, Rounds, E]]
"""A stage that returns how many rounds there were, those that become key, and what the others showed."""


def both_ends(
    block: Block,
    context: Context,
    params: Distillation,
    alice: Testing[E],
    bob: Testing[E],
    singles: Singles = (None, None),
) -> Distilled:
    """Run both ends and return what they have.

    Raises:
        ProtocolError: If they hold different keys, which no physics explains.
    """
    counted: list[int] = []

    def counting(testing: Testing[E]) -> Dialogue[tuple[Rounds, E]]:
        count, rounds, evidence = yield from testing
        counted.append(count)
        return rounds, evidence

    (hers, evidence), (his, _) = converse(
        _session("alice", counting(alice), params, context, block),
        _session("bob", counting(bob), params, context, block),
        CODEC,
    )
    if hers.block is not None and (his.block is None or not hers.block.agrees_with(his.block)):
        raise ProtocolError(f"{block.block_id}: the two ends hold different keys")
    record = BlockRecord(
        link=block.link,
        block=block.number,
        block_id=block.block_id,
        seed=block.seed,
        start_s=block.start_s,
        end_s=block.end_s,
        singles_alice=singles[0],
        singles_bob=singles[1],
        sacrificed=0,
        ledger=hers.ledger,
        estimate=hers.estimate,
        corrections=hers.corrections,
        accountings=hers.accountings,
        provable_bits=hers.block.provable_bits if hers.block else 0,
        rejection=hers.rejection,
    )
    return Distilled(record, evidence, counted[0], hers.block, his.block)


def _session(
    role: Role, testing: Dialogue[tuple[Rounds, E]], params: Distillation, context: Context, block: Block
) -> Dialogue[tuple[Outcome, E]]:
    keys = None
    if params.authentication is not None:
        length = gf128.KEY_BYTES + max(params.authentication.reserve_bits // 8, LEAST_POOL_BYTES)
        secret = block.stream("authentication").bytes(length)
        keys = AuthenticationKeys.started(role, secret, params.authentication)
        keys.admit(context.start_s)
    return distilled(role, testing, params, context, block.stream(role, "protocol"), keys=keys)
