"""Environments and processes of peers, for the scripts that measure them. No script itself."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENTS = HERE / ".envs"
NUMPY = "numpy==2.4.6"
INSTALL_LIMIT_S = 900
RUN_LIMIT_S = 1800


class NotMeasuredError(Exception):
    """A tool can not be installed or run; the message is the reason."""


def run(command: list[str], limit_s: float, **variables: str) -> Any:
    """Return what the command prints as JSON.

    Raises:
        NotMeasuredError: It fails, takes too long, or prints something else.
    """
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(
            command,
            cwd=HERE,
            env=clean | threads | variables,
            timeout=limit_s,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout.strip().splitlines()[-1])
    except subprocess.CalledProcessError as error:
        raise NotMeasuredError(_reason(error.stderr)) from None
    except subprocess.TimeoutExpired:
        raise NotMeasuredError(f"not finished after {limit_s:.0f} s") from None
    except (IndexError, json.JSONDecodeError):
        raise NotMeasuredError("printed no result") from None


def _reason(stderr: str) -> str:
    """Return the line of an error output that says what went wrong."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("ERROR")]
    return (told or lines or ["failed without a word"])[-1]


def pin() -> list[str]:
    """Return the command that keeps another one on a single core, where there is such a command."""
    taskset = shutil.which("taskset")
    return [taskset, "-c", str(max(os.sched_getaffinity(0)))] if taskset else []


def say(words: str) -> None:
    print(f"# {words}", file=sys.stderr, flush=True)


def our_python() -> str:
    """Return this project's Python: that of its environment, else the running one."""
    python = ROOT / ".venv" / "bin" / "python"
    return str(python) if python.exists() else sys.executable


def environment(name: str, title: str, pins: tuple[str, ...], oldest: tuple[int, int] = (3, 11)) -> Path:
    """Return the Python of a peer's environment, which is made if it is not there as pinned.

    Args:
        name: Name of the environment.
        title: The peer, as told.
        pins: What pip installs.
        oldest: The oldest Python that the peer runs with.

    Raises:
        NotMeasuredError: No suitable Python, or pip fails.
    """
    place = ENVIRONMENTS / name
    python, ready, pinned = place / "bin" / "python", place / "pins.txt", "\n".join(pins)
    if ready.exists() and ready.read_text() == pinned:
        return python
    base = _python(oldest)
    say(f"{title}: installing")
    shutil.rmtree(place, ignore_errors=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins]
    for command in ([base, "-m", "venv", str(place)], pip):
        try:
            subprocess.run(command, timeout=INSTALL_LIMIT_S, capture_output=True, text=True, check=True)
        except subprocess.CalledProcessError as error:
            raise NotMeasuredError("not installed: " + _reason(error.stderr or error.stdout)) from None
        except subprocess.TimeoutExpired:
            raise NotMeasuredError(f"not installed after {INSTALL_LIMIT_S} s") from None
    ready.write_text(pinned)
    return python


def _python(oldest: tuple[int, int]) -> str:
    """Return a Python of this machine that is new enough: the running one, else the first found.

    Raises:
        NotMeasuredError: There is none.
    """
    if sys.version_info[:2] >= oldest:
        return sys.executable
    for candidate in _pythons():
        asked = [candidate, "-c", "import ensurepip, sys, venv; print(*sys.version_info[:2])"]
        try:
            told = subprocess.run(asked, timeout=30, capture_output=True, text=True, check=True).stdout.split()
        except (OSError, subprocess.SubprocessError):
            continue
        if (int(told[0]), int(told[1])) >= oldest:
            return candidate
    raise NotMeasuredError(f"needs Python {oldest[0]}.{oldest[1]} or newer, there is none on this machine")


def _pythons() -> Iterator[str]:
    """Yield Pythons on the search path and those that pyenv and uv keep."""
    for minor in range(12, 16):
        found = shutil.which(f"python3.{minor}")
        if found:
            yield found
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path.home() / ".local" / "share" / "uv" / "python")
    for root in (pyenv, uv):
        yield from sorted(map(str, root.glob("*/bin/python3.1[2-5]")))
