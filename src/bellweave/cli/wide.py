"""``plan`` and ``simulate`` of wide-area networks: run them, say what came out, write the report."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from bellweave.plan.wide_records import WidePlan
    from bellweave.results.wide_records import WideEvent
    from bellweave.scenario.schema import Scenario
    from bellweave.sim.wide.summary import WideSummary

MOST_ROWS = 40
"""Demands that the terminal lists; ``--json`` and ``report.json`` have all."""


def refuse(**options: object) -> None:
    """Refuse options that mean nothing for a wide-area network.

    Raises:
        ScenarioError: If one of them is set; with its name.
    """
    from bellweave.errors import ScenarioError

    for name, value in options.items():
        if value:
            raise ScenarioError("is not for wide-area networks", path="--" + name.replace("_", "-"))


def plan(scenario: "Scenario", *, as_json: bool) -> None:
    """Print what theory expects of a wide-area network."""
    from bellweave.cli.terminal import print_json
    from bellweave.plan.wide import plan_wide

    found = plan_wide(scenario)
    if as_json:
        print_json({"scenario": scenario.name, "wide": found})
        return
    _print_plan(found)


def simulate(
    scenario: "Scenario",
    out: Path | None = None,
    *,
    seed: int | None = None,
    duration_s: float | None = None,
    figures: bool = True,
    as_json: bool = False,
) -> None:
    """Simulate a wide-area network into a directory, and print what it amounts to; draw its page."""
    import msgspec

    from bellweave.cli.terminal import counted, print_json
    from bellweave.report import wide_page
    from bellweave.results.io import write_report
    from bellweave.results.network_records import LevelSampled
    from bellweave.scenario.wide import duration_s as duration_of
    from bellweave.sim.wide import simulate_wide
    from bellweave.sim.wide.summary import summarise
    from bellweave.studies.wide_table import report as made

    given = {name: value for name, value in (("seed", seed), ("duration_s", duration_s)) if value is not None}
    scenario = msgspec.structs.replace(scenario, run=msgspec.structs.replace(scenario.run, **given))
    out = out or Path("out") / "runs" / scenario.name
    shown_s = 0.0
    with counted(f"simulate {scenario.name}", round(duration_of(scenario)), quiet=as_json) as advance:

        def watch(event: "WideEvent") -> None:
            nonlocal shown_s
            while isinstance(event, LevelSampled) and event.at_s >= shown_s + 1.0:
                shown_s += 1.0
                advance(f"{shown_s:.0f} s")

        run = simulate_wide(scenario, out, watch=watch)
    summary = summarise(run)
    report = made(run, summary)
    write_report(out, report)
    page = wide_page.run_page(run, summary, report, out) if figures else None
    if as_json:
        print_json(report)
        return
    typer.echo(f"{scenario.name}: {summary.duration_s:g} s, seed {run.manifest.seed}")
    _print_summary(summary)
    typer.echo(f"events: {out / 'events.jsonl'}; report: {out / 'report.json'}")
    if page is not None:
        typer.echo(f"page: {page}; figures (.png and .svg) beside it")


def show(directories: "list[Path]", *, as_json: bool) -> None:
    """Print what a run amounts to that was simulated before."""
    from bellweave.cli.terminal import print_json
    from bellweave.errors import ScenarioError
    from bellweave.sim.wide.run import read_run
    from bellweave.sim.wide.summary import summarise
    from bellweave.studies.wide_table import report as made

    if len(directories) > 1:
        raise ScenarioError("runs of wide-area networks do not add up; give one", file=str(directories[1]))
    run = read_run(directories[0])
    summary = summarise(run)
    if as_json:
        print_json(made(run, summary))
        return
    typer.echo(f"{run.scenario.name}: {summary.duration_s:g} s, seed {run.manifest.seed}")
    _print_summary(summary)


def _print_plan(plan: "WidePlan") -> None:
    from rich.markup import escape
    from rich.padding import Padding

    from bellweave.cli.plan_tables import wide_console
    from bellweave.cli.terminal import figure

    console = wide_console()
    clusters = table("clusters: Eqs. 5 and 6", "slaves", "pairs at once", "bits per attempt", "bit/s")
    for each in plan.clusters:
        cells = (str(each.slaves), str(each.pairs_at_once), figure(each.bits_per_attempt), figure(each.bits_per_s))
        clusters.add_row(each.master, *cells)
    console.print(clusters)
    physical = plan.mode == "physical"
    title = f"demands: {plan.mode} mode, {plan.router} router, {plan.fairness} shares; at most"
    heads = (
        "path",
        "km",
        "alone, pairs/s",
        "together",
        "with times",
        "fidelity",
        "key, bit/s",
        *(("without end",) if physical else ()),
        "trusted relays, bit/s",
    )
    demands = table(title, *heads)
    for demand in plan.demands[:MOST_ROWS]:
        path = f"{len(demand.paths[0]) - 1} hops" + (f", {len(demand.paths)} paths" if len(demand.paths) > 1 else "")
        demands.add_row(
            demand.demand,
            (path if demand.kind == "backbone" else "in its cluster") if demand.paths else "none",
            figure(demand.length_km),
            figure(demand.alone_per_s),
            figure(demand.rate_per_s),
            figure(demand.timed_per_s),
            figure(demand.fidelity),
            figure(demand.key_bits_per_s),
            *((figure(demand.asymptotic_bits_per_s),) if physical else ()),
            figure(demand.trusted_bits_per_s),
        )
    console.print(demands)
    if physical:
        note = "key: what finite blocks of mean counts mint, as a run does; without end: asymptotic"
        console.print(Padding(note, (0, 0, 0, 1)), highlight=False)
    for warning in plan.warnings:
        console.print(Padding(f"!  {escape(warning)}", (0, 0, 0, 1)), highlight=False)


def _print_summary(summary: "WideSummary") -> None:
    from bellweave.cli.plan_tables import wide_console
    from bellweave.cli.terminal import figure

    console = wide_console()
    heads = ("path", "served, s", "lost", "pairs/s", "key, bit/s", "QBER", "CHSH", "keys to hosts", "in stock, bit")
    demands = table("demands", *heads)
    for each in list(summary.demands.values())[:MOST_ROWS]:
        qber = "-" if each.qber is None else f"{each.qber:.2%}"
        path = {"backbone": f"{len(each.path) - 1} hops", "cluster": "in its cluster"}.get(each.kind, "none")
        rates = (figure(each.pairs_per_s), figure(each.bits_per_s), qber, figure(each.chsh))
        stock = (str(each.keys), str(each.level_bits))
        demands.add_row(each.demand, path, figure(each.served_s), str(each.losses), *rates, *stock)
    console.print(demands)
    if summary.tunnels:
        tunnels = table("tunnels", "sessions", "without fresh key", "first session, s")
        for tunnel in summary.tunnels.values():
            first = figure(tunnel.first_session_s)
            tunnels.add_row(tunnel.tunnel, str(tunnel.sessions), str(tunnel.refused), first)
        console.print(tunnels)
    counts = ", ".join(f"{count} {what}" for what, count in summary.pairs.items())
    console.print(f"pairs: {counts}", highlight=False)


def table(title: str, *heads: str) -> "Table":
    """Return a table with these columns beside a first one of names."""
    from rich import box
    from rich.table import Table

    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("", no_wrap=True)
    for head in heads:
        made.add_column(head, justify="right")
    return made
