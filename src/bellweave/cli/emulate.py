"""``bellweave emulate``: a network for real, on this machine or on several."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bellweave.cli.terminal import Seed

if TYPE_CHECKING:
    import asyncio

    from bellweave.edge.gateways_file import Gateways
    from bellweave.emu.request import Announce, Request
    from bellweave.roles.run import NetworkRun
    from bellweave.scenario.schema import Scenario

Channel = Literal["auto", "ipsec", "aead"]
Layout = Literal["bridge", "rack"]

SPEED = 5.0
"""Photon seconds a second, where neither the command nor the scenario says."""

ENDLESS = 100_000_000
"""Slots of a network that runs until it is stopped."""


def emulate(
    scenario: Annotated[
        str | None,
        typer.Argument(
            metavar="SCENARIO", help="A scenario with a schedule or with clusters, or the name of a preset."
        ),
    ] = None,
    *,
    out: Annotated[Path | None, typer.Option(help="Run directory; default: out/emulated/NAME.")] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=0.0, help="Photon seconds a second; default: the scenario's, or 5 where that says nothing."),
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
    probe_hz: Annotated[
        float,
        typer.Option(
            "--probe-hz", min=0.1, max=1000.0, help="Probes a second in each tunnel, which count what is lost."
        ),
    ] = 20.0,
    attach: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Drive gateways of your own, named in a file, not ours.")
    ] = None,
    serve_only: Annotated[
        bool, typer.Option("--serve-only", help="Key servers for SAEs of others, without tunnels; until Ctrl-C.")
    ] = False,
    sae: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME@NODE", help="An SAE to serve; once for each; default: the tunnels' SAEs."),
    ] = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST[:PORT]", help="Where SAEs reach the key servers; ports follow, 10 apart.")
    ] = "127.0.0.1:8443",
    prepare: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write what each process needs, to run them on several hosts.")
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="NODE=ADDR", help="With --prepare: address of a node, or of `source`; once for each."),
    ] = None,
    first_port: Annotated[int, typer.Option(min=1, max=65000, help="With --prepare: first port at each host.")] = 9400,
    node: Annotated[
        str | None, typer.Option(metavar="NAME", help="Run one node, or `source`, of a prepared network.")
    ] = None,
    prepared: Annotated[
        Path | None, typer.Option("--from", metavar="DIR/NAME", help="With --node: its prepared folder.")
    ] = None,
    compare: Annotated[
        bool | None,
        typer.Option(help="Simulate the same network too and put it beside the run; default: up to 1500 slots."),
    ] = None,
    figures: Annotated[bool, typer.Option(help="Draw the run's figures and write its page.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print events, one JSON object a line.")] = False,
    child: Annotated[bool, typer.Option("--child", hidden=True)] = False,
) -> None:
    """Run a network for real: a process for each node, key servers (ETSI 014), and tunnels that carry traffic.

    Photons are simulated and everything else is real: two-party distillation over TLS, key servers with mutual TLS,
    gateways that refresh their tunnels with keys from them. With the same seed the distilled keys are those of
    `bellweave simulate`, bit for bit. `--speed 5` lets 5 seconds of photons pass in one; key servers and tunnels stay
    in real time. Ctrl-C ends the run in order, with its report.

    While it runs: `bellweave fault RUN_DIR ...` lets something go wrong.

    On several hosts: `--prepare DIR --host alice=10.0.0.1 ...` writes a folder for each node and the source; run each
    on its host with `--node NAME --from DIR/NAME`.

    For your own applications: `--serve-only` runs the network and its key servers, writes certificates, and prints
    URLs and curl commands. Without `--seed` all randomness is the operating system's then.

    A wide-area network runs by the clock: masters, repeaters and the control of their paths are simulated, slaves' key
    servers, hosts and tunnels are real. Kill a repeater with `bellweave fault RUN_DIR down n2`, and paths go round it.

    Example: bellweave emulate datacenter-modern --slots 300 --period-s 5

    Example: bellweave emulate backbone --duration-s 20
    """
    import sys

    if child:
        from bellweave.emu.child import main

        sys.exit(main())
    from bellweave.cli import emulate_hosts
    from bellweave.errors import ScenarioError

    if node is not None or prepared is not None:
        emulate_hosts.run_one(node, prepared, out, as_json=as_json)
        return
    if scenario is None:
        raise ScenarioError("expected a scenario file or the name of a preset", path="SCENARIO")
    _refuse("is for --serve-only", unless=serve_only, sae=sae)
    _refuse("is for --prepare", unless=prepare is not None, host=host)
    _refuse("is for IPsec tunnels", unless=channel != "aead", layout=layout == "rack")
    if _is_wide(scenario):
        from bellweave.cli import emulate_wide
        from bellweave.cli.wide import refuse

        refuse(speed=speed, slots=slots, attach=attach, sae=sae, prepare=prepare, host=host)
        emulate_wide.run(
            scenario, out, seed, duration_s, period_s, channel, layout, listen if serve_only else None, as_json=as_json
        )
        return
    if serve_only:
        _refuse("is not for --serve-only, which has no tunnels", attach=attach, prepare=prepare, period_s=period_s)
        wanted = _wanted(scenario, speed, seed, slots, duration_s, default_speed=None)
        _serve(wanted, out, sae, listen, seeded=seed is not None, endless=slots is duration_s is None, as_json=as_json)
        return
    wanted = refreshed(_wanted(scenario, speed, seed, slots, duration_s), period_s)
    gateways = None
    if attach is not None:
        from bellweave.edge.gateways_file import load

        gateways = load(attach)
    if prepare is not None:
        emulate_hosts.prepare(wanted, prepare, host or [], first_port, gateways, as_json=as_json)
        return
    _emulate(
        wanted, out, channel, layout, gateways,
        probe_hz=probe_hz, compare=compare, figures=figures, as_json=as_json,
    )  # fmt: skip


def _refuse(why: str, *, unless: bool = False, **options: object) -> None:
    """Refuse options that would change nothing.

    Raises:
        ScenarioError: One of them is set; with its name.
    """
    from bellweave.errors import ScenarioError

    for name, value in options.items():
        if value and not unless:
            raise ScenarioError(why, path="--" + name.replace("_", "-"))


def _emulate(
    scenario: "Scenario",
    out: Path | None,
    channel: Channel,
    layout: Layout,
    gateways: "Gateways | None",
    *,
    probe_hz: float,
    compare: bool | None,
    figures: bool,
    as_json: bool,
) -> None:
    """Run a whole network on this machine."""
    from bellweave.cli.emulated import conclude
    from bellweave.emu.supervisor import Request

    directory = out or Path("out") / "emulated" / scenario.name
    request = Request(
        scenario=scenario, out=directory, channel=channel, layout=layout, gateways=gateways, probe_hz=probe_hz
    )
    conclude(_run(request, as_json=as_json), directory, compare=compare, figures=figures, as_json=as_json)


def _is_wide(name: str) -> bool:
    from bellweave.scenario.load import load
    from bellweave.scenario.wide import is_wide

    return is_wide(load(name))


def _serve(
    scenario: "Scenario",
    out: Path | None,
    saes: list[str] | None,
    listen: str,
    *,
    seeded: bool,
    endless: bool,
    as_json: bool,
) -> None:
    """Run a network for SAEs of others."""
    from msgspec.structs import replace

    from bellweave.cli.kms import placed
    from bellweave.emu.serve_only import Serving, hints
    from bellweave.emu.supervisor import Request

    if endless and scenario.schedule is not None:
        scenario = replace(scenario, schedule=replace(scenario.schedule, slots=ENDLESS))
    address, port = address_of(listen)
    serving = Serving(saes=placed(saes), host=address, port=port)
    directory = out or Path("out") / "served" / scenario.name
    request = Request(scenario=scenario, out=directory, serving=serving, seeded=seeded, hold=False)

    def announce(where: dict[str, Any]) -> None:
        if as_json:
            print(json.dumps(where), flush=True)
        else:
            for text in hints(where):
                print(text, flush=True)

    _run(request, as_json=as_json, quiet=True, announce=announce)


def address_of(listen: str) -> tuple[str, int]:
    """Return the host and the port of HOST[:PORT]."""
    from bellweave.emu.serve_only import PORT
    from bellweave.errors import ScenarioError

    name, _, port = listen.rpartition(":") if listen.count(":") == 1 or "]:" in listen else (listen, "", "")
    try:
        return name.strip("[]"), int(port or PORT)
    except ValueError:
        raise ScenarioError(f"expected HOST:PORT, got {listen!r}", path="--listen") from None


def _wanted(
    name: str,
    speed: float | None,
    seed: int | None,
    slots: int | None,
    duration_s: float | None,
    default_speed: float | None = SPEED,
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
    for option, value in (("--speed", speed), ("--duration-s", duration_s)):
        if value is not None and not 0.0 < value < math.inf:
            raise ScenarioError(f"must be above 0 and finite, got {value:g}", path=option)
    if slots is not None and duration_s is not None:
        raise ScenarioError("--slots and --duration-s say the same thing: give one", path="--slots")
    if speed is None and schedule.speed == 1.0:
        speed = default_speed
    if speed is not None:
        schedule = replace(schedule, speed=speed)
    if duration_s is not None:
        slots = max(1, math.ceil(duration_s * schedule.speed / schedule.slot_s))
    schedule = replace(schedule, slots=slots or schedule.slots or scenario.run.blocks)
    run = scenario.run if seed is None else replace(scenario.run, seed=seed)
    return replace(scenario, schedule=schedule, run=run)


def refreshed(scenario: "Scenario", period_s: float | None) -> "Scenario":
    """Return the scenario with all tunnels refreshed so often: seconds by the clock, whatever the speed."""
    from msgspec.structs import replace

    if period_s is None:
        schedule, starts_s = scenario.schedule, [tunnel.start_s for tunnel in scenario.tunnel.values()]
        run_s = 0.0 if schedule is None else (schedule.slots or scenario.run.blocks) * schedule.wall_slot_s
        if starts_s and min(starts_s) >= run_s:
            say(
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


def _run(request: "Request", *, as_json: bool, quiet: bool = False, announce: "Announce | None" = None) -> "NetworkRun":
    """Run a network until it is over or somebody says stop, and print what happens."""
    import asyncio

    from bellweave.cli.live import shown
    from bellweave.emu.supervisor import emulate

    async def run() -> "NetworkRun":
        stop = stopped_by_signals()
        if quiet:
            return await emulate(request, stop=stop, say=say, announce=announce)
        async with shown(request.scenario, as_json=as_json) as view:
            return await emulate(request, stop=stop, watch=view.watch, say=view.say, announce=announce)

    return asyncio.run(run())


def stopped_by_signals() -> "asyncio.Event":
    """Return an event that SIGINT and SIGTERM set."""
    import asyncio
    import signal

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def say(text: str) -> None:
    """Tell people something beside the results."""
    typer.echo(f"bellweave: {text}", err=True)
