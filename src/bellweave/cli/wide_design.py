"""``design`` of a wide-area network: repeaters and memories for so much key over such a distance."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bellweave.cli.wide import refuse, table

if TYPE_CHECKING:
    from bellweave.plan.wide_design import WideDesign
    from bellweave.plan.wide_trial import Wish
    from bellweave.scenario.schema import Scenario

__all__ = ["design", "refuse"]


def design(
    scenario: "Scenario",
    distance_km: float | None,
    bits_per_s: float | None,
    headroom: float,
    repeaters: str | None,
    out: Path | None,
    *,
    figures: Path | None = None,
    as_json: bool,
) -> None:
    """Print candidates, draw them, and write the best one as a scenario."""
    from bellweave import rng
    from bellweave.cli.terminal import print_json
    from bellweave.errors import ScenarioError
    from bellweave.plan import wide_design as plan

    if distance_km is None or bits_per_s is None:
        raise ScenarioError("give a distance and a rate, such as --distance-km 500 --bits-per-s 1000")
    wish = _wish(scenario, distance_km, bits_per_s * (1.0 + headroom))
    counts = plan.numbers(distance_km) if repeaters is None else _numbers(repeaters)
    found = plan.design(wish, counts, lambda name: rng.stream(scenario.run.seed, "design", name))
    if as_json:
        print_json(found)
    else:
        _print(found)
    if figures is not None:
        from bellweave.report import wide_design_figures

        drawn = wide_design_figures.draw(found, figures)
        if not as_json:
            typer.echo(f"figure: {drawn[0]}")
    if found.best is None:
        from bellweave.cli import EXIT_NO_KEY

        raise typer.Exit(EXIT_NO_KEY)
    if out is not None:
        from bellweave.cli.design import write

        write(out, plan.scenario_of(scenario, found), quiet=as_json)


def _wish(scenario: "Scenario", distance_km: float, bits_per_s: float) -> "Wish":
    """Return the wish: everything that was not said is like the scenario's first repeater and hop."""
    from bellweave.plan.wide_trial import Wish
    from bellweave.scenario.wide import backbone_of

    backbone = backbone_of(scenario)
    like = [*scenario.repeater.values(), *(each.repeater for each in scenario.master.values())]
    hops = list(scenario.hop.values())
    return Wish(
        distance_km=distance_km,
        bits_per_s=bits_per_s,
        loss_db_per_km=hops[0].loss_db_per_km if hops else 0.4,
        repeater=like[0],
        fidelity=hops[0].fidelity if hops else 1.0,
        mode=backbone.mode,
        swap_order=backbone.swap_order,
        light_km_per_s=backbone.light_km_per_s,
        distill=scenario.distill,
        epsilon=next(iter(scenario.master.values())).ekert.epsilon,
        block_pairs=backbone.block_pairs,
    )


def _numbers(text: str) -> tuple[int, ...]:
    from bellweave.errors import ScenarioError

    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = (-1,)
    if min(found) < 0:
        raise ScenarioError(f"expected numbers such as 4,9,19, got {text!r}", path="--repeaters")
    return found


def _print(found: "WideDesign") -> None:
    from bellweave.cli.plan_tables import wide_console
    from bellweave.cli.terminal import figure

    wish = found.wish
    title = f"{wish.bits_per_s:.4g} bit/s over {wish.distance_km:g} km, {wish.loss_db_per_km:g} dB/km, {wish.mode} mode"
    heads = (
        "hop, km",
        *(("purified",) if wish.mode == "physical" else ()),
        "units a side",
        "in total",
        "lifetime, s",
        "coherence, s",
        "bit/s",
        "fidelity",
        "trusted, bit/s",
    )
    shown = table(f"repeaters for {title}", *heads, "")
    for each in found.candidates:
        mark = "the fewest units" if each.repeaters == found.best else each.why
        purified = (str(each.rounds),) if wish.mode == "physical" else ()
        values = (each.units, each.total_units, each.lifetime_s, each.coherence_s, each.bits_per_s)
        cells = [
            figure(each.hop_km),
            *purified,
            *map(figure, values),
            figure(each.fidelity),
            figure(each.trusted_bits_per_s),
            mark,
        ]
        shown.add_row(str(each.repeaters), *cells)
    wide_console().print(shown)
