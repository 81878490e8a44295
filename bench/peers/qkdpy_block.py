"""One block through qkdpy 0.8.0; run by the Python of its own environment. Argument: the block as JSON.

Its E91, which has one loss and one random Pauli error a pair, and keeps 2 of its 9 combinations of settings. The Pauli
is X or Y, never Z (the upper bound of its random integers is exclusive), so that a probability p gives a QBER of 5/8 p:
X errs with 1/2 and 0 in its two matching settings, Y always.
"""

import importlib
import json
import sys
import time
from typing import Any


def main(block: dict[str, Any]) -> dict[str, Any]:
    core: Any = importlib.import_module("qkdpy.core")
    e91: Any = importlib.import_module("qkdpy.protocols.e91")
    pairs = block["pairs"]
    begin_s = time.process_time()
    channel = core.QuantumChannel(
        loss=1.0 - 10.0 ** (-2.0 * block["loss_db"] / 10.0), noise_level=block["qber"] / 0.625
    )
    protocol = e91.E91(channel)
    protocol.num_pairs = pairs
    protocol.measure_states([])
    alice, bob = protocol.sift_keys()
    wrong = sum(a != b for a, b in zip(alice, bob, strict=True))
    cpu_s = time.process_time() - begin_s
    numpy = importlib.import_module("numpy")
    return {"pairs": pairs, "sifted": len(alice), "errors": wrong, "cpu_s": cpu_s, "numpy": numpy.__version__}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
