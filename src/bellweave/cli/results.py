"""``bellweave results``: read run directories, add runs up."""

from pathlib import Path
from typing import Annotated

import typer

from bellweave.cli.terminal import Json

app = typer.Typer(no_args_is_help=True, help="Read run directories and add runs up.")


@app.command()
def show(
    directories: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run directories of one scenario; they add up.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Print the table of one run, or of runs of one scenario added up; killed runs count with what they have."""
    import msgspec

    from bellweave.cli.terminal import print_report
    from bellweave.results.io import add, read_manifest, read_run
    from bellweave.results.records import Report
    from bellweave.scenario.load import load
    from bellweave.studies.table import rows

    if read_manifest(directories[0]).verb.startswith("simulate-wide"):
        from bellweave.cli import wide

        wide.show(directories, as_json=as_json)
        return
    runs = [read_run(directory) for directory in directories]
    records = add(runs)
    scenario = load(directories[0] / "scenario.toml")
    report = Report(study=scenario.name, rows=rows(scenario, records))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
        return
    for directory, run in zip(directories, runs, strict=True):
        wanted = len(run.manifest.wanted())
        state = "complete" if run.complete else f"cut short, {len(run.records)} of {wanted} blocks"
        typer.echo(f"{directory}: {run.manifest.scenario}, seed {run.manifest.seed}, {state}")
    print_report(report, f"{scenario.name}: {len(records)} blocks")
