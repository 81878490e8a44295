"""What the commands share: tables, progress bars, options."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from bellweave.report.html import Table as Page
    from bellweave.results.records import BlockRecord, Report

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of every random stream; default: the scenario's.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")]


LONG = 40
"""Letters of a quantity's name that still leave room for the numbers beside it."""


def print_json(value: Any) -> None:
    """Print a struct, or anything made of structs, lists and dicts, as one JSON object."""
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


@contextmanager
def progress(title: str, *, quiet: bool) -> "Iterator[Callable[[BlockRecord, int, int], None]]":
    """Show a progress bar on standard error while blocks end; nothing when ``quiet`` or when nobody watches."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)

        def advance(_record: "BlockRecord", done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance


@contextmanager
def counted(title: str, total: int, *, quiet: bool) -> "Iterator[Callable[[str], None]]":
    """Show a progress bar on standard error while so many steps are done; each says what it was."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)

        def advance(step: str) -> None:
            bar.update(task, advance=1, description=f"{title}: {step}" if step else title)

        yield advance


def print_report(report: "Report", title: str, *, heads: tuple[str, str] = ("per block", "blocks")) -> None:
    """Print a report as a table, its notes below; ``heads`` name the column of quantities and that of counts."""
    from rich import box
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(heads[0], no_wrap=all(len(row.quantity) <= LONG for row in report.rows))
    for name in ("printed", "theory", "ours", "", heads[1], "note"):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    notes: list[str] = []
    for row in report.rows:
        if row.note and row.note not in notes:
            notes.append(row.note)
        label = (
            row.quantity + (f" ({row.accounting})" if row.accounting else "") + (f", {row.unit}" if row.unit else "")
        )
        ours = (figure(row.mean), f"± {float(f'{row.stderr:.2g}'):g}" if row.stderr else "")
        number = str(notes.index(row.note) + 1) if row.note else ""
        table.add_row(label, figure(row.printed), figure(row.theory), *ours, str(row.n or ""), number)
    console = Console()
    if not console.is_terminal:
        console.width = 100
    console.print(table)
    for place, note in enumerate(notes, 1):
        console.print(Padding(f"{place:>2}  {note}", (0, 0, 0, 1)), highlight=False)
    for whose, sentences in report.flags.items():
        print_flags(whose, sentences, console)


def print_table(table: "Page", most: int) -> None:
    """Print the first rows of a table that was made for a page."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    left_out = len(table.rows) - most
    title = f"{table.caption} (the first {most} of {len(table.rows)})" if left_out > 0 else table.caption
    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(table.header):
        shown.add_column(name, justify="right" if place else "left", no_wrap=not place)
    for row in table.rows[:most]:
        shown.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console.width = 140
    console.print(shown)


def print_flags(whose: str, sentences: "Sequence[str]", console: "Console") -> None:
    """Print what does not hold in an accounting; that nothing does is said, too."""
    from rich.padding import Padding

    console.print(f"flags, {whose}:" if sentences else f"flags, {whose}: none", highlight=False)
    for sentence in sentences:
        console.print(Padding(f"!  {sentence}", (0, 0, 0, 1)), highlight=False, markup=False)


def figure(value: float | None) -> str:
    """Return a number with four significant digits; a dash for none."""
    if value is None:
        return "-"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.4g}" if abs(value) >= 1 else f"{value:.4f}"
