"""Figures of the cluster study: lines of theory, points of the simulation."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from bellweave.report.style import BLUE, GREEN, ORANGE, PURPLE, figure, save
from bellweave.results.panels import Panel

COLOURS = (BLUE, ORANGE, GREEN, PURPLE)


def draw(panel: Panel, directory: Path) -> list[Path]:
    """Draw one panel; return the paths of its files."""
    with figure(6.4, 4.2) as drawing:
        axes = drawing.add_subplot()
        _draw(axes, panel)
        return save(drawing, directory, panel.name)


def together(panels: Sequence[Panel], directory: Path, name: str) -> list[Path]:
    """Draw several panels on one sheet, two in a row."""
    with figure(12.0, 4.0 * ((len(panels) + 1) // 2)) as drawing:
        for axes, panel in zip(drawing.subplots((len(panels) + 1) // 2, 2).flat, panels, strict=False):
            _draw(axes, panel)
        return save(drawing, directory, name)


def _draw(axes: Axes, panel: Panel) -> None:
    for colour, curve in zip(COLOURS, panel.curves, strict=False):
        axes.plot(curve.x, curve.y, color=colour, linewidth=1.4)
        axes.errorbar(
            [point.x for point in curve.points],
            [point.y for point in curve.points],
            [point.stderr for point in curve.points],
            color=colour,
            linestyle="none",
            marker="o",
            markersize=4.0,
            label=curve.label,
        )
    if panel.log_x:
        axes.set_xscale("log")
        places = sorted({point.x for curve in panel.curves for point in curve.points})
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.xaxis.set_minor_locator(NullLocator())
    if panel.log_y:
        axes.set_yscale("log")
        points = [point.y for curve in panel.curves for point in curve.points]
        axes.set_ylim(min(points) / 3.0, 1.6 * max(*points, *(max(curve.y) for curve in panel.curves)))
    if panel.limits_y is not None:
        axes.set_ylim(*panel.limits_y)
    axes.set_title(panel.title + "\n")
    told = f"line: {panel.theory}; points: simulated"
    axes.annotate(told, (0.0, 1.0), xytext=(0, 4), xycoords="axes fraction", textcoords="offset points", fontsize=8)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.legend(fontsize=8)
