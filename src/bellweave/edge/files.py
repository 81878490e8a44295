"""Files that hold secrets, or that others read while they change: each is there as a whole or not at all."""

import os
from pathlib import Path

from bellweave.errors import ScenarioError

Stamp = tuple[int, int, int]
"""What changes when a file does: time of change in ns, length, inode."""


def write_whole(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace a file's content on disk, at once or not at all; by default only the owner may read it.

    Raises:
        ScenarioError: It can't be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)  # one that a crash left may have another mode
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ScenarioError(f"can't be written: {error.strerror}", file=str(path)) from None


def new_folder(path: Path) -> None:
    """Make a folder, and those above it, that only the owner may enter; one that is there stays as it is.

    Raises:
        ScenarioError: It can't be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ScenarioError(f"can't be made: {error.strerror}", file=str(path)) from None


def read_file(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        ScenarioError: It can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ScenarioError(f"can't be read: {error.strerror}", file=str(path)) from None


def check_secret(path: Path) -> None:
    """Check that a file is there and that only its owner, or its group, may read it.

    The group is let off, unlike for files that we write: packages give keys to a group of their own.

    Raises:
        ScenarioError: It is not there, or others may read it, or the group may write it.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ScenarioError(f"can't be read: {error.strerror}", file=str(path)) from None
    if mode & 0o027:
        raise ScenarioError(f"has mode {mode & 0o777:04o}: others may read or change it; chmod 600 it", file=str(path))


def stamp(path: Path) -> Stamp | None:
    """Return what changes when the file does; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
