"""The house: what holds for the whole repository, whatever lives in it."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAX_LINES = 500


def run(*command: str) -> str:
    """Run a command in the checkout and return what it printed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tracked_files() -> list[Path]:
    """Return the files that Git knows; in a source archive, all that are no build product."""
    if (ROOT / ".git").exists():
        names = run("git", "ls-files", "-z").split("\0")
        return [path for name in names if name and (path := ROOT / name).is_file()]
    skip = {".venv", "build", "out", "_build", "__pycache__"}
    return [path for path in ROOT.rglob("*") if path.is_file() and not skip & set(path.relative_to(ROOT).parts)]


def text_of(path: Path) -> str:
    """Return a file's text, or nothing for a binary one."""
    data = path.read_bytes()
    return "" if b"\0" in data else data.decode()


def test_the_command_answers_a_call_for_help() -> None:
    text = run(str(Path(sys.executable).with_name("bellweave")), "--help")

    assert "Usage" in text


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, bellweave; print(*sys.modules)"

    loaded = set(run(sys.executable, "-c", code).split())

    assert not loaded & {"numpy", "scipy", "numba", "matplotlib", "msgspec", "typer", "duckdb", "importlib.metadata"}


def test_asking_for_help_imports_nothing_heavy() -> None:
    code = "import sys, bellweave.cli; print(*sys.modules)"

    loaded = set(run(sys.executable, "-c", code).split())

    assert not loaded & {"numpy", "scipy", "numba", "matplotlib", "duckdb", "simpy"}


def test_the_version_is_that_of_the_installed_package() -> None:
    import bellweave

    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", bellweave.__version__)


def test_no_file_names_a_package_index_or_a_place_on_one_machine() -> None:
    # written in halves, so that this file passes its own test
    hosts = ["pypi" + ".org", "python" + "hosted", "registry." + "npmjs", "deb." + "debian", "file:" + "//"]
    places = ["/" + place for place in ("work/", "farm/", "root/", "tmp/bash_jobs")]
    forbidden = re.compile("|".join([*map(re.escape, hosts), *(rf"(?<![\w.~-]){place}" for place in places)]))

    found = {
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in tracked_files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if forbidden.search(line)
    }

    assert not found


def test_every_python_file_can_be_read_in_one_sitting() -> None:
    lengths = {
        str(path.relative_to(ROOT)): text_of(path).count("\n") for path in tracked_files() if path.suffix == ".py"
    }

    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_every_pin_carries_a_hash() -> None:
    pins = re.split(r"\n(?=\S+==)", (ROOT / "requirements.lock").read_text())[1:]

    assert len(pins) > 10
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []
