"""Wall time of reproducing both published links, 2 x 100 blocks with distillation, scan and report, on two cores.

Run:  python bench/reproduction.py [--json]   (do not pin it to one core)
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bellweave.studies import link_study

TARGET_S = 20.0
RUNS = 3


def once(study: str) -> float:
    """Return the seconds that one study takes, everything but its figures."""
    with tempfile.TemporaryDirectory() as directory:
        started = time.perf_counter()
        done = link_study.run(study, Path(directory), blocks=100, workers=2)
        elapsed_s = time.perf_counter() - started
    assert len(done.records) == 100
    return elapsed_s


def main() -> None:
    """Measure after one uncounted run that compiles."""
    studies = ("vienna2004", "datacenter-link")
    for study in studies:
        once(study)
    elapsed_s = {study: statistics.median(once(study) for _ in range(RUNS)) for study in studies}
    measures = {
        f"reproduce_{study}": {"value": round(value, 2), "unit": "s", "target": None}
        for study, value in elapsed_s.items()
    }
    measures["reproduce_both"] = {"value": round(sum(elapsed_s.values()), 2), "unit": "s", "target": TARGET_S}
    if "--json" in sys.argv:
        print(json.dumps(measures))
        return
    for name, measure in measures.items():
        print(f"{name:30} {measure['value']:8} {measure['unit']}   target {measure['target']}")


if __name__ == "__main__":
    main()
