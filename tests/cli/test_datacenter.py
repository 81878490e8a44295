"""``bellweave reproduce datacenter``, with one seed of everything."""

import json
from pathlib import Path

import pytest

from bellweave.cli import datacenter as command
from bellweave.studies import datacenter


def test_the_data_centre_is_reproduced_with_every_row_figure_and_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(datacenter, "SEEDS", 1)
    monkeypatch.setattr(datacenter, "TRIED_SEEDS", 1)
    monkeypatch.setattr(datacenter, "SCALED_USERS", (4,))

    command.run_and_show(tmp_path, seed=None, figures=True, as_json=False)

    report = json.loads((tmp_path / "report.json").read_text())
    sessions = {row["accounting"]: row for row in report["rows"] if row["quantity"] == "sessions"}
    assert set(sessions) == {"paper", "provable", "as-printed"}
    assert sessions["paper"]["printed"] == 43.0
    assert sessions["paper"]["mean"] == pytest.approx(sessions["paper"]["theory"], rel=0.12)
    names = ("keys-over-time", "blocks-by-qber", "hypotheses", "hypothesis-shapes", "schedulers", "scaling")
    for name in (*names, "run/timeline", "run/sessions"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
        assert (tmp_path / f"{name}.svg").stat().st_size > 5000
    assert (tmp_path / "report.html").read_text().count("<img ") == 8
    assert (tmp_path / "run" / "events.jsonl").exists()
    assert "two keys a session" in capsys.readouterr().out
