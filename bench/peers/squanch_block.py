"""One block through SQUANCH 1.1.0; run by the Python of its own environment. Argument: the block as JSON.

"SQUANCH direct": its streams, gates, channel and error models in one process. Its agents are processes that change one
density matrix without a lock, and on some NumPy versions share their random state: their error rate is wrong.

Its error models are applied in the order of its own FiberOpticQChannel, loss before rotations: a photon that is lost is
measured and never rotated. ``noise_first`` swaps them: the same physics, four times the work.
"""

import importlib
import json
import sys
import time
from typing import Any

import numpy as np


def main(block: dict[str, Any]) -> dict[str, Any]:
    squanch: Any = importlib.import_module("squanch")
    gates, errors = squanch.gates, squanch.errors
    np.random.seed(block["seed"])  # noqa: NPY002, TID251  SQUANCH draws from NumPy's global state
    pairs = block["pairs"]
    begin_s = time.process_time()
    channel = squanch.QChannel(None, None, length=1.0)
    models = [
        errors.AttenuationError(channel, attenuation_coefficient=-block["loss_db"]),  # negative dB/km, on 1 km
        errors.RandomUnitaryError(channel, block["sigma_rad"]),  # called variance, is the standard deviation
    ]
    if block.get("noise_first"):
        models.reverse()
    bases = np.random.randint(0, 2, (pairs, 2)).tolist()  # noqa: NPY002
    sifted = wrong = 0
    for number, system in enumerate(squanch.QStream(2, pairs)):
        alice, bob = system.qubits
        gates.H(alice)
        gates.CNOT(alice, bob)
        bits = [
            _measured(qubit, models, basis, gates) for qubit, basis in zip((alice, bob), bases[number], strict=True)
        ]
        if None not in bits and bases[number][0] == bases[number][1]:
            sifted += 1
            wrong += bits[0] != bits[1]
    cpu_s = time.process_time() - begin_s
    return {"pairs": pairs, "sifted": sifted, "errors": int(wrong), "cpu_s": cpu_s, "numpy": np.__version__}


def _measured(qubit: Any, models: list[Any], basis: int, gates: Any) -> int | None:
    """Return the outcome of one photon behind its arm, None if it is lost."""
    for model in models:
        qubit = model.apply(qubit)
    if qubit is None:
        return None
    if basis:
        gates.H(qubit)
    return int(qubit.measure())


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
