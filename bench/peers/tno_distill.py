"""Frames through the Cascade of TNO's qkd_key_rate 2.0.4; run by the Python of its own environment.

Arguments: the file of frames, their number, the most CPU seconds. Eight passes and the rest as its documentation has
them; block sizes are its own, from the QBER. Its messages are made before the clock starts, the permutations after. Its
own count of exposed bits has a parity again that is asked again; a second run of each frame counts without these.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

PASSES = 8


def main(path: str, frames: int, limit_s: float) -> dict[str, Any]:
    classical: Any = importlib.import_module("tno.quantum.communication.qkd_key_rate.classical")
    cascade: Any = importlib.import_module("tno.quantum.communication.qkd_key_rate.classical.cascade")
    given = json.loads(Path(path).read_text())
    leaked: list[int] = []
    distinct: list[int] = []
    cpu_s = 0.0
    bad = 0

    class Counting(cascade.CascadeSender):  # type: ignore[misc]
        """A sender that remembers what it was asked."""

        def get_parity(self, index_start: int, index_end: int, pass_number: int) -> Any:
            asked.add((index_start, index_end, pass_number))
            return super().get_parity(index_start, index_end, pass_number)

    for number, (alice, bob) in enumerate(zip(given["alice"][:frames], given["bob"], strict=False)):
        sent, got = (classical.Message(map(int, bits)) for bits in (alice, bob))
        begin_s = time.process_time()
        permutations = classical.Permutations.random_permutation(PASSES, len(alice), random_state=number)
        strategy = classical.ParityStrategy(given["qber"], sampling_fraction=0.34, number_of_passes=PASSES)
        sender = cascade.CascadeSender(sent, permutations)
        receiver = cascade.CascadeReceiver(got, permutations, strategy)
        found = cascade.CascadeCorrector(sender, receiver).correct_errors()
        cpu_s += time.process_time() - begin_s
        leaked.append(int(sender.net_exposed_bits))
        bad += found.output_bob.message != [int(bit) for bit in alice]
        asked: set[tuple[int, int, int]] = set()
        receiver = cascade.CascadeReceiver(classical.Message(map(int, bob)), permutations, strategy)
        cascade.CascadeCorrector(Counting(sent, permutations), receiver).correct_errors()
        distinct.append(len(asked))
        if cpu_s > limit_s:
            break
    found = {"frames": len(leaked), "leaked": leaked, "bad": bad, "cpu_s": cpu_s}
    return {"cascade": found, "cascade, no repeats": {**found, "leaked": distinct}}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
