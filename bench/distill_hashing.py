"""Amplification and authentication: Mbit/s and GB/s of one core, each way, and what a release costs.

Amplification hashes n bits to 0.3 n by [T | I]; Mbit/s count input bits, from arrays of bits to an array of bits. The
rows without a way's name are what the library chooses on this processor. Authentication counts bytes of transcript.
CPU time (`time.process_time`), the best of several runs; pin it to one core with `taskset -c 1`. Only "threads" needs
two cores and takes wall time.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bellweave import rng
from bellweave.blocks import Bytes
from bellweave.distill import carryless
from bellweave.distill.authentication import poly1305
from bellweave.distill.authentication_keys import AuthenticationKeys
from bellweave.distill.gf128 import PolynomialHash
from bellweave.distill.gf128 import Way as FieldWay
from bellweave.distill.hashing import WINDOWS_LIMIT, Way, fastest, toeplitz_identity
from bellweave.distill.verification import tag

Measures = dict[str, dict[str, float | str | None]]

AMPLIFICATION_REACH = {2048: 100.0, 100_000: 30.0, 1_000_000: 20.0}
SHARE = 0.3
FIRST_CALL = """
import time, numpy as np
from bellweave.distill import hashing, gf128
start_s = time.perf_counter()
hashing.toeplitz_identity(np.ones(2048, np.uint8), np.ones(2047, np.uint8), 600)
hashing.toeplitz_identity(np.ones(20480, np.uint8), np.ones(20479, np.uint8), 6000)
gf128.PolynomialHash(bytes(16)).digest()
print(time.perf_counter() - start_s)
"""


def best_s(work: Callable[[], object], calls: int, runs: int = 5) -> float:
    """Return the least CPU time of a call, over runs of several."""
    work()
    times = []
    for _ in range(runs):
        start_s = time.process_time()
        for _ in range(calls):
            work()
        times.append((time.process_time() - start_s) / calls)
    return min(times)


def block(count: int) -> tuple[Bytes, Bytes, int]:
    """Return bits, seed and length of a block to amplify."""
    draws = rng.stream(count, "bench", "amplification")
    return draws.integers(0, 2, count, np.uint8), draws.integers(0, 2, count - 1, np.uint8), int(SHARE * count)


def amplification_mbps(count: int, way: Way | None = None) -> float:
    """Return Mbit/s, having checked the bits against another way's."""
    bits, seed, length = block(count)
    other: Way = "convolution" if (way or fastest(count, length)) != "convolution" else "windows"
    if other == "convolution" or count * length <= 100 * WINDOWS_LIMIT:
        one, two = (toeplitz_identity(bits, seed, length, way=each) for each in (way, other))
        assert np.array_equal(one, two)
    calls = max(1, 1_000_000 // count)
    return count / best_s(lambda: toeplitz_identity(bits, seed, length, way=way), calls) / 1e6


def threads_scaling(count: int, threads: int = 2) -> float:
    """Return how much faster several blocks are hashed on several threads than on one, wall time."""
    work = [block(count)] * 8

    def seconds(workers: int) -> float:
        times = []
        with ThreadPoolExecutor(workers) as pool:
            for _ in range(4):
                start_s = time.perf_counter()
                list(pool.map(lambda one: toeplitz_identity(*one), work))
                times.append(time.perf_counter() - start_s)
        return min(times)

    return seconds(1) / seconds(threads)


def field_gbps(size: int, way: FieldWay | None = None) -> float:
    """Return GB/s of the polynomial hash, a tag included."""
    text = rng.stream(size, "bench", "text").bytes(size)
    start = PolynomialHash(bytes(range(16)), way=way)

    def work() -> bytes:
        running = start.copy()
        running.update(text)
        return running.digest()

    return size / best_s(work, max(3, 20_000_000 // size)) / 1e9


def poly1305_gbps(size: int) -> float:
    """Return GB/s of one-time Poly1305."""
    text = rng.stream(size, "bench", "text").bytes(size)
    return size / best_s(lambda: poly1305(bytes(range(32)), [text]), max(3, 20_000_000 // size)) / 1e9


def release_us() -> float:
    """Return the CPU time that authentication adds to a release, both ends, transcripts of 200 messages of 500 B."""
    text = rng.stream(1, "bench", "text").bytes(500)
    bits = np.ones(1000, np.uint8)
    ends = [AuthenticationKeys.started(role, bytes(1000)) for role in ("alice", "bob")]

    def work() -> None:
        for end in ends:
            end.admit(0.0)
        hers, his = (end.transcript() for end in ends)
        for _ in range(100):
            for transcript in (hers, his):
                transcript.note_sent(text)
                transcript.note_received(text)
        pool, first = ends[0].sign_first(hers.sent, "link", "block")
        caught_up = ends[1].check_first(pool.slot, pool.released, first, his.received, "link", "block")
        assert caught_up is not None
        answer = ends[1].sign_answer(caught_up, his.sent, "link", "block", bits)
        assert ends[0].check_answer(pool, answer, hers.received, "link", "block")
        assert ends[0].release(bits) == ends[1].release(bits)

    return best_s(work, 100) * 1e6


def first_call_s() -> tuple[float, float]:
    """Return the time of first calls that compile, and of first calls in a process that finds them compiled."""
    with tempfile.TemporaryDirectory() as cache:
        run = [sys.executable, "-c", FIRST_CALL]
        told = [
            subprocess.run(run, env=os.environ | {"NUMBA_CACHE_DIR": cache}, check=True, capture_output=True).stdout
            for _ in range(2)
        ]
    return float(told[0]), float(told[1])


def measure(*, quick: bool = False) -> Measures:
    """Return every measure; ``quick`` leaves out what takes long."""
    rows: Measures = {"carryless_lanes": {"value": float(carryless.LANES), "unit": "words", "target": None}}

    def put(name: str, value: float, unit: str, target: float | None = None) -> None:
        rows[name] = {"value": value, "unit": unit, "target": target}

    ways: list[Way] = ["windows", "convolution"]
    for count, reach in AMPLIFICATION_REACH.items():
        put(f"amplification_{count}", amplification_mbps(count), "Mbit/s", reach)
        for way in ways:
            if way == "convolution" or count <= 100_000:
                put(f"amplification_{count}_{way}", amplification_mbps(count, way), "Mbit/s")
    if not quick:
        put("amplification_10000000", amplification_mbps(10_000_000), "Mbit/s")
    if len(os.sched_getaffinity(0)) > 1:
        put("amplification_1000000_two_threads", threads_scaling(1_000_000), "times one")
    bits, seed, _ = block(65_536 + 50)
    put("verification_65536", 65_536 / best_s(lambda: tag(bits[:65_536], seed[: 65_536 + 49], 50), 30) / 1e6, "Mbit/s")
    for size in (1024, 16_384, 131_072, 1_048_576):
        put(f"authentication_gf128_{size}", field_gbps(size), "GB/s", 0.8 if size >= 16_384 else None)
        put(f"authentication_gf128_{size}_tables", field_gbps(size, "tables"), "GB/s")
        put(f"authentication_poly1305_{size}", poly1305_gbps(size), "GB/s", 3.0 if size >= 16_384 else None)
    put("authentication_release", release_us(), "us/block")
    put("authentication_key_recycled", 256.0, "bit/block")
    put("authentication_key_one_time", 512.0, "bit/block")
    compiled, cached = first_call_s()
    put("hashing_first_call_compiling", compiled, "s")
    put("hashing_first_call_cached", cached, "s")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="leave out what takes long")
    options = parser.parse_args()
    rows = measure(quick=options.quick)
    if options.json:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        value = row["value"]
        assert isinstance(value, float)
        assert math.isfinite(value)
        print(f"{name:44} {value:10.4f} {row['unit']:10} target {row['target']}")


if __name__ == "__main__":
    main()
