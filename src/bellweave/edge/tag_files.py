"""Recorded detections in files: NPZ, Parquet or CSV, gzip or not; one file a party.

What a file is, its content says, not its name. It has a time column, in picoseconds (``time_ps``) or in ticks
(``tick``), and a column ``channel``; other columns are passed over. Times are >= 0 and do not decrease, but for the
little that a tagger mixes up. Everything else is refused, with the file, the row (the first row of data is row 1), the
value and the limit.
"""

import gzip
import io
import re
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from bellweave.blocks import Detections, Ints
from bellweave.errors import ScenarioError
from bellweave.photonics.time_codec import MAX_TIME_PS

PICOSECONDS = ("time_ps", "timestamp_ps", "ps", "picoseconds")
TICKS = ("tick", "ticks", "time", "timestamp", "timetag")
CHANNEL = ("channel", "channels", "ch", "detector")
"""Names that a column may have, in capitals or not."""

MAX_CHANNELS = 16
"""Most channels that one node has; a file may number them from anywhere."""

MAX_FILE_BYTES = 1 << 30
"""Largest file, unpacked: some 60 million detections as CSV."""

MAX_DISORDER_PS = 1_000_000
"""Times may fall back by this much, a microsecond, and are sorted: taggers read their inputs out in bursts."""

_GZIP, _ZIP, _PARQUET = b"\x1f\x8b", b"PK", b"PAR1"


def read(path: str | Path, *, tick_ps: float | None = None, first_channel: int | None = None) -> Detections:
    """Return the detections in a file.

    Args:
        path: The file.
        tick_ps: Length of a tick; needed if the file counts ticks.
        first_channel: The file's number of the channel that becomes 0; by default the multiple of four at or below the
            lowest (a file of channels 4 to 7 starts at 4).

    Raises:
        ScenarioError: The file can't be read or holds no valid detections.
    """
    file = str(path)
    columns = _columns(file)
    name, time_ps = _times(columns, tick_ps, file)
    channel = _integers(_pick(columns, CHANNEL, file)[1], "channel", file)
    if time_ps.size == 0:
        raise ScenarioError("no detections in it", file=file)
    if time_ps.shape != channel.shape:
        raise ScenarioError(f"{time_ps.size} times, but {channel.size} channels", file=file)
    _check_times(time_ps, name, file)
    first = _first_channel(channel) if first_channel is None else first_channel
    wrong = np.flatnonzero((channel < first) | (channel >= first + MAX_CHANNELS))
    if wrong.size:
        row, limit = int(wrong[0]), f"{first} to {first + MAX_CHANNELS - 1}"
        raise ScenarioError(f"row {row + 1}: channel {channel[row]} is out of range, {limit}", file=file)
    channels = max(4, int(channel.max()) - first + 1)
    order = np.argsort(time_ps, kind="stable")
    return Detections(time_ps[order], (channel - first)[order].astype(np.uint8), int(time_ps.max()) + 1, channels)


def first_channel(path: str | Path) -> int:
    """Return the file's number of the channel that :func:`read` counts as 0."""
    file = str(path)
    return _first_channel(_integers(_pick(_columns(file), CHANNEL, file)[1], "channel", file))


def write(path: str | Path, seen: Detections) -> None:
    """Write detections as ``time_ps`` and ``channel``; the name's ending says how: .npz, .parquet, .csv or .csv.gz.

    Raises:
        ScenarioError: The ending is none of these.
    """
    target = Path(path)
    if target.name.endswith(".npz"):
        np.savez_compressed(target, time_ps=seen.time_ps, channel=seen.channel)
    elif target.name.endswith(".parquet"):
        with duckdb.connect() as database:
            database.register("seen", {"time_ps": seen.time_ps, "channel": seen.channel})
            database.execute("COPY seen TO $file (FORMAT parquet, COMPRESSION zstd)", {"file": str(target)})
    elif target.name.endswith((".csv", ".csv.gz")):
        rows = np.column_stack([seen.time_ps, seen.channel])
        np.savetxt(target, rows, fmt="%d", delimiter=",", header="time_ps,channel", comments="")
    else:
        raise ScenarioError("a file of detections ends in .npz, .parquet, .csv or .csv.gz", file=str(path))


def _columns(file: str) -> Mapping[str, NDArray[Any]]:
    try:
        data = Path(file).read_bytes()
        if data[:2] == _GZIP:
            with gzip.open(io.BytesIO(data)) as stream:
                data = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ScenarioError(f"can't be read: {error}", file=file) from None
    if len(data) > MAX_FILE_BYTES:
        raise ScenarioError(f"is larger than {MAX_FILE_BYTES} bytes: split it", file=file)
    if not data.strip():
        raise ScenarioError("is empty", file=file)
    if data[:2] == _ZIP:
        return _npz(data, file)
    return _parquet(data, file) if data[: len(_PARQUET)] == _PARQUET else _csv(data, file)


def _npz(data: bytes, file: str) -> Mapping[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name].ravel() for name in arrays.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ScenarioError(f"is no valid NPZ file: {error}", file=file) from None


def _parquet(data: bytes, file: str) -> Mapping[str, NDArray[Any]]:
    with tempfile.NamedTemporaryFile(suffix=".parquet") as copy, duckdb.connect() as database:
        copy.write(data)  # a gzipped file was unpacked, and DuckDB reads from a path
        copy.flush()
        try:
            return database.execute("SELECT * FROM read_parquet($file)", {"file": copy.name}).fetchnumpy()
        except duckdb.Error as error:
            raise ScenarioError(f"is no valid Parquet file: {str(error).replace(copy.name, file)}", file=file) from None


def _csv(data: bytes, file: str) -> Mapping[str, NDArray[Any]]:
    head, _, body = data.partition(b"\n")
    try:
        names = [name.strip().strip('"') for name in head.decode("utf-8-sig").strip().split(",")]
    except UnicodeDecodeError:
        raise ScenarioError("is neither NPZ, Parquet nor CSV", file=file) from None
    wanted = [i for i, name in enumerate(names) if name.lower() in (*PICOSECONDS, *TICKS, *CHANNEL)]
    if not wanted or not body.strip():
        return {name: np.zeros(0, np.int64) for name in names}
    try:
        table = np.loadtxt(io.BytesIO(body), np.int64, delimiter=",", usecols=wanted, ndmin=2, encoding="utf-8")
    except (ValueError, OverflowError) as error:  # NumPy counts rows from 0 where it could not convert, else from 1
        words = re.sub(r"(?<=' to int64 at row )\d+", lambda found: str(int(found[0]) + 1), str(error))
        raise ScenarioError(f"{words.removesuffix('.')}; whole numbers are wanted", file=file) from None
    return {names[i]: table[:, k] for k, i in enumerate(wanted)}


def _pick(columns: Mapping[str, NDArray[Any]], wanted: tuple[str, ...], file: str) -> tuple[str, NDArray[Any]]:
    by_name = {name.lower(): column for name, column in columns.items()}
    for name in wanted:
        if name in by_name:
            return name, by_name[name]
    raise ScenarioError(f"no column named {' or '.join(wanted)}; it has {', '.join(columns)}", file=file)


def _times(columns: Mapping[str, NDArray[Any]], tick_ps: float | None, file: str) -> tuple[str, Ints]:
    """Return the name of the time column and the times in picoseconds."""
    present = {name.lower() for name in columns}
    if present & set(PICOSECONDS):
        name, column = _pick(columns, PICOSECONDS, file)
        return name, _integers(column, name, file)
    name, column = _pick(columns, (*TICKS, *PICOSECONDS), file)
    ticks = _integers(column, name, file)
    if tick_ps is None:
        raise ScenarioError(f"column {name!r} counts ticks: say how long one is (tick_ps)", file=file)
    if not 0.0 < tick_ps <= 1e9:
        raise ScenarioError(f"tick_ps must be > 0 and at most 1e9, not {tick_ps}", file=file)
    too_late = np.flatnonzero(np.abs(ticks.astype(np.float64)) * tick_ps > MAX_TIME_PS)
    if too_late.size:
        row = int(too_late[0])
        raise ScenarioError(f"row {row + 1}: {name} {ticks[row]} is beyond {MAX_TIME_PS} ps", file=file)
    return name, np.rint(ticks * tick_ps).astype(np.int64)


def _integers(column: NDArray[Any], name: str, file: str) -> Ints:
    if isinstance(column, np.ma.MaskedArray) and bool(np.ma.getmaskarray(column).any()):
        row = int(np.flatnonzero(np.ma.getmaskarray(column))[0])
        raise ScenarioError(f"row {row + 1}: {name} is missing", file=file)
    column = np.asarray(column)
    if column.dtype.kind == "f":
        wrong = np.flatnonzero(~(np.abs(column) < 2.0**53) | (column != np.rint(column)))
        if wrong.size:
            row = int(wrong[0])
            raise ScenarioError(f"row {row + 1}: {name} {column[row]} is no whole number", file=file)
    elif column.dtype.kind == "u" and column.size and int(column.max()) > MAX_TIME_PS:
        row = int(np.flatnonzero(column > MAX_TIME_PS)[0])
        raise ScenarioError(f"row {row + 1}: {name} {column[row]} is beyond {MAX_TIME_PS}", file=file)
    elif column.dtype.kind not in "iu":
        raise ScenarioError(f"{name} holds {column.dtype}, not whole numbers", file=file)
    return column.astype(np.int64)


def _check_times(time_ps: Ints, name: str, file: str) -> None:
    outside = np.flatnonzero((time_ps < 0) | (time_ps > MAX_TIME_PS))
    if outside.size:
        row = int(outside[0])
        raise ScenarioError(
            f"row {row + 1}: {name} gives {time_ps[row]} ps, the limits are 0 and {MAX_TIME_PS}", file=file
        )
    back_ps = np.maximum.accumulate(time_ps) - time_ps
    if int(back_ps.max()) > MAX_DISORDER_PS:
        row = int(np.flatnonzero(back_ps > MAX_DISORDER_PS)[0])
        raise ScenarioError(
            f"row {row + 1}: {name} falls back by {back_ps[row]} ps, the limit is {MAX_DISORDER_PS}: sort the file",
            file=file,
        )


def _first_channel(channel: Ints) -> int:
    lowest = int(channel.min()) if channel.size else 0
    return max(lowest, 0) // 4 * 4
