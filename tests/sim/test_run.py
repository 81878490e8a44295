"""Runs: the same scenario gives the same bytes, a killed run goes on, runs of one scenario add up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from bellweave.edge import tag_files
from bellweave.errors import ScenarioError
from bellweave.photonics.link import tags
from bellweave.results.io import add, read_run
from bellweave.results.records import BlockRecord
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.load import load, to_toml
from bellweave.scenario.schema import Run, Scenario
from bellweave.sim.run import simulate


def scenario(*, seed: int = 1, blocks: int = 4, level: str = "coincidences", preset: str = "vienna2004") -> Scenario:
    return msgspec.structs.replace(load(preset), run=Run(seed=seed, blocks=blocks, level=level))  # type: ignore[arg-type]


@pytest.mark.parametrize("level", ["tags", "coincidences"])
@pytest.mark.parametrize("preset", ["vienna2004", "datacenter-link"])
def test_equal_runs_leave_equal_bytes_for_any_number_of_workers(tmp_path: Path, preset: str, level: str) -> None:
    one, two = tmp_path / "one", tmp_path / "two"

    simulate(scenario(preset=preset, level=level), one, workers=1)
    simulate(scenario(preset=preset, level=level), two, workers=2)

    for name in ("manifest.json", "scenario.toml", "blocks.jsonl"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_another_seed_gives_other_records() -> None:
    first, second = (simulate(scenario(seed=seed), workers=1).records for seed in (1, 2))

    assert [record.ledger for record in first] != [record.ledger for record in second]


def test_blocks_do_not_depend_on_how_many_there_are_and_runs_add_up(tmp_path: Path) -> None:
    whole = simulate(scenario(blocks=4), tmp_path / "whole", workers=1)
    head = simulate(scenario(blocks=2), tmp_path / "head", workers=1)
    tail = simulate(scenario(blocks=2), tmp_path / "tail", workers=1, first_block=2)

    assert add([head, tail]) == whole.records
    assert add([read_run(tmp_path / "head"), read_run(tmp_path / "tail")]) == whole.records
    with pytest.raises(ScenarioError, match="is there twice"):
        add([head, head])
    with pytest.raises(ScenarioError, match="level is"):
        add([head, simulate(scenario(blocks=2, level="tags"), workers=1, first_block=2)])


def test_a_torn_last_line_is_left_out_and_the_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    simulate(scenario(), tmp_path / "whole", workers=1)
    simulate(scenario(), tmp_path / "torn", workers=1)
    blocks = tmp_path / "torn" / "blocks.jsonl"
    blocks.write_bytes(blocks.read_bytes()[:-100])

    torn = read_run(tmp_path / "torn")
    assert not torn.complete
    assert len(torn.records) == 3

    simulate(scenario(), tmp_path / "torn", workers=1)
    assert blocks.read_bytes() == (tmp_path / "whole" / "blocks.jsonl").read_bytes()


def test_a_killed_run_leaves_a_directory_that_reads(tmp_path: Path) -> None:
    """kill -9 in the middle of a run of many blocks, for real."""
    file = tmp_path / "scenario.toml"
    file.write_text(to_toml(scenario(blocks=2000)))
    out = tmp_path / "run"
    command = [sys.executable, "-m", "bellweave", "simulate", str(file), "--out", str(out), "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60.0
        while not (out / "blocks.jsonl").exists() or (out / "blocks.jsonl").stat().st_size < 3000:
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)

    killed = read_run(out)

    assert not killed.complete
    assert killed.records == simulate(scenario(blocks=len(killed.records)), workers=1).records


def test_a_directory_of_another_run_is_not_touched(tmp_path: Path) -> None:
    simulate(scenario(seed=1), tmp_path, workers=1)
    before = (tmp_path / "blocks.jsonl").read_bytes()

    with pytest.raises(ScenarioError, match=r"holds another run .*seed 1"):
        simulate(scenario(seed=2), tmp_path, workers=1)

    assert (tmp_path / "blocks.jsonl").read_bytes() == before


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, which Linux has")
    simulate(scenario(blocks=2), tmp_path, workers=1)
    (tmp_path / "timing.jsonl").unlink()
    (tmp_path / "timing.jsonl").symlink_to("/dev/full")
    blocks = tmp_path / "blocks.jsonl"
    blocks.write_bytes(blocks.read_bytes().splitlines(keepends=True)[0])

    with pytest.raises(ScenarioError, match="No space left"):
        simulate(scenario(blocks=2), tmp_path, workers=1)

    assert len(read_run(tmp_path).records) >= 1


def test_every_ledger_closes_and_what_is_final_is_minted_by_the_papers_accounting(tmp_path: Path) -> None:
    records = simulate(scenario(blocks=6, level="tags"), workers=1).records

    for record in records:
        assert isinstance(record, BlockRecord)
        assert record.ledger.closes()
        assert record.ledger.final == (0 if record.rejection else record.accountings["paper"])
        assert record.provable_bits == 0  # 10.5 s are too short for a proof


def test_recorded_detections_replace_the_photons_of_a_link(tmp_path: Path) -> None:
    """Tags of a simulated link, exported as a recording, give about the key that the link itself gives."""
    plain = scenario(blocks=1, level="tags")
    for name, seen in zip(("alice", "bob"), tags(optical_link(plain, "alice-bob"), 1, 0), strict=True):
        tag_files.write(tmp_path / f"{name}.npz", seen)
    file = tmp_path / "recorded.toml"
    file.write_text(to_toml(plain) + '\n[recorded.alice-bob]\nalice = "alice.npz"\nbob = "bob.npz"\n')

    replaced = simulate(load(file), tmp_path / "run", workers=1)

    (record,) = replaced.records
    assert read_run(tmp_path / "run") == replaced
    assert replaced.complete
    assert record.ledger.closes()
    assert record.rejection is None
    (direct,) = simulate(plain, workers=1).records
    assert record.ledger.sifted == pytest.approx(0.88 * direct.ledger.sifted, abs=60)


def test_accumulated_runs_have_one_record_for_every_few_blocks_and_can_be_resumed(tmp_path: Path) -> None:
    scenario = load("vienna2004")
    distill = msgspec.structs.replace(scenario.distill, accumulate_blocks=3)
    how = Run(seed=1, blocks=6, level="coincidences")
    scenario = msgspec.structs.replace(scenario, distill=distill, run=how)

    whole = simulate(scenario, workers=1)
    again = simulate(scenario, tmp_path / "run", workers=2)

    assert [record.block for record in whole.records] == [0, 3]
    assert [(record.start_s, record.end_s) for record in whole.records] == [(0.0, 31.5), (31.5, 63.0)]
    assert again.records == whole.records
    assert simulate(scenario, tmp_path / "run", workers=1).records == whole.records


def test_blocks_that_would_be_left_over_are_refused() -> None:
    scenario = load("vienna2004")
    distill = msgspec.structs.replace(scenario.distill, accumulate_blocks=3)
    scenario = msgspec.structs.replace(scenario, distill=distill, run=Run(blocks=4))

    with pytest.raises(ScenarioError, match="4 blocks are no multiple of the 3"):
        simulate(scenario)
