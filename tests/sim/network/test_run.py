"""Network runs as a whole: the same bytes for the same seed, every kind of event, directories, refusals."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

from bellweave.errors import ScenarioError
from bellweave.results.io import read_events, read_manifest
from bellweave.results.network_records import (
    BlockDistilled,
    BlockLost,
    Delivered,
    Event,
    LedgerClosed,
    Probed,
    ProcessChanged,
    Refreshed,
    SlotBegan,
)
from bellweave.scenario.load import load, to_toml
from bellweave.sim.network import simulate_network
from bellweave.testing.data_centres import small, with_seed

EVENTFUL = small(
    3,
    30,
    tunnels=2,
    schedule={"scheduler": "deficit"},
    fault={
        "spy": {"at_s": 50.0, "until_s": 150.0, "set": {"link.user1-user2.eavesdropper": {"fraction": 1.0}}},
        "dark": {"at_s": 100.0, "until_s": 180.0, "down": "user3"},
    },
)
RUN_IT = """
import sys
from pathlib import Path
from bellweave.scenario.load import parse
from bellweave.sim.network import simulate_network
simulate_network(parse(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
"""


def test_the_same_seed_gives_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    simulate_network(EVENTFUL, tmp_path / "here")
    (tmp_path / "scenario.toml").write_text(to_toml(EVENTFUL))
    subprocess.run(
        [sys.executable, "-c", RUN_IT, tmp_path / "scenario.toml", tmp_path / "there"],
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    for name in ("events.jsonl", "manifest.json", "scenario.toml"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_another_seed_gives_other_blocks_and_other_keys() -> None:
    one, other = (simulate_network(with_seed(small(slots=6), seed)).events for seed in (1, 2))

    def ids(events: tuple[Event, ...]) -> set[str]:
        return {event.key_id for event in events if isinstance(event, Delivered) and event.key_id}

    def matched(events: tuple[Event, ...]) -> list[int]:
        return [event.block.ledger.matched for event in events if isinstance(event, BlockDistilled)]

    assert matched(one) != matched(other)
    assert ids(one)
    assert not ids(one) & ids(other)


def test_events_of_every_kind_come_in_the_order_of_time_and_are_read_as_they_were_written(tmp_path: Path) -> None:
    seen: list[Event] = []
    run = simulate_network(EVENTFUL, tmp_path / "run", watch=seen.append)

    assert {type(event) for event in run.events} == set(get_args(Event)) - {
        ProcessChanged,
        Refreshed,
        Probed,
        BlockLost,
    }
    assert all(one.at_s <= other.at_s for one, other in pairwise(run.events))
    assert tuple(seen) == run.events == read_events(tmp_path / "run")
    assert read_manifest(tmp_path / "run") == run.manifest


def test_every_slot_begins_at_its_moment_and_every_block_that_it_served_is_distilled() -> None:
    run = simulate_network(small(3, 7))
    slots = [event for event in run.events if isinstance(event, SlotBegan)]
    blocks = [event for event in run.events if isinstance(event, BlockDistilled)]

    assert [slot.at_s for slot in slots] == [10.5 * number for number in range(7)]
    assert [(block.slot, block.block.link) for block in blocks] == [(slot.slot, slot.links[0]) for slot in slots]
    assert run.duration_s == 73.5


def test_a_directory_with_the_same_run_is_written_anew_and_one_with_another_is_refused(tmp_path: Path) -> None:
    simulate_network(small(slots=3), tmp_path)
    whole = (tmp_path / "events.jsonl").read_bytes()
    (tmp_path / "events.jsonl").write_bytes(whole[:1000])

    simulate_network(small(slots=3), tmp_path)

    assert (tmp_path / "events.jsonl").read_bytes() == whole
    with pytest.raises(ScenarioError, match="holds another run"):
        simulate_network(with_seed(small(slots=3), 2), tmp_path)


def test_a_scenario_without_a_schedule_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"schedule: .*needs a \[schedule\]"):
        simulate_network(load("datacenter-link"))


def test_slots_that_leave_no_time_for_photons_are_refused_with_the_numbers() -> None:
    slow = small(switch={"reconfiguration_s": 10.0, "synchronisation_s": 1.0})

    with pytest.raises(ScenarioError, match=r"11 s.*10\.5"):
        simulate_network(slow)


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Let every file end there, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size_bytes", [1, 8_000, 30_000])
def test_a_full_disk_is_said_with_the_directory_and_leaves_what_was_written(tmp_path: Path, size_bytes: int) -> None:
    with files_of_at_most(size_bytes), pytest.raises(ScenarioError, match="can't write results") as caught:
        simulate_network(small(2, 60), tmp_path / "run")

    assert str(tmp_path / "run") in str(caught.value)
    if size_bytes > 20_000:
        assert any(isinstance(event, BlockDistilled) for event in read_events(tmp_path / "run"))


def test_the_last_events_are_the_books_of_both_ends_of_every_link() -> None:
    run = simulate_network(small(3, 4))
    books = [event for event in run.events if isinstance(event, LedgerClosed)]

    assert run.events[-6:] == tuple(books)
    assert [(book.link, book.kme) for book in books[:2]] == [("user1-user2", "user1"), ("user1-user2", "user2")]


def test_a_fault_that_only_an_emulation_can_have_is_refused() -> None:
    scenario = small(3, 4, fault={"locked": {"at_s": 5.0, "store": "user1"}})

    with pytest.raises(ScenarioError, match=r"fault\.locked\.store.*bellweave emulate"):
        simulate_network(scenario)
