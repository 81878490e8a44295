"""The page of a report: whole, alone, and safe whatever stands in the texts."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bellweave.errors import ScenarioError
from bellweave.report import html
from bellweave.report.style import figure, save
from bellweave.results.records import Report, Row


class Tags(HTMLParser):
    """Every element must be closed in the right order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def drawn(directory: Path) -> Path:
    with figure(2.0, 2.0) as drawing:
        drawing.subplots().plot([0, 1])
        return save(drawing, directory, "line")[1]


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    tags.close()
    assert tags.open == []
    return tags


def test_a_page_needs_no_other_file_no_host_and_no_script(tmp_path: Path) -> None:
    section = html.Section("Figures", ("a paragraph",), (html.Picture(drawn(tmp_path), "a line"),))

    text = html.page("Run", "lead", {"keys": "43"}, [section])

    tags = parsed(text)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in tags.seen}
    sources = [attributes["src"] or "" for tag, attributes in tags.seen if tag == "img"]
    assert [source.partition(",")[0] for source in sources] == ["data:image/svg+xml;base64"]
    assert not re.search(r"""(src|href)=["'](?!data:|#)|url\(|@import""", text)
    assert "prefers-color-scheme: dark" in text


def test_texts_are_shown_not_run(tmp_path: Path) -> None:
    nasty = "<script>alert('x')</script> & \"so on\""
    table = html.Table(nasty, ("name",), ((nasty,),))

    text = html.page(nasty, nasty, {nasty: nasty}, [html.Section(nasty, (nasty,), (), (table,))])

    assert "script" not in {tag for tag, _ in parsed(text).seen}
    assert text.count("&lt;script&gt;") >= 8


def test_a_drawing_that_is_too_large_is_embedded_as_bitmap(tmp_path: Path) -> None:
    file = drawn(tmp_path)
    file.write_text(file.read_text() + "<!-- " + "x" * html.MOST_SVG_BYTES + " -->")

    assert "data:image/png;base64," in html.page("Run", "", {}, [html.Section("s", (), (html.Picture(file, "c"),))])


def test_the_rows_of_a_report_stand_by_accounting() -> None:
    rows = (
        Row(quantity="sessions", unit="", accounting="paper", printed=43.0, mean=51.8, stderr=0.4, n=5, note="why"),
        Row(quantity="first_key_s", unit="s", accounting="provable"),
    )

    first, second = html.report_tables(Report(study="x", rows=rows))

    assert first.rows == [("sessions", "43", "-", "51.8", "0.4", "5", "why")]
    assert second.rows == [("first_key_s, s", "-", "-", "-", "", "", "")]


def test_a_page_that_can_t_be_written_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ScenarioError, match="can't write the report"):
        html.write(tmp_path / "file", "text")
