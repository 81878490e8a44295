"""One distillation of one link: both parties run their roles, and this driver carries their messages.

It takes one block, or several in a row where the scenario accumulates: their rounds are matched block by block, held,
and distilled as one (:mod:`bellweave.distill.accumulation`).

The driver knows both ends and may compare them; the roles do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.random import Generator

from bellweave import rng
from bellweave.blocks import Detections, Role, Rounds, SecretBlock
from bellweave.dialogue import Codec, Dialogue
from bellweave.distill import gf128, session
from bellweave.distill.accumulation import Accumulator, joined_context, joined_rounds
from bellweave.distill.authentication import Transcript
from bellweave.distill.authentication_keys import AuthenticationKeys
from bellweave.distill.messages import KINDS as DISTILL_KINDS
from bellweave.distill.session import Context, Outcome
from bellweave.errors import ProtocolError
from bellweave.photonics import analyser, calibration, coincidence, link, security
from bellweave.photonics.analyser import ChannelMap
from bellweave.photonics.messages import KINDS as PHOTONICS_KINDS
from bellweave.photonics.params import Arm, OpticalLink, Polarisation, TimeBin
from bellweave.results.records import BlockRecord
from bellweave.scenario.schema import Scenario
from bellweave.sim import recorded
from bellweave.sim.classical import converse

LEAST_POOL_BYTES = 64
"""One pair of tags of either scheme."""

CODEC = Codec(*PHOTONICS_KINDS, *DISTILL_KINDS)
"""Everything that two nodes of a link say to each other."""


@dataclass(frozen=True)
class Distilled:
    """What a block gave: its public counts, and each end's secret block (None if it was rejected)."""

    record: BlockRecord
    alice: SecretBlock | None
    bob: SecretBlock | None


@dataclass(frozen=True)
class RawBlock:
    """One block of a link before anything is distilled.

    Attributes:
        optical: What its photons meet.
        number: Counts the link's blocks; fixes its random streams.
        start_s: When it begins, seconds since the start of the run.
    """

    optical: OpticalLink
    number: int
    start_s: float


def distil_block(scenario: Scenario, optical: OpticalLink, block: int) -> Distilled:
    """Simulate a block, and those accumulated with it, one right after the other, and distil at both ends.

    Args:
        scenario: Says how.
        optical: The link.
        block: Number of the block, the first of ``distill.accumulate_blocks``.

    Raises:
        ProtocolError: If the roles disagree, which no physics explains.
    """
    numbers = range(block, block + scenario.distill.accumulate_blocks)
    return distil_blocks(scenario, [RawBlock(optical, each, each * optical.block_s) for each in numbers])


def distil_blocks(scenario: Scenario, blocks: Sequence[RawBlock]) -> Distilled:
    """Simulate blocks of one link and distil them as one at both ends.

    Raises:
        ProtocolError: If the roles disagree, which no physics explains.
    """
    seed, block = scenario.run.seed, blocks[0].number
    contexts = [_context(scenario, each) for each in blocks]
    context = joined_context(contexts)
    sacrificed = 0
    singles: tuple[int | None, int | None] = (None, None)
    if scenario.run.level == "tags":
        seen = [link.tags(each.optical, seed, each.number, each.start_s) for each in blocks]
        singles = (sum(len(hers) for hers, _ in seen), sum(len(his) for _, his in seen))
        opticals = [each.optical for each in blocks]
        (alice, hers), (bob, his) = converse(
            _from_tags("alice", [each for each, _ in seen], scenario, opticals, contexts),
            _from_tags("bob", [each for _, each in seen], scenario, opticals, contexts),
            CODEC,
        )
        sacrificed = hers + his
    else:
        matched = [link.coincidences(each.optical, seed, each.number, each.start_s) for each in blocks]
        rounds = joined_rounds([each for each, _ in matched]), joined_rounds([each for _, each in matched])
        alice, bob = converse(
            _distilled("alice", rounds[0], scenario, context, _keys(scenario, context, "alice"), None),
            _distilled("bob", rounds[1], scenario, context, _keys(scenario, context, "bob"), None),
            CODEC,
        )
    if alice.block is not None and (bob.block is None or not alice.block.agrees_with(bob.block)):
        raise ProtocolError(f"{context.block_id}: the two ends hold different keys")
    return Distilled(_record(context, block, seed, singles, sacrificed, alice), alice.block, bob.block)


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
    record = _record(context, 0, scenario.run.seed, singles, sacrificed, alice.outcome)
    return Distilled(record, alice.outcome.block, bob.outcome.block)


Ended = tuple[Outcome, int]
"""How a role ends: its outcome, and how many of its detections calibration disclosed."""

Matched = tuple[Rounds, int]
"""What a role has of one block: its rounds, and how many of its detections calibration disclosed."""


def _context(scenario: Scenario, block: RawBlock) -> Context:
    optical = block.optical
    return Context(
        link=optical.name,
        block_id=f"{optical.name}/{scenario.run.seed}/{block.number}",
        start_s=block.start_s,
        end_s=block.start_s + optical.block_s,
        provenance="simulated",
        mint=scenario.kms.mint,
        assumptions=security.assumptions(optical),
    )


def _from_tags(
    role: Role,
    seen: Sequence[Detections],
    scenario: Scenario,
    opticals: Sequence[OpticalLink],
    contexts: Sequence[Context],
) -> Dialogue[Ended]:
    """One role's way from its own time tags to a secret block."""
    own_rounds = _alice_rounds if role == "alice" else _bob_rounds
    held, sacrificed = Accumulator(len(contexts)), 0
    keys = _keys(scenario, joined_context(contexts), role)
    transcript = keys.transcript() if keys else None
    for each, optical, context in zip(seen, opticals, contexts, strict=True):
        matching = own_rounds(each, scenario, optical, context)
        rounds, disclosed = yield from (transcript.watch(matching) if transcript else matching)
        held.hold(context, rounds)
        sacrificed += disclosed
    whole, joined = held.take()
    return (yield from _distilled(role, joined, scenario, whole, keys, transcript)), sacrificed


def _distilled(
    role: Role,
    rounds: Rounds,
    scenario: Scenario,
    context: Context,
    keys: AuthenticationKeys | None,
    transcript: Transcript | None,
) -> Dialogue[Outcome]:
    """One role's session; ``transcript`` has what crossed before."""
    distil = session.alice if role == "alice" else session.bob
    entropy = _entropy(scenario, context, role)
    return distil(rounds, scenario.distill, context, entropy, keys=keys, transcript=transcript)


def _keys(scenario: Scenario, context: Context, role: Role) -> AuthenticationKeys | None:
    """Return one end's pool, full as a link's is that has run for long: every session pays back what it spends.

    Both ends draw it from one named stream, and each session has its own, so that blocks do not depend on each other.
    """
    params = scenario.distill.authentication
    if params is None:
        return None
    length = gf128.KEY_BYTES + max(params.reserve_bits // 8, LEAST_POOL_BYTES)
    secret = _stream(scenario, context, "authentication").bytes(length)
    keys = AuthenticationKeys.started(role, secret, params)
    keys.admit(context.start_s)
    return keys


def _alice_rounds(seen: Detections, scenario: Scenario, optical: OpticalLink, context: Context) -> Dialogue[Matched]:
    """Alice's way from her own time tags of one block to matched rounds; only times are announced."""
    arm, timing, window_ps, sacrificed = optical.alice, None, optical.window_ps, 0
    if optical.calibration is not None:
        roles = _roles(arm, (False, False))
        known = analyser.known_timing(arm)
        reach_ps = _delay_reach_ps(arm)
        found = yield from calibration.alice(
            seen, optical.calibration, window_ps, roles, timing=known, delay_reach_ps=reach_ps
        )
        timing, window_ps, sacrificed = found.timing, found.window_ps, found.sacrificed
        seen = found.remainder(seen)
    draw = _stream(scenario, context, "alice", "clicks")
    own = analyser.clicks(seen, arm, optical.source, window_ps, draw, timing=timing)
    return (yield from coincidence.alice(own, window_ps)), sacrificed


def _bob_rounds(seen: Detections, scenario: Scenario, optical: OpticalLink, context: Context) -> Dialogue[Matched]:
    """Bob's way; he inverts bits where the state is anti-correlated."""
    arm, timing, window_ps, sacrificed = optical.bob, None, optical.window_ps, 0
    flips = link.bob_flips(optical)
    if optical.calibration is not None:
        found = yield from calibration.bob(seen, optical.calibration, _roles(arm, flips))
        timing, window_ps, sacrificed = found.timing, found.window_ps, found.sacrificed
        seen = found.remainder(seen)
    draw = _stream(scenario, context, "bob", "clicks")
    own = analyser.clicks(seen, arm, optical.source, window_ps, draw, timing=timing, flips=flips)
    return (yield from coincidence.bob(own)), sacrificed


def _delay_reach_ps(arm: Arm) -> int | None:
    """Return how far a channel's delay is looked for: with time bins, the next peak is another slot's."""
    own = arm.node.analyser
    return own.bin_separation_ps // 2 if isinstance(own, TimeBin) else None


def _roles(arm: Arm, flips: tuple[bool, bool]) -> ChannelMap | None:
    """Return what each detector measures, for calibration; None where a modulator decides that."""
    own_analyser = arm.node.analyser
    if not isinstance(own_analyser, Polarisation) or own_analyser.basis_choice != "passive":
        return None
    own = analyser.standard_map(own_analyser)
    return ChannelMap(own.basis, tuple(bit ^ flips[basis] for basis, bit in zip(own.basis, own.bit, strict=True)))


def _stream(scenario: Scenario, context: Context, *name: str) -> Generator:
    return rng.stream(scenario.run.seed, context.block_id, *name)


def _entropy(scenario: Scenario, context: Context, role: Role) -> Generator:
    return _stream(scenario, context, role, "protocol")


def _record(
    context: Context, block: int, seed: int, singles: tuple[int | None, int | None], sacrificed: int, outcome: Outcome
) -> BlockRecord:
    return BlockRecord(
        link=context.link,
        block=block,
        block_id=context.block_id,
        seed=seed,
        start_s=context.start_s,
        end_s=context.end_s,
        singles_alice=singles[0],
        singles_bob=singles[1],
        sacrificed=sacrificed,
        ledger=outcome.ledger,
        estimate=outcome.estimate,
        corrections=outcome.corrections,
        accountings=outcome.accountings,
        provable_bits=outcome.block.provable_bits if outcome.block else 0,
        rejection=outcome.rejection,
    )
