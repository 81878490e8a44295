"""``bellweave plan``: what closed forms expect, before anything is simulated."""

from typing import TYPE_CHECKING, Annotated

import typer

from bellweave.cli.terminal import Json

if TYPE_CHECKING:
    from rich.table import Table

    from bellweave.plan import LinkPlan


def plan(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a preset.")],
    *,
    link: Annotated[str | None, typer.Option(help="Only this link.")] = None,
    as_json: Json = False,
) -> None:
    """Print what theory expects of every link: losses, singles, coincidences, accidentals, QBER, key by accounting.

    Takes no time; `simulate` then shows whether photons agree.
    """
    import msgspec

    from bellweave.plan import plan_link
    from bellweave.scenario.load import load

    loaded = load(scenario)
    plans = [plan_link(loaded, name) for name in ([link] if link else loaded.link)]
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode({"scenario": loaded.name, "links": plans}), indent=2))
        return
    from rich.console import Console

    from bellweave.cli.terminal import print_flags

    console = Console()
    for each in plans:
        console.print(_table(each))
        print_flags(each.link, each.flags, console)


def _table(each: "LinkPlan") -> "Table":
    from rich.table import Table

    from bellweave.cli.terminal import figure

    table = Table(title=f"{each.link}: what theory expects", title_justify="left")
    table.add_column("quantity")
    table.add_column("value", justify="right")
    table.add_column("unit")
    for line in each.lines:
        table.add_row(line.quantity, figure(line.value), line.unit)
    return table
