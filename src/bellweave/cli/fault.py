"""``bellweave fault``: something goes wrong in a running emulation, and ends again."""

from pathlib import Path
from typing import Annotated

import typer


def fault(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Run directory of the emulation.")],
    kind: Annotated[
        str,
        typer.Argument(metavar="KIND", help="eavesdropper, cut, down, partition, store, charon or clock."),
    ],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="What it befalls: a link, hop, node or gateway.")],
    *,
    for_s: Annotated[
        float | None, typer.Option("--for", min=0.0, metavar="SECONDS", help="It ends by itself so much later.")
    ] = None,
    value: Annotated[float, typer.Option(help="Share of intercepted photons, or seconds of a clock's step.")] = 1.0,
    off: Annotated[bool, typer.Option("--off", help="End it.")] = False,
) -> None:
    """Let something go wrong in a network that `bellweave emulate` runs.

    `eavesdropper LINK` intercepts and resends a share (`--value`) of a link's photons; `cut LINK` cuts its quantum
    channel.

    `down NODE` kills a node's process, and starts it again at the end; `clock NODE` sets its clock wrong, by `--value`
    seconds; `store NODE` locks the store of its key server.

    In a wide-area network `down` also takes a repeater or a master, whose stored pairs are lost, and `cut` a hop, or a
    slave's fibre by the slave's name: paths go round them.

    `partition LINK`, or `NODE,NODE`, keeps two key servers from each other. `charon TUNNEL.client`, or `.server`, kills
    that gateway's IKE daemon, which is started again by itself.

    Example: bellweave fault out/emulated/datacenter-modern eavesdropper alice-bob --for 10

    Example: bellweave fault out/emulated/backbone down n2 --for 8
    """
    import asyncio
    import math

    from bellweave.emu.control import Wanted, ask
    from bellweave.emu.messages import Fault
    from bellweave.errors import ScenarioError

    if not math.isfinite(value):
        raise ScenarioError(f"expected a number, got {value}", path="--value")
    wanted = Wanted(fault=Fault(kind=kind, target=target, on=not off, value=value), for_s=for_s)
    typer.echo(asyncio.run(ask(run, wanted)))
