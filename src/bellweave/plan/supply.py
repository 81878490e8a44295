"""What one slot gives each link: photons to key that an application can draw, in the mean.

Taken off are switching and synchronising, blocks whose sample shows too many errors, authentication, the KMEs'
confirmation of each part of a block, and what is less than a byte. Drift counts with its mean; faults are left out.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec
from scipy.special import bdtr, pdtrc

from bellweave.distill import accounting
from bellweave.distill.params import Distillation
from bellweave.errors import ScenarioError
from bellweave.kms.records import MAX_BLOCK_BYTES
from bellweave.network.drift import variance_rad2
from bellweave.network.params import Schedule
from bellweave.network.rounds import rounds
from bellweave.photonics.params import Node
from bellweave.plan.link import ExpectedBlock, expected_block
from bellweave.scenario.assemble import lost_s, optical_link
from bellweave.scenario.demand import links_of
from bellweave.scenario.schema import Scenario

BYTE = 8
LEFT_OVER_BITS = (BYTE - 1) / 2.0
"""Mean of what a block holds beyond whole bytes."""


MOMENTS = 64
"""Of a run, over which drift is averaged."""


class SlotYield(msgspec.Struct, frozen=True, kw_only=True):
    """What a slot of one link is expected to give. Where several are distilled as one, a slot's share of it.

    Attributes:
        photon_s: Time in which pairs are detected.
        sifted_bits: Of them.
        qber: Error rate of the sample.
        passing: Share of the blocks that are accepted: enough bits, and a sample not above the threshold.
        key_bits: Key that applications can draw, everything paid, by the accounting that mints.
        paper_bits, provable_bits: Key by these accountings, nothing paid, of a block that passes.
    """

    photon_s: float
    sifted_bits: float
    qber: float
    passing: float
    key_bits: float
    paper_bits: float
    provable_bits: float


def schedule_of(scenario: Scenario) -> Schedule:
    """Return the schedule.

    Raises:
        ScenarioError: The scenario has none.
    """
    if scenario.schedule is None:
        raise ScenarioError("a plan of a network needs a [schedule] table", path="schedule")
    return scenario.schedule


def duration_s(scenario: Scenario) -> float:
    """Return how long the run's slots take by the clock of those who use key."""
    schedule = schedule_of(scenario)
    return (schedule.slots or scenario.run.blocks) * schedule.wall_slot_s


def users_of(scenario: Scenario) -> set[str]:
    """Return the nodes that have links."""
    return {user for ends in links_of(scenario).values() for user in ends}


def turns_of(scenario: Scenario) -> tuple[tuple[str, ...], ...] | None:
    """Return the slots that repeat for ever; None for a scheduler that goes by demand."""
    schedule = schedule_of(scenario)
    match schedule.scheduler:
        case "table":
            return schedule.table
        case "round-robin":
            return rounds(links_of(scenario), schedule.sources)
        case _:
            return None


def slot_yields(scenario: Scenario, links: Iterable[str] | None = None) -> dict[str, SlotYield]:
    """Return what a slot gives, by link; links that are alike are worked out once.

    Args:
        scenario: With a schedule.
        links: Only these.
    """
    turns, known, found = turns_of(scenario), {}, {}
    fresh = {} if turns is None else _switched_shares(turns)
    for name in scenario.link if links is None else links:
        photon_s = _photon_s(scenario, name, fresh.get(name, 1.0))
        alike = msgspec.structs.replace(optical_link(scenario, name), name="", block_s=photon_s)
        key = msgspec.msgpack.encode(alike)
        if key not in known:
            known[key] = _slot_yield(scenario, name, photon_s)
        found[name] = known[key]
    return found


def _photon_s(scenario: Scenario, link: str, switched: float) -> float:
    """Return the part of a slot in which photons count, if so many of a link's slots begin with switching."""
    lost = lost_s(scenario) if scenario.link[link].via_switch else 0.0
    return schedule_of(scenario).slot_s - lost * switched


def _switched_shares(turns: tuple[tuple[str, ...], ...]) -> dict[str, float]:
    """Return the share of a link's slots before which it had none, by link."""
    served, fresh = Counter(name for turn in turns for name in turn), Counter[str]()
    for before, turn in zip((turns[-1], *turns), turns, strict=False):
        fresh.update(set(turn) - set(before))
    return {name: fresh[name] / count for name, count in served.items()}


def _slot_yield(scenario: Scenario, link: str, photon_s: float) -> SlotYield:
    each = msgspec.structs.replace(scenario.link[link], block_s=photon_s)
    drifted = scenario.node | {each.alice: _drifted(scenario, scenario.node[each.alice])}
    block = expected_block(msgspec.structs.replace(scenario, link={link: each}, node=drifted), link)
    together, passing = scenario.distill.accumulate_blocks, _passing(block, scenario)
    final = block.quantities["final_bits"]
    parts = math.ceil(final / (BYTE * MAX_BLOCK_BYTES))
    usable = max(0.0, final - LEFT_OVER_BITS - parts * scenario.kms.confirmation_bits)
    return SlotYield(
        photon_s=photon_s,
        sifted_bits=block.quantities["sifted_bits"] / together,
        qber=block.quantities["qber"],
        passing=passing,
        key_bits=passing * usable / together,
        paper_bits=block.accountings["paper"] / together,
        provable_bits=block.accountings["provable"] / together,
    )


def _drifted(scenario: Scenario, node: Node) -> Node:
    """Return a node that has the mean drift of both ends of a link.

    A Gaussian angle of variance v about Y scales all correlations by exp(-v/2), as white noise of that weight does.
    Both ends drift alike and independently, so v is twice that of one.
    """
    if scenario.drift is None:
        return node
    end_s = duration_s(scenario) * schedule_of(scenario).speed  # drift goes by photon time
    moments_s = ((at + 0.5) / MOMENTS * end_s for at in range(MOMENTS))
    variance = 2.0 * sum(variance_rad2(scenario.drift, at_s) for at_s in moments_s) / MOMENTS
    kept = (1.0 - node.noise.depolarising_probability) * math.exp(-variance / 2.0)
    noise = msgspec.structs.replace(node.noise, depolarising_probability=1.0 - kept)
    return msgspec.structs.replace(node, noise=noise)


def _passing(block: ExpectedBlock, scenario: Scenario) -> float:
    """Return the probability that a block is not rejected: Poisson for its length, binomial for its sample."""
    params: Distillation = scenario.distill
    limit = accounting.threshold(params) if scenario.kms.mint == "provable" else params.qber_limit
    numbers: Mapping[str, float] = block.quantities
    sample = round(numbers["sample_bits"])
    # a hair above the product, so that 0.29 * 100 lets 29 errors pass
    few_errors = float(bdtr(math.floor(limit * sample + 1e-9), sample, numbers["qber"])) if sample else 0.0
    return few_errors * float(pdtrc(params.minimum_sifted_bits - 1, numbers["sifted_bits"]))
