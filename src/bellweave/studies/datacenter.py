"""The data-centre paper's network: its run with several seeds, what theory expects, and what may explain its Fig. 6.

Three accountings stand side by side: ``paper`` mints the keys of the run; ``provable`` is what the same blocks would
prove if each link's were distilled as one; ``as-printed`` removes the printed 13 bits and never mints. What its keys
would have been is counted by hand (:mod:`bellweave.studies.datacenter_counting`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bellweave.distill import flags
from bellweave.distill.finite_key import planning
from bellweave.distill.finite_key.planning import Conditions
from bellweave.plan import expected_block
from bellweave.results.io import write_report
from bellweave.results.network_records import BlockDistilled
from bellweave.results.records import Report
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import NetworkRun, simulate_network
from bellweave.sim.network.proven import EFFICIENCY, SIGMAS
from bellweave.sim.network.summary import NetworkSummary, summarise
from bellweave.studies import datacenter_counting as counting
from bellweave.studies import datacenter_rows, scaling, schedulers
from bellweave.studies.datacenter_hypotheses import Found, hypotheses, try_all
from bellweave.studies.datacenter_rows import Expected
from bellweave.studies.published import Published, studies
from bellweave.studies.scaling import Scaling
from bellweave.studies.schedulers import Compared

STUDY = "datacenter"

SEEDS = 5
"""Runs of the paper's 100 blocks."""

TRIED_SEEDS = 3
"""Runs of each hypothesis."""

SCALED_USERS = (4, 8, 16)
"""Numbers of users that are simulated."""

BUSY = ("alice-bob", "alice-charlie")
"""Links that have tunnels where schedulers are compared under uneven demand."""

Advance = Callable[[str], None]
"""Called with what has just been done."""


@dataclass(frozen=True)
class DatacenterStudy:
    """What the study found; figures are drawn from it.

    Attributes:
        runs, summaries: One a seed; the first is in the directory.
        expected: By accounting.
        printed_moments_s: When sessions begin, counted by hand, if each block gave the printed 554 bits.
        tried: The hypotheses.
        compared: By situation, the schedulers.
        scalings: The paper's devices, and today's.
    """

    published: Published
    runs: tuple[NetworkRun, ...]
    summaries: tuple[NetworkSummary, ...]
    expected: Mapping[str, Expected]
    printed_moments_s: tuple[float, ...]
    tried: tuple[Found, ...]
    compared: Mapping[str, tuple[Compared, ...]]
    scalings: tuple[Scaling, ...]
    report: Report


def steps() -> int:
    """Return how often a run of the study calls its ``advance``."""
    return SEEDS + len(hypotheses()) + 2 + 2


def run(out: Path, *, seed: int | None = None, advance: Advance | None = None) -> DatacenterStudy:
    """Run the study and write the first run's records and ``report.json``.

    Args:
        out: Directory.
        seed: First seed; default the preset's.
        advance: Called after each step.
    """
    tell = advance or (lambda _: None)
    scenario = load(STUDY)
    first = scenario.run.seed if seed is None else seed
    runs = []
    for number in range(SEEDS):
        how = msgspec.structs.replace(scenario.run, seed=first + number)
        seeded = msgspec.structs.replace(scenario, run=how)
        runs.append(simulate_network(seeded, out / "run" if number == 0 else None))
        tell(f"the paper's run, seed {first + number}")
    summaries = tuple(summarise(each) for each in runs)
    pairs = list(zip(runs, summaries, strict=True))
    tried = []
    for found in try_all(scenario, range(first, first + TRIED_SEEDS), hypotheses(), lambda: None):
        tried.append(found)
        tell(found.hypothesis.name)
    published, expected = studies()[STUDY], expectations(scenario)
    printed_moments_s = _moments_s(scenario, counting.expected(scenario, block_bits=published.numbers["final_bits"]))
    compared, scalings = _compared(scenario, tell), _scalings(scenario, tell)
    rows = datacenter_rows.rows(published, pairs, expected)
    rows += datacenter_rows.of_hypotheses(published, tried, len(printed_moments_s))
    rows += schedulers.rows(compared)
    rows += tuple(row for each in scalings for row in scaling.rows(each))
    report = Report(study=STUDY, rows=rows, flags=_flags(scenario, published, runs))
    write_report(out, report)
    return DatacenterStudy(
        published=published,
        runs=tuple(runs),
        summaries=summaries,
        expected=expected,
        printed_moments_s=printed_moments_s,
        tried=tuple(tried),
        compared=compared,
        scalings=scalings,
        report=report,
    )


def expectations(scenario: Scenario) -> dict[str, Expected]:
    """Return what theory expects of a run of the preset, by accounting."""
    link = next(iter(scenario.link))
    block = expected_block(scenario, link)
    found = {}
    for accounting in ("paper", "as-printed"):
        moments_s = _moments_s(scenario, counting.expected(scenario, accounting=accounting))
        quantities = {**block.quantities, "final_bits": block.accountings[accounting]}
        found[accounting] = Expected(quantities, len(moments_s), moments_s, moments_s[0] if moments_s else None)
    schedule = scenario.schedule
    slots = (schedule.slots if schedule else None) or scenario.run.blocks
    given = Conditions(
        qber=block.quantities["qber"], efficiency=EFFICIENCY, epsilon=scenario.distill.epsilon, sigmas=SIGMAS
    )
    turns = [(slots - at + len(scenario.link) - 1) // len(scenario.link) for at in range(len(scenario.link))]
    proven = [planning.accumulated(block.quantities["sifted_bits"], each, given) for each in turns]
    key_bits = min(tunnel.key_bits for tunnel in scenario.tunnel.values())
    keys = sum(int(bits // key_bits) for bits in proven)
    provable = {**block.quantities, "final_bits": sum(proven) / slots}
    return found | {"provable": Expected(provable, keys, (), None)}


def _moments_s(scenario: Scenario, supply: counting.Supply) -> tuple[float, ...]:
    return tuple(served.at_s for served in counting.count(scenario, supply, _duration_s(scenario)))


def _duration_s(scenario: Scenario) -> float:
    schedule = scenario.schedule
    return (schedule.slots or scenario.run.blocks) * schedule.slot_s if schedule else 0.0


def _compared(scenario: Scenario, tell: Advance) -> dict[str, tuple[Compared, ...]]:
    """Compare schedulers as printed, and where only two links have tunnels."""
    fast = msgspec.structs.replace(scenario, run=msgspec.structs.replace(scenario.run, level="coincidences"))
    few = {name: each for name, each in fast.tunnel.items() if name.startswith(BUSY)}
    found = {}
    for situation, tried in (
        ("twelve tunnels on six links", fast),
        ("four tunnels on two of six links", msgspec.structs.replace(fast, tunnel=few)),
    ):
        found[situation] = tuple(schedulers.compare(tried))
        tell(f"schedulers: {situation}")
    return found


def _scalings(scenario: Scenario, tell: Advance) -> tuple[Scaling, ...]:
    paper = scaling.scale(scenario, "the paper's devices", SCALED_USERS)
    tell("more users, the paper's devices")
    modern = scaling.scale(load("datacenter-modern"), "devices of today", ())
    tell("more users, devices of today")
    return paper, modern


def _flags(scenario: Scenario, published: Published, runs: Sequence[NetworkRun]) -> dict[str, tuple[str, ...]]:
    """Return what does not hold in the printed numbers and in the first run's, by the same rules."""
    name, link = next(iter(scenario.link.items()))
    qber = expected_block(scenario, name).quantities["qber"]
    blocks = [event.block for event in runs[0].events if isinstance(event, BlockDistilled)]
    minted = [(block.ledger, block.corrections, block.accountings) for block in blocks if block.rejection is None]
    printed = published.figures(qber, link.block_s, scenario.distill.epsilon)
    return {
        "printed": tuple(flags.flags(printed, scenario.distill)),
        "ours": tuple(flags.of_mean(minted, scenario.distill, link.block_s)),
    }
