"""Wide-area networks, as a user types them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bellweave.results.io import read_manifest, read_wide_events


def bellweave(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bellweave", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=110)


def test_a_plan_shows_clusters_demands_and_trusted_relays(tmp_path: Path) -> None:
    plan = json.loads(bellweave("plan", "backbone", "--json", cwd=tmp_path).stdout)["wide"]

    assert [each["demand"] for each in plan["demands"]] == ["alice-bob", "anna-boris", "alice-anna"]
    assert plan["clusters"][0]["bits_per_attempt"] == 3.75
    assert plan["demands"][0]["trusted_nodes"] == 5

    shown = bellweave("plan", "backbone", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "Eqs. 5 and 6" in shown.stdout
    assert "6 hops" in shown.stdout


def test_a_run_leaves_a_directory_that_reads_and_a_report(tmp_path: Path) -> None:
    done = bellweave("simulate", "backbone", "--duration-s", "1", "--no-figures", "--out", "run", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "alice-bob" in done.stdout
    assert "events: run/events.jsonl; report: run/report.json" in done.stdout
    assert {each.name for each in (tmp_path / "run").iterdir()} == {
        "events.jsonl", "manifest.json", "report.json", "scenario.toml",
    }  # fmt: skip
    assert read_manifest(tmp_path / "run").verb == "simulate-wide 1.0 s"
    assert read_wide_events(tmp_path / "run")
    rows = json.loads((tmp_path / "run" / "report.json").read_text())["rows"]
    found = {row["quantity"]: row for row in rows}
    books = ("created", "swapped", "measured", "expired", "purified", "held")
    pairs = {name: found[f"pairs_{name}"]["mean"] for name in books}
    assert pairs["created"] == sum(pairs.values()) - pairs["created"]
    row = found["demand.alice-bob.pairs_per_s"]
    assert 0 < row["mean"] < row["theory"]

    again = bellweave("results", "show", "run", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines() == done.stdout.splitlines()[:-1]
    page = bellweave("report", "run", cwd=tmp_path)
    assert page.returncode == 0, page.stderr
    assert "alice-bob" in (tmp_path / "run" / "report.html").read_text()


def test_a_run_prints_its_report_as_json_and_takes_a_seed(tmp_path: Path) -> None:
    options = ("--duration-s", "0.5", "--seed", "7", "--json")
    done = bellweave("simulate", "cluster", *options, cwd=tmp_path)

    assert json.loads(done.stdout)["study"] == "cluster"
    assert read_manifest(tmp_path / "out" / "runs" / "cluster").seed == 7


def test_a_design_is_written_and_simulates(tmp_path: Path) -> None:
    wish = ("--distance-km", "200", "--bits-per-s", "500", "--repeaters", "4,9", "--out", "mine.toml")
    done = bellweave("design", "backbone", *wish, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "the fewest units" in done.stdout
    assert bellweave("scenario", "check", "mine.toml", cwd=tmp_path).stdout.startswith("mine.toml: ok (")
    run = json.loads(bellweave("simulate", "mine.toml", "--duration-s", "2", "--json", cwd=tmp_path).stdout)
    found = {row["quantity"]: row for row in run["rows"]}
    assert found["demand.alice-bob.key_bits_per_s"]["mean"] > 450.0


def test_an_impossible_design_ends_with_code_4(tmp_path: Path) -> None:
    wish = ("--distance-km", "2000", "--bits-per-s", "1e6", "--repeaters", "3")
    done = bellweave("design", "backbone", *wish, cwd=tmp_path)

    assert done.returncode == 4
    assert "units on a hop" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "backbone", "--users", "4"), "--users: is not for wide-area networks"),
        (("simulate", "mesh", "--blocks", "4"), "--blocks: is not for wide-area networks"),
        (("simulate", "vienna2004", "--duration-s", "4"), "--duration-s: only a wide-area run has a duration"),
        (("design", "backbone"), "give a distance and a rate"),
        (("design", "backbone", "--solve", "slot"), "--solve: is not for wide-area networks"),
        (
            ("design", "backbone", "--distance-km", "9", "--bits-per-s", "1", "--repeaters", "x"),
            "--repeaters: expected numbers",
        ),
    ],
)
def test_what_makes_no_sense_is_one_line_and_code_2(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = bellweave(*arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
