"""Time of routing and of the optimum: paths at 100,000 nodes, the linear program at 1,000 nodes, chains.

Networks are random geometric graphs of mean degree 7 whose edges differ; CPU time (`time.process_time`), one
measurement each, compiled code loaded before. Pin it to one core with `taskset -c 1`.

    python bench/routing.py           a table
    python bench/routing.py --json    one object {measure: {value, unit, target}}
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bellweave import rng
from bellweave.network.wide.flow.chain import chain_rate, equal_rate
from bellweave.network.wide.flow.columns import best_rates
from bellweave.network.wide.flow.pairs import best_chain
from bellweave.network.wide.flow.plans import Optimum
from bellweave.network.wide.flow.stage import Wanted
from bellweave.network.wide.generators import random_geometric
from bellweave.network.wide.routing.routers import candidate_paths, hops, length, time_per_pair, unreliability
from bellweave.network.wide.topology import Topology, chain

NODES = 100_000
CANDIDATES = 5
ROUTING_TARGET_S = 5.0
SMALLER, DEMANDS = 1_000, 100
OPTIMUM_TARGET_S = 60.0
TOTAL_ROUNDS = 45
"""Of pricing for the sum of all rates: its last per cent takes longer than all that came before."""

Result = dict[str, dict[str, float | str | None]]


def network(nodes: int) -> tuple[Topology, np.ndarray]:
    """Return a network whose edges differ, and where its nodes stand."""
    draw = rng.stream(1, "bench", "routing", nodes)
    topology, places = random_geometric(nodes, draw, mean_degree=7.0, swap_probability=0.9)
    shape = topology.edges
    drawn = replace(topology, length_km=draw.uniform(5.0, 40.0, shape), success=draw.uniform(0.1, 0.9, shape))
    return drawn, places


def spent_s(work: Callable[[], object]) -> float:
    """Return the CPU time of some work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def routing(results: Result) -> None:
    """Measure the k shortest paths across a large network."""
    topology, places = network(NODES)
    source, target = (int(np.argmin(np.hypot(*(places - corner).T))) for corner in (0.1, 0.9))
    for weight in (hops, length, unreliability, time_per_pair):
        start = time.process_time()
        found = candidate_paths(topology, weight(topology), source, target, CANDIDATES)
        value = time.process_time() - start
        assert len(found) == CANDIDATES
        results[f"paths_{CANDIDATES}_by_{weight.__name__}_{NODES}_nodes_s"] = {
            "value": value,
            "unit": "s",
            "target": ROUTING_TARGET_S,
        }


def optimum(results: Result) -> None:
    """Measure the linear program of many demands, with the share of its proven bound that it reached."""
    topology, _ = network(SMALLER)
    draw = rng.stream(1, "bench", "demands")
    ends = [draw.choice(topology.nodes, 2, replace=False) for _ in range(DEMANDS)]
    wanted = [Wanted(int(a), int(b)) for a, b in ends]
    size = f"{SMALLER}_nodes_{DEMANDS}_demands"

    def one(name: str, solve: Callable[[], Optimum]) -> None:
        start = time.process_time()
        found = solve()
        value = time.process_time() - start
        results[f"optimum_{name}_{size}_s"] = {"value": value, "unit": "s", "target": OPTIMUM_TARGET_S}
        share = found.level_per_s / found.bound_per_s
        results[f"optimum_{name}_{size}_of_bound"] = {"value": share, "unit": "", "target": None}

    one("max_min", lambda: best_rates(topology, wanted, "max-min", levels=1, tree_searches=3))
    one("total", lambda: best_rates(topology, wanted, "total", rounds=TOTAL_ROUNDS, tree_searches=1))


def chains(results: Result) -> None:
    """Measure chains of equal hops by pairs, and of hops that differ by trees."""
    for count in (5, 10, 20, 30):
        equal = chain(count, success=1.0, units=1, attempt_s=1.0, swap_probability=0.6)
        rates: list[float] = []
        value = spent_s(lambda equal=equal, rates=rates: rates.append(float(best_chain(equal).rates_per_s[0])))  # type: ignore[misc]
        assert abs(rates[0] / equal_rate(count, 0.6) - 1.0) < 1e-10
        results[f"chain_{count}_equal_hops_ms"] = {"value": 1e3 * value, "unit": "ms", "target": None}
    draw = rng.stream(1, "bench", "chains")
    for count in (10, 30, 100):
        each, inner = draw.uniform(0.1, 1.0, count), np.full(count - 1, 0.9)
        value = spent_s(lambda each=each, inner=inner: chain_rate(each, inner, 1e-3))  # type: ignore[misc]
        results[f"chain_{count}_hops_that_differ_ms"] = {"value": 1e3 * value, "unit": "ms", "target": None}


def measure() -> Result:
    """Return every measure."""
    results: Result = {}
    best_rates(chain(3), [Wanted(0, 3)])  # loads what is compiled
    for part in (routing, chains, optimum):
        part(results)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of routing and of the optimum.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    results = measure()
    if as_json:
        print(json.dumps(results))
        return
    for name, result in results.items():
        target = "" if result["target"] is None else f"(target {result['target']:,.4g})"
        print(f"{name:55s} {result['value']:>12,.4g} {result['unit']} {target}")


if __name__ == "__main__":
    main()
