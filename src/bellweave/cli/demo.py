"""``bellweave demo``: everything that works so far, in two minutes."""

from pathlib import Path
from typing import Annotated

import typer

from bellweave.cli.terminal import Workers

RECORDED = Path("../shared/data/recorded-tags")
"""Where developers keep the recorded experiment; it has no licence that would let it into the repository."""


LINKS = ("vienna2004", "datacenter-link")
"""The published links."""

NETWORK_SLOTS = 120
"""Slots of a second: two keys for every tunnel, in some ten seconds."""

EMULATED_SLOTS, EMULATED_SPEED, EMULATED_PERIOD_S = 40, 2.0, 5.0
"""Of the network that runs for real: twenty seconds, three or four keys for every tunnel."""


def demo(
    *,
    out: Annotated[Path, typer.Option(help="Directory for reports and figures.")] = Path("out/demo"),
    recorded: Annotated[
        Path, typer.Option(help="Directory with alice.csv.gz and bob.csv.gz, the recorded detections.")
    ] = RECORDED,
    workers: Workers = None,
) -> None:
    """Distil a key from recorded detections, reproduce both published links, and run a data centre of today.

    The data centre runs twice: in virtual time, and as live processes with tunnels, IPsec where this machine has it.
    Draws the figures of all of them.
    """
    from bellweave.cli import distil, network, reproduce
    from bellweave.scenario.load import load
    from bellweave.sim.recorded import Recipe, seeded
    from bellweave.studies.stand_in import stand_in

    files = (recorded / "alice.csv.gz", recorded / "bob.csv.gz")
    tick_ps: float | None = 156.25
    if all(file.exists() for file in files):
        typer.echo("Recorded detections of a real experiment (Kwiat laboratory, University of Illinois):")
    else:
        typer.echo(f"No recorded experiment in {recorded}; here are simulated tags of a messy set-up instead:")
        files, tick_ps = stand_in(out / "recorded"), None
    recipe = Recipe(tick_ps=tick_ps, mint="paper")
    both = distil.distil_files(files, (recipe, recipe), seeded(1), quiet=False)
    distil.show_both(both, out / "recorded", as_json=False)
    typer.echo("")
    for study in LINKS:
        reproduce.run_and_show(study, out / study, blocks=100, seed=None, workers=workers, figures=True, as_json=False)
        typer.echo("")
    typer.echo(f"A data centre with devices of today, {NETWORK_SLOTS} s of it; provable keys for twelve tunnels:")
    modern = load("datacenter-modern")
    network.simulate(modern, out / "datacenter-modern", slots=NETWORK_SLOTS)
    typer.echo("")
    _emulate(out / "emulated")


def _emulate(out: Path) -> None:
    """Run the data centre for real for a few seconds, where that is possible."""
    from bellweave.cli.emulate import emulate
    from bellweave.edge.doctor import examine

    if examine().channel is None:
        typer.echo("No network runs for real on this machine; bellweave doctor says why.")
        return
    seconds = EMULATED_SLOTS / EMULATED_SPEED
    typer.echo(f"The same data centre for real, {seconds:g} s of it: live processes, key servers, twelve tunnels:")
    emulate("datacenter-modern", out=out, slots=EMULATED_SLOTS, speed=EMULATED_SPEED, period_s=EMULATED_PERIOD_S)
