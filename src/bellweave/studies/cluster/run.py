"""Run the study: all panels, the claims, the report."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bellweave.results.io import write_report
from bellweave.results.panels import Panel
from bellweave.results.records import Report, Row
from bellweave.studies.cluster.approach import approach
from bellweave.studies.cluster.approach import rows as approach_rows
from bellweave.studies.cluster.claims import Claim, judge
from bellweave.studies.cluster.curves import PANELS

STUDY = "cluster"
SEED = 1


@dataclass(frozen=True)
class ClusterStudy:
    """What the study found.

    Attributes:
        panels: The six figures, by name.
        approach: How close finite memories come to Eq. 9.
    """

    panels: dict[str, Panel]
    approach: Panel
    claims: tuple[Claim, ...]
    report: Report


def steps() -> int:
    """Return how often a run calls its ``advance``."""
    return len(PANELS) + 1


def run(out: Path, *, seed: int | None = None, advance: Callable[[str], None] | None = None) -> ClusterStudy:
    """Compute and simulate all figures, judge the claims, write ``report.json``.

    Args:
        out: Directory.
        seed: Of every random stream; default 1.
        advance: Called with what has just been done.
    """
    tell = advance or (lambda _: None)
    panels = {}
    for name, make in PANELS.items():
        panels[name] = make(SEED if seed is None else seed)
        tell(panels[name].title)
    close = approach(SEED if seed is None else seed)
    tell(close.title)
    claims = judge(panels)
    report = Report(study=STUDY, rows=(*map(_row, claims), *approach_rows(close)), flags={"printed": _flags(claims)})
    write_report(out, report)
    return ClusterStudy(panels, close, claims, report)


def _row(claim: Claim) -> Row:
    """Return a claim as a row; ``printed`` is null, because the paper prints no value."""
    return Row(
        quantity=f"{claim.figure}: {claim.measure}",
        unit=claim.unit,
        theory=claim.theory,
        mean=claim.simulated,
        stderr=claim.stderr,
        n=claim.n,
        note=f"{claim.words}: {claim.verdict}; {claim.because}",
    )


def _flags(claims: tuple[Claim, ...]) -> tuple[str, ...]:
    """Return what does not hold as the paper says it."""
    wrong = [f"{claim.figure}: {claim.words}: {claim.verdict}" for claim in claims if claim.verdict != "holds"]
    return (
        *wrong,
        "Eq. 9 is 0/0 for one hop; the rate is m p there",
        "Eq. 10 counts p twice: it divides the time of a link, which holds 1/p, by the rate, which holds p",
        "Eq. 10 sums over i = 0..k, one edge too many",
    )
