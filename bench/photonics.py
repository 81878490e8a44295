"""CPU time and memory of one 86,100-pair block of the data-centre link, at both sampling levels.

The link is `datacenter-link` as continuous-wave polarisation: 8,200 pairs/s for 10.5 s, 7.83 dB and sigma = pi / (6
sqrt 2) per arm, four detectors a side with 1,000 dark counts/s and 350 ps jitter, a window of 10 ns. CPU time
(`time.process_time`) is the median over many blocks, after compilation; pin it to one core with `taskset -c 1`.

    python bench/photonics.py           a table
    python bench/photonics.py --json    one object {measure: {value, unit, target}}
"""

import argparse
import json
import math
import resource
import statistics
import time
from collections.abc import Callable

from bellweave import rng
from bellweave.photonics import analyser, coincidence, link
from bellweave.photonics.params import Arm, CwSource, Detector, Node, Noise, OpticalLink

SEED = 1
BLOCKS = 200


def datacenter() -> OpticalLink:
    """Return the link that the targets are about."""
    node = Node(
        detector=Detector(dark_rate_hz=1000.0, jitter_ps=350),
        noise=Noise(rotation_sigma_rad=math.pi / (6.0 * math.sqrt(2.0))),
    )
    arm = Arm(node=node, loss_db={"path": 7.83})
    source = CwSource(pair_rate_hz=8200.0)
    return OpticalLink(name="bench", source=source, alice=arm, bob=arm, window_ps=10_000, block_s=10.5)


def tags(optical: OpticalLink, block: int) -> None:
    """Sample the detections of both nodes."""
    link.tags(optical, SEED, block)


def tags_to_rounds(optical: OpticalLink, block: int) -> int:
    """Sample the detections of both nodes, decode and match them; return the number of rounds."""
    seen_alice, seen_bob = link.tags(optical, SEED, block)
    source, window_ps = optical.source, optical.window_ps
    alice = analyser.clicks(seen_alice, optical.alice, source, window_ps, rng.stream(SEED, "alice", block))
    bob = analyser.clicks(
        seen_bob, optical.bob, source, window_ps, rng.stream(SEED, "bob", block), flips=link.bob_flips(optical)
    )
    return int(coincidence.match(alice.time_ps, bob.time_ps, window_ps)[0].size)


def coincidences(optical: OpticalLink, block: int) -> int:
    """Sample the rounds directly."""
    return len(link.coincidences(optical, SEED, block)[0])


def cpu_ms(work: Callable[[OpticalLink, int], object], optical: OpticalLink) -> float:
    """Return the median CPU time of a block."""
    for block in range(5):
        work(optical, block)
    spent = []
    for block in range(BLOCKS):
        start = time.process_time()
        work(optical, block)
        spent.append(time.process_time() - start)
    return 1e3 * statistics.median(spent)


def peak_mib() -> float:
    """Return the highest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def measure() -> dict[str, dict[str, float | str | None]]:
    """Return every measure."""
    optical = datacenter()
    expected = 2341.0 + 6.0
    found = statistics.fmean(tags_to_rounds(optical, block) for block in range(20))
    assert abs(found - expected) < 6.0 * math.sqrt(expected / 20.0), f"{found} rounds a block, {expected} expected"
    found = statistics.fmean(coincidences(optical, block) for block in range(20))
    assert abs(found - expected) < 6.0 * math.sqrt(expected / 20.0), f"{found} rounds a block, {expected} expected"
    before_mib = peak_mib()
    full_ms, tags_ms, coincidences_ms = (cpu_ms(work, optical) for work in (tags_to_rounds, tags, coincidences))
    grown_mib = peak_mib() - before_mib
    return {
        "tags_block_ms": {"value": full_ms, "unit": "ms", "target": 6.5},
        "tags_generation_ms": {"value": tags_ms, "unit": "ms", "target": None},
        "coincidences_block_ms": {"value": coincidences_ms, "unit": "ms", "target": 1.0},
        "tags_pairs_per_s": {"value": 86_100 / full_ms * 1e3, "unit": "1/s", "target": 86_100 / 6.5 * 1e3},
        "coincidences_pairs_per_s": {"value": 86_100 / coincidences_ms * 1e3, "unit": "1/s", "target": 86.1e6},
        "memory_growth_mib": {"value": grown_mib, "unit": f"MiB over {3 * BLOCKS} blocks", "target": 4.0},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU time and memory of one block of photons.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    results = measure()
    if as_json:
        print(json.dumps(results))
        return
    for name, result in results.items():
        target = "" if result["target"] is None else f"(target {result['target']:,.4g})"
        print(f"{name:28s} {result['value']:>16,.4g} {result['unit']} {target}")


if __name__ == "__main__":
    main()
