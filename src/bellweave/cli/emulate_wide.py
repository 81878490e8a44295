"""``bellweave emulate`` of wide-area networks: run them, say what happens, and what came out."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from bellweave.cli.emulate import Channel, Layout
    from bellweave.emu.deployment import Happened
    from bellweave.emu.request import Announce, Request
    from bellweave.scenario.schema import Scenario
    from bellweave.sim.wide import WideRun
    from bellweave.sim.wide.summary import WideSummary

PROGRESS_S = 2.0
"""So often a line says how much key there was."""


def run(
    name: str,
    out: Path | None,
    seed: int | None,
    duration_s: float | None,
    period_s: float | None,
    channel: "Channel",
    layout: "Layout",
    listen: str | None,
    *,
    as_json: bool,
) -> None:
    """Run a wide-area network on this machine; with ``listen``, without tunnels and hosts of its own, until Ctrl-C."""
    from msgspec.structs import replace

    from bellweave.cli.emulate import ENDLESS, address_of, refreshed
    from bellweave.emu.serve_only import Serving
    from bellweave.emu.supervisor import Request
    from bellweave.scenario.load import load

    scenario = load(name)
    lasts_s = duration_s or (scenario.run.duration_s if listen is None else float(ENDLESS))
    given = {"duration_s": lasts_s} | ({} if seed is None else {"seed": seed})
    scenario = replace(scenario, run=replace(scenario.run, **given))
    if period_s is not None:
        scenario = refreshed(scenario, period_s)
    serving = None
    if listen is not None:
        address, port = address_of(listen)
        serving = Serving(saes={}, host=address, port=port)
    directory = out or Path("out") / ("emulated" if listen is None else "served") / scenario.name
    request = Request(
        scenario=scenario,
        out=directory,
        channel=channel,
        layout=layout,
        serving=serving,
        seeded=serving is None or seed is not None,
        hold=serving is None,
    )
    _emulate(request, directory, as_json=as_json)


def _emulate(request: "Request", out: Path, *, as_json: bool) -> None:
    """Run a wide-area network until it is over or somebody says stop, write its report, and print it."""
    import asyncio

    from bellweave.cli.emulate import say, stopped_by_signals
    from bellweave.cli.terminal import print_json
    from bellweave.emu.serve_only import hints
    from bellweave.emu.wide import emulate_wide
    from bellweave.results.io import write_report
    from bellweave.sim.wide.summary import summarise
    from bellweave.studies.wide_table import report as made

    pair = _pair(request.scenario)

    def announce(where: dict[str, Any]) -> None:
        for text in hints(where, pair):
            say(text)

    async def run() -> "WideRun":
        watch = _printer(as_json=as_json)
        told: Announce | None = None if as_json or pair is None else announce
        return await emulate_wide(request, stop=stopped_by_signals(), watch=watch, say=say, announce=told)

    done = asyncio.run(run())
    if not done.events:
        return
    summary = summarise(done)
    report = made(done, summary)
    write_report(out, report)
    if as_json:
        print_json(report)
        return
    typer.echo(f"{done.scenario.name}, emulated: {summary.duration_s:g} s, seed {done.manifest.seed}")
    _print_summary(done, summary)
    typer.echo(f"events: {out / 'events.jsonl'}; report: {out / 'report.json'}; page: bellweave report {out}")


def _pair(scenario: "Scenario") -> tuple[str, str] | None:
    """Return two hosts that share key, of the first demand that has some at both ends."""
    hosts = {name: slave.hosts for name, slave in scenario.slave.items()}
    pairs = (
        (hosts[each.a][0], hosts[each.b][0]) for each in scenario.demand.values() if hosts[each.a] and hosts[each.b]
    )
    return next(pairs, None)


def _printer(*, as_json: bool) -> "Callable[[Happened], None]":
    """Return what prints events as they happen: of key and hosts, which come all the time, sums now and then."""
    from bellweave.cli.live import View
    from bellweave.results.wide_records import Fetched, KeyMade

    if as_json:
        return View(as_json=True).watch
    plain = View(as_json=False).watch
    bits: Counter[str] = Counter()
    keys: Counter[str] = Counter()
    shown_s = 0.0

    def watch(event: "Happened") -> None:
        nonlocal shown_s
        if isinstance(event, KeyMade):
            bits[event.demand] += event.ingested_bits
        elif isinstance(event, Fetched):
            keys[event.demand] += event.keys
        elif text := described(event):
            print(f"{event.at_s:8.2f} s  {text}", flush=True)
        else:
            plain(event)
        if bits and event.at_s >= shown_s + PROGRESS_S:
            shown_s = event.at_s
            sums = "; ".join(f"{name} {bits[name]} bit, {keys[name]} keys to hosts" for name in bits)
            print(f"{event.at_s:8.2f} s  {sums}", flush=True)

    return watch


def described(event: "Happened") -> str:
    """Return an event of a wide-area network in a line for people; empty where it is none, or one of very many."""
    from bellweave.results import wide_records as records

    match event:
        case records.LanesSet():
            ways = "; ".join(" - ".join(nodes) for nodes in event.nodes)
            return f"{event.demand}: {'path' if event.run == 1 else 'new path'} {ways}"
        case records.LanesEnded(lost=lost) if lost:
            return f"{event.demand}: its path is lost, {lost} has failed"
        case records.RequestEnded(reason=reason) if reason != "done":
            return f"{event.demand}: request {event.request} is over, {reason}"
    return ""


def _print_summary(run: "WideRun", summary: "WideSummary") -> None:
    from bellweave.cli.plan_tables import wide_console
    from bellweave.cli.wide import MOST_ROWS, table
    from bellweave.results.network_records import Probed, Refreshed
    from bellweave.results.wide_records import LanesSet

    console = wide_console()
    paths: dict[str, list[tuple[tuple[str, ...], ...]]] = {name: [] for name in summary.demands}
    refreshes, probes, lost = Counter[str](), Counter[str](), Counter[str]()
    for event in run.events:
        if isinstance(event, LanesSet):
            paths[event.demand].append(event.nodes)
        elif isinstance(event, Refreshed):
            refreshes[event.tunnel] += 1
        elif isinstance(event, Probed):
            probes[event.tunnel] += event.sent
            lost[event.tunnel] += event.lost
    demands = table("demands", "pairs", "key, bit", "keys to hosts", "path changes", "in stock, bit")
    for name, each in list(summary.demands.items())[:MOST_ROWS]:
        changes = sum(one != other for one, other in zip(paths[name], paths[name][1:], strict=False))
        cells = each.pairs, each.bits, each.keys, changes, each.level_bits
        demands.add_row(name, *map(str, cells))
    console.print(demands)
    if summary.tunnels:
        tunnels = table("tunnels", "refreshes", "without fresh key", "probes", "lost")
        for name, tunnel in summary.tunnels.items():
            counts = refreshes[name], tunnel.refused, probes[name], lost[name]
            tunnels.add_row(name, *map(str, counts))
        console.print(tunnels)
    books = ", ".join(f"{count} {what}" for what, count in summary.pairs.items())
    console.print(f"pairs: {books}", highlight=False)
