"""``bellweave emulate``: a network for real, on this machine or on several."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bellweave.cli.terminal import Seed

if TYPE_CHECKING:
    from bellweave.results.network_records import Event
    from bellweave.roles.run import NetworkRun
    from bellweave.scenario.schema import Scenario

Channel = Literal["auto", "ipsec", "aead"]
Layout = Literal["bridge", "rack"]

SPEED = 20.0
"""Photon seconds a second, where neither the command nor the scenario says."""


def emulate(
    scenario: Annotated[
        str | None, typer.Argument(metavar="SCENARIO", help="A scenario with a [schedule], or the name of a preset.")
    ] = None,
    *,
    out: Annotated[Path | None, typer.Option(help="Run directory; default: out/emulated/NAME.")] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.0, help="Photon seconds a second; default: the scenario's, or 20 where it says nothing."),
    ] = None,
    seed: Seed = None,
    slots: Annotated[int | None, typer.Option(min=1, help="Slots to run; default: the scenario's.")] = None,
    duration_s: Annotated[
        float | None, typer.Option("--duration-s", min=0.0, help="Run so many seconds instead, by the clock.")
    ] = None,
    period_s: Annotated[
        float | None,
        typer.Option(
            "--period-s", min=0.1, help="Refresh every tunnel so often, from the start; default: as in the scenario."
        ),
    ] = None,
    channel: Annotated[
        Channel,
        typer.Option(help="What protects tunnels; auto: ipsec wherever it runs (see bellweave doctor)."),
    ] = "auto",
    layout: Annotated[
        Layout,
        typer.Option(help="With ipsec: a gateway for each tunnel end, all on a bridge; or one a node, racks behind."),
    ] = "bridge",
    as_json: Annotated[bool, typer.Option("--json", help="Print events, one JSON object a line.")] = False,
    child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
) -> None:
    """Run a network for real: a process for each node, key servers (ETSI 014), and tunnels that carry traffic.

    Photons are simulated and everything else is real: two-party distillation over TLS, key servers with mutual TLS,
    gateways that refresh their tunnels with keys from them. With the same seed the distilled keys are those of
    `bellweave simulate`, bit for bit. `--speed 20` lets 20 seconds of photons pass in one; key servers and tunnels stay
    in real time. Ctrl-C ends the run in order, with its report.

    While it runs: `bellweave fault RUN_DIR ...` lets something go wrong.

    Example: bellweave emulate datacenter-modern --slots 600 --period-s 5
    """
    import sys

    if child:
        from bellweave.emu.child import main

        sys.exit(main())
    import asyncio

    from bellweave.errors import ScenarioError

    if scenario is None:
        raise ScenarioError("expected a scenario file or the name of a preset", path="SCENARIO")
    wanted = _refreshed(_wanted(scenario, speed, seed, slots, duration_s), period_s)
    directory = out or Path("out") / "emulated" / wanted.name
    asyncio.run(_run(wanted, directory, channel, layout, as_json=as_json))


def _wanted(
    name: str, speed: float | None, seed: int | None, slots: int | None, duration_s: float | None
) -> "Scenario":
    """Return the scenario as it is to be run."""
    import math

    from msgspec.structs import replace

    from bellweave.errors import ScenarioError
    from bellweave.scenario.load import load

    scenario = load(name)
    schedule = scenario.schedule
    if schedule is None:
        raise ScenarioError("an emulated network needs a [schedule] table", path="schedule", file=name)
    if slots is not None and duration_s is not None:
        raise ScenarioError("--slots and --duration-s say the same thing: give one", path="--slots")
    if speed is not None or schedule.speed == 1.0:
        schedule = replace(schedule, speed=speed or SPEED)
    if duration_s is not None:
        slots = max(1, math.ceil(duration_s * schedule.speed / schedule.slot_s))
    schedule = replace(schedule, slots=slots or schedule.slots or scenario.run.blocks)
    run = scenario.run if seed is None else replace(scenario.run, seed=seed)
    return replace(scenario, schedule=schedule, run=run)


def _refreshed(scenario: "Scenario", period_s: float | None) -> "Scenario":
    """Return the scenario with all tunnels refreshed so often: seconds by the clock, whatever the speed."""
    from msgspec.structs import replace

    if period_s is None:
        schedule, starts_s = scenario.schedule, [tunnel.start_s for tunnel in scenario.tunnel.values()]
        run_s = 0.0 if schedule is None else (schedule.slots or scenario.run.blocks) * schedule.wall_slot_s
        if starts_s and min(starts_s) >= run_s:
            _say(
                f"the run lasts {run_s:.3g} s, and tunnels ask for their first key after {min(starts_s):g} s by the "
                "clock: more --slots, or --period-s, would let them"
            )
        return scenario
    number = len(scenario.tunnel)
    tunnels = {
        name: replace(tunnel, period_s=period_s, start_s=place * period_s / number, retry_s=min(1.0, period_s))
        for place, (name, tunnel) in enumerate(scenario.tunnel.items())
    }
    return replace(scenario, tunnel=tunnels)


async def _run(scenario: "Scenario", out: Path, channel: Channel, layout: Layout, *, as_json: bool) -> None:
    import asyncio
    import signal

    import msgspec

    from bellweave.emu.supervisor import Request, emulate

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def watch(event: "Event") -> None:
        if as_json:
            print(msgspec.json.encode(event).decode(), flush=True)
        else:
            text = described(event)
            if text:
                print(f"{event.at_s:8.2f} s  {text}", flush=True)

    request = Request(scenario=scenario, out=out, channel=channel, layout=layout)
    run = await emulate(request, stop=stop, watch=watch, say=_say)
    _report(run, out, as_json=as_json)


def _report(run: "NetworkRun", out: Path, *, as_json: bool) -> None:
    """Write what the run amounts to, and print it."""
    from bellweave.cli.terminal import print_report
    from bellweave.results.io import write_report
    from bellweave.sim.network.summary import summarise
    from bellweave.studies.network_table import report as made

    if not run.events:
        return
    summary = summarise(run)
    report = made(run, summary)
    write_report(out, report)
    if as_json:
        return
    title = f"{run.scenario.name}, emulated: {summary.duration_s:.3g} s, {summary.minted.blocks} blocks"
    print_report(report, title, heads=("quantity", "n"))
    typer.echo(f"events: {out / 'events.jsonl'}; report: {out / 'report.json'}; page: bellweave report {out}")


def _say(text: str) -> None:
    typer.echo(f"bellweave: {text}", err=True)


def described(event: "Event") -> str:
    """Return an event in a line for people; empty where it is one of very many."""
    from bellweave.results import network_records as records

    match event:
        case records.BlockDistilled(block=block):
            qber = "" if block.estimate.qber is None else f", QBER {block.estimate.qber:.3f}"
            what = f"no key: {block.rejection}" if block.rejection else f"{event.ingested_bits} bits of key"
            return f"{block.link}: block {block.block}{qber}, {what}"
        case records.SessionBegan():
            return f"{event.tunnel}: session with key {event.key_id}{', renewed' if event.renewed else ''}"
        case records.SessionEnded(reason=reason) if reason not in {"replaced", "renewed"}:
            return f"{event.tunnel}: session over, {reason}"
        case records.Starved():
            return (
                f"{event.tunnel}: no fresh key, {event.reason}; {'the old one stays' if event.held else 'it is down'}"
            )
        case records.Alarmed():
            return f"{'alarm over' if event.over else 'ALARM'}, {event.link}: {event.reason}"
        case records.FaultChanged():
            return f"fault {event.fault} {'begins' if event.active else 'ends'}"
        case records.ProcessChanged():
            return f"{event.process} {event.state}{f' ({event.detail})' if event.detail else ''}"
    return ""
