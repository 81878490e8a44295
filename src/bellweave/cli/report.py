"""``bellweave report``: one HTML file of a run or study, to read and to send on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bellweave.results.records import Report
    from bellweave.roles.run import NetworkRun


def report(
    directory: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Directory of a run or of a study.")],
    *,
    compare: Annotated[
        bool | None,
        typer.Option(help="Of an emulated run: simulate the same network beside it; default: up to 1500 slots."),
    ] = None,
) -> None:
    """Write report.html into the directory of a run or study: text, tables and figures in one file.

    It needs nothing else: no network, no script, no other file. An emulated run's page has the simulation of the same
    network beside it, which is run once, into RUN_DIR/simulated.
    """
    from bellweave.results.io import read_manifest

    page: Path | None
    if not (directory / "manifest.json").exists():
        page = _of_study(directory)
    elif read_manifest(directory).verb == "emulate-network":
        page = _of_emulation(directory, compare)
    elif read_manifest(directory).verb == "simulate-network":
        page = _of_network(directory)
    elif read_manifest(directory).verb.startswith(("simulate-wide", "emulate-wide")):
        page = _of_wide(directory)
    else:
        page = _of_links(directory)
    typer.echo(f"page: {page}")


def _of_study(directory: Path) -> Path:
    """Put a study's report and the figures in its directory on a page."""
    from bellweave.cli.reproduce import study_page

    found = _read_report(directory)
    return study_page(found, found.study, directory)


def _of_wide(directory: Path) -> Path:
    """Make a wide-area run's report, figures and page again, from its events."""
    from bellweave.report import wide_page
    from bellweave.results.io import write_report
    from bellweave.sim.wide.run import read_run
    from bellweave.sim.wide.summary import summarise
    from bellweave.studies.wide_table import report as made

    run = read_run(directory)
    summary = summarise(run)
    found = made(run, summary)
    write_report(directory, found)
    return wide_page.run_page(run, summary, found, directory)


def _of_network(directory: Path) -> Path:
    """Make a network run's figures and page again, from its events."""
    from bellweave.report import network_page
    from bellweave.results.io import write_report
    from bellweave.sim.network.summary import summarise
    from bellweave.studies.network_table import report as made

    run = _read_network(directory)
    summary = summarise(run)
    found = made(run, summary)
    write_report(directory, found)
    return network_page.run_page(run, summary, found, directory)


def _of_emulation(directory: Path, compare: bool | None) -> Path | None:
    """Make an emulated run's figures and page again, its simulation beside it."""
    from bellweave.cli.emulated import written

    return written(_read_network(directory), directory, compare=compare)[0]


def _read_network(directory: Path) -> "NetworkRun":
    from bellweave.results.io import read_events, read_manifest
    from bellweave.roles.run import NetworkRun
    from bellweave.scenario.load import load

    manifest, scenario = read_manifest(directory), load(directory / "scenario.toml")
    slot_s = scenario.schedule.wall_slot_s if scenario.schedule else 0.0
    return NetworkRun(manifest, scenario, read_events(directory), manifest.shard.blocks * slot_s)


def _of_links(directory: Path) -> Path:
    """Draw the blocks of every link of a run, and put them on a page with its table."""
    from bellweave.cli.reproduce import study_page
    from bellweave.report import link_figures
    from bellweave.results.io import read_run, write_report
    from bellweave.results.records import Report
    from bellweave.scenario.load import load
    from bellweave.studies.table import rows

    run, scenario = read_run(directory), load(directory / "scenario.toml")
    for link in run.manifest.links:
        blocks = [record for record in run.records if record.link == link]
        link_figures.block_panels(blocks, link, {}, directory, f"{link}-blocks")
        link_figures.waterfall(blocks, link, directory, f"{link}-waterfall")
    found = Report(study=scenario.name, rows=rows(scenario, run.records))
    write_report(directory, found)
    return study_page(found, scenario.name, directory)


def _read_report(directory: Path) -> "Report":
    import msgspec

    from bellweave.errors import ScenarioError
    from bellweave.results.records import Report

    path = directory / "report.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except FileNotFoundError:
        raise ScenarioError("holds no run and no study", file=str(directory)) from None
    except (msgspec.MsgspecError, OSError) as error:
        raise ScenarioError(f"is no report that this version reads: {error}", file=str(path)) from None
