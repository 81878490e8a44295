"""``bellweave plan``: what closed forms expect, before anything is simulated."""

from typing import TYPE_CHECKING, Annotated

import typer

from bellweave.cli.terminal import Json

if TYPE_CHECKING:
    from rich.table import Table

    from bellweave.plan import LinkPlan
    from bellweave.scenario.schema import Scenario


def plan(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a preset.")],
    *,
    link: Annotated[str | None, typer.Option(help="Only this link, in full.")] = None,
    users: Annotated[
        str | None,
        typer.Option(metavar="N,N,...", help="Keys per tunnel for so many users, such as 4,8,16,32,64,128."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print what theory expects of every link: losses, singles, coincidences, accidentals, QBER, key by accounting.

    Of a network (a scenario with a `schedule` table) it prints the budget of each link, keys per tunnel, the largest
    refresh rate that is sustained, when the first key comes and when nobody waits any more, how busy source and users
    are, and what is doubtful. Takes no time; `simulate` then shows whether photons agree.

    Of a wide-area network (with clusters) it prints the key of every cluster (Eqs. 5 and 6 of the cluster paper), and
    of every demand between clusters its paths, the most pairs that the linear program allows, their fidelity, and what
    trusted relays on the same paths would give.

        bellweave plan datacenter

        bellweave plan backbone

        bellweave plan datacenter-modern --users 4,8,16,32,64,128
    """
    from bellweave.scenario.load import load

    loaded = load(scenario)
    if loaded.slave:
        _wide(loaded, link=link, users=users, as_json=as_json)
    elif users is not None:
        _scale(loaded, users, as_json=as_json)
    elif loaded.schedule is not None and link is None:
        _network(loaded, as_json=as_json)
    else:
        _links(loaded, [link] if link else list(loaded.link), as_json=as_json)


def _wide(loaded: "Scenario", *, link: str | None, users: str | None, as_json: bool) -> None:
    from bellweave.cli import wide
    from bellweave.errors import ScenarioError

    for option, value in (("--link", link), ("--users", users)):
        if value is not None:
            raise ScenarioError("is not for wide-area networks", path=option)
    wide.plan(loaded, as_json=as_json)


def _links(loaded: "Scenario", names: list[str], *, as_json: bool) -> None:
    from bellweave.plan import plan_links

    plans = plan_links(loaded, names)
    if as_json:
        _print_json({"scenario": loaded.name, "links": plans})
        return
    from rich.console import Console

    from bellweave.cli.terminal import print_flags

    console = Console()
    for each in plans:
        console.print(_table(each))
        print_flags(each.link, each.flags, console)


def _network(loaded: "Scenario", *, as_json: bool) -> None:
    from bellweave.plan import plan_links
    from bellweave.plan.network import plan_network

    found = plan_network(loaded)
    if as_json:
        _print_json({"scenario": loaded.name, "links": plan_links(loaded, loaded.link), "network": found})
        return
    from bellweave.cli.plan_tables import print_network, wide_console

    print_network(found, wide_console())


def _scale(loaded: "Scenario", users: str, *, as_json: bool) -> None:
    from bellweave.errors import ScenarioError
    from bellweave.plan.scale import scale

    try:
        counts = [int(part) for part in users.split(",")]
    except ValueError:
        raise ScenarioError(f"expected numbers such as 4,8,16, got {users!r}", path="--users") from None
    found = scale(loaded, counts)
    if as_json:
        _print_json({"scenario": loaded.name, "scale": found})
        return
    from bellweave.cli.plan_tables import print_scale, wide_console

    print_scale(found, wide_console())


def _print_json(value: dict[str, object]) -> None:
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


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
