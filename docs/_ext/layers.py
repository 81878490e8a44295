"""The ``layers`` directive: the architecture as it is.

The layers come from the import contract in ``pyproject.toml``, the lines between them from the imports that grimp finds
in the code, so that the drawing cannot promise what the code does not keep.
"""

import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import grimp
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
PACKAGE = "bellweave"

WIDTH, ROW, BOX_WIDTH, BOX_HEIGHT = 900, 92, 128, 46  # of the drawing, in its own pixels


@dataclass(frozen=True)
class Architecture:
    """Layers from the top, files of each top-level module that exists, and imports between modules."""

    layers: list[list[str]]
    files: Counter[str]
    imports: Counter[tuple[str, str]]


def read() -> Architecture:
    """Read the contract and the code."""
    contracts = tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [contract for contract in contracts if contract["type"] == "layers"]
    layers = [[name.strip(" ()") for name in line.replace(":", "|").split("|")] for line in contract["layers"]]

    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    files: Counter[str] = Counter()
    imports: Counter[tuple[str, str]] = Counter()
    for module in sorted(graph.modules - {PACKAGE}):
        top = _top(module)
        files[top] += 1
        imports.update((top, _top(target)) for target in graph.find_modules_directly_imported_by(module))
    return Architecture(layers, files, Counter({pair: n for pair, n in imports.items() if pair[0] != pair[1]}))


def _top(module: str) -> str:
    """Return the second part of a dotted name: ``bellweave.distill.cascade`` gives ``distill``."""
    _, _, inside = module.partition(".")
    return inside.partition(".")[0] or PACKAGE


def drawing(architecture: Architecture) -> str:
    """Return the drawing as inline SVG."""
    centres = {
        name: (WIDTH * (2 * column + 1) / (2 * len(layer)), ROW * row + ROW / 2)
        for row, layer in enumerate(architecture.layers)
        for column, name in enumerate(layer)
    }
    height = ROW * len(architecture.layers)
    parts = [f'<svg class="layers" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Layers of {PACKAGE}">']
    parts += [
        f'<rect class="row" x="0" y="{ROW * row + 6}" width="{WIDTH}" height="{ROW - 12}" rx="8"/>'
        for row in range(len(architecture.layers))
    ]
    for (importer, imported), count in sorted(architecture.imports.items()):
        if importer in centres and imported in centres:
            parts.append(_wire(centres[importer], centres[imported], f"{importer} imports {imported}: {count}", count))
    for name, (x, y) in centres.items():
        count = architecture.files[name]
        size = f"{count} file{'s' * (count > 1)}" if count else "planned"
        parts.append(
            f'<g class="{"built" if count else "planned"}">'
            f'<rect class="box" x="{x - BOX_WIDTH / 2:.0f}" y="{y - BOX_HEIGHT / 2:.0f}" '
            f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"/>'
            f'<text class="name" x="{x:.0f}" y="{y - 1:.0f}">{name}</text>'
            f'<text class="size" x="{x:.0f}" y="{y + 15:.0f}">{size}</text></g>'
        )
    return "\n".join([*parts, "</svg>"])


def _wire(above: tuple[float, float], below: tuple[float, float], title: str, count: int) -> str:
    """Return a line from the lower edge of one box to the upper edge of another, wider with more imports."""
    (x0, y0), (x1, y1) = above, below
    y0, y1 = y0 + BOX_HEIGHT / 2, y1 - BOX_HEIGHT / 2
    bend = (y1 - y0) / 2
    return (
        f'<path class="wire" stroke-width="{1 + count**0.5:.1f}" '
        f'd="M{x0:.0f} {y0:.0f} C{x0:.0f} {y0 + bend:.0f} {x1:.0f} {y1 - bend:.0f} {x1:.0f} {y1:.0f}">'
        f"<title>{title}</title></path>"
    )


class Layers(SphinxDirective):
    """Draw the layers, then list who imports whom, in the order of the layers."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """Return the drawing and the table."""
        architecture = read()
        self.env.note_reread()  # the code can change when this page does not
        names = [name for layer in architecture.layers for name in layer if architecture.files[name]]
        lines = ["| module | files | imports (how many times) |", "|---|---|---|"]
        for name in names:
            imported = [f"`{other}` {n}" for other in names if (n := architecture.imports[name, other])]
            lines.append(f"| `{name}` | {architecture.files[name]} | {', '.join(imported) or 'none of ours'} |")
        return [nodes.raw("", drawing(architecture), format="html"), *self.parse_text_to_nodes("\n".join(lines))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("layers", Layers)
    return {"parallel_read_safe": True}
