"""``bellweave simulate`` of a network: run it, say what came out, write its report and page."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bellweave.results.network_records import Event
    from bellweave.results.records import Report
    from bellweave.scenario.schema import Scenario
    from bellweave.sim.network import NetworkRun

MOST_ROWS = 24
"""Links or tunnels that the terminal lists."""

MOST_WARNINGS = 12
"""The same for warnings."""


def simulate(
    scenario: "Scenario",
    out: Path | None = None,
    *,
    slots: int | None = None,
    figures: bool = True,
    compare_schedulers: bool = False,
    as_json: bool = False,
) -> None:
    """Simulate a network into a directory, and print what it amounts to."""
    import msgspec

    from bellweave.cli.terminal import counted, print_report, print_table
    from bellweave.report import network_page
    from bellweave.results.io import write_report
    from bellweave.results.network_records import SlotBegan
    from bellweave.sim.network import simulate_network
    from bellweave.sim.network.summary import summarise
    from bellweave.studies.network_table import report as made

    if slots is not None and scenario.schedule is not None:
        scenario = msgspec.structs.replace(scenario, schedule=msgspec.structs.replace(scenario.schedule, slots=slots))
    total = (scenario.schedule.slots if scenario.schedule else None) or scenario.run.blocks
    out = out or Path("out") / "runs" / scenario.name
    warn(scenario)
    with counted(f"simulate {scenario.name}", total, quiet=as_json) as advance:

        def watch(event: "Event") -> None:
            if isinstance(event, SlotBegan):
                advance(f"{event.at_s:.0f} s")

        run = simulate_network(scenario, out, watch=watch)
    summary = summarise(run)
    report = made(run, summary)
    write_report(out, report)
    page = network_page.run_page(run, summary, report, out) if figures else None
    if not as_json:
        title = f"{scenario.name}: {summary.duration_s:.0f} s, {summary.minted.blocks} blocks, seed {run.manifest.seed}"
        print_report(report, title, heads=("quantity", "n"))
        for table in network_page.tables(summary):
            if table.rows:
                print_table(table, MOST_ROWS)
        typer.echo(f"events: {out / 'events.jsonl'}; report: {out / 'report.json'}")
        if page is not None:
            typer.echo(f"page: {page}; figures (.png and .svg) beside it")
    if compare_schedulers:
        compared = compare(run, out, figures=figures, quiet=as_json)
        report = msgspec.structs.replace(report, rows=report.rows + compared.rows)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))


def warn(scenario: "Scenario") -> None:
    """Say on standard error, before a network runs, what is doubtful about it, with the plan's numbers."""
    from bellweave.plan.network import plan_network

    doubts = plan_network(scenario).warnings
    for sentence in doubts[:MOST_WARNINGS]:
        typer.echo(f"warning: {sentence}", err=True)
    if len(doubts) > MOST_WARNINGS:
        typer.echo(f"warning: {len(doubts) - MOST_WARNINGS} more: bellweave plan", err=True)


def compare(run: "NetworkRun", out: Path, *, figures: bool, quiet: bool) -> "Report":
    """Run a network's scenario under every scheduler, write ``schedulers.json`` and the figure, print the table."""
    import msgspec

    from bellweave.cli import schedulers
    from bellweave.cli.terminal import counted
    from bellweave.results.network_records import SlotBegan
    from bellweave.results.records import Report
    from bellweave.studies import schedulers as study

    names = study.schedulers(run.scenario)
    slots = len(names) * sum(isinstance(event, SlotBegan) for event in run.events)
    with counted("compare schedulers", slots, quiet=quiet) as advance:
        found = tuple(study.compare(run.scenario, lambda e: advance("") if isinstance(e, SlotBegan) else None))
    report = Report(study=f"{run.scenario.name}, schedulers", rows=study.rows({run.scenario.name: found}))
    (out / "schedulers.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if figures:
        schedulers.drawn({run.scenario.name: found}, out)
    if not quiet:
        schedulers.show(found)
        typer.echo(f"schedulers: {out / 'schedulers.json'}" + (f", {out / 'schedulers.png'}" if figures else ""))
    return report
