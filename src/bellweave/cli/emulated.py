"""The end of ``bellweave emulate``, and ``bellweave report`` of its directory: the run beside its simulation."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bellweave.results.emulated import Beside
    from bellweave.results.network_records import Event
    from bellweave.roles.run import NetworkRun

MOST_ROWS = 24
"""Links or tunnels that the terminal lists."""


def conclude(
    run: "NetworkRun", out: Path, *, compare: bool | None = None, figures: bool = True, as_json: bool = False
) -> None:
    """Write what an emulated run amounts to, report and page, and print it.

    A run that was ended before its last slot is neither simulated nor drawn: who ends it wants it over.

    Args:
        run: The run.
        out: Its directory.
        compare: Whether it is simulated too, for comparison; None: unless that would take many minutes.
        figures: Whether figures are drawn and the page is written.
        as_json: Print nothing.
    """
    from bellweave.studies.emulated import as_run

    if not run.events:
        return
    if as_run(run) is not run and compare is None:
        compare = figures = False
    page, beside = written(run, out, compare=compare, figures=figures, quiet=as_json)
    if as_json:
        return
    _show(run, beside)
    typer.echo(f"events: {out / 'events.jsonl'}; report: {out / 'report.json'}")
    found = f"{page}; figures (.png and .svg) beside it" if page else f"bellweave report {out} draws it"
    typer.echo(f"page: {found}")


def written(
    run: "NetworkRun", out: Path, *, compare: bool | None = None, figures: bool = True, quiet: bool = False
) -> "tuple[Path | None, Beside]":
    """Write a run's report, page and ``comparison.json``; return the page's path, and the comparison."""
    import msgspec

    from bellweave.report import emulation_page
    from bellweave.results.io import write_report
    from bellweave.studies import emulated, emulated_table

    simulation = _simulation(run, out, compare, quiet=quiet)
    beside = emulated.compare(run, simulation)
    (out / "comparison.json").write_bytes(msgspec.json.format(msgspec.json.encode(beside), indent=2) + b"\n")
    report = emulated_table.report(run, beside)
    write_report(out, report)
    if not figures:
        return None, beside
    words = emulated_table.sentences(beside)
    return emulation_page.run_page(emulated.as_run(run), simulation, beside, words, report, out), beside


def _simulation(run: "NetworkRun", out: Path, compare: bool | None, *, quiet: bool) -> "NetworkRun | None":
    """Return the simulation of the same network, unless it is not wanted or would take too long."""
    from bellweave.cli.terminal import counted
    from bellweave.results.network_records import SlotBegan
    from bellweave.studies.emulated import MOST_SLOTS, simulated

    slots = sum(isinstance(event, SlotBegan) for event in run.events)
    if compare is None and slots > MOST_SLOTS:
        typer.echo(f"not simulated for comparison: {slots} slots would take long; --compare does it", err=True)
    if not slots or not (slots <= MOST_SLOTS if compare is None else compare):
        return None
    with counted(f"simulate {run.scenario.name} for comparison", slots, quiet=quiet) as advance:

        def watch(event: "Event") -> None:
            if isinstance(event, SlotBegan):
                advance(f"{event.at_s:.0f} s")

        return simulated(run, out, watch=watch)


def _show(run: "NetworkRun", beside: "Beside") -> None:
    """Print the tables, and what they say."""
    from rich.console import Console
    from rich.padding import Padding

    from bellweave.cli.terminal import print_table
    from bellweave.report.emulation_page import tables
    from bellweave.studies.emulated_table import sentences

    typer.echo(f"{run.scenario.name}, emulated: {run.duration_s:.3g} s, seed {run.manifest.seed}\n")
    for table in tables(beside):
        if table.rows:
            print_table(table, MOST_ROWS)
    console = Console()
    if not console.is_terminal:
        console.width = 100
    for text in sentences(beside):
        console.print(Padding(f"* {text}", (0, 0, 0, 1)), highlight=False, markup=False)
