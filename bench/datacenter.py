"""CPU time and memory of whole data-centre networks in virtual time, from photons to tunnels.

The paper's run is the preset `datacenter`: 4 users, 12 tunnels, 100 blocks with every detector event. The day is 64
users on one source: 2,016 links, 32 tunnels, 8,229 slots of 10.5 s at the level of coincidences; each link then gets
four blocks a day, and no provable key. CPU time (`time.process_time`), after compilation, on one core (`taskset -c 1`).

    python bench/datacenter.py           a table
    python bench/datacenter.py --json    one object {measure: {value, unit, target}}
    python bench/datacenter.py --quick   without the day and its 8,000 blocks
"""

import argparse
import json
import resource
import time

import msgspec

from bellweave.results.network_records import BlockDistilled
from bellweave.scenario.load import load
from bellweave.scenario.scaled import scaled
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import simulate_network
from bellweave.sim.network.summary import summarise

DAY_SLOTS = 8229
Results = dict[str, dict[str, float | str | None]]


def centre(users: int, slots: int) -> Scenario:
    """Return the paper's data centre with so many users, and a tunnel for every second one."""
    scenario = scaled(load("datacenter"), users, tunnels=users // 2)
    return msgspec.structs.replace(
        scenario,
        schedule=scenario.schedule and msgspec.structs.replace(scenario.schedule, slots=slots),
        run=msgspec.structs.replace(scenario.run, level="coincidences"),
    )


def cpu_s(scenario: Scenario, blocks: int) -> float:
    """Return the CPU time of a run that gives so many blocks."""
    start = time.process_time()
    run = simulate_network(scenario)
    spent = time.process_time() - start
    found = sum(isinstance(event, BlockDistilled) for event in run.events)
    assert found == blocks, f"{found} blocks, {blocks} expected"
    return spent


def peak_mib() -> float:
    """Return the highest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def measure(*, quick: bool) -> Results:
    """Return every measure."""
    paper = load("datacenter")
    simulate_network(paper)  # compiles
    cpu_s(centre(4, 12), 12)
    paper_s = min(cpu_s(paper, 100) for _ in range(3))
    start = time.process_time()
    summarise(simulate_network(centre(4, 100)))
    results: Results = {
        "paper_run_s": {"value": paper_s, "unit": "s", "target": 5.0},
        "paper_run_coincidences_s": {
            "value": time.process_time() - start,
            "unit": "s, with its summary",
            "target": None,
        },
    }
    set_up_s = min(cpu_s(centre(64, 1), 1) for _ in range(2))
    results["users_64_set_up_s"] = {"value": set_up_s, "unit": "s", "target": None}
    thousand_ms = (cpu_s(centre(64, 1001), 1001) - set_up_s) / 1000 * 1e3
    results["users_64_block_of_1000_ms"] = {"value": thousand_ms, "unit": "ms a block", "target": 14.0}
    results["users_128_100_blocks_s"] = {"value": cpu_s(centre(128, 100), 100), "unit": "s", "target": None}
    if not quick:
        results |= day(set_up_s, thousand_ms)
    results["memory_mib"] = {"value": peak_mib(), "unit": "MiB, highest", "target": 2048.0}
    return results


def day(set_up_s: float, thousand_ms: float) -> Results:
    """Return the measures of 64 users' day; a block of 8,000 should cost what one of 1,000 does."""
    day_s = cpu_s(centre(64, DAY_SLOTS), DAY_SLOTS)
    block_ms = (day_s - set_up_s) / (DAY_SLOTS - 1) * 1e3
    return {
        "users_64_day_s": {"value": day_s, "unit": "s", "target": 120.0},
        "users_64_block_of_8000_ms": {"value": block_ms, "unit": "ms a block", "target": 14.0},
        "growth_of_a_block": {"value": block_ms / thousand_ms, "unit": "8,000 blocks against 1,000", "target": 1.25},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time and memory of whole networks.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="leave out the simulated day")
    args = parser.parse_args()
    results = measure(quick=args.quick)
    if args.json:
        print(json.dumps(results))
        return
    for name, result in results.items():
        target = "" if result["target"] is None else f"(target {result['target']:,.4g})"
        print(f"{name:28s} {result['value']:>12,.4g} {result['unit']} {target}")


if __name__ == "__main__":
    main()
