"""``bellweave reproduce cluster``: the cluster paper's six figures, and what their captions claim."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bellweave.report.html import Section, Table
    from bellweave.studies.cluster.run import ClusterStudy

TITLE = "A cluster-based QKD network: six figures"

LEAD = (
    "The cluster paper prints almost none of its figures' parameters and no value at all. So the captions' claims are "
    "the test, one by one, by theory and by simulation; axes and curves of our choice are marked as such."
)

HOW = (
    "Lines are closed forms, points are simulated chains whose memories are finite: they lie below Eq. 9, which is the "
    "optimum for memories that never fill, and come closer to it the larger the memories are (last figure)."
)


def run_and_show(out: Path, *, seed: int | None, figures: bool, as_json: bool) -> None:
    """Run the study into a directory, draw its figures, print the claims."""
    import msgspec

    from bellweave.cli.terminal import counted, print_report
    from bellweave.studies.cluster import run

    with counted("reproduce cluster", run.steps(), quiet=as_json) as advance:
        study = run.run(out, seed=seed, advance=advance)
    page = write_page(study, out) if figures else None
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(study.report), indent=2))
        return
    print_report(study.report, TITLE, heads=("claim", "n"))
    verdicts = [claim.verdict for claim in study.claims]
    counts = ", ".join(f"{verdicts.count(each)} {each}" for each in sorted(set(verdicts)))
    typer.echo(f"{len(verdicts)} claims: {counts}")
    typer.echo(f"report: {out / 'report.json'}")
    if page is not None:
        typer.echo(f"page: {page}; figures (.png and .svg) beside it")


def write_page(study: "ClusterStudy", out: Path) -> Path:
    """Draw all figures of the study and write its page; return the page's path."""
    from bellweave.report import cluster_figures, html

    cluster_figures.together(list(study.panels.values()), out, "all-figures")
    pictures = [
        html.Picture(cluster_figures.draw(panel, out)[1], f"Of our choice: {panel.chosen}. Line: {panel.theory}.")
        for panel in (*study.panels.values(), study.approach)
    ]
    sections = (
        html.Section("Claims", study.report.flags["printed"], (), [_claims(study)]),
        html.Section("Figures", (HOW,), pictures),
        _numbers(study),
    )
    return html.write(out, html.page(TITLE, LEAD, _facts(study), sections))


def _claims(study: "ClusterStudy") -> "Table":
    from bellweave.report import html

    rows = [(claim.figure, claim.words, claim.verdict, claim.because) for claim in study.claims]
    return html.Table("What the captions claim", ("figure", "claim", "verdict", "because"), rows)


def _numbers(study: "ClusterStudy") -> "Section":
    from bellweave.report import html

    return html.Section("All numbers", (), (), html.report_tables(study.report))


def _facts(study: "ClusterStudy") -> dict[str, str]:
    verdicts = [claim.verdict for claim in study.claims]
    return {each: str(verdicts.count(each)) for each in ("holds", "holds with a correction", "does not hold")}
