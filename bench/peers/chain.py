"""A chain of ten repeaters through other simulators and through Bellweave: ``python bench/peers/chain.py [--json]``.

Two ends and ten repeaters, 11 hops of 20 km at 0.2 dB/km, ten memories on each side of a hop, links of fidelity 0.99,
swaps that always succeed. Time is CPU time on one core, imports and compilation left out; a peer's includes building
its network. Environments as for ``run.py``. A peer that can not be installed or run is reported with the reason.

Measured before on the same kind of machine, with scripts that are not here: MQNS 172 to 211 end-to-end pairs per wall
second, SeQUeNCe 1.3.1 9 to 26, SimQN 793 without loss and none with it.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from peers.environments import NUMPY, ROOT, RUN_LIMIT_S, NotMeasuredError, environment, our_python, pin, run, say

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
SIMQN = ("qns==0.2.3", NUMPY)


def measure() -> dict[str, dict[str, Any]]:
    """Return pairs per wall second of every tool, by its name."""
    ours = [*pin(), our_python(), "bellweave_chain.py"]
    results = {
        "bellweave": _row(run([*ours, json.dumps(CHAIN | {"seconds": 10.0})], 120, PYTHONPATH=str(ROOT / "src")))
    }
    for name, drop_rate in (("simqn_lossless", 0.0), ("simqn", 0.6)):
        try:
            python = environment("simqn", "SimQN 0.2.3", SIMQN)
            say(name)
            asked = json.dumps(CHAIN | {"drop_rate": drop_rate})
            results[name] = _row(run([*pin(), str(python), "simqn_chain.py", asked], RUN_LIMIT_S))
        except NotMeasuredError as error:
            results[name] = {"value": None, "unit": "pairs per wall s", "target": None, "reason": str(error)}
    return results


def _row(result: dict[str, Any]) -> dict[str, Any]:
    rate = result["pairs"] / result["cpu_s"]
    return {"value": rate, "unit": "pairs per wall s", "target": None, "fidelity": result["fidelity"]}


def main() -> None:
    parser = argparse.ArgumentParser(description="A chain of ten repeaters, tool by tool.")
    parser.add_argument("--json", action="store_true", help="print one object {measure: {value, unit, target}}")
    as_json = parser.parse_args().json
    results = measure()
    if as_json:
        print(json.dumps(results))
        return
    for name, row in results.items():
        told = row.get("reason") or f"{row['value']:>12,.0f} {row['unit']}, fidelity {row['fidelity']}"
        print(f"{name:16s} {told}")


if __name__ == "__main__":
    main()
