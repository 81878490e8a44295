"""``bellweave reproduce routing``: routers on several networks, each against the optimum."""

from pathlib import Path

import typer

TITLE = "Routers of a backbone against the optimum"

SEED = 1
SETS = 2
"""Sets of demands for each network."""

NETWORKS = 4


def run_and_show(out: Path, *, seed: int | None, figures: bool, as_json: bool) -> None:
    """Run the study into a directory, draw its figure, print its table."""
    import msgspec

    from bellweave.cli.reproduce import study_page
    from bellweave.cli.terminal import counted, print_report
    from bellweave.results.io import write_report
    from bellweave.results.records import Report
    from bellweave.studies import routing

    compared = []
    with counted("reproduce routing", NETWORKS * SETS, quiet=as_json) as advance:
        for setting in routing.settings(SEED if seed is None else seed, sets=SETS):
            compared += routing.compare(setting)
            advance(setting.name)
    report = Report(study="routing", rows=routing.rows(compared))
    write_report(out, report)
    page = None
    if figures:
        from bellweave.report import routing_figures

        routing_figures.shares(routing.by_case(compared), out)
        page = study_page(report, TITLE, out)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
        return
    print_report(report, TITLE, heads=("share of the optimum", "sets"))
    typer.echo(f"report: {out / 'report.json'}")
    if page is not None:
        typer.echo(f"page: {page}; the figure (.png and .svg) beside it")
