"""What a link's blocks would prove if they were distilled as one: a closed form over measured counts."""

from collections.abc import Sequence
from dataclasses import dataclass

from bellweave.distill.finite_key import planning
from bellweave.distill.finite_key.planning import Conditions
from bellweave.distill.ledger import Estimate
from bellweave.results.network_records import BlockDistilled
from bellweave.scenario.schema import Scenario

EFFICIENCY = 1.05
"""Disclosed parities over the Shannon minimum, with today's reconciliation."""

SIGMAS = 2.0
"""How far above the error rate the threshold lies; one honest statement in forty then fails."""


@dataclass(frozen=True)
class Proof:
    """What accumulation gives.

    Attributes:
        bits: Provable key of all blocks distilled as one.
        key_s: When the blocks so far are enough for one key; None: never.
    """

    bits: int
    key_s: float | None


def proof(scenario: Scenario, blocks: Sequence[BlockDistilled], key_bits: int) -> Proof:
    """Return what blocks of one link would prove, and when that is first enough for a key of ``key_bits``.

    Rejected blocks count too: which blocks are joined may not depend on their errors.
    """
    records = [event.block for event in blocks]
    estimate = sum((record.estimate for record in records), Estimate())
    if estimate.qber is None:
        return Proof(0, None)
    given = Conditions(qber=estimate.qber, efficiency=EFFICIENCY, epsilon=scenario.distill.epsilon, sigmas=SIGMAS)

    def proven(count: int) -> float:
        return planning.accumulated(sum(record.ledger.sifted for record in records[:count]), 1, given)

    bits = int(proven(len(records)))
    if bits < key_bits:
        return Proof(bits, None)
    low, high = 0, len(records)
    while high - low > 1:
        middle = (low + high) // 2
        if proven(middle) >= key_bits:
            high = middle
        else:
            low = middle
    return Proof(bits, blocks[high - 1].at_s)
