"""The same frames through other open reconciliations and Bellweave's: ``python bench/peers/distill.py [--json]``.

1. TNO's qkd_key_rate and qkdpy are pinned and live in environments below ``.envs/``. cascade-python and cascade-cpp are
   not on the package index: give a checkout of yours, the latter built by its own Makefile (``bin/run_experiments``).
2. Frames have exactly round(Q n) errors, and every tool is told the true QBER. cascade-cpp makes such frames itself.
3. f: bits disclosed a frame, the tag apart, over n h(Q). Mbit/s: bits of one key, over the CPU seconds of both parties
   on one core, imports and compilation left out. Failures: frames that still differ, and nobody knows.
4. Each row stops after so many frames or CPU seconds. What can not be run is reported with the reason.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from peers.environments import (
    NUMPY,
    ROOT,
    RUN_LIMIT_S,
    NotMeasuredError,
    environment,
    our_python,
    pin,
    run,
    say,
)

FRAMES = {1_832: 1_000, 10_000: 400, 65_536: 100}
QBERS = (0.03, 0.064)
NO_CHECKOUT = "not measured: give a checkout"
TAGGED = "bellweave"


@dataclass(frozen=True)
class Peer:
    """A peer.

    Attributes:
        name: The name in ``--only`` and in the measures.
        title: Name and version, as printed.
        script: The adapter.
        pins: What pip installs; empty for a checkout.
    """

    name: str
    title: str
    script: str
    pins: tuple[str, ...] = ()


PEERS = (
    Peer("qkdpy", "qkdpy 0.8.0", "qkdpy_distill.py", ("qkdpy==0.8.0", NUMPY)),
    Peer("tno", "TNO qkd_key_rate 2.0.4", "tno_distill.py", ("tno.quantum.communication.qkd_key_rate==2.0.4", NUMPY)),
    Peer("cascade_python", "cascade-python", "cascade_python_distill.py"),
    Peer("cascade_cpp", "cascade-cpp", "cascade_cpp_distill.py"),
    Peer(TAGGED, "Bellweave", "bellweave_distill.py"),
)


@dataclass(frozen=True)
class Row:
    """What one preset of one tool did with the frames of one length and QBER.

    Attributes:
        f: Disclosed bits over n h(Q), nan if not told.
        stderr: Standard error of f, nan if not told.
        bad: Frames that still differ, and nobody knows.
        repaired: Frames in which the tag showed an error that was then searched; None without a tag.
        rejected: Frames given up because the tag showed an error; None without a tag.
    """

    tool: Peer
    preset: str
    bits: int
    qber: float
    frames: int
    f: float
    stderr: float
    mbps: float
    bad: int
    repaired: int | None
    rejected: int | None


def main() -> int:
    options = _arguments()
    rows: list[Row] = []
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as place:
        for bits in options.bits:
            for qber in QBERS:
                path = str(Path(place) / "frames.json")
                _ours("make", path, str(FRAMES[bits]), str(bits), str(qber))
                for peer in PEERS:
                    if options.only not in {None, peer.name} or peer.name in missing:
                        continue
                    say(f"{peer.title}: {bits} bits, {qber:.1%}")
                    try:
                        rows += _rows(peer, _told(peer, path, bits, options), bits, qber)
                    except NotMeasuredError as error:
                        missing[peer.name] = str(error)
    if options.json:
        print(json.dumps(_measures(rows, missing), indent=1))
    else:
        _print(rows, missing)
    return int(TAGGED in missing or any(row.bad for row in rows if row.tool.name == TAGGED))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one object {measure: {value, unit, target}}")
    parser.add_argument("--only", choices=[peer.name for peer in PEERS], help="one tool instead of all")
    parser.add_argument("--bits", type=int, nargs="+", choices=[*FRAMES], default=[*FRAMES], help="lengths of frames")
    parser.add_argument(
        "--seconds", type=float, default=5.0, metavar="S", help="CPU seconds of a row, about (default: %(default)s)"
    )
    parser.add_argument("--cascade-python", type=Path, metavar="DIR", help="checkout of brunorijsman/cascade-python")
    parser.add_argument(
        "--cascade-cpp", type=Path, metavar="PATH", help="built checkout of brunorijsman/cascade-cpp, or its program"
    )
    return parser.parse_args()


# ---- running


def _ours(*arguments: str) -> Any:
    paths = f"{ROOT / 'src'}:{ROOT / 'bench'}"
    return run([*pin(), our_python(), "bellweave_distill.py", *arguments], RUN_LIMIT_S, PYTHONPATH=paths)


def _told(peer: Peer, path: str, bits: int, options: argparse.Namespace) -> Any:
    """Return what the adapter tells of the frames.

    Raises:
        NotMeasuredError: No checkout, or whatever else hinders.
    """
    common = [path, str(FRAMES[bits]), str(options.seconds)]
    if peer.name == TAGGED:
        return _ours(*common)
    python = str(environment(peer.name, peer.title, peer.pins)) if peer.pins else our_python()
    return run([*pin(), python, peer.script, *common, *_checkout(peer, options)], RUN_LIMIT_S)


def _checkout(peer: Peer, options: argparse.Namespace) -> Iterator[str]:
    if peer.pins:
        return
    given: Path | None = getattr(options, peer.name)
    if given is None:
        raise NotMeasuredError(NO_CHECKOUT)
    given = given.resolve()
    if peer.name == "cascade_cpp" and given.is_dir():
        given = given / "bin" / "run_experiments"
    elif peer.name == "cascade_python" and not (given / "cascade" / "reconciliation.py").is_file():
        raise NotMeasuredError("not measured: no cascade/reconciliation.py in this checkout")
    if not given.exists():
        raise NotMeasuredError("not measured: no bin/run_experiments in this checkout; build it with its own Makefile")
    yield str(given)


def _rows(tool: Peer, told: Any, bits: int, qber: float) -> Iterator[Row]:
    wrong = round(qber * bits) / bits
    shannon = -bits * (wrong * math.log2(wrong) + (1.0 - wrong) * math.log2(1.0 - wrong))
    for preset, found in told.items():
        leaked, frames = found["leaked"], found["frames"]
        f = statistics.mean(leaked) / shannon if leaked else math.nan
        stderr = statistics.stdev(leaked) / math.sqrt(len(leaked)) / shannon if len(leaked) > 1 else math.nan
        mbps = bits * frames / found["cpu_s"] / 1e6
        noticed = found["bad"], found.get("repaired"), found.get("rejected")
        yield Row(tool, preset, bits, qber, frames, f, stderr, mbps, *noticed)


# ---- telling


def _number(value: float, digits: int) -> float | None:
    return None if math.isnan(value) else round(value, digits)


def _measures(rows: list[Row], missing: dict[str, str]) -> dict[str, dict[str, Any]]:
    measures: dict[str, dict[str, Any]] = {}
    for name, reason in missing.items():
        measures[name] = {"value": None, "unit": "Mbit/s", "target": None, "reason": reason}
    for row in rows:
        preset = row.preset.replace(", ", "_").replace(" ", "_")
        at = f"{row.tool.name}_{preset}_{row.bits}_{100 * row.qber:g}pc"
        found: dict[str, tuple[float | None, str]] = {
            "f": (_number(row.f, 4), ""),
            "f_stderr": (_number(row.stderr, 4), ""),
            "speed": (_number(row.mbps, 4), "Mbit/s"),
            "failures": (row.bad, f"of {row.frames}"),
        }
        if row.repaired is not None:
            found["repaired"] = (row.repaired, f"of {row.frames}")
            found["rejected"] = (row.rejected, f"of {row.frames}")
        for name, (value, unit) in found.items():
            measures[f"{at}_{name}"] = {"value": value, "unit": unit, "target": None}
    return measures


def _print(rows: list[Row], missing: dict[str, str]) -> None:
    for name, reason in missing.items():
        print(f"{name}: {reason}")
    ordered = sorted(rows, key=lambda row: (row.bits, row.qber, PEERS.index(row.tool)))
    shown = (0, 0.0)
    for row in ordered:
        if shown != (row.bits, row.qber):
            shown = (row.bits, row.qber)
            print(f"\n{row.bits} bits, {row.qber:.1%}".ljust(39) + "      f   +-      Mbit/s  failures")
        f = " " * 14 if math.isnan(row.f) else f"{row.f:7.3f} " + f"{row.stderr:6.3f}".replace("nan", "   ")
        repaired = "" if row.repaired is None else f"; {row.repaired} repaired, {row.rejected} rejected"
        print(f"{row.tool.title} {row.preset}".ljust(38) + f"{f}{row.mbps:10.3g}  {row.bad} of {row.frames}{repaired}")


if __name__ == "__main__":
    sys.exit(main())
