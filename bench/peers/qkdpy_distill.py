"""Frames through qkdpy 0.8.0's Cascade, as its defaults have it; run by the Python of its own environment.

Arguments: the file of frames, their number, the most CPU seconds. Blocks of 4, 8, 16 and 32 at any QBER, one pass each,
no way back to earlier passes. It does not tell what it discloses: a second run of each frame counts the parities, for
which its module calls ``sum`` and nothing else, once for Alice and once for Bob.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any


def main(path: str, frames: int, limit_s: float) -> dict[str, Any]:
    module: Any = importlib.import_module("qkdpy.key_management.error_correction")
    given = json.loads(Path(path).read_text())
    leaked: list[int] = []
    cpu_s = 0.0
    bad = 0
    sums = 0

    def counted(bits: list[int]) -> int:
        nonlocal sums
        sums += 1
        return sum(bits)

    for theirs, ours in zip(given["alice"][:frames], given["bob"], strict=False):
        alice, bob = ([int(bit) for bit in bits] for bits in (theirs, ours))
        begin_s = time.process_time()
        kept, corrected = module.ErrorCorrection.cascade(alice, bob)
        cpu_s += time.process_time() - begin_s
        assert kept == alice
        bad += corrected != alice
        sums = 0
        module.sum = counted
        module.ErrorCorrection.cascade(alice, bob)
        del module.sum
        leaked.append(sums // 2)
        if cpu_s > limit_s:
            break
    return {"cascade": {"frames": len(leaked), "leaked": leaked, "bad": bad, "cpu_s": cpu_s}}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
