"""The directory of a network run: events go in and come out, torn ends and other runs are dealt with."""

from pathlib import Path

import pytest

from bellweave.errors import ScenarioError
from bellweave.results.io import NetworkWriter, read_events
from bellweave.results.network_records import Alarmed, Event, FaultChanged, LedgerClosed, SessionBegan, SlotBegan
from bellweave.results.records import Manifest, Shard

EVENTS: tuple[Event, ...] = (
    SlotBegan(at_s=0.0, slot=0, links=("a-b", "c-d"), lost_s=0.25),
    SessionBegan(at_s=1.5, tunnel="t", key_id="key"),
    Alarmed(at_s=2.0, link="a-b", reason="QBER", qber=None),
    FaultChanged(at_s=3.0, fault="spy", active=True),
    LedgerClosed(at_s=9.0, link="a-b", kme="a", accounts={"ingested": 8, "available": 8}),
)


def manifest(run_id: str = "1") -> Manifest:
    return Manifest(
        run_id=run_id, scenario_id="s", verb="simulate-network", scenario="x", seed=1, level="tags",
        shard=Shard(blocks=1), links=("a-b",), version="0",
    )  # fmt: skip


def write(directory: Path, *events: Event, run_id: str = "1") -> None:
    with NetworkWriter(directory, manifest(run_id), "format = 1\n") as writer:
        for event in events:
            writer.append(event)


def test_events_come_out_as_they_went_in(tmp_path: Path) -> None:
    write(tmp_path / "new" / "run", *EVENTS)

    assert read_events(tmp_path / "new" / "run") == EVENTS
    assert (tmp_path / "new" / "run" / "scenario.toml").read_text() == "format = 1\n"


def test_each_event_is_a_line_that_says_what_it_is(tmp_path: Path) -> None:
    write(tmp_path, *EVENTS)

    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert lines[0] == '{"type":"SlotBegan","slot":0,"links":["a-b","c-d"],"lost_s":0.25,"at_s":0.0}'
    assert len(lines) == len(EVENTS)


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, *EVENTS)
    path = tmp_path / "events.jsonl"
    path.write_bytes(path.read_bytes()[:-5])

    assert read_events(tmp_path) == EVENTS[:-1]


@pytest.mark.parametrize("line", [b"nonsense\n", b'{"type":"SlotBegan"}\n', b'{"type":"Unheard","at_s":1.0}\n'])
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    write(tmp_path, *EVENTS)
    path = tmp_path / "events.jsonl"
    path.write_bytes(path.read_bytes() + line)

    with pytest.raises(ScenarioError, match="line 6 is damaged"):
        read_events(tmp_path)


def test_a_directory_without_events_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="holds no network run"):
        read_events(tmp_path)


def test_the_same_run_is_written_anew_and_another_is_refused(tmp_path: Path) -> None:
    write(tmp_path, *EVENTS)
    write(tmp_path, EVENTS[0])

    assert read_events(tmp_path) == EVENTS[:1]
    with pytest.raises(ScenarioError, match="holds another run"):
        write(tmp_path, run_id="2")
    assert read_events(tmp_path) == EVENTS[:1]


def test_a_place_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ScenarioError, match="can't write results"):
        write(tmp_path / "file" / "run", *EVENTS)


@pytest.mark.parametrize("count", [1, 10_000])
def test_a_full_disk_is_said_whether_it_shows_at_an_event_or_at_the_end(tmp_path: Path, count: int) -> None:
    (tmp_path / "events.jsonl").symlink_to("/dev/full")

    with pytest.raises(ScenarioError, match="can't write results: No space left on device"):
        write(tmp_path, *EVENTS[:1] * count)
