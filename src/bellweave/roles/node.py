"""What a node does with what its detectors saw: one party's way from its own data to its own secret block.

A party knows the scenario as it was written, and of each block what is public: link, number, begin and length. It knows
nothing of what happens to the photons: no fault of the scenario, and no drift, reaches it but through its detections.
Without calibration it takes its clock and its delays as the scenario says they are.

Several blocks in a row are distilled as one where the scenario accumulates: their rounds are matched block by block,
held, and go through one session (:mod:`bellweave.distill.accumulation`).
"""

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from bellweave.blocks import Detections, Role, Rounds
from bellweave.dialogue import Codec, Dialogue
from bellweave.distill import gf128, session
from bellweave.distill.accumulation import Accumulator, joined_context
from bellweave.distill.authentication_keys import AuthenticationKeys
from bellweave.distill.messages import KINDS as DISTILL_KINDS
from bellweave.distill.params import Authentication
from bellweave.distill.session import Context, Outcome
from bellweave.photonics import analyser, calibration, coincidence, link, security
from bellweave.photonics.analyser import ChannelMap
from bellweave.photonics.messages import KINDS as PHOTONICS_KINDS
from bellweave.photonics.params import Arm, Polarisation, TimeBin
from bellweave.results.records import BlockRecord
from bellweave.roles.randomness import Randomness
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.schema import Scenario

LEAST_POOL_BYTES = 64
"""One pair of tags of either scheme."""

CODEC = Codec(*PHOTONICS_KINDS, *DISTILL_KINDS)
"""Everything that the two nodes of a link say to each other to distil."""


@dataclass(frozen=True)
class Facts:
    """What is public about a block.

    Attributes:
        number: Counts the link's blocks; names the random streams.
        start_s: When it began, photon time since the start of the run.
        block_s: How long it was, photon time.
    """

    number: int
    start_s: float
    block_s: float


class Ended(NamedTuple):
    """How a party ends: its outcome, and how many of its detections calibration disclosed."""

    outcome: Outcome
    sacrificed: int


Matched = tuple[Rounds, int]
"""What a party has of one block: its rounds, and how many of its detections calibration disclosed."""

Seen = tuple[Facts, Detections | Rounds]
"""What a party has of one block to begin with."""


class Party:
    """One end of one link.

    Args:
        scenario: As it was written, without any fault.
        link: Which.
        role: Which end.
        randomness: What this end may draw from.

    Attributes:
        calibrates: Whether clocks are brought together first, which is a search through much data.
        codec: For all that the two ends say to each other.

    Raises:
        ScenarioError: The link is impossible.
    """

    codec: ClassVar[Codec] = CODEC

    def __init__(self, scenario: Scenario, link: str, role: Role, randomness: Randomness) -> None:
        self.link, self.role = link, role
        self._scenario, self._randomness = scenario, randomness
        self._optical = optical_link(scenario, link)
        self._arm = self._optical.alice if role == "alice" else self._optical.bob
        self._assumptions = security.assumptions(self._optical)
        self.calibrates = scenario.run.level == "tags" and self._optical.calibration is not None

    def context(self, blocks: Sequence[Facts]) -> Context:
        """Return which block these are, distilled as one; the same at both ends."""
        return joined_context([self._context(facts) for facts in blocks])

    def distil(self, blocks: Sequence[Seen]) -> Dialogue[Ended]:
        """Go from what this party saw of blocks in a row to its secret block.

        Raises:
            ProtocolError: The peer or the line broke the protocol.
            NoPeakError: Calibration found no correlation.
        """
        contexts = [self._context(facts) for facts, _ in blocks]
        whole = joined_context(contexts)
        params = self._scenario.distill.authentication
        keys = authentication_keys(self.role, params, whole, self._randomness, self.link)
        transcript = keys.transcript() if keys else None
        held, sacrificed = Accumulator(len(contexts)), 0
        for (_, seen), context in zip(blocks, contexts, strict=True):
            if isinstance(seen, Rounds):
                held.hold(context, seen)
                continue
            matching = self._matched(seen, context)
            rounds, disclosed = yield from (transcript.watch(matching) if transcript else matching)
            held.hold(context, rounds)
            sacrificed += disclosed
        _, rounds = held.take()
        run = session.alice if self.role == "alice" else session.bob
        entropy = self._randomness.protocol(whole.block_id, self.role)
        outcome = yield from run(rounds, self._scenario.distill, whole, entropy, keys=keys, transcript=transcript)
        return Ended(outcome, sacrificed)

    def record(
        self, blocks: Sequence[Facts], singles: tuple[int | None, int | None], sacrificed: int, outcome: Outcome
    ) -> BlockRecord:
        """Return the counts of blocks that were distilled as one.

        Args:
            blocks: Which.
            singles: Detections of Alice and of Bob; None where a level has none.
            sacrificed: Detections that calibration disclosed, both ends together.
            outcome: This party's.
        """
        seed = self._scenario.run.seed
        return counted(self.context(blocks), blocks[0].number, seed, singles, sacrificed, outcome)

    def _context(self, facts: Facts) -> Context:
        return Context(
            link=self.link,
            block_id=f"{self.link}/{self._randomness.run}/{facts.number}",
            start_s=facts.start_s,
            end_s=facts.start_s + facts.block_s,
            provenance="simulated",
            mint=self._scenario.kms.mint,
            assumptions=self._assumptions,
        )

    def _matched(self, seen: Detections, context: Context) -> Dialogue[Matched]:
        return self._alice_rounds(seen, context) if self.role == "alice" else self._bob_rounds(seen, context)

    def _alice_rounds(self, seen: Detections, context: Context) -> Dialogue[Matched]:
        """Alice's way from her own time tags of one block to matched rounds; only times are announced."""
        arm, optical = self._arm, self._optical
        timing, window_ps, sacrificed = None, optical.window_ps, 0
        if optical.calibration is not None:
            roles = _roles(arm, (False, False))
            known = analyser.known_timing(arm)
            reach_ps = _delay_reach_ps(arm)
            found = yield from calibration.alice(
                seen, optical.calibration, window_ps, roles, timing=known, delay_reach_ps=reach_ps
            )
            timing, window_ps, sacrificed = found.timing, found.window_ps, found.sacrificed
            seen = found.remainder(seen)
        draw = self._randomness.clicks(context.block_id, "alice")
        own = analyser.clicks(seen, arm, optical.source, window_ps, draw, timing=timing)
        return (yield from coincidence.alice(own, window_ps)), sacrificed

    def _bob_rounds(self, seen: Detections, context: Context) -> Dialogue[Matched]:
        """Bob's way; he inverts bits where the state is anti-correlated."""
        arm, optical = self._arm, self._optical
        timing, window_ps, sacrificed = None, optical.window_ps, 0
        flips = link.bob_flips(optical)
        if optical.calibration is not None:
            found = yield from calibration.bob(seen, optical.calibration, _roles(arm, flips))
            timing, window_ps, sacrificed = found.timing, found.window_ps, found.sacrificed
            seen = found.remainder(seen)
        draw = self._randomness.clicks(context.block_id, "bob")
        own = analyser.clicks(seen, arm, optical.source, window_ps, draw, timing=timing, flips=flips)
        return (yield from coincidence.bob(own)), sacrificed


def authentication_keys(
    role: Role, params: Authentication | None, context: Context, randomness: Randomness, shared: str
) -> AuthenticationKeys | None:
    """Return an end's pool, full as a link's is that has run for long: every session pays back what it spends.

    Both ends draw it alike, and each session has its own, so that blocks do not depend on each other.

    Args:
        role: One's own.
        params: What authenticates; None: nothing does, and there is no pool.
        context: Which block the session distils.
        randomness: What this end may draw from.
        shared: What the two ends' common secret is filed under.
    """
    if params is None:
        return None
    length = gf128.KEY_BYTES + max(params.reserve_bits // 8, LEAST_POOL_BYTES)
    keys = AuthenticationKeys.started(role, randomness.authentication(shared, context.block_id).bytes(length), params)
    keys.admit(context.start_s)
    return keys


def counted(
    context: Context,
    number: int,
    seed: int,
    singles: tuple[int | None, int | None],
    sacrificed: int,
    outcome: Outcome,
) -> BlockRecord:
    """Return the counts of one distillation; arguments as for :meth:`Party.record`."""
    return BlockRecord(
        link=context.link,
        block=number,
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


def clicked(blocks: Sequence[Sized]) -> int | None:
    """Return how many detections one party has of these blocks; None where there are only rounds."""
    return sum(len(each) for each in blocks) if all(isinstance(each, Detections) for each in blocks) else None


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
