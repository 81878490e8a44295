"""``bellweave demo``: everything that works so far, in a minute."""

from pathlib import Path
from typing import Annotated

import typer

from bellweave.cli.terminal import Workers

RECORDED = Path("../shared/data/recorded-tags")
"""Where developers keep the recorded experiment; it has no licence that would let it into the repository."""


def demo(
    *,
    out: Annotated[Path, typer.Option(help="Directory for reports and figures.")] = Path("out/demo"),
    recorded: Annotated[
        Path, typer.Option(help="Directory with alice.csv.gz and bob.csv.gz, the recorded detections.")
    ] = RECORDED,
    workers: Workers = None,
) -> None:
    """Reproduce both published links, distil a key from recorded detections, and draw the figures."""
    from bellweave.cli import distil, reproduce
    from bellweave.studies.published import studies

    for study in studies():
        reproduce.run_and_show(study, out / study, blocks=100, seed=None, workers=workers, figures=True, as_json=False)
        typer.echo("")
    alice, bob = recorded / "alice.csv.gz", recorded / "bob.csv.gz"
    if alice.exists() and bob.exists():
        typer.echo("Recorded detections of a real experiment (Kwiat laboratory, University of Illinois):")
        distil.distil_and_show(alice, bob, out / "recorded", tick_ps=156.25)
    else:
        typer.echo(f"No recorded experiment in {recorded}; here are simulated tags of a messy set-up instead:")
        distil.distil_and_show(*distil.stand_in(out / "recorded"), out / "recorded", tick_ps=None)
