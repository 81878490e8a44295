"""What tests need of the system beyond Python: programs of Debian packages.

A test that can't have what it needs is skipped, and says with which command it runs; in CI (``CI`` is set), where
nobody reads the reasons of skips, it fails.
"""

import os
import shutil
import subprocess
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
    found = _found(name, folders)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install(package)
        found = _found(name, folders)
    if found is None:
        missing(name, f"make system    (or: apt-get install {package})")
    return found


def missing(what: str, command: str) -> NoReturn:
    """Skip the test that is running, or fail it in CI, because the system lacks something."""
    reason = f"{what} is not there; to run this test: {command}"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _found(name: str, folders: tuple[str, ...]) -> Path | None:
    for pattern in folders:
        matches = sorted(glob(f"{pattern}/{name}"))  # noqa: PTH207 patterns start anywhere
        if matches:
            return Path(matches[-1])
    inside = shutil.which(name)
    return Path(inside) if inside else None


def _install(package: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package],
    ):
        subprocess.run(command, env=environment, capture_output=True, timeout=INSTALL_S, check=False)
