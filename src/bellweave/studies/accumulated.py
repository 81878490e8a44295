"""What a link gives when its blocks are distilled as one: closed forms by number of blocks, and one real distillation.

The study's own run mints block by block, as its paper does. Here the same link is simulated once more, at the level of
coincidences: the rounds of all blocks are held, then both parties distil them together with the best sample, a
threshold two standard deviations above the expected error rate, and today's reconciliation.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from bellweave.distill import accounting
from bellweave.distill.finite_key import planning
from bellweave.distill.finite_key.planning import Conditions
from bellweave.distill.finite_key.proofs import PROOFS, ProofName
from bellweave.distill.params import Distillation
from bellweave.plan import EFFICIENCY, expected_block
from bellweave.results.records import BlockRecord, Row
from bellweave.scenario.schema import Scenario
from bellweave.sim.run import simulate

SIGMAS = 2.0
"""How far above the expected error rate the threshold lies; one honest statement in forty then fails."""

SHOWN = (1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 70, 100)
"""Numbers of blocks that closed forms are evaluated for, as far as there are as many."""


@dataclass(frozen=True)
class Accumulated:
    """A link's blocks distilled as one.

    Attributes:
        blocks: How many.
        block_s: How long each took.
        params: How they were distilled.
        record: What that gave.
        by_proof: Key length of that by each proof, >= 0.
        curves: By proof, (number of blocks, expected provable bits a block).
        sampling_free: Expected provable bits of all blocks if corrected errors replaced the sample.
        first_blocks: How many blocks the first provable key is expected to take; None: no number suffices.
    """

    blocks: int
    block_s: float
    params: Distillation
    record: BlockRecord
    by_proof: Mapping[ProofName, int]
    curves: Mapping[ProofName, Sequence[tuple[int, float]]]
    sampling_free: float
    first_blocks: float | None


def accumulate(scenario: Scenario, blocks: int) -> Accumulated:
    """Distil that many blocks of a scenario's only link as one, and say what to expect of any number of them."""
    (link,) = scenario.link
    expected = expected_block(scenario, link).quantities
    per_block, qber = expected["sifted_bits"], expected["qber"]
    given = Conditions(qber=qber, efficiency=EFFICIENCY, epsilon=scenario.distill.epsilon, sigmas=SIGMAS)
    total = round(per_block * blocks)
    split = planning.best_split(total, given)
    params = msgspec.structs.replace(
        scenario.distill,
        accumulate_blocks=blocks,
        sample_fraction=round(split.sample / total, 3),
        qber_threshold=min(math.ceil(1000.0 * given.limit(split.sample)) / 1000.0, scenario.distill.qber_limit),
        reconciliation="low-latency",
    )
    together = msgspec.structs.replace(
        scenario,
        distill=params,
        kms=msgspec.structs.replace(scenario.kms, mint="provable"),
        run=msgspec.structs.replace(scenario.run, blocks=blocks, level="coincidences"),
    )
    (record,) = simulate(together, workers=1).records
    curves = {
        proof: [(n, planning.accumulated(per_block, n, replace(given, proof=proof)) / n) for n in SHOWN if n <= blocks]
        for proof in PROOFS
    }
    needed = planning.needed_bits(given)
    return Accumulated(
        blocks=blocks,
        block_s=scenario.link[link].block_s,
        params=params,
        record=record,
        by_proof=_lengths(record, params),
        curves=curves,
        sampling_free=planning.accumulated_sampling_free(per_block, blocks, given),
        first_blocks=None if needed is None else needed / per_block,
    )


def rows(found: Accumulated) -> tuple[Row, ...]:
    """Return the report's rows about accumulation; they are over all blocks together, not per block."""
    n = found.blocks
    how = (
        f"all {n} blocks distilled as one: a sample of {found.params.sample_fraction:.0%}, threshold "
        f"{found.params.qber_threshold:.1%} fixed beforehand, epsilon {found.params.epsilon:g}, proof TL17"
    )
    if found.record.rejection is not None:
        how += f"; this time: {found.record.rejection}"
    notes: dict[ProofName, str] = {
        "tl17": how,
        "lim21": "the same blocks by the proof of Lim et al. 2021; shown, not minted",
        "exact": "the same blocks by the exact hypergeometric tail: not peer reviewed, shown, never minted",
    }
    expected = {proof: dict(curve).get(n) for proof, curve in found.curves.items()}
    table = [
        Row(
            quantity=f"{n} blocks as one",
            unit="bit",
            accounting="provable" if proof == "tl17" else proof,
            theory=None if (each := expected[proof]) is None else each * n,
            mean=float(found.by_proof.get(proof, 0)),
            n=1,
            note=note,
        )
        for proof, note in notes.items()
    ]
    table.append(
        Row(
            quantity=f"{n} blocks as one",
            unit="bit",
            accounting="sampling-free",
            theory=found.sampling_free,
            note="closed form, no sample: errors corrected in one basis speak for the other; not peer reviewed",
        )
    )
    ours = found.record.ledger.final / (n * found.block_s)
    theory = expected["tl17"]
    table.append(
        Row(
            quantity=f"{n} blocks as one, rate",
            unit="bit/s",
            accounting="provable",
            theory=None if theory is None else theory / found.block_s,
            mean=ours,
            n=1,
            note=how,
        )
    )
    first = found.first_blocks
    why = "closed form: fewest blocks with provable key (TL17), the best sample, f = 1.05"
    if first is not None:
        why += f"; {first * found.block_s:.0f} s of photons"
    table.append(Row(quantity="blocks to first key", unit="", accounting="provable", theory=first, note=why))
    return tuple(table)


def _lengths(record: BlockRecord, params: Distillation) -> dict[ProofName, int]:
    if not record.accountings:
        return {}
    found = accounting.by_proof(record.ledger, record.estimate, params)
    return {proof: max(0, length) for proof, length in found.items()}
