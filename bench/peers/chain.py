"""A chain of ten repeaters through other simulators and through Bellweave: ``python bench/peers/chain.py [--json]``.

Two ends and ten repeaters, 11 hops of 20 km at 0.2 dB/km, ten memories on each side of a hop, links of fidelity 0.99,
swaps that always succeed. Time is CPU time on one core, imports and compilation left out; a peer's includes building
its network. Environments as for ``run.py``. A peer that can not be installed or run is reported with the reason. MQNS
is on no package index: pip clones it, or takes the copy of that commit to which ``MQNS_SOURCE`` points.
"""

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from peers.environments import NUMPY, ROOT, RUN_LIMIT_S, NotMeasuredError, environment, our_python, pin, run, say

UNIT = "pairs per CPU s"
CHAIN: dict[str, Any] = {
    "hops": 11,
    "length_km": 20.0,
    "loss_db_per_km": 0.2,
    "units": 10,
    "fidelity": 0.99,
    "attempt_s": 2.0e-4,  # round trip
    "coherence_s": 10.0,
    "seconds": 1.0,
    "seed": 1,
}


@dataclass(frozen=True)
class Peer:
    """A peer, and how it runs the chain.

    Attributes:
        title: Name and version.
        environment: Name of its environment.
        pins: What pip installs.
        script: The adapter.
        options: Further entries of the chain.
        python: The oldest Python that it runs with.
    """

    title: str
    environment: str
    pins: tuple[str, ...]
    script: str
    options: dict[str, Any]
    python: tuple[int, int] = (3, 11)


SIMQN = ("SimQN 0.2.3", "simqn", ("qns==0.2.3", NUMPY), "simqn_chain.py")
SEQUENCE = ("SeQUeNCe 1.3.1", "sequence", ("sequence==1.3.1", NUMPY), "sequence_chain.py")
MQNS = (
    "MQNS 278041c",
    "mqns",
    (
        os.environ.get("MQNS_SOURCE", "git+https://github.com/usnistgov/mqns@278041cddc8ae6a61b2faac1d274f757b946f85f"),
        "typed-argument-parser",
        "scipy",
        NUMPY,
    ),
    "mqns_chain.py",
)
PEERS = {
    "simqn_lossless": Peer(*SIMQN, {"drop_rate": 0.0}),
    "simqn": Peer(*SIMQN, {"drop_rate": 0.6}),
    "mqns": Peer(*MQNS, {"seconds": 0.3}, (3, 12)),
    "sequence_bell_diagonal": Peer(*SEQUENCE, {"bds": True, "seconds": 0.1}, (3, 12)),
    "sequence_state_vector": Peer(*SEQUENCE, {"bds": False, "seconds": 0.05}, (3, 12)),
}


def measure(only: str | None = None) -> dict[str, dict[str, Any]]:
    """Return pairs per CPU second of every tool, or of Bellweave and one other, by its name."""
    ours = [*pin(), our_python(), "bellweave_chain.py"]
    results = {
        "bellweave": _row(run([*ours, json.dumps(CHAIN | {"seconds": 10.0})], 120, PYTHONPATH=str(ROOT / "src")), 10.0)
    }
    for name, peer in PEERS.items():
        if only not in {None, name}:
            continue
        asked = CHAIN | peer.options
        try:
            python = environment(peer.environment, peer.title, peer.pins, peer.python)
            say(name)
            done = run([*pin(), str(python), peer.script, json.dumps(asked)], RUN_LIMIT_S)
            results[name] = _row(done, asked["seconds"])
        except NotMeasuredError as error:
            results[name] = {"value": None, "unit": UNIT, "target": None, "reason": str(error)}
    return results


def _row(result: dict[str, Any], seconds: float) -> dict[str, Any]:
    rate = result["pairs"] / result["cpu_s"]
    more = {"fidelity": result["fidelity"], "per_simulated_s": result["pairs"] / seconds}
    return {"value": rate, "unit": UNIT, "target": None} | more


def main() -> None:
    parser = argparse.ArgumentParser(description="A chain of ten repeaters, tool by tool.")
    parser.add_argument("--json", action="store_true", help="print one object {measure: {value, unit, target}}")
    parser.add_argument("--only", choices=PEERS, help="one peer instead of all")
    arguments = parser.parse_args()
    results = measure(arguments.only)
    if arguments.json:
        print(json.dumps(results))
        return
    for name, row in results.items():
        told = row.get("reason") or (
            f"{row['value']:>12,.1f} {row['unit']}, {row['per_simulated_s']:,.0f} per simulated s, "
            f"fidelity {row['fidelity']}"
        )
        print(f"{name:24s} {told}")


if __name__ == "__main__":
    main()
