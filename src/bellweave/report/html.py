"""One HTML file that holds a whole report: text, tables and figures, no script, nothing fetched from anywhere.

Figures are embedded as data URIs. The page follows the reader's light or dark setting; drawings are inverted in the
dark with their hues kept.
"""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from bellweave.errors import ScenarioError
from bellweave.results.records import Report, Row

MOST_SVG_BYTES = 600_000
"""A drawing that is larger is embedded as PNG where there is one."""

LONG = 40
"""Letters from which on a cell is a text that wraps."""

MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


@dataclass(frozen=True)
class Table:
    """A table of ready text; the first column holds names, the others numbers."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure in a file, SVG or PNG, and what one sees in it."""

    file: Path
    caption: str


@dataclass(frozen=True)
class Section:
    """A chapter: paragraphs, then figures, then tables."""

    title: str
    paragraphs: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()


def page(title: str, lead: str, facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """Return the page.

    Args:
        title: Of the run or study.
        lead: One paragraph below it.
        facts: What stands in large type at the top, by label.
        sections: The chapters.

    Raises:
        OSError: If a figure can't be read.
    """
    style = (resources.files("bellweave.report") / "page.css").read_text(encoding="utf-8")
    numbered = [(f"s{number}", section) for number, section in enumerate(sections, 1)]
    contents = "".join(f'<a href="#{key}">{_text(section.title)}</a>' for key, section in numbered)
    cards = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in facts.items())
    body = "\n".join(_section(key, section) for key, section in numbered)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_text(title)} · Bellweave</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header><p>Bellweave</p><h1>{_text(title)}</h1><p>{_text(lead)}</p></header>\n"
        f"<nav>{contents}</nav>\n<main>\n<dl>{cards}</dl>\n{body}\n</main>\n</body>\n</html>\n"
    )


def write(directory: Path, text: str) -> Path:
    """Write the page as ``report.html`` into a directory; return its path.

    Raises:
        ScenarioError: If it can't be written.
    """
    path = directory / "report.html"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"can't write the report: {error.strerror}", file=str(path)) from None
    return path


def report_tables(report: Report) -> list[Table]:
    """Return a report's rows, by accounting; notes stand in the last column."""
    groups: dict[str, list[Row]] = {}
    for row in report.rows:
        groups.setdefault(row.accounting or "", []).append(row)
    header = ("quantity", "printed", "theory", "ours", "±", "runs or blocks", "note")
    return [
        Table(
            f"Accounting “{accounting}”" if accounting else "Whatever the accounting",
            header,
            [
                (
                    f"{row.quantity}, {row.unit}" if row.unit else row.quantity,
                    *(number(value) for value in (row.printed, row.theory, row.mean)),
                    f"{row.stderr:.2g}" if row.stderr else "",
                    str(row.n or ""),
                    row.note,
                )
                for row in rows
            ],
        )
        for accounting, rows in groups.items()
    ]


def number(value: float | None) -> str:
    """Return a number with four digits that count; a dash for none.

    >>> number(None), number(86.0), number(0.49808), number(1169.78)
    ('-', '86', '0.4981', '1,170')
    """
    if value is None:
        return "-"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _section(key: str, section: Section) -> str:
    parts = [f'<section id="{key}">\n<h2>{_text(section.title)}</h2>']
    parts += [f"<p>{_text(paragraph)}</p>" for paragraph in section.paragraphs]
    parts += [_picture(picture) for picture in section.pictures]
    parts += [_table(table) for table in section.tables if table.rows]
    return "\n".join([*parts, "</section>"])


def _picture(picture: Picture) -> str:
    file = picture.file
    bitmap = file.with_suffix(".png")
    if file.suffix == ".svg" and file.stat().st_size > MOST_SVG_BYTES and bitmap.exists():
        file = bitmap
    data = base64.b64encode(file.read_bytes()).decode("ascii")
    caption = _text(picture.caption)
    source = f"data:{MEDIA_TYPES[file.suffix]};base64,{data}"
    return f'<figure><img src="{source}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'


def _table(table: Table) -> str:
    columns = list(zip(*table.rows, strict=True))
    numeric = [any(map(_numeric, column)) for column in columns]
    head = "".join(
        f'<th class="n">{_text(name)}</th>' if right else f"<th>{_text(name)}</th>"
        for name, right in zip(table.header, numeric, strict=True)
    )
    long = [place > 0 and any(len(cell) > LONG for cell in column) for place, column in enumerate(columns)]
    rows = "\n".join(f"<tr>{''.join(map(_cell, row, long))}</tr>" for row in table.rows)
    whole = f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>'
    caption = _text(table.caption)
    if table.folded:
        return f"<details><summary>{caption} ({len(table.rows)} rows)</summary>\n{whole}\n</details>"
    return f"<h3>{caption}</h3>\n{whole}"


def _cell(text: str, wraps: bool) -> str:
    """Numbers stand to the right; columns of long texts may wrap."""
    kind = ' class="t"' if wraps else ' class="n"' if _numeric(text) else ""
    return f"<td{kind}>{_text(text)}</td>"


def _numeric(text: str) -> bool:
    return text[:1] in set("-0123456789") and not any(letter.isalpha() for letter in text.replace("e", ""))


def _text(text: str) -> str:
    return html.escape(text, quote=True)
