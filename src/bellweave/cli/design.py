"""``bellweave design``: what a data centre needs, so that its tunnels get the keys that they ask for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bellweave.cli.terminal import Json

if TYPE_CHECKING:
    from bellweave.plan.design import Solved
    from bellweave.scenario.schema import Scenario

Quantity = Literal["brightness", "sources", "slot", "period", "users"]


def design(
    scenario: Annotated[
        str,
        typer.Argument(metavar="SCENARIO", help="A scenario file with a `schedule` table, or the name of a preset."),
    ],
    *,
    tunnels: Annotated[
        int | None, typer.Option(min=1, help="Tunnels, dealt out over the links in turn; default: the scenario's.")
    ] = None,
    key_bits: Annotated[int | None, typer.Option(min=8, help="Size of a key; default: the scenario's.")] = None,
    period_s: Annotated[
        float | None, typer.Option(min=0.001, help="A fresh key is due so often; default: the scenario's.")
    ] = None,
    headroom: Annotated[
        float, typer.Option(min=0.0, help="Supply beyond demand: 0.2 is a fifth more than is asked for.")
    ] = 0.2,
    solve: Annotated[
        Quantity | None,
        typer.Option(help="What may change; default: each alone. Users and a period that was given stay."),
    ] = None,
    scenario_changes: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH=VALUE", help="Change the scenario first, such as kms.mint=provable; any number."),
    ] = None,
    distance_km: Annotated[
        float | None, typer.Option(min=0.1, help="Of a backbone: from end to end; with --bits-per-s.")
    ] = None,
    bits_per_s: Annotated[float | None, typer.Option(min=0.001, help="Of a backbone: key from end to end.")] = None,
    repeaters: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Numbers of repeaters to look at; default: a dozen.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Scenario file to write with the solution; must not exist.")] = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Of a backbone: draw the candidates into this directory.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Solve for what a data centre lacks, everything else staying as it is.

    brightness: of the source; sources: pairs served at once; slot: its length; period: of all tunnels; users: how many,
    all like the first, with tunnels between any two. The answer is the least that is enough (for users the most), or
    that nothing is, with the best there is and why. Closed forms; `simulate` the file that `--out` writes to see
    photons confirm it. Exit code 4 if nothing can.

    Of a wide-area network: how many repeaters, with how many memories of which lifetime, for so much key over such a
    distance; repeaters, hops and mode are like the scenario's first ones. Candidates are run by the kernel.

        bellweave design datacenter --tunnels 12 --key-bits 256 --period-s 60 --headroom 0.2

        bellweave design datacenter-modern --key-bits 256 --solve brightness --out modest.toml

        bellweave design backbone --distance-km 500 --bits-per-s 1000
    """
    from bellweave.plan.design import met
    from bellweave.plan.wish import wished
    from bellweave.scenario.changes import changed, parsed
    from bellweave.scenario.load import load

    asked = changed(load(scenario), parsed(scenario_changes or ()))
    if asked.slave:
        from bellweave.cli import wide_design

        wide_design.refuse(tunnels=tunnels, key_bits=key_bits, period_s=period_s, solve=solve)
        wide_design.design(asked, distance_km, bits_per_s, headroom, repeaters, out, figures=figures, as_json=as_json)
        return
    asked = wished(asked, tunnels=tunnels, key_bits=key_bits, period_s=period_s)
    solutions = _solutions(asked, solve, headroom)
    before = met(asked)
    enough = before is not None and before.factor >= 1.0 + headroom
    # what was asked for is not given up unless that is asked for, too
    kept = {"users"} | ({"period"} if period_s is not None else set()) if solve is None else set()
    taken = next((each for each in solutions if each.design.value is not None and each.design.solve not in kept), None)
    if as_json:
        _print_json(asked, solutions, before, enough=enough, taken=None if enough and not solve else taken)
    else:
        _print(asked, solutions, headroom)
        if enough and not solve:
            typer.echo("nothing is missing: the scenario has it as it is; the table says what it could do without")
        elif taken is None:
            typer.echo("nothing can alone: see why above")
    if out is not None and (taken is not None or enough):
        write(out, asked if enough and not solve else _made(taken), quiet=as_json)
    if taken is None and not enough:
        from bellweave.cli import EXIT_NO_KEY

        raise typer.Exit(EXIT_NO_KEY)


def _solutions(asked: "Scenario", quantity: Quantity | None, headroom: float) -> "list[Solved]":
    from bellweave.errors import ScenarioError
    from bellweave.plan.design import QUANTITIES, solve

    if quantity is not None:
        return [solve(asked, quantity, headroom)]
    found = []
    for each in QUANTITIES:
        try:
            found.append(solve(asked, each, headroom))
        except ScenarioError as error:
            if error.path != "schedule.scheduler":  # a table can't have more sources: the others may still do
                raise
    return found


def _made(taken: "Solved | None") -> "Scenario":
    from bellweave.errors import ScenarioError

    if taken is None or taken.scenario is None:
        raise ScenarioError("the solution is too large to be written as a scenario", path="--out")
    return taken.scenario


def _print(asked: "Scenario", solutions: "list[Solved]", headroom: float) -> None:
    from bellweave.cli.plan_tables import print_designs, wide_console

    tunnels = list(asked.tunnel.values())
    sizes, periods_s = sorted({each.key_bits for each in tunnels}), sorted({each.period_s for each in tunnels})
    wish = f"{len(tunnels)} tunnels, {_span(sizes)} bits every {_span(periods_s)} s, {headroom:.0%} to spare"
    print_designs([each.design for each in solutions], f"{asked.name}: {wish}", wide_console())


def _span(values: "list[int] | list[float]") -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g} to {values[-1]:g}"


def _print_json(
    asked: "Scenario", solutions: "list[Solved]", before: object, *, enough: bool, taken: "Solved | None"
) -> None:
    import msgspec

    value = {
        "scenario": asked.name,
        "tunnels": len(asked.tunnel),
        "before": before,
        "enough": enough,
        "designs": [each.design for each in solutions],
        "taken": taken.design.solve if taken else None,
    }
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def write(file: Path, made: "Scenario", *, quiet: bool) -> None:
    """Write a scenario to a file that is not there yet."""
    from bellweave.errors import ScenarioError
    from bellweave.scenario.load import checked_scenario, to_toml

    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(to_toml(checked_scenario(made)))
    except FileExistsError:
        raise ScenarioError("exists already", file=str(file)) from None
    except OSError as error:
        raise ScenarioError(f"can't be written: {error.strerror}", file=str(file)) from None
    if not quiet:
        typer.echo(f"wrote {file}; now: bellweave simulate {file}")
