"""A published link: simulate it, expect it, put both beside the printed numbers."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bellweave.distill import flags
from bellweave.photonics.params import Noise, OpticalLink
from bellweave.plan import expected_block
from bellweave.results.io import write_report
from bellweave.results.records import BlockRecord, Report, Row
from bellweave.results.summary import accounting_mean
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.load import load
from bellweave.scenario.schema import Run, Scenario
from bellweave.sim.run import Progress, simulate
from bellweave.studies import accumulated
from bellweave.studies.accumulated import Accumulated
from bellweave.studies.published import Published, studies
from bellweave.studies.table import rows

SCAN_BLOCKS = 40
"""Blocks a point of a scan; the standard error of the paper's accounting is then about 8 bits."""


@dataclass(frozen=True)
class ScanPoint:
    """One QBER of a scan: by accounting, our mean and its standard error, and what theory expects, in bits a block.

    Rejected blocks, counted by reason, are part of the mean with 0 bits; theory knows the mean block only.
    """

    qber: float
    ours: Mapping[str, tuple[float, float]]
    theory: Mapping[str, float]
    rejected: Mapping[str, int]


@dataclass(frozen=True)
class LinkStudy:
    """What a study found; figures are drawn from it."""

    published: Published
    seed: int
    optical: OpticalLink
    records: Sequence[BlockRecord]
    scan: Sequence[ScanPoint]
    together: Accumulated
    report: Report


def run(
    study: str,
    out: Path,
    *,
    blocks: int = 100,
    seed: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> LinkStudy:
    """Run a study and write its records and ``report.json``.

    Args:
        study: Name in :func:`~bellweave.studies.published.studies`.
        out: Directory; an unfinished run of the same study in it goes on.
        blocks: Number of blocks.
        seed: Seed; default the preset's.
        workers: Processes; default one a core.
        progress: Called after each block.
    """
    published = studies()[study]
    scenario = load(study)
    how = Run(seed=scenario.run.seed if seed is None else seed, blocks=blocks, level=scenario.run.level)
    scenario = msgspec.structs.replace(scenario, run=how)
    result = simulate(scenario, out / "run", workers=workers, progress=progress)
    (name,) = scenario.link
    scan = [_scan_point(scenario, qber) for qber in published.qber_scan]
    together = accumulated.accumulate(scenario, blocks)
    table = rows(scenario, result.records, published=published) + accumulated.rows(together)
    table += tuple(_scan_row(point) for point in scan)
    report = Report(study=study, rows=table, flags=_flags(scenario, published, result.records))
    write_report(out, report)
    return LinkStudy(published, how.seed, optical_link(scenario, name), result.records, scan, together, report)


def _flags(scenario: Scenario, published: Published, records: Sequence[BlockRecord]) -> dict[str, tuple[str, ...]]:
    """Return what does not hold in the printed numbers and in ours, by the same rules."""
    (name,) = scenario.link
    block_s, qber = scenario.link[name].block_s, expected_block(scenario, name).quantities["qber"]
    minted = [(r.ledger, r.corrections, r.accountings) for r in records if r.rejection is None]
    return {
        "printed": tuple(flags.flags(published.figures(qber, block_s, scenario.distill.epsilon), scenario.distill)),
        "ours": tuple(flags.of_mean(minted, scenario.distill, block_s)),
    }


def _scan_point(scenario: Scenario, qber: float) -> ScanPoint:
    """Simulate some blocks of the study's link with noise that gives this QBER in total, shared by both arms."""
    sigma = rotation_sigma_rad(qber)
    nodes = {
        name: msgspec.structs.replace(node, noise=Noise(rotation_sigma_rad=sigma))
        for name, node in scenario.node.items()
    }
    how = msgspec.structs.replace(scenario.run, blocks=SCAN_BLOCKS, level="coincidences")
    scenario = msgspec.structs.replace(scenario, node=nodes, run=how)
    (name,) = scenario.link
    expected = expected_block(scenario, name)
    records = simulate(scenario, workers=1).records  # too short for a process to pay
    ours = {each: accounting_mean(records, each) for each in expected.accountings}
    return ScanPoint(
        qber=qber,
        ours={each: (m.value, m.stderr or 0.0) for each, m in ours.items() if m is not None},
        theory=expected.accountings,
        rejected=Counter(record.rejection for record in records if record.rejection is not None),
    )


def rotation_sigma_rad(qber: float) -> float:
    """Return the deviation per arm that gives this QBER over two equal arms: (1 - exp(-sigma^2))/2 solved for sigma.

    >>> round(rotation_sigma_rad(0.06405), 4)
    0.3702
    """
    return math.sqrt(-math.log(1.0 - 2.0 * qber))


def _scan_row(point: ScanPoint) -> Row:
    value, stderr = point.ours["paper"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(point.rejected.items()))
    return Row(
        quantity=f"final_bits at QBER {point.qber:.0%}",
        unit="bit",
        accounting="paper",
        theory=point.theory["paper"],
        mean=value,
        stderr=stderr,
        n=SCAN_BLOCKS,
        note=f"rejected blocks count 0: {reasons}" if reasons else "",
    )
