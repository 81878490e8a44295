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
import statistics
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    python = environment(peer.environment or peer.name, peer.title, peer.pins, peer.python)
    results = []
    for number in range(peer.runs):
        say(f"{peer.title}: block {number + 1} of {peer.runs}")
        own = {**block, **peer.options, "seed": block["seed"] + 10 * number}
        results.append(run([*pin(), str(python), peer.script, json.dumps(own)], RUN_LIMIT_S))
    result = {
        "pairs": statistics.median(result["pairs"] for result in results),
        "blocks": peer.runs,
        "sifted": sum(result["sifted"] for result in results),
        "errors": sum(result["errors"] for result in results),
        "cpu_s": statistics.median(result["cpu_s"] for result in results),
    }
    return _row(peer.name, peer.title, peer.does, result, block, peer.kept, block["qber"] if peer.noisy else 0.0)


def _our_rows(block: Mapping[str, Any]) -> dict[str, Row]:
    say(f"Bellweave: {block['blocks']} blocks a level")
    results = run(
        [*pin(), our_python(), "bellweave_block.py", json.dumps(block)], RUN_LIMIT_S, PYTHONPATH=str(ROOT / "src")
    )
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
