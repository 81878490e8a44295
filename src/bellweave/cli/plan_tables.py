"""Tables of plans and designs of networks, for the terminal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from bellweave.plan.budget import NetworkPlan
    from bellweave.plan.design import Design
    from bellweave.plan.scale import Scale

WIDTH = 140
"""Of a table that goes to a file or a pipe."""

MOST_ROWS = 40
"""Longer tables are cut; ``--json`` has all."""

MOST_WARNINGS = 12
"""The same for warnings."""


def wide_console() -> "Console":
    """Return a console that is wide enough for a table where nobody looks."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    return console


def print_network(plan: "NetworkPlan", console: "Console") -> None:
    """Print a network's plan: its links' budgets, its tunnels, the whole, what is doubtful."""
    from rich.markup import escape
    from rich.padding import Padding

    from bellweave.cli.terminal import figure

    budgets = _table("links: a slot in the mean, key in the long run")
    for name in ("loss, dB", "sifted", "QBER", "key", "provable", "of slots", "comes", "asked", "shortest period"):
        budgets.add_column(name, justify="right")
    for link in plan.links[:MOST_ROWS]:
        budgets.add_row(
            link.link,
            f"{link.loss_alice_db:.2f} + {link.loss_bob_db:.2f}",
            figure(link.slot.sifted_bits),
            f"{link.slot.qber:.2%}",
            figure(link.slot.key_bits),
            figure(link.slot.provable_bits),
            f"{link.slot_share:.1%}",
            f"{link.supply_bps:.4g} bit/s",
            f"{link.demand_bps:.4g} bit/s",
            _seconds(link.moments.shortest_period_s),
        )
    console.print(budgets)
    _cut(plan.links, console)
    tunnels = _table("tunnels: keys an hour in the long run")
    for name in ("link", "asked for", "comes", "at most"):
        tunnels.add_column(name, justify="left" if name == "link" else "right")
    for tunnel in plan.tunnels[:MOST_ROWS]:
        hourly = (tunnel.asked_per_hour, tunnel.keys_per_hour, tunnel.largest_refresh_per_hour)
        tunnels.add_row(tunnel.tunnel, tunnel.link, *map(figure, hourly))
    console.print(tunnels)
    _cut(plan.tunnels, console)
    console.print(_whole(plan))
    for warning in plan.warnings[:MOST_WARNINGS]:
        console.print(Padding(f"!  {escape(warning)}", (0, 0, 0, 1)), highlight=False)
    _cut(plan.warnings, console, MOST_WARNINGS)


def _whole(plan: "NetworkPlan") -> "Table":
    from bellweave.cli.terminal import figure

    table = _table(f"the network: {plan.scheduler}, {plan.sources} at once, slots of {plan.slot_s:g} s")
    table.add_column("value", justify="right")
    users = plan.user_share.values()
    proven = sum(link.run_provable_bits for link in plan.links)
    for name, value in (
        ("time in which a source's pairs are used", f"{plan.source_share:.1%}"),
        ("time lost to switching and synchronising", f"{plan.switching_share:.1%}"),
        ("time of a user in sessions", f"{min(users):.1%} to {max(users):.1%}" if users else "-"),
        ("supply over demand, scarcest", f"{figure(plan.demand_factor)} ({plan.limited_by or 'nobody asks'})"),
        (f"keys in the run of {plan.duration_s:g} s", f"{plan.run_keys} of {plan.run_asked}"),
        ("provable bits of the run, each link's slots distilled as one", figure(round(proven))),
        ("first key at a tunnel", _seconds(plan.first_key_s)),
        ("every tunnel has had a key", _seconds(plan.all_keyed_s)),
        ("no tunnel waits any more (steady state)", _seconds(plan.steady_s)),
    ):
        table.add_row(name, value)
    return table


def print_scale(scale: "Scale", console: "Console") -> None:
    """Print keys per tunnel against the number of users."""
    from bellweave.cli.terminal import figure

    wanted = f"asked for: {figure(scale.asked_per_hour)}"
    table = _table(f"keys per tunnel and hour ({wanted})")
    for name in ("scheduler", "links", "tunnels", "keys", "sources needed"):
        table.add_column(name, justify="left" if name == "scheduler" else "right")
    for point in scale.points:
        needed = "none would do" if point.sources_needed is None else str(point.sources_needed)
        counts = (str(point.links), str(point.tunnels), figure(point.keys_per_hour), needed)
        table.add_row(str(point.users), point.scheduler, *counts)
    console.print(table)
    console.print(
        f"{scale.tunnels_per_user} tunnels begin at each user, to those next to it on a ring", highlight=False
    )
    sources = "one source serves" if scale.sources == 1 else f"{scale.sources} sources serve"
    for scheduler, users in scale.enough_until.items():
        many = f"up to {users} users fully" if users > 1 else "not even two users fully"
        many += ", or more" if users == scale.most_users else ""
        console.print(f"{scheduler}: {sources} {many}", highlight=False)


def print_designs(designs: "Iterable[Design]", title: str, console: "Console") -> None:
    """Print what was solved for, and why."""
    from bellweave.cli.terminal import figure

    table = _table(title)
    for name in ("now", "needed", "unit", "supply / demand", "why"):
        table.add_column(name, justify="left" if name in {"unit", "why"} else "right", no_wrap=name != "why")
    for design in designs:
        answer = "none" if design.value is None else figure(design.value)
        factor = figure(design.factor)
        table.add_row(design.solve, figure(design.now), answer, design.unit, factor, design.why)
    console.print(table)


def _table(title: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    return table


def _cut(rows: tuple[object, ...], console: "Console", most: int = MOST_ROWS) -> None:
    if len(rows) > most:
        console.print(f"... and {len(rows) - most} more; --json has all", highlight=False)


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.4g} s"
