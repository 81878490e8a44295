"""Speed of the backbone's kernel: links, chains of ten repeaters, a mesh of ten thousand.

CPU time (`time.process_time`) of one process, best of several runs, compilation left out; what comes out is checked on
the way. Pin it to one core with `taskset -c 1`. Memory is the peak of a process of its own.

    python bench/backbone.py           a table
    python bench/backbone.py --json    one object {measure: {value, unit, target}}
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse.csgraph import dijkstra

from bellweave import rng
from bellweave.network.wide import theory
from bellweave.network.wide.chains.counting import tally
from bellweave.network.wide.chains.run import Chain, Counts
from bellweave.network.wide.generators import random_geometric
from bellweave.network.wide.mesh.run import Mesh
from bellweave.network.wide.topology import Topology, chain

Results = dict[str, dict[str, float | str | None]]

ATTEMPT_S = 145e-6
HOPS, UNITS = 11, 10
SUCCESS = theory.success_probability(20.0, 0.2)
RUNS = 5
MESH = {"nodes": 10_000, "demands": 1_000, "seconds": 1.0}
SMALLER = ({"nodes": 5_000, "demands": 707, "seconds": 0.1}, {"nodes": 2_500, "demands": 500, "seconds": 0.1})
"""Paths grow with the square root of the nodes: so many demands use as many units of an edge."""


def check(counts: Counts) -> None:
    assert counts.created == counts.swapped + counts.measured + counts.expired + counts.purified + counts.held


def best(run: Callable[[], tuple[float, float]]) -> float:
    """Return the highest of what ``run`` counts, per CPU second."""
    run()
    return max(count / spent for count, spent in (run() for _ in range(RUNS)))


def timed(made: Chain, seconds: float) -> tuple[int, float]:
    """Return the pairs delivered in ``seconds`` and the CPU time."""
    start = time.process_time()
    delivered = made.advance(made.now_s + seconds)
    return len(delivered), time.process_time() - start


def physical_chain() -> Topology:
    """The facts page's chain: F = 0.99, and memories that forget in a second."""
    return chain(HOPS, success=SUCCESS, units=UNITS, fidelity=0.99, coherence_s=1.0)


def links(results: Results) -> None:
    """Successful links of neighbours and of a chain that swaps them, with labels; attempts where pairs are counted."""

    def run(hops: int, units: int) -> tuple[float, float]:
        made = Chain(chain(hops, success=0.4, units=units), range(hops + 1), rng.stream(1, "links", hops), room=4096)
        made.advance(0.01)
        before, start = made.counts, time.process_time()
        for step in range(1, 9):
            made.advance(0.01 + step * 20.0 / units)
        spent, after = time.process_time() - start, made.counts
        check(after)
        made_links, tried = after.links - before.links, after.attempts - before.attempts
        assert abs(made_links - 0.4 * tried) < 5.0 * (0.24 * tried) ** 0.5
        return made_links, spent

    value = best(lambda: run(1, 100))
    results["links_per_s_p_0.4_labelled_1_hop"] = {"value": value, "unit": "links/s", "target": 1e7}
    value = best(lambda: run(HOPS, UNITS))
    results["links_per_s_p_0.4_labelled_and_swapped_11_hops"] = {"value": value, "unit": "links/s", "target": 1e7}
    for hops, target in ((1, 2e8), (2, 2e8), (HOPS, None)):
        each = best(lambda hops=hops: counted(hops))  # type: ignore[misc]
        name = f"attempts_per_s_p_0.4_counted_and_swapped_{hops}_hops"
        results[name] = {"value": each, "unit": "attempts/s", "target": target}


def counted(hops: int) -> tuple[float, float]:
    """Return the attempts of a chain whose pairs are only counted, all of them in binomial draws, and the time."""
    topology = chain(hops, success=0.4, units=UNITS)
    start = time.process_time()
    result = tally(topology, range(hops + 1), rng.stream(1, "count", hops), periods=20_000)
    spent = time.process_time() - start
    assert abs(result.links - 0.4 * result.attempts) < 5.0 * (0.24 * result.attempts) ** 0.5
    return result.attempts, spent


def chains(results: Results) -> None:
    """End-to-end pairs of ten repeaters, 11 hops of 20 km at 0.2 dB/km, ten memories a side."""
    for order in ("asap", "nested", "hop-by-hop"):
        for mode, target in (("paper", 400_000.0), ("physical", 20_000.0)):

            def run(order: str = order, mode: str = mode) -> tuple[float, float]:
                made = Chain(
                    physical_chain(),
                    range(HOPS + 1),
                    rng.stream(1, "chain", order, mode),
                    order=order,  # type: ignore[arg-type]
                    mode=mode,  # type: ignore[arg-type]
                )
                made.advance(0.1)
                counted = timed(made, 10.0)
                check(made.counts)
                return counted

            results[f"chain_{order}_{mode}"] = {"value": best(run), "unit": "pairs per wall s", "target": target}


def linear(results: Results) -> None:
    """Time of a run, per simulated second, against that of a run ten times as long; and no dead-lock."""
    spent = []
    for seconds in (5.0, 50.0):
        made = Chain(physical_chain(), range(HOPS + 1), rng.stream(1, "linear"), mode="physical")
        made.advance(0.1)
        runs = [timed(made, seconds) for _ in range(3)]
        assert min(count for count, _ in runs) > 0.95 * max(count for count, _ in runs)
        spent.append(min(each for _, each in runs) / seconds)
    results["chain_time_per_simulated_s_10x_longer_over_shorter"] = {
        "value": spent[1] / spent[0],
        "unit": "",
        "target": 1.0,
    }


def mesh(nodes: int, demands: int, seconds: float) -> dict[str, float]:
    """Return time and memory of a mesh: run in a process of its own."""
    topology, _ = random_geometric(
        nodes, rng.stream(1, "mesh", nodes), mean_degree=6.0, success=SUCCESS, units=UNITS, attempt_s=ATTEMPT_S
    )
    warm = Mesh(chain(3, success=SUCCESS))
    warm.add("warm", range(4), rng.stream(1, "warm"))
    warm.advance(0.01)
    network = Mesh(topology)
    paths = spread_paths(topology, demands, rng.stream(1, "demands"))
    network.add_all((f"d{number}", path, rng.stream(1, "d", number), 1.0) for number, path in enumerate(paths))
    start = time.process_time()
    for step in range(1, 11):
        network.advance(seconds * step / 10)
    spent = time.process_time() - start
    for made in network.chains.values():
        check(made.counts)
    served = sum(made.counts.measured > 0 for made in network.chains.values())
    assert served > 0.99 * demands
    return {
        "edges": topology.edges,
        "links": sum(made.counts.links for made in network.chains.values()),
        "pairs": sum(made.counts.measured for made in network.chains.values()),
        "cpu_s": spent,
        "kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def spread_paths(topology: Topology, demands: int, random: np.random.Generator) -> list[list[int]]:
    """Return paths between random nodes that leave a unit for each: full edges are left out, loaded ones cost more."""
    load = np.zeros(topology.edges)
    matrix = topology.adjacency.astype(float)
    edge = topology.adjacency.data - 1
    paths: list[list[int]] = []
    while len(paths) < demands:
        a, b = (int(node) for node in random.choice(topology.nodes, 2, replace=False))
        cost = np.where(load < topology.units, 1.0 + load, np.inf)
        matrix.data = cost[edge]
        found: Any = dijkstra(matrix, indices=a, return_predecessors=True)  # type: ignore[call-overload]
        gap, before = found
        if not np.isfinite(gap[b]):
            continue
        path = [b]
        while path[-1] != a:
            path.append(int(before[path[-1]]))
        for here, there in pairwise(path):
            load[topology.adjacency[here, there] - 1] += 1
        paths.append(path)
    return paths


def meshes(results: Results) -> None:
    """One simulated second of the mesh, and the memory of a further edge at two sizes."""
    whole, half, quarter = (
        json.loads(
            subprocess.run(
                [sys.executable, __file__, "--mesh", json.dumps(size)], capture_output=True, text=True, check=True
            ).stdout
        )
        for size in (MESH, *SMALLER)
    )
    results["mesh_10000_repeaters_1000_demands_1_s"] = {"value": whole["cpu_s"], "unit": "s", "target": 60.0}
    results["mesh_peak_memory"] = {"value": whole["kib"] / 2**20, "unit": "GiB", "target": 4.0}
    results["mesh_links_per_s"] = {"value": whole["links"] / whole["cpu_s"], "unit": "links/s", "target": None}
    results["mesh_end_to_end_pairs"] = {"value": whole["pairs"], "unit": "pairs", "target": None}
    slopes = [
        (larger["kib"] - smaller["kib"]) / (larger["edges"] - smaller["edges"])
        for larger, smaller in ((whole, half), (half, quarter))
    ]
    results["mesh_memory_per_edge"] = {"value": slopes[0], "unit": "KiB", "target": None}
    results["mesh_memory_per_edge_over_that_at_half_the_size"] = {
        "value": slopes[0] / slopes[1],
        "unit": "",
        "target": 1.0,
    }


def measure() -> Results:
    """Return every measure."""
    results: Results = {}
    links(results)
    chains(results)
    linear(results)
    meshes(results)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the backbone's kernel.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--mesh", help="internal: one mesh")
    arguments = parser.parse_args()
    if arguments.mesh:
        print(json.dumps(mesh(**json.loads(arguments.mesh))))
        return
    results = measure()
    if arguments.json:
        print(json.dumps(results))
        return
    for name, result in results.items():
        target = "" if result["target"] is None else f"(target {result['target']:,.4g})"
        print(f"{name:55s} {result['value']:>14,.4g} {result['unit']} {target}")


if __name__ == "__main__":
    main()
