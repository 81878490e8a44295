"""CPU time of whole distillations, both parties in memory, and what original Cascade discloses.

Blocks of the data-centre paper: 2441 sifted bits at 6.4 % (P2P), 1224 at 5.8 % (DC). CPU time (`time.process_time`) is
the median over many blocks; pin it to one core with `taskset -c 1`. Cascade's f is taken at the known error rate,
exactly round(Q n) errors a frame, the tag excluded; the standard error stands beside it.

    python bench/distill.py           a table
    python bench/distill.py --json    one object {measure: {value, unit, target}}
"""

import argparse
import json
import math
import statistics
import time

import numpy as np

from bellweave import rng
from bellweave.distill import cascade, theory
from bellweave.distill.ledger import Book, Estimate, Ledger
from bellweave.distill.sifting import Sifted
from bellweave.sim.classical import converse
from bellweave.testing.pairs import DISTILLATION, Block

BLOCKS = 200
FRAMES = 300

Measures = dict[str, dict[str, float | str | None]]


def distillation_ms(sifted: int, qber: float) -> float:
    """Return the median CPU time of a block, both parties."""
    times = []
    for seed in range(BLOCKS):
        roles = Block(seed, sifted, qber).roles()
        start_s = time.process_time()
        alice, bob = converse(*roles, DISTILLATION)
        times.append(time.process_time() - start_s)
        assert alice.ledger == bob.ledger
        assert alice.ledger.closes()
        assert alice.block is None or (bob.block is not None and alice.block.agrees_with(bob.block))
    return 1e3 * statistics.median(times)


def leakage(count: int, qber: float) -> tuple[float, float, float, float]:
    """Return top parities, bisection parities, f and its standard error, means over frames."""
    top, totals = 0, []
    for seed in range(FRAMES):
        generator = rng.stream(seed, "bench", "cascade")
        bits = generator.integers(0, 2, count, np.uint8)
        noisy = bits.copy()
        noisy[generator.choice(count, round(qber * count), replace=False)] ^= 1
        basis = np.zeros(count, np.uint8)
        books = Book(), Book()
        for book in books:
            book.ledger = Ledger(matched=count, sifted_z=count)
            book.estimate = Estimate(sample_z=1000, errors_z=round(1000 * qber))
        roles = cascade.alice(Sifted(basis, bits), generator, books[0]), cascade.bob(Sifted(basis, noisy), books[1])
        converse(*roles, DISTILLATION)
        assert books[0].ledger == books[1].ledger
        top += books[0].ledger.top
        totals.append(books[0].ledger.disclosed)
    shannon = theory.shannon_minimum(count, qber)
    mean, error = statistics.mean(totals), statistics.stdev(totals) / math.sqrt(FRAMES)
    return top / FRAMES, mean - top / FRAMES, mean / shannon, error / shannon


def measure() -> Measures:
    """Return every measure."""
    measures: Measures = {
        "p2p_distillation_cpu": {"value": distillation_ms(2441, 0.064), "unit": "ms/block", "target": 40.0},
        "dc_distillation_cpu": {"value": distillation_ms(1224, 0.058), "unit": "ms/block", "target": 40.0},
    }
    for name, count, qber, published in (("p2p", 1832, 0.064, 1.215), ("dc", 918, 0.058, 355 / 293.3)):
        top, bisection, efficiency, error = leakage(count, qber)
        measures[f"{name}_cascade_f"] = {"value": efficiency, "unit": "", "target": round(published, 3)}
        measures[f"{name}_cascade_f_stderr"] = {"value": error, "unit": "", "target": None}
        measures[f"{name}_cascade_top"] = {"value": top, "unit": "bit/frame", "target": None}
        measures[f"{name}_cascade_bisection"] = {"value": bisection, "unit": "bit/frame", "target": None}
    return measures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    measures = measure()
    if as_json:
        print(json.dumps(measures))
        return
    for name, row in measures.items():
        print(f"{name:28} {row['value']:10.4f} {row['unit']:10} target {row['target']}")


if __name__ == "__main__":
    main()
