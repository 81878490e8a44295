"""``bellweave reproduce``: a published system against its printed numbers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bellweave.cli.terminal import Json, Seed, Workers

if TYPE_CHECKING:
    from bellweave.results.records import Report
    from bellweave.studies.link_study import LinkStudy


def reproduce(
    study: Annotated[
        Literal["vienna2004", "datacenter-link", "datacenter", "cluster", "routing"],
        typer.Argument(
            help="vienna2004: point to point, 12.45 dB. datacenter-link: two arms of 7.83 dB and a switch. "
            "datacenter: the whole network, four users and twelve tunnels, with several seeds; takes about a minute. "
            "cluster: the six figures of the cluster paper, and what their captions claim. "
            "routing: what that paper leaves open, every router against the optimum; takes minutes."
        ),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Directory for report.json, records and figures; default out/STUDY.")
    ] = None,
    blocks: Annotated[int, typer.Option(min=2, help="Blocks of a link; the paper has 100, its network always.")] = 100,
    seed: Seed = None,
    workers: Workers = None,
    figures: Annotated[bool, typer.Option(help="Draw the figures.")] = True,
    as_json: Json = False,
) -> None:
    """Run a published system: printed numbers, what theory expects, ours with standard error, and why they differ."""
    if study == "datacenter":
        from bellweave.cli import datacenter

        datacenter.run_and_show(out or Path("out") / study, seed=seed, figures=figures, as_json=as_json)
        return
    if study == "cluster":
        from bellweave.cli import cluster

        cluster.run_and_show(out or Path("out") / study, seed=seed, figures=figures, as_json=as_json)
        return
    if study == "routing":
        from bellweave.cli import routing

        routing.run_and_show(out or Path("out") / study, seed=seed, figures=figures, as_json=as_json)
        return
    run_and_show(
        study, out or Path("out") / study, blocks=blocks, seed=seed, workers=workers, figures=figures, as_json=as_json
    )


def run_and_show(
    study: str, out: Path, *, blocks: int, seed: int | None, workers: int | None, figures: bool, as_json: bool
) -> None:
    """Run a study, draw its figures, print its table."""
    import msgspec

    from bellweave.cli.terminal import print_report, progress
    from bellweave.studies import link_study

    with progress(f"reproduce {study}", quiet=as_json) as advance:
        done = link_study.run(study, out, blocks=blocks, seed=seed, workers=workers, progress=advance)
    drawn = draw(done, out) if figures else []
    page = study_page(done.report, done.published.title, out) if figures else None
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(done.report), indent=2))
        return
    print_report(done.report, f"{done.published.title}: {blocks} blocks of {done.optical.block_s} s, seed {done.seed}")
    typer.echo(f"report: {out / 'report.json'}")
    typer.echo(f"figures: {', '.join(path.name for path in drawn if path.suffix == '.png')} (and .svg) in {out}")
    if page is not None:
        typer.echo(f"page: {page}")


def study_page(report: "Report", title: str, out: Path) -> Path:
    """Write the page of a study from its report and the figures in its directory; return its path."""
    from bellweave.report import html

    pictures = [html.Picture(file, file.stem.replace("-", " ")) for file in sorted(out.glob("*.svg"))]
    flagged = [f"What does not hold, {whose}: {'; '.join(found)}." for whose, found in report.flags.items() if found]
    sections = (
        html.Section("Numbers", flagged, (), html.report_tables(report)),
        html.Section("Figures", (), pictures),
    )
    return html.write(out, html.page(title, "Printed numbers, what theory expects, and ours.", {}, sections))


def accumulation(done: "LinkStudy", directory: Path) -> list[Path]:
    """Draw what distilling blocks as one gives."""
    from bellweave.distill.finite_key.proofs import PROOFS
    from bellweave.report import link_figures as figures

    found = done.together
    curves = {PROOFS[proof].method: curve for proof, curve in found.curves.items()}
    simulated = (found.blocks, found.by_proof["tl17"] / found.blocks) if found.by_proof else None
    printed = done.published.numbers.get("final_bits")
    return figures.accumulation(curves, simulated, printed, done.published.title, directory)


def draw(done: "LinkStudy", directory: Path) -> list[Path]:
    """Draw a study's figures into its directory; return their paths."""
    from bellweave.report import link_figures as figures

    title, blocks = done.published.title, done.records
    paths = figures.block_panels(blocks, title, done.published.numbers, directory)
    paths += figures.waterfall(blocks, title, directory)
    paths += figures.loss_budget(done.optical, title, directory)
    paths += figures.accountings(blocks, title, done.published.numbers.get("final_bits"), directory)
    paths += accumulation(done, directory)
    if done.scan:
        points = [(point.qber, point.ours, point.theory) for point in done.scan]
        paths += figures.qber_scan(points, title, directory)
    return paths
