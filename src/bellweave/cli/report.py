"""``bellweave report``: one HTML file of a run or study, to read and to send on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bellweave.results.records import Report


def report(
    directory: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Directory of a run or of a study.")],
) -> None:
    """Write report.html into the directory of a run or study: text, tables and figures in one file.

    It needs nothing else: no network, no script, no other file.
    """
    from bellweave.results.io import read_manifest

    if not (directory / "manifest.json").exists():
        page = _of_study(directory)
    elif read_manifest(directory).verb.startswith(("simulate-wide", "emulate-wide")):
        page = _of_wide(directory)
    elif read_manifest(directory).verb in {"simulate-network", "emulate-network"}:
        page = _of_network(directory)
    else:
        page = _of_links(directory)
    typer.echo(f"page: {page}")


def _of_study(directory: Path) -> Path:
    """Put a study's report and the figures in its directory on a page."""
    from bellweave.cli.reproduce import study_page

    found = _read_report(directory)
    return study_page(found, found.study, directory)


def _of_network(directory: Path) -> Path:
    """Make a network run's figures and page again, from its events."""
    from bellweave.report import network_page
    from bellweave.results.io import read_events, read_manifest, write_report
    from bellweave.scenario.load import load
    from bellweave.sim.network import NetworkRun
    from bellweave.sim.network.summary import summarise
    from bellweave.studies.network_table import report as made

    manifest, scenario = read_manifest(directory), load(directory / "scenario.toml")
    slot_s = scenario.schedule.wall_slot_s if scenario.schedule else 0.0
    run = NetworkRun(manifest, scenario, read_events(directory), manifest.shard.blocks * slot_s)
    summary = summarise(run)
    found = made(run, summary)
    write_report(directory, found)
    return network_page.run_page(run, summary, found, directory)


def _of_wide(directory: Path) -> Path:
    """Put a wide-area run's table on a page, from its events."""
    from bellweave.cli.reproduce import study_page
    from bellweave.results.io import read_manifest, read_wide_events, write_report
    from bellweave.scenario.load import load
    from bellweave.sim.wide import WideRun, lasted_s
    from bellweave.sim.wide.summary import summarise
    from bellweave.studies.wide_table import report as made

    manifest, scenario = read_manifest(directory), load(directory / "scenario.toml")
    events = read_wide_events(directory)
    run = WideRun(manifest, scenario, events, lasted_s(scenario, events))
    found = made(run, summarise(run))
    write_report(directory, found)
    return study_page(found, scenario.name, directory)


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
