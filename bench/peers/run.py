"""One and the same block through other simulators and through Bellweave: ``python bench/peers/run.py [--json]``.

1. Each peer is pinned, lives in its own environment below ``.envs/`` (made at the first run, which needs a package
   index) and is run by that environment's Python. Peers are no dependencies and no part of the tests.
2. The adapters ``*_block.py`` are ours. Each prints one JSON object: pairs, sifted, errors, cpu_s.
3. Time is CPU time of the block alone, without imports and compilation, on one core: the median of three blocks for
   peers (one for the slowest), of forty for Bellweave. All in one run, so that the ratios compare like with like.
4. A result further than 5 sigma from what the tool should give is marked, and the run fails. A peer that can not be
   installed or run is reported with the reason; nothing is filled in for it.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENTS = HERE / ".envs"
NUMPY = "numpy==2.4.6"
INSTALL_LIMIT_S = 900
RUN_LIMIT_S = 1800
SIGMAS = 5.0

SIGMA_RAD = math.pi / (6.0 * math.sqrt(2.0))
BLOCK: dict[str, Any] = {
    "pairs": 86_100,  # 8,200/s for 10.5 s
    "pair_rate_hz": 8_200.0,
    "loss_db": 7.83,  # per arm, detectors included
    "sigma_rad": SIGMA_RAD,  # per arm, each of the two angles
    "qber": (1.0 - math.exp(-(SIGMA_RAD**2))) / 2.0,
    "seed": 1,
    # for Bellweave only
    "dark_rate_hz": 1_000.0,  # per detector, four a side
    "jitter_ps": 350,
    "window_ps": 10_000,
    "blocks": 40,
}
TARGETS = {
    "squanch_ratio_tags": 2_000,  # SQUANCH losing photons first, as Bellweave does: the harder of its two orders
    "squanch_ratio_coincidences": 20_000,
}


@dataclass(frozen=True)
class Peer:
    """A peer and what its block is.

    Attributes:
        name: The name in ``--only`` and in the measures.
        title: Name and version, as printed.
        pins: What pip installs.
        script: The adapter.
        does: What the tool really does with a pair.
        lacks: What it can not do of this block, or does otherwise.
        kept: Share of the pairs seen by both that sifting keeps.
        noisy: Whether it can have the block's error rate.
        python: The oldest Python that it runs with.
        options: Further entries of the block.
        runs: How many blocks; the median time counts, what they sift is added up.
        environment: Name of the environment, where it is shared.
    """

    name: str
    title: str
    pins: tuple[str, ...]
    script: str
    does: str
    lacks: str
    kept: float = 0.5
    noisy: bool = True
    python: tuple[int, int] = (3, 11)
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: str = ""
    runs: int = 3


PEERS = (
    Peer(
        name="squanch",
        title="SQUANCH 1.1.0",
        pins=("SQUANCH==1.1.0", NUMPY),
        script="squanch_block.py",
        does="density matrix per pair, in the order of its fibre: lost photons are not rotated",
        lacks="no time tags, dark counts, jitter or window; one process: its agents race on shared states",
    ),
    Peer(
        name="squanch_noise_first",
        title="SQUANCH 1.1.0, noise first",
        pins=("SQUANCH==1.1.0", NUMPY),
        script="squanch_block.py",
        does="the same, every photon rotated before it may be lost",
        lacks="the same; same physics in the slower order",
        options={"noise_first": True},
        environment="squanch",
        runs=1,
    ),
    Peer(
        name="sequence",
        title="SeQUeNCe 1.3.1",
        pins=("sequence==1.3.1", NUMPY),
        script="sequence_block.py",
        does="event per photon; SPDC source, channels, polarisation analysers, BBM92 built by us",
        lacks="no noise on entangled polarisation photons (raises), so QBER 0; one pair a pulse forced by us; no BBM92",
        noisy=False,
        python=(3, 12),
    ),
    Peer(
        name="simqn",
        title="SimQN 0.2.3",
        pins=("qns==0.2.3", NUMPY),
        script="simqn_block.py",
        does="event per qubit; its BB84, one qubit a pair, both losses on one channel",
        lacks="no entangled QKD, dark counts or jitter; its own rotation noise, set to the same QBER",
    ),
    Peer(
        name="qkdpy",
        title="qkdpy 0.8.0",
        pins=("qkdpy==0.8.0", NUMPY),
        script="qkdpy_block.py",
        does="state vector per surviving pair; its E91, which keeps 2 of 9 settings",
        lacks="one loss and one Pauli error a pair instead of two arms; no time tags",
        kept=2.0 / 9.0,
    ),
)
LEVELS = {
    "tags": "every detector event with time tags, dark counts and jitter; clicks, matching, sifting",
    "tags_no_dark_counts": "the same without dark counts, as in the peers' blocks",
    "coincidences": "only what survives, drawn from the exact rates (dark counts included); sifting",
}


@dataclass(frozen=True)
class Row:
    """A tool's measured block: one of its blocks, on average.

    Attributes:
        block_s: CPU seconds a block.
        sifted: Sifted bits a block.
        faults: How the result differs from what it should be.
    """

    name: str
    title: str
    does: str
    pairs: int
    block_s: float
    sifted: float
    qber: float
    faults: str

    @property
    def pairs_per_s(self) -> float:
        """Pairs a CPU second."""
        return self.pairs / self.block_s


class NotMeasuredError(Exception):
    """A tool can not be installed or run; the message is the reason."""


def main() -> int:
    arguments = _arguments()
    block = BLOCK | {"pairs": arguments.pairs}
    peers = [peer for peer in PEERS if arguments.only in (None, peer.name)]
    rows: list[Row] = []
    missing: dict[str, str] = {}
    for peer in peers:
        try:
            rows.append(_peer_row(peer, block))
        except NotMeasuredError as error:
            missing[peer.name] = str(error)
    try:
        ours = _our_rows(block)
    except NotMeasuredError as error:
        ours, missing = {}, missing | {"bellweave": str(error)}
    if arguments.json:
        print(json.dumps(_measures(rows, ours, missing), indent=1))
    else:
        _print(block, rows, ours, missing)
    return int(any(row.faults for row in (*rows, *ours.values())) or "squanch" in missing or "bellweave" in missing)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one object {measure: {value, unit, target}}")
    parser.add_argument(
        "--pairs", type=int, default=BLOCK["pairs"], metavar="N", help="pairs of a block (default: %(default)s)"
    )
    parser.add_argument("--only", choices=[peer.name for peer in PEERS], help="one peer instead of all")
    arguments = parser.parse_args()
    if arguments.pairs < 1:
        parser.error(f"--pairs is at least 1, not {arguments.pairs}")
    return arguments


# ---- running


def _peer_row(peer: Peer, block: Mapping[str, Any]) -> Row:
    python = _environment(peer)
    results = []
    for run in range(peer.runs):
        _say(f"{peer.title}: block {run + 1} of {peer.runs}")
        own = {**block, **peer.options, "seed": block["seed"] + 10 * run}
        results.append(_run([*_pin(), str(python), peer.script, json.dumps(own)], RUN_LIMIT_S))
    result = {
        "pairs": statistics.median(result["pairs"] for result in results),
        "blocks": peer.runs,
        "sifted": sum(result["sifted"] for result in results),
        "errors": sum(result["errors"] for result in results),
        "cpu_s": statistics.median(result["cpu_s"] for result in results),
    }
    return _row(peer.name, peer.title, peer.does, result, block, peer.kept, block["qber"] if peer.noisy else 0.0)


def _our_rows(block: Mapping[str, Any]) -> dict[str, Row]:
    _say(f"Bellweave: {block['blocks']} blocks a level")
    python = ROOT / ".venv" / "bin" / "python"
    command = [str(python) if python.exists() else sys.executable, "bellweave_block.py", json.dumps(block)]
    results = _run([*_pin(), *command], RUN_LIMIT_S, PYTHONPATH=str(ROOT / "src"))
    return {
        level: _row(level, f"Bellweave, {level.replace('_', ' ')}", does, results[level], block, 0.5, block["qber"])
        for level, does in LEVELS.items()
    }


def _row(
    name: str, title: str, does: str, result: Mapping[str, Any], block: Mapping[str, Any], kept: float, qber: float
) -> Row:
    blocks, sifted, errors = result["blocks"], result["sifted"], result["errors"]
    expected = blocks * block["pairs"] * 10.0 ** (-2.0 * block["loss_db"] / 10.0) * kept
    faults = []
    if result["pairs"] != block["pairs"]:
        faults.append(f"{result['pairs']} pairs instead of {block['pairs']}")
    if abs(sifted - expected) > SIGMAS * math.sqrt(expected):
        faults.append(f"{sifted / blocks:.0f} sifted instead of {expected / blocks:.0f}")
    if abs(errors - sifted * qber) > SIGMAS * math.sqrt(sifted * qber * (1.0 - qber)):
        faults.append(f"QBER {errors / sifted:.2%} instead of {qber:.2%}")
    measured = (result["pairs"], result["cpu_s"], sifted / blocks, errors / sifted if sifted else math.nan)
    return Row(name, title, does, *measured, "; ".join(faults))


def _run(command: list[str], limit_s: float, **environment: str) -> Any:
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
            env=clean | threads | environment,
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


def _pin() -> list[str]:
    """Return the command that keeps another one on a single core, where there is such a command."""
    taskset = shutil.which("taskset")
    return [taskset, "-c", str(max(os.sched_getaffinity(0)))] if taskset else []


def _say(words: str) -> None:
    print(f"# {words}", file=sys.stderr, flush=True)


# ---- environments


def _environment(peer: Peer) -> Path:
    """Return the Python of the peer's environment, which is made if it is not there as pinned.

    Raises:
        NotMeasuredError: No suitable Python, or pip fails.
    """
    place = ENVIRONMENTS / (peer.environment or peer.name)
    python, ready, pins = place / "bin" / "python", place / "pins.txt", "\n".join(peer.pins)
    if ready.exists() and ready.read_text() == pins:
        return python
    base = _python(peer.python)
    _say(f"{peer.title}: installing")
    shutil.rmtree(place, ignore_errors=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.pins]
    for command in ([base, "-m", "venv", str(place)], pip):
        try:
            subprocess.run(command, timeout=INSTALL_LIMIT_S, capture_output=True, text=True, check=True)
        except subprocess.CalledProcessError as error:
            raise NotMeasuredError("not installed: " + _reason(error.stderr or error.stdout)) from None
        except subprocess.TimeoutExpired:
            raise NotMeasuredError(f"not installed after {INSTALL_LIMIT_S} s") from None
    ready.write_text(pins)
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


# ---- telling


def _measures(rows: list[Row], ours: Mapping[str, Row], missing: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    measures: dict[str, dict[str, Any]] = {}

    def add(name: str, value: float | None, unit: str, **more: str) -> None:
        measures[name] = {"value": value, "unit": unit, "target": TARGETS.get(name), **more}

    for name, reason in missing.items():
        add(f"{name}_block_cpu_s", None, "s", reason=reason)
    for row in (*rows, *ours.values()):
        name = f"bellweave_{row.name}" if row.name in ours else row.name
        more = {"fault": row.faults} if row.faults else {}
        add(f"{name}_block_cpu_s", row.block_s, "s", **more)
        add(f"{name}_sifted", round(row.sifted, 1), "bits")
        add(f"{name}_qber", round(row.qber, 5), "1")
    for row in rows:
        for level, own in ours.items():
            add(f"{row.name}_ratio_{level}", round(row.block_s / own.block_s, 1), "times")
    return measures


def _print(block: Mapping[str, Any], rows: list[Row], ours: Mapping[str, Row], missing: Mapping[str, str]) -> None:
    expected = block["pairs"] * 10.0 ** (-2.0 * block["loss_db"] / 10.0) / 2.0
    print(
        f"{block['pairs']} pairs, {block['loss_db']} dB and sigma = pi/(6 sqrt 2) an arm; "
        f"expected {expected:.0f} sifted, QBER {block['qber']:.3%}; CPU time on one core"
    )
    head = (
        "tool",
        "s per block",
        "pairs/s",
        "sifted",
        "QBER",
        *(f"x {level.replace('_', ' ')}" for level in LEVELS),
        "what it really does",
    )
    table = [head]
    for row in (*rows, *ours.values()):
        ratios = (f"{row.block_s / ours[level].block_s:,.0f}" if level in ours else "" for level in LEVELS)
        numbers = (f"{row.block_s:.3g}", f"{row.pairs_per_s:,.0f}", f"{row.sifted:.0f}", f"{row.qber:.2%}")
        table.append((row.title, *numbers, *(ratios if row.name not in ours else ("",) * len(LEVELS)), row.does))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:-1], strict=True)),
        ]
        print("  ".join((*cells, line[-1])))
    print("\nx level: how many times faster Bellweave is at that level. What the peers lack here:")
    for peer in PEERS:
        if peer.name in missing:
            print(f"  {peer.title}: NOT MEASURED: {missing[peer.name]}")
        elif any(row.name == peer.name for row in rows):
            print(f"  {peer.title}: {peer.lacks}")
    if "bellweave" in missing:
        print(f"  Bellweave: NOT MEASURED: {missing['bellweave']}")
    for row in (*rows, *ours.values()):
        if row.faults:
            print(f"  WRONG RESULT: {row.title}: {row.faults}")


if __name__ == "__main__":
    sys.exit(main())
