"""Write and read run directories. A killed run leaves a directory that reads, and that the same run completes."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedWriter, FileIO
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

import msgspec

from bellweave.errors import ScenarioError
from bellweave.results.network_records import Event, Happening
from bellweave.results.records import BlockRecord, Manifest, Report
from bellweave.results.wide_records import WideEvent

S = TypeVar("S", bound=msgspec.Struct)


class RunWriter:
    """Appends the records of a run to its directory, block by block.

    Opening a directory that holds the same run goes on after its last whole record; one that holds another run is
    refused.

    Attributes:
        done: The records that were there already.

    Raises:
        ScenarioError: If the directory holds another run, or can't be written.
    """

    def __init__(self, directory: Path, run: Manifest, scenario_toml: str) -> None:
        self.directory = directory
        self.done: list[BlockRecord] = []
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if (directory / "manifest.json").exists():
                self._resume(run)
            else:
                _write_whole(directory / "scenario.toml", scenario_toml.encode())
                _write_whole(directory / "manifest.json", _pretty(run))
            # unbuffered: a line reaches the operating system whole, or the error is raised where it belongs
            self._blocks = (directory / "blocks.jsonl").open("ab", buffering=0)
            self._timing = (directory / "timing.jsonl").open("ab", buffering=0)
        except OSError as error:
            raise ScenarioError(f"can't write results: {error.strerror}", file=str(directory)) from None

    def _resume(self, run: Manifest) -> None:
        _require_same(self.directory, run)
        path = self.directory / "blocks.jsonl"
        if path.exists():
            self.done, whole_bytes = _read_lines(path, BlockRecord)
            os.truncate(path, whole_bytes)

    def append(self, record: BlockRecord, *, elapsed_s: float) -> None:
        """Append one block's record, and how long it took in seconds, and hand both to the operating system.

        Raises:
            ScenarioError: If they can't be written; what was written before stays.
        """
        timing = {"link": record.link, "block": record.block, "elapsed_s": round(elapsed_s, 6)}
        try:
            _write_line(self._blocks, msgspec.json.encode(record))
            _write_line(self._timing, msgspec.json.encode(timing))
        except OSError as error:
            raise ScenarioError(f"can't write results: {error.strerror}", file=str(self.directory)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._blocks.close()
        self._timing.close()


class NetworkWriter:
    """Writes the directory of a network run: ``manifest.json``, ``scenario.toml``, and events one by one.

    Lines are buffered: a run that is killed leaves whole lines, and perhaps a torn last one.

    A directory that holds the same run is written anew; one that holds another run is refused.

    Raises:
        ScenarioError: If the directory holds another run, or can't be written.
    """

    def __init__(self, directory: Path, run: Manifest, scenario_toml: str) -> None:
        self.directory = directory
        self._encoder = msgspec.json.Encoder()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if (directory / "manifest.json").exists():
                _require_same(directory, run)
            _write_whole(directory / "scenario.toml", scenario_toml.encode())
            _write_whole(directory / "manifest.json", _pretty(run))
            self._events: BufferedWriter = (directory / "events.jsonl").open("wb")
        except OSError as error:
            raise ScenarioError(f"can't write results: {error.strerror}", file=str(directory)) from None

    def append(self, event: Happening) -> None:
        """Append an event.

        Raises:
            ScenarioError: If it can't be written; what was written before stays.
        """
        try:
            self._events.write(self._encoder.encode(event) + b"\n")
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> ScenarioError:
        return ScenarioError(f"can't write results: {error.strerror}", file=str(self.directory))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._events.close()
        except OSError as failed:
            self._events.raw.close()
            if error is None:  # else the first error says it
                raise self._failed(failed) from None


def read_events(directory: Path) -> tuple[Event, ...]:
    """Return the events of a network run's directory; a torn last line is left out.

    Raises:
        ScenarioError: If there are none, or one is damaged.
    """
    return cast("tuple[Event, ...]", _events(directory, Event))


def read_wide_events(directory: Path) -> tuple[WideEvent, ...]:
    """Return the events of a wide-area run's directory; a torn last line is left out.

    Raises:
        ScenarioError: If there are none, or one is damaged.
    """
    return cast("tuple[WideEvent, ...]", _events(directory, WideEvent))


def _events(directory: Path, kinds: object) -> tuple[Happening, ...]:
    path = directory / "events.jsonl"
    if not path.exists():
        raise ScenarioError("no such file: this directory holds no network run", file=str(path))
    return tuple(_read_lines(path, cast("type[Happening]", kinds))[0])


def _require_same(directory: Path, run: Manifest) -> None:
    found = read_manifest(directory)
    if found.run_id != run.run_id:
        raise ScenarioError(
            f"holds another run ({found.scenario}, seed {found.seed}, run id {found.run_id}); choose another --out",
            file=str(directory),
        )


@dataclass(frozen=True)
class RunResult:
    """A run as read: its manifest and its records in the order of links and blocks.

    Attributes:
        complete: Whether every block of the manifest is there; a killed run is not.
    """

    manifest: Manifest
    records: tuple[BlockRecord, ...]

    @property
    def complete(self) -> bool:
        """Whether all blocks are there."""
        return len(self.records) == len(self.manifest.wanted())


def read_run(directory: Path) -> RunResult:
    """Return what a run directory holds, also if the run was killed: a torn last line is left out.

    Raises:
        ScenarioError: If it is no run directory, or a record within is damaged.
    """
    found = read_manifest(directory)
    path = directory / "blocks.jsonl"
    records = _read_lines(path, BlockRecord)[0] if path.exists() else []
    return RunResult(found, tuple(records))


def read_manifest(directory: Path) -> Manifest:
    """Return a run directory's manifest.

    Raises:
        ScenarioError: If it is none.
    """
    path = directory / "manifest.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise ScenarioError("is no run directory: it has no manifest.json", file=str(directory)) from None
    except (msgspec.MsgspecError, OSError) as error:
        raise ScenarioError(f"is no manifest that this version reads: {error}", file=str(path)) from None


def add(runs: Sequence[RunResult]) -> tuple[BlockRecord, ...]:
    """Return the records of several runs of one scenario, put together.

    Raises:
        ScenarioError: If the runs are of different scenarios or versions, or hold the same block of the same seed
            twice.
    """
    first = runs[0].manifest
    records: dict[tuple[str, int, int], BlockRecord] = {}
    for run in runs:
        for name in ("scenario_id", "version", "level"):
            mine, theirs = getattr(first, name), getattr(run.manifest, name)
            if mine != theirs:
                raise ScenarioError(f"runs do not add up: {name} is {mine} in one and {theirs} in another")
        for record in run.records:
            key = (record.link, record.seed, record.block)
            if key in records:
                raise ScenarioError(
                    f"runs do not add up: block {record.block} of {record.link}, seed {record.seed}, is there twice"
                )
            records[key] = record
    return tuple(records.values())


def write_report(directory: Path, report: Report) -> Path:
    """Write ``report.json`` at the top of the directory; return its path."""
    path = directory / "report.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write_whole(path, _pretty(report))
    except OSError as error:
        raise ScenarioError(f"can't write the report: {error.strerror}", file=str(path)) from None
    return path


def _read_lines(path: Path, kind: type[S]) -> tuple[list[S], int]:
    """Return the whole lines of a JSON-lines file, and how many bytes they take."""
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    records = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            records.append(msgspec.json.decode(line, type=kind))
        except msgspec.MsgspecError as error:
            raise ScenarioError(f"line {number} is damaged: {error}", file=str(path)) from None
    return records, len(whole)


def _write_line(file: FileIO, line: bytes) -> None:
    """Write a line; a disk that takes only part of it is full."""
    if file.write(line + b"\n") != len(line) + 1:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees all of it or none, whenever the writer is killed."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _pretty(struct: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(struct), indent=2) + b"\n"
