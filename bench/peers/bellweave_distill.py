"""The same frames through Bellweave; run by this project's Python.

Arguments: the file of frames, their number, the most CPU seconds; or ``make``, the file, their number, bits, QBER, to
make it (exactly round(Q n) errors a frame). Both roles run in full; their messages are not encoded, as with peers whose
parties share a process. The tag, and repairs where it shows an error, are in the time; repairs are in the leak, the
tag is not. The first frames go before, for compilation. "merged": eight frames share rounds and calls. "encoded": eight
long frames through the encoded messages of a conversation in memory.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from distill_reconciliation import LONG, TAG_BITS, dialogue_mbps, frames

from bellweave import rng
from bellweave.blocks import Bytes
from bellweave.distill.reconciliation.together import reconcile

PRESETS = ("original", "yanetal", "opt7", "opt8", "low-leak", "low-latency")
MERGED = 8


def make(path: str, count: int, bits: int, qber: float) -> None:
    made = zip(("alice", "bob"), frames(1, count, bits, qber), strict=True)
    texts = {who: ["".join(map(str, row)) for row in rows.tolist()] for who, rows in made}
    Path(path).write_text(json.dumps({"qber": qber, **texts}))


def measured(preset: str, qber: float, alice: Bytes, bob: Bytes, limit_s: float, merged: int = 1) -> dict[str, Any]:
    tag_seed = rng.stream(1, "bench", "tag").integers(0, 2, alice.shape[1] + TAG_BITS - 1, np.uint8)
    reconcile(preset, qber, alice[:merged], bob[:merged], tag_seed, TAG_BITS)
    leaked: list[float] = []
    cpu_s = 0.0
    bad = repaired = rejected = 0
    for number in range(0, len(alice) - merged + 1, merged):
        some = slice(number, number + merged)
        begin_s = time.process_time()
        result = reconcile(preset, qber, alice[some], bob[some], tag_seed, TAG_BITS)
        cpu_s += time.process_time() - begin_s
        leaked.append(int(result.counts[:4].sum()) / merged)
        differing = int((result.corrected != alice[some]).any(axis=1).sum())
        bad += max(differing - result.failed, 0)
        rejected += result.failed
        repaired += int((result.repairs > 0).sum())
        if cpu_s > limit_s:
            break
    return {
        "frames": merged * len(leaked),
        "leaked": leaked,
        "bad": bad,
        "repaired": repaired,
        "rejected": rejected,
        "cpu_s": cpu_s,
    }


def main(path: str, count: int, limit_s: float) -> dict[str, Any]:
    given = json.loads(Path(path).read_text())
    alice, bob = (np.array([list(map(int, row)) for row in given[who][:count]], np.uint8) for who in ("alice", "bob"))
    found = {preset: measured(preset, given["qber"], alice, bob, limit_s) for preset in PRESETS}
    found["low-latency, merged"] = measured("low-latency", given["qber"], alice, bob, limit_s, MERGED)
    if alice.shape[1] == LONG:
        cpu_s = MERGED * LONG / dialogue_mbps(MERGED, given["qber"]) / 1e6
        found["low-latency, encoded"] = {"frames": MERGED, "leaked": [], "bad": 0, "cpu_s": cpu_s}
    return found


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
        print("{}")
    else:
        print(json.dumps(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
