"""The command line, as a user types it."""

import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from bellweave.edge import tag_files
from bellweave.testing.messy_tags import Messy, record


def bellweave(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bellweave", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=110)


def test_a_scenario_can_be_started_edited_checked_and_shown(tmp_path: Path) -> None:
    assert bellweave("scenario", "new", "mine.toml", "--from", "datacenter-link", cwd=tmp_path).returncode == 0
    assert bellweave("scenario", "check", "mine.toml", "vienna2004", cwd=tmp_path).returncode == 0
    again = bellweave("scenario", "new", "mine.toml", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (2, "bellweave: mine.toml: exists already\n")

    file = tmp_path / "mine.toml"
    file.write_text(file.read_text().replace("efficiency = 0.5", "efficiency = 5.0", 1))
    bad = bellweave("scenario", "check", "mine.toml", cwd=tmp_path)
    assert bad.returncode == 2
    assert bad.stderr == "bellweave: mine.toml: node.alice.detector.efficiency: expected `float` <= 1.0, got 5.0\n"

    shown = json.loads(bellweave("scenario", "show", "datacenter-link", "--json", cwd=tmp_path).stdout)
    assert shown["switch"]["insertion_loss_db"] == 1.5


def test_plan_prints_one_json_object_that_agrees_with_the_paper_on_the_sifted_key(tmp_path: Path) -> None:
    plan = json.loads(bellweave("plan", "vienna2004", "--json", cwd=tmp_path).stdout)

    lines = {line["quantity"]: line["value"] for line in plan["links"][0]["lines"]}
    assert lines["per block of 10.5 s: sifted_bits"] == pytest.approx(2449, rel=0.002)
    assert lines["per block of 10.5 s: qber"] == pytest.approx(0.06405, rel=0.002)
    assert any(flag.startswith("too short") for flag in plan["links"][0]["flags"])
    assert lines["first provable key, at best (TL17)"] == 6  # blocks; the line before it has seconds


def test_simulate_writes_a_run_that_results_show_reads(tmp_path: Path) -> None:
    run = bellweave(
        "simulate", "vienna2004", "--blocks", "3", "--level", "coincidences", "--out", "run", "--json", cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report == json.loads((tmp_path / "run" / "report.json").read_text())

    shown = bellweave("results", "show", "run", "--json", cwd=tmp_path)

    assert json.loads(shown.stdout) == report


def test_reproduce_writes_the_report_and_the_figures_that_it_names(tmp_path: Path) -> None:
    done = bellweave("reproduce", "vienna2004", "--blocks", "4", "--out", "v", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "v" / "report.json").read_text())
    quantities = {row["quantity"] for row in report["rows"]}
    assert quantities >= {"sifted_bits", "sample_bits", "qber", "disclosed_bits", "final_bits", "rate_bps"}
    for row in report["rows"]:
        assert set(row) == {"quantity", "unit", "accounting", "printed", "theory", "mean", "stderr", "n", "note"}
    assert set(report["flags"]) == {"printed", "ours"}
    assert "297 bits are missing" in done.stdout.replace("\n ", " ")
    for name in ("blocks", "waterfall", "loss-budget", "accountings", "accumulation"):
        assert (tmp_path / "v" / f"{name}.png").stat().st_size > 5000
        assert (tmp_path / "v" / f"{name}.svg").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "nowhere.toml"), "nowhere.toml: no such file, nor a preset (vienna2004, datacenter-link, datacenter"),
        (("plan", "vienna2004", "--link", "x"), "there is no 'x'; there are alice-bob"),
        (("results", "show", "."), "is no run directory"),
        (("scenario", "new", "x.toml", "--from", "y"), "no such preset: 'y'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    refused = bellweave(*arguments, cwd=tmp_path)

    assert refused.returncode == 2
    assert words in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_an_unwritable_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    refused = bellweave("simulate", "vienna2004", "--blocks", "1", "--out", "file/run", cwd=tmp_path)

    assert refused.returncode == 2
    assert "can't write results" in refused.stderr


def test_recordings_are_distilled_to_equal_keys_and_pay_for_authentication(tmp_path: Path) -> None:
    for name, seen in zip(("alice", "bob"), record(Messy(offset_ps=40_000_000)), strict=True):
        tag_files.write(tmp_path / f"{name}.csv.gz", seen)
    pools = tmp_path / "link"
    pools.mkdir()
    (pools / "start.key").write_bytes(secrets.token_bytes(64))
    (pools / "start.key").chmod(0o600)

    done = bellweave(
        *("distil", "--alice", "alice.csv.gz", "--bob", "bob.csv.gz", "--keys", "keys", "--authentication", "link"),
        *("--out", "out", "--json"),
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr
    rows = {row["quantity"]: row["mean"] for row in json.loads(done.stdout)["rows"] if row["accounting"] is None}
    assert (
        rows["authentication_bits"] == 384
    )  # of the 512 - 128 bits of pads 256 were spent; then the pool is filled to 512
    alice, bob = (json.loads((tmp_path / "keys" / f"{name}.json").read_text()) for name in ("alice", "bob"))
    assert alice["bits"] == bob["bits"]
    assert alice["bit_count"] == rows["final_bits"] > 0
    assert (tmp_path / "keys" / "alice.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "out" / "correlation-peaks.png").exists()


def test_a_network_is_simulated_with_report_events_figures_and_page(tmp_path: Path) -> None:
    short = ("--blocks", "20", "--level", "coincidences")
    run = bellweave("simulate", "datacenter", *short, "--out", "run", "--compare-schedulers", cwd=tmp_path)

    assert run.returncode == 0, run.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    found = {(row["quantity"], row["accounting"]) for row in report["rows"]}
    for accounting in ("paper", "provable"):
        for quantity in ("blocks", "sifted_bits", "disclosed_bits", "final_bits", "keys_delivered", "sessions"):
            assert (quantity, accounting) in found
    assert "optimum" in run.stdout
    for name in ("events.jsonl", "timeline.png", "timeline.svg", "schedulers.png", "schedulers.json", "report.html"):
        assert (tmp_path / "run" / name).stat().st_size > 1000

    page = (tmp_path / "run" / "report.html").read_text()
    (tmp_path / "run" / "report.html").unlink()
    again = bellweave("report", "run", cwd=tmp_path)

    assert again.returncode == 0, again.stderr
    assert (tmp_path / "run" / "report.html").read_text() == page


def test_schedulers_are_compared_and_runs_begin_at_block_0_in_networks_only(tmp_path: Path) -> None:
    link = bellweave("simulate", "vienna2004", "--compare-schedulers", cwd=tmp_path)
    network = bellweave("simulate", "datacenter", "--first-block", "3", cwd=tmp_path)

    assert (link.returncode, network.returncode) == (2, 2)
    assert "where there is a [schedule]" in link.stderr
    assert "begins with block 0, got 3" in network.stderr


def test_a_page_is_made_of_a_run_of_links_and_of_a_study(tmp_path: Path) -> None:
    bellweave("simulate", "vienna2004", "--blocks", "3", "--level", "coincidences", "--out", "run", cwd=tmp_path)

    assert bellweave("report", "run", cwd=tmp_path).returncode == 0
    assert (tmp_path / "run" / "report.html").read_text().count("<img ") == 2

    nothing = bellweave("report", ".", cwd=tmp_path)
    assert (nothing.returncode, nothing.stderr) == (2, "bellweave: .: holds no run and no study\n")
