"""Schedulers side by side: what ``simulate --compare-schedulers`` and ``reproduce datacenter`` draw and print."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bellweave.report.html import Picture
    from bellweave.studies.schedulers import Compared

CAPTION = (
    "Keys served, their share of what a linear program says that no schedule can pass, the tunnel that fares worst, "
    "how long links with tunnels wait for a slot, and how evenly tunnels are served."
)


def drawn(situations: "Mapping[str, Sequence[Compared]]", out: Path) -> "Picture":
    """Draw schedulers under some situations; return the figure with its caption."""
    from bellweave.report import html, network_figures

    served = {
        situation: [
            network_figures.Served(
                each.scheduler,
                each.keys,
                each.wanted,
                each.served[0],
                each.wait_mean_s,
                each.wait_max_s,
                each.fairness,
                each.of_bound,
            )
            for each in found
        ]
        for situation, found in situations.items()
    }
    return html.Picture(network_figures.schedulers(served, "Schedulers compared", out)[1], CAPTION)


def show(found: "Sequence[Compared]") -> None:
    """Print schedulers as a table."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Schedulers, same photons", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("scheduler", no_wrap=True)
    for name in ("keys", "due", "refused", "of the bound", "worst tunnel", "mean wait", "longest wait", "Jain"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found:
        table.add_row(
            each.scheduler,
            f"{each.keys}",
            f"{each.wanted}",
            f"{each.refused}",
            f"{each.of_bound:.0%}",
            f"{each.served[0]:.0%}",
            f"{each.wait_mean_s:.1f} s",
            f"{each.wait_max_s:.1f} s",
            f"{each.fairness:.2f}",
        )
    console = Console()
    if not console.is_terminal:
        console.width = 100
    console.print(table)
