"""What tests need of the system beyond Python: programs of Debian packages.

A test that can't have what it needs is skipped, and says with which command it runs; in CI (``CI`` is set), where
nobody reads the reasons of skips, it fails.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from glob import glob
from pathlib import Path
from typing import NoReturn

import pytest

INSTALL_S = 600.0


def program(name: str, package: str, folders: Iterable[str] = ()) -> Path:
    """Return the path of a program; as root its Debian package is installed if it is missing.

    Args:
        name: Of the program.
        package: That it comes with.
        folders: Where it may lie besides ``PATH``; patterns of :mod:`glob`, the last match counts.
    """
    folders = tuple(folders)
    path = found(name, folders)
    if path is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install(package)
        path = found(name, folders)
    if path is None:
        missing(name, f"make system    (or: apt-get install {package})")
    return path


def found(name: str, folders: Iterable[str] = ()) -> Path | None:
    """Return the path of a program, if it is there."""
    for pattern in folders:
        matches = sorted(glob(f"{pattern}/{name}"))  # noqa: PTH207 patterns start anywhere
        if matches:
            return Path(matches[-1])
    inside = shutil.which(name)
    return Path(inside) if inside else None


def missing(what: str, command: str) -> NoReturn:
    """Skip the test that is running, or fail it in CI, because the system lacks something."""
    reason = f"{what} is not there; to run this test: {command}"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _install(package: str) -> None:
    """Install a package; of several test processes one does it, the others wait."""
    with (Path(tempfile.gettempdir()) / "bellweave-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _apt_get(package)


def _apt_get(package: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package],
    ):
        subprocess.run(command, env=environment, capture_output=True, timeout=INSTALL_S, check=False)
