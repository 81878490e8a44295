"""Time that schedulers take to choose a slot's links, and the optimum to plan a frame of 60.

All users are joined to all others, demands are drawn (exponential), every slot yields the same; half as many sources as
users, so that matchings are as large as they get, and one source for comparison. CPU time (`time.process_time`), median
over slots; a frame's plan is one measurement, its choice included. Pin it to one core with `taskset -c 1`.

    python bench/schedulers.py           a table
    python bench/schedulers.py --json    one object {measure: {value, unit, target}}
"""

import argparse
import json
import statistics
import time
from dataclasses import replace

from bellweave import rng
from bellweave.network.matching import is_matching
from bellweave.network.params import Schedule, SchedulerName
from bellweave.network.schedulers import make_scheduler
from bellweave.network.scheduling import Situation
from bellweave.testing.networks import complete, situation

USERS = (4, 8, 16, 32, 64, 128)
SLOTS = 20
FRAME = 60
PLAN_TARGETS_S = {32: 0.3, 64: 3.0, 128: 10.0}
"""32 users in 0.3 s; 64 and 128 in seconds."""


def network(users: int) -> Situation:
    """Return the first slot of a network whose demands differ."""
    links = complete(users)
    demand = rng.stream(1, "bench", users).exponential(1.0, len(links))
    return situation(links, demand.tolist(), [20.0] * len(links))


def choose_ms(name: SchedulerName, first: Situation, sources: int) -> float:
    """Return the median CPU time of a choice, the first one and what it prepares left out."""
    table = tuple((link,) for link in first.links)
    schedule = Schedule(scheduler=name, sources=sources, table=table, frame_slots=FRAME)
    scheduler = make_scheduler(schedule, first.links)
    scheduler.choose(first)
    spent = []
    for slot in range(1, SLOTS):
        start = time.process_time()
        chosen = scheduler.choose(replace(first, slot=slot))
        spent.append(time.process_time() - start)
        assert len(chosen) <= sources
        assert is_matching(first.links[each] for each in chosen)
    return 1e3 * statistics.median(spent)


def plan_s(first: Situation, sources: int) -> float:
    """Return the CPU time of the optimum's plan of one frame."""
    scheduler = make_scheduler(Schedule(scheduler="optimum", sources=sources, frame_slots=FRAME), first.links)
    start = time.process_time()
    chosen = scheduler.choose(first)
    spent = time.process_time() - start
    assert len(chosen) > 0.8 * sources
    return spent


def measure() -> dict[str, dict[str, float | str | None]]:
    """Return every measure."""
    results: dict[str, dict[str, float | str | None]] = {}
    names: tuple[SchedulerName, ...] = ("round-robin", "table", "deficit", "optimum")
    for users in USERS:
        first = network(users)
        for name in names:
            for sources in (1,) if name == "table" else (1, users // 2):
                value = choose_ms(name, first, sources)
                results[f"choose_{name}_{users}_users_{sources}_sources_ms"] = {
                    "value": value,
                    "unit": "ms",
                    "target": None,
                }
        if users in PLAN_TARGETS_S:
            for sources in (1, users // 2):
                results[f"plan_optimum_{users}_users_{sources}_sources_s"] = {
                    "value": plan_s(first, sources),
                    "unit": "s",
                    "target": PLAN_TARGETS_S[users],
                }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description="Time that schedulers take.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    results = measure()
    if as_json:
        print(json.dumps(results))
        return
    for name, result in results.items():
        target = "" if result["target"] is None else f"(target {result['target']:,.4g})"
        print(f"{name:45s} {result['value']:>12,.4g} {result['unit']} {target}")


if __name__ == "__main__":
    main()
