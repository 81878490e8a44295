"""Frames through a checkout of brunorijsman/cascade-python; it is pure Python and needs no environment.

Arguments: the file of frames, their number, the most CPU seconds, the checkout. Its mock channel stands in for Alice:
she answers from her key, with the shuffles that Bob has made. Its presets, its count of the parities asked.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

PRESETS = ("original", "yanetal", "option7", "option8")


def key(module: Any, bits: str) -> Any:
    """Return its key of these bits; it has no such constructor of its own."""
    made = module.Key()
    vars(made)["_size"] = len(bits)
    for place, bit in enumerate(bits):
        made.set_bit(place, int(bit))
    return made


def measured(preset: str, path: str, frames: int, limit_s: float) -> dict[str, Any]:
    keys: Any = importlib.import_module("cascade.key")
    channel: Any = importlib.import_module("cascade.mock_classical_channel")
    reconciliation: Any = importlib.import_module("cascade.reconciliation")
    importlib.import_module("cascade.shuffle").Shuffle.set_random_seed(1)
    given = json.loads(Path(path).read_text())
    leaked: list[int] = []
    cpu_s = 0.0
    bad = 0
    for theirs, ours in zip(given["alice"][:frames], given["bob"], strict=False):
        alice, bob = key(keys, theirs), key(keys, ours)
        begin_s = time.process_time()
        run = reconciliation.Reconciliation(preset, channel.MockClassicalChannel(alice), bob, given["qber"])
        corrected = run.reconcile()
        cpu_s += time.process_time() - begin_s
        leaked.append(run.stats.ask_parity_blocks)
        bad += alice.difference(corrected) > 0
        if cpu_s > limit_s:
            break
    return {"frames": len(leaked), "leaked": leaked, "bad": bad, "cpu_s": cpu_s}


def main(path: str, frames: int, limit_s: float, checkout: str) -> dict[str, Any]:
    sys.path.insert(0, checkout)
    return {preset: measured(preset, path, frames, limit_s) for preset in PRESETS}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])))
