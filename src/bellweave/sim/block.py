"""One distillation of one link: both parties run their roles, and this driver carries their messages.

It takes one block, or several in a row where the scenario accumulates: their rounds are matched block by block, held,
and distilled as one (:mod:`bellweave.distill.accumulation`).

The driver knows both ends and may compare them; the roles do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bellweave.blocks import SecretBlock
from bellweave.errors import ProtocolError
from bellweave.photonics.params import OpticalLink
from bellweave.results.records import BlockRecord
from bellweave.roles.node import CODEC, Party, clicked, counted
from bellweave.roles.randomness import Seeded
from bellweave.roles.source import RawBlock, sampled
from bellweave.scenario.schema import Scenario
from bellweave.sim import recorded
from bellweave.sim.classical import converse


@dataclass(frozen=True)
class Distilled:
    """What a block gave: its public counts, and each end's secret block (None if it was rejected)."""

    record: BlockRecord
    alice: SecretBlock | None
    bob: SecretBlock | None


def distil_block(scenario: Scenario, optical: OpticalLink, block: int) -> Distilled:
    """Simulate a block, and those accumulated with it, one right after the other, and distil at both ends.

    Args:
        scenario: Says how.
        optical: What the photons of the link meet.
        block: Number of the block, the first of ``distill.accumulate_blocks``.

    Raises:
        ProtocolError: If the roles disagree, which no physics explains.
    """
    numbers = range(block, block + scenario.distill.accumulate_blocks)
    return distil_blocks(scenario, [RawBlock(optical, each, each * optical.block_s) for each in numbers])


def distil_blocks(scenario: Scenario, blocks: Sequence[RawBlock]) -> Distilled:
    """Simulate blocks of one link and distil them as one at both ends.

    Args:
        scenario: What both ends know: as it was written, whatever faults the photons of ``blocks`` meet.
        blocks: As the source collected them.

    Raises:
        ProtocolError: If the roles disagree, which no physics explains.
    """
    randomness = Seeded(scenario.run.seed)
    name, facts = blocks[0].optical.name, [each.facts for each in blocks]
    alice, bob = Party(scenario, name, "alice", randomness), Party(scenario, name, "bob", randomness)
    seen = [sampled(scenario, each, randomness) for each in blocks]
    (hers, disclosed), (his, disclosed_too) = converse(
        alice.distil([(fact, one) for fact, (one, _) in zip(facts, seen, strict=True)]),
        bob.distil([(fact, other) for fact, (_, other) in zip(facts, seen, strict=True)]),
        CODEC,
    )
    if hers.block is not None and (his.block is None or not hers.block.agrees_with(his.block)):
        raise ProtocolError(f"{hers.block.block_id}: the two ends hold different keys")
    singles = (clicked([one for one, _ in seen]), clicked([other for _, other in seen]))
    return Distilled(alice.record(facts, singles, disclosed + disclosed_too, hers), hers.block, his.block)


def distil_recording(scenario: Scenario, link_name: str) -> Distilled:
    """Distil the recorded detections that stand for a link's photons: its one block.

    Raises:
        ScenarioError: If the files can't be used.
    """
    files = scenario.recorded[link_name]
    recipes = tuple(
        recorded.Recipe(
            tick_ps=files.tick_ps,
            channels=channels,
            distillation=scenario.distill,
            mint=scenario.kms.mint,
            link=link_name,
        )
        for channels in (files.channels_alice, files.channels_bob)
    )
    both = recorded.distil(
        (recorded.open_recording(files.alice, recipes[0]), recorded.open_recording(files.bob, recipes[1])),
        (recipes[0], recipes[1]),
        recorded.seeded(scenario.run.seed),
    )
    alice, bob = both
    singles = (len(alice.recording.seen), len(bob.recording.seen))
    sacrificed = alice.calibrated.sacrificed + bob.calibrated.sacrificed
    context = recorded.context(recipes[0], alice.calibrated)
    record = counted(context, 0, scenario.run.seed, singles, sacrificed, alice.outcome)
    return Distilled(record, alice.outcome.block, bob.outcome.block)
