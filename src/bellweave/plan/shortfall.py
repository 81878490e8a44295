"""Why a design can't be: words with the numbers that matter."""

import math

from bellweave.distill import accounting
from bellweave.distill.finite_key import planning
from bellweave.distill.finite_key.planning import Conditions
from bellweave.plan.link import EFFICIENCY
from bellweave.plan.supply import SlotYield, schedule_of, users_of
from bellweave.scenario.schema import Scenario

HARDLY = 1e-3
"""Share of blocks below which none is said to pass."""


def reason(made: Scenario, quantity: str, slot: SlotYield) -> str:
    """Return why more of a quantity does not help."""
    match quantity:
        case "brightness":
            return (
                f"{slot.passing:.0%} of the blocks pass the limit of {_limit(made):.1%}; dimmer sources give fewer "
                "pairs, brighter ones more accidental coincidences"
            )
        case "sources":
            users = len(users_of(made))
            return f"{users} users make at most {users // 2} pairs at once"
        case "slot":
            return f"in slots of {schedule_of(made).slot_s:.4g} s nothing is left to gain"
        case "users":
            return "so not even two users can be served"
        case _:  # a longer period always is, where there is any key
            return ""


def missing(made: Scenario, slot: SlotYield) -> str:
    """Return what a block lacks that gives no key."""
    params, limit, together = made.distill, _limit(made), made.distill.accumulate_blocks
    if slot.passing < HARDLY:
        return f"no block passes the limit of {limit:.1%} with {params.minimum_sifted_bits} sifted bits or more"
    if made.kms.mint != "provable":
        return "correction and privacy amplification take all of them"
    given = Conditions(
        qber=slot.qber,
        efficiency=EFFICIENCY,
        epsilon=params.epsilon,
        threshold=limit,
        sample_fraction=params.sample_fraction,
        tag_bits=params.verification_bits,
    )
    bits = planning.needed_bits(given)
    if bits is None:
        return f"with a threshold of {limit:.1%} no block is long enough for a provable key"
    return (
        f"a provable key (threshold {limit:.1%}) takes {bits} of them, a block has {slot.sifted_bits * together:.0f}: "
        f"distill.accumulate_blocks = {math.ceil(bits / max(slot.sifted_bits, 1e-9))} gives the first"
    )


def _limit(made: Scenario) -> float:
    """Return the error rate of the sample up to which a block gives key."""
    return accounting.threshold(made.distill) if made.kms.mint == "provable" else made.distill.qber_limit
