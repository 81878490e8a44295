"""Files of detections: what is written is read back, and what is wrong is named."""

import gzip
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave.blocks import Detections
from bellweave.edge import tag_files
from bellweave.errors import ScenarioError

ENDINGS = (".npz", ".parquet", ".csv", ".csv.gz")
GOOD = b"tick,channel\n5,0\n7,3\n7,1\n"


def detections(times: list[int], channels: list[int]) -> Detections:
    time_ps = np.sort(np.array(times, np.int64))
    return Detections(time_ps, np.array(channels, np.uint8), int(time_ps[-1]) + 1)


def written(tmp_path: Path, data: bytes, name: str = "tags.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=20)
@given(rows=st.lists(st.tuples(st.integers(0, 2**59), st.integers(0, 3)), min_size=1, max_size=20))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, ending: str, rows: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("tags") / f"seen{ending}"
    seen = detections([time for time, _ in rows], [channel for _, channel in rows])

    tag_files.write(path, seen)
    back = tag_files.read(path, first_channel=0)

    assert np.array_equal(back.time_ps, seen.time_ps)
    assert np.array_equal(back.channel, seen.channel)
    assert (back.channels, back.duration_ps) == (seen.channels, seen.duration_ps)


def test_the_content_says_what_a_file_is(tmp_path: Path) -> None:
    seen = detections([1, 2], [0, 1])
    tag_files.write(tmp_path / "a.parquet", seen)
    inside = gzip.compress((tmp_path / "a.parquet").read_bytes())

    back = tag_files.read(written(tmp_path, inside, "no-ending"))

    assert back.time_ps.tolist() == [1, 2]


def test_ticks_become_picoseconds(tmp_path: Path) -> None:
    seen = tag_files.read(written(tmp_path, GOOD), tick_ps=156.25)

    assert seen.time_ps.tolist() == [781, 1094, 1094]
    assert seen.channel.tolist() == [0, 3, 1]


def test_channels_may_be_numbered_from_four(tmp_path: Path) -> None:
    path = written(tmp_path, b"time_ps,channel\n5,4\n7,7\n")

    assert tag_files.first_channel(path) == 4
    assert tag_files.read(path).channel.tolist() == [0, 3]


def test_a_little_disorder_is_sorted(tmp_path: Path) -> None:
    seen = tag_files.read(written(tmp_path, b"time_ps,channel\n700,1\n5,2\n"))

    assert seen.time_ps.tolist() == [5, 700]
    assert seen.channel.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (gzip.compress(GOOD, mtime=0)[:-9], "can't be read"),
        (b"PK\x03\x04 nothing", "NPZ"),
        (b"PAR1 nothing", "Parquet"),
        (b"\xff\xfe\x00\x01", "neither NPZ, Parquet nor CSV"),
        (b"tick,channel\n", "no detections"),
        (b"tick,colour\n5,0\n", "no column named channel .* it has tick"),
        (b"hour,channel\n5,0\n", "no column named tick"),
        (b"tick,channel\n5,0\n6.5,0\n", r"'6\.5' .* row 2"),
        (b"tick,channel\n5,0\n6\n", "row 2"),
        (b"tick,channel\n5,0\n-6,0\n", "row 2: tick gives -600 ps"),
        (b"tick,channel\n900000,0\n6,0\n", "row 2: tick falls back by 89999400 ps, the limit is 1000000"),
        (b"tick,channel\n5,0\n6,16\n", "row 2: channel 16 is out of range, 0 to 15"),
        (b"tick,channel\n5,0\n99999999999999999,0\n", "row 2: .* beyond"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    path = written(tmp_path, data)

    with pytest.raises(ScenarioError, match=words) as caught:
        tag_files.read(path, tick_ps=100.0)

    assert caught.value.file == str(path)


def test_ticks_without_a_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="say how long"):
        tag_files.read(written(tmp_path, GOOD))


def test_a_missing_value_in_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with duckdb.connect() as database:
        rows = "SELECT * FROM (VALUES (1, 0), (NULL, 1)) AS t(time_ps, channel)"
        database.execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet)")

    with pytest.raises(ScenarioError, match="row 2: time_ps is missing"):
        tag_files.read(path)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="can't be read"):
        tag_files.read(tmp_path / "absent.npz")


def test_unknown_endings_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="ends in"):
        tag_files.write(tmp_path / "a.txt", detections([1], [0]))
