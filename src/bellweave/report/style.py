"""How every figure looks and is written."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
)
"""Okabe and Ito's colours: told apart by colour-blind eyes."""
GREY = "#767676"

_STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.dpi": 110,
    "svg.fonttype": "path",
    "svg.hashsalt": "bellweave",
}


@contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """Give a figure of that size in inches, in the house's style, that no window system knows of."""
    with mpl.rc_context(_STYLE):
        drawing = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawing)
        yield drawing


def save(drawing: Figure, directory: Path, name: str) -> list[Path]:
    """Write the figure as PNG and SVG, without a date, so that equal figures are equal files; return both paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{name}.png", directory / f"{name}.svg"]
    drawing.savefig(paths[0], dpi=150, metadata={"Software": None})
    written = io.StringIO()
    drawing.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    paths[1].write_text(_numbered(written.getvalue(), name), encoding="utf-8")
    return paths


def _numbered(svg: str, name: str) -> str:
    """Return the SVG with its clip paths numbered: matplotlib names some of them by where they lie in memory.

    The figure's name comes first, so that several figures fit into one page.
    """
    names = dict.fromkeys(re.findall(r'<clipPath id="(\w+)"', svg))
    numbers = {each: f"{name}-clip{number}" for number, each in enumerate(names, 1)}
    return re.sub(r'(?<=clipPath id=")\w+|(?<=url\(#)\w+', lambda found: numbers.get(found[0], found[0]), svg)
