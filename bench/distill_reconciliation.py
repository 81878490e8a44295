"""Reconciliation: leakage, speed in one process and over loopback TCP, and errors that stay.

Conventions of the rows: exactly round(Q n) errors a frame, block sizes from the true Q, f without the tag. "engine":
both roles run in full, their messages are not encoded; "dialogue": the same through the encoded messages of a
conversation in memory. Speed counts sifted bits against the CPU time of both parties, the tag and repairs included,
compilation not.
"""

import argparse
import asyncio
import json
import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from bellweave import rng
from bellweave.blocks import Bytes
from bellweave.dialogue import Codec
from bellweave.distill import messages, theory
from bellweave.distill.ledger import Book, Estimate, Ledger
from bellweave.distill.reconciliation.interface import named
from bellweave.distill.reconciliation.together import reconcile
from bellweave.distill.sifting import Sifted
from bellweave.edge import dialogue_tcp
from bellweave.sim.classical import converse
from bellweave.testing.pairs import DISTILLATION

Measures = dict[str, dict[str, float | str | None]]

LONG = 65_536
SHORT = 1832
F_REACH = {0.01: 1.027, 0.03: 1.032, 0.05: 1.042, 0.064: 1.045, 0.08: 1.052, 0.10: 1.059}
SPEED_REACH = {0.01: 70.0, 0.03: 50.0, 0.05: 42.0, 0.064: 36.0, 0.08: 30.0, 0.10: 28.0}
TCP_REACH = {0.03: 6.0, 0.064: 5.0}
TAG_BITS = 50


def frames(seed: int, count: int, bits: int, qber: float) -> tuple[Bytes, Bytes]:
    """Return Alice's and Bob's frames, exactly round(Q n) errors in each."""
    generator = rng.stream(seed, "bench", "reconciliation", count, bits)
    alice = generator.integers(0, 2, (count, bits), np.uint8)
    bob = alice.copy()
    for row in bob:
        row[generator.choice(bits, round(qber * bits), replace=False)] ^= 1
    return alice, bob


def engine(name: str, bits: int, qber: float, runs: int) -> dict[str, float]:
    """Return f, its standard error, rounds, Mbit/s of the median frame, and what went wrong."""
    leak, seconds, rounds, repairs, bad = [], [], 0, 0, 0
    for seed in range(runs + 1):
        alice, bob = frames(seed, 1, bits, qber)
        tag_seed = rng.stream(seed, "bench", "tag").integers(0, 2, bits + TAG_BITS - 1, np.uint8)
        start_s = time.process_time()
        result = reconcile(name, qber, alice, bob, tag_seed, TAG_BITS)
        elapsed_s = time.process_time() - start_s
        if not seed:
            continue  # the first one compiles and makes the plan
        seconds.append(elapsed_s)
        leak.append(int(result.counts[:4].sum()))
        rounds += result.rounds
        repairs += int(result.repairs.sum())
        bad += not np.array_equal(result.corrected, alice)
    shannon = theory.shannon_minimum(bits, round(qber * bits) / bits)
    return {
        "f": statistics.mean(leak) / shannon,
        "stderr": statistics.stdev(leak) / math.sqrt(runs) / shannon,
        "rounds": rounds / runs,
        "mbps": bits / statistics.median(seconds) / 1e6,
        "repairs": repairs / runs,
        "bad": bad,
    }


def threads_mbps(threads: int, qber: float) -> float:
    """Return Mbit/s of wall time, each thread with frames of its own: the engine holds no lock while it works."""
    work = [frames(seed, 1, LONG, qber) for seed in range(32)]
    tag_seed = rng.stream(1, "bench", "tag").integers(0, 2, LONG + TAG_BITS - 1, np.uint8)
    with ThreadPoolExecutor(threads) as pool:
        best = math.inf
        for _ in range(4):
            start_s = time.perf_counter()
            list(pool.map(lambda pair: reconcile("low-latency", qber, pair[0], pair[1], tag_seed, TAG_BITS), work))
            best = min(best, time.perf_counter() - start_s)
    return len(work) * LONG / best / 1e6


def one_message(bits: int, qber: float, runs: int) -> dict[str, float]:
    """Return f, messages each way, share of frames that need one only, and Mbit/s of ``reconciliation = "ldpc"``."""
    leak, messages_each_way, single, seconds = 0, 0, 0, []
    for seed in range(runs + 1):
        alice, bob = frames(seed, 1, bits, qber)
        books = Book(), Book()
        for book in books:
            book.ledger = Ledger(matched=bits, sifted_z=bits)
            book.estimate = Estimate(sample_z=10**6, errors_z=round(qber * 10**6))
        zeros = np.zeros(bits, np.uint8)
        reconciler = named("ldpc")
        start_s = time.process_time()
        ends = converse(
            reconciler.alice(Sifted(zeros, alice[0]), TAG_BITS, rng.stream(seed, "bench", "tag"), books[0]),
            reconciler.bob(Sifted(zeros, bob[0]), TAG_BITS, books[1]),
            DISTILLATION,
        )
        elapsed_s = time.process_time() - start_s
        assert np.array_equal(*ends)
        if not seed:
            continue  # the first one compiles and makes the code
        seconds.append(elapsed_s)
        leak += books[0].ledger.disclosed - books[0].ledger.tag
        messages_each_way += books[0].corrections.parity_rounds
        single += books[0].corrections.parity_rounds == 1
    return {
        "f": leak / runs / theory.shannon_minimum(bits, round(qber * bits) / bits),
        "messages": messages_each_way / runs,
        "single": single / runs,
        "mbps": bits / statistics.median(seconds) / 1e6,
    }


def role(who: str, count: int, qber: float, *, of: int = LONG) -> Any:
    """Return one party's role on a key of ``count`` frames, and its book."""
    alice, bob = frames(1, count, of, qber)
    bits = (alice if who == "alice" else bob).reshape(-1)
    book = Book()
    book.ledger = Ledger(matched=bits.size, sifted_z=bits.size)
    book.estimate = Estimate(sample_z=10**6, errors_z=round(qber * 10**6))
    sifted = Sifted(np.zeros(bits.size, np.uint8), bits)
    reconciler = named("low-latency")
    if who == "alice":
        return reconciler.alice(sifted, TAG_BITS, rng.stream(1, "bench", "tag"), book), book
    return reconciler.bob(sifted, TAG_BITS, book), book


def dialogue_mbps(count: int, qber: float) -> float:
    """Return Mbit/s of a conversation in memory, both parties' CPU time."""
    best = math.inf
    for _ in range(4):
        (alice, _), (bob, _) = role("alice", count, qber), role("bob", count, qber)
        start_s = time.process_time()
        converse(alice, bob, DISTILLATION)
        best = min(best, time.process_time() - start_s)
    return count * LONG / best / 1e6


def _party(who: str, count: int, qber: float, port: Any, result: Any) -> None:
    """Run one party in a process and on a core of its own, where there are two; Bob listens."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0] if who == "bob" else cores[-1]})

    async def bob() -> None:
        done = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(4):
                dialogue, _ = role("bob", count, qber)
                await dialogue_tcp.run(dialogue, reader, writer, Codec(*messages.KINDS), 60.0)
            done.set()

        async with dialogue_tcp.listening(handle) as where:
            port.send(where)
            await done.wait()

    async def alice() -> None:
        reader, writer = await dialogue_tcp.connect("127.0.0.1", port.recv())
        seconds, rounds = [], 0
        for _ in range(4):  # the first one loads compiled code and makes plans
            dialogue, book = role("alice", count, qber)
            start_s = time.perf_counter()
            await dialogue_tcp.run(dialogue, reader, writer, Codec(*messages.KINDS), 60.0)
            seconds.append(time.perf_counter() - start_s)
            rounds = book.corrections.parity_rounds
        result.send((count * LONG / statistics.median(seconds[1:]) / 1e6, rounds))
        await dialogue_tcp.close(writer)

    asyncio.run(bob() if who == "bob" else alice())


def tcp_mbps(count: int, qber: float) -> tuple[float, int]:
    """Return Mbit/s of wall time and rounds: two processes, loopback TCP, ``count`` frames merged."""
    context = multiprocessing.get_context("spawn")
    asks, tells = context.Pipe(duplex=False)
    ends, begins = context.Pipe(duplex=False)
    parties = [
        context.Process(target=_party, args=("bob", count, qber, tells, None)),
        context.Process(target=_party, args=("alice", count, qber, asks, begins)),
    ]
    for party in parties:
        party.start()
    result: tuple[float, int] = ends.recv()
    for party in parties:
        party.join()
    return result


def residual(total: int) -> tuple[int, int]:
    """Return frames of 1832 bits at 1 to 10 % that keep an error, and those that were given up."""
    kept = lost = 0
    together = 50
    for number in range(total // together):
        qber = 0.01 + 0.09 * (number % 100) / 99
        alice, bob = frames(number, together, SHORT, qber)
        tag_seed = rng.stream(number, "bench", "tag").integers(0, 2, SHORT + TAG_BITS - 1, np.uint8)
        result = reconcile("low-latency", qber, alice, bob, tag_seed, TAG_BITS)
        lost += result.failed
        kept += int((result.corrected != alice).any(axis=1).sum())
    return kept, lost


def measure(*, quick: bool = False) -> Measures:
    """Return every measure; ``quick`` runs fewer frames."""
    rows: Measures = {}
    for qber, reach in F_REACH.items():
        found = engine("low-latency", LONG, qber, 20 if quick else 100)
        at = f"cascade_65536_{100 * qber:g}pc"
        rows[f"{at}_f"] = {"value": found["f"], "unit": "", "target": reach}
        rows[f"{at}_f_stderr"] = {"value": found["stderr"], "unit": "", "target": None}
        rows[f"{at}_engine"] = {"value": found["mbps"], "unit": "Mbit/s", "target": SPEED_REACH[qber]}
        rows[f"{at}_rounds"] = {"value": found["rounds"], "unit": "", "target": None}
        rows[f"{at}_repairs"] = {"value": found["repairs"], "unit": "/frame", "target": None}
        for merged in (8, 64):
            rows[f"{at}_dialogue_{merged}_frames"] = {
                "value": dialogue_mbps(merged, qber),
                "unit": "Mbit/s",
                "target": None,
            }
    found = engine("low-latency", SHORT, 0.064, 500 if quick else 3000)
    rows["cascade_1832_6.4pc_f"] = {"value": found["f"], "unit": "", "target": 1.065}
    rows["cascade_1832_6.4pc_f_stderr"] = {"value": found["stderr"], "unit": "", "target": None}
    rows["cascade_1832_6.4pc_engine"] = {"value": found["mbps"], "unit": "Mbit/s", "target": None}
    for qber, reach in TCP_REACH.items():
        mbps, rounds = tcp_mbps(8, qber)
        rows[f"cascade_tcp_8_frames_{100 * qber:g}pc"] = {"value": mbps, "unit": "Mbit/s", "target": reach}
        rows[f"cascade_tcp_8_frames_{100 * qber:g}pc_rounds"] = {"value": float(rounds), "unit": "", "target": None}
    for threads in (1, 2):
        rows[f"cascade_threads_{threads}"] = {"value": threads_mbps(threads, 0.03), "unit": "Mbit/s", "target": None}
    for qber in (0.01, 0.03, 0.064, 0.1):
        coded = one_message(LONG, qber, 5 if quick else 20)
        at = f"ldpc_65536_{100 * qber:g}pc"
        rows[f"{at}_f"] = {"value": coded["f"], "unit": "", "target": None}
        rows[f"{at}_messages"] = {"value": coded["messages"], "unit": "each way", "target": None}
        rows[f"{at}_first_fails"] = {"value": 1.0 - coded["single"], "unit": "", "target": None}
        rows[f"{at}"] = {"value": coded["mbps"], "unit": "Mbit/s", "target": None}
    total = 5000 if quick else 100_000
    kept, lost = residual(total)
    rows["cascade_residual_frames"] = {"value": float(kept), "unit": f"of {total}", "target": 0.0}
    rows["cascade_given_up_frames"] = {"value": float(lost), "unit": f"of {total}", "target": None}
    return rows


def main(measure: Callable[..., Measures] = measure) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer frames")
    options = parser.parse_args()
    rows = measure(quick=options.quick)
    if options.json:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        print(f"{name:44} {row['value']:10.4f} {row['unit']:10} target {row['target']}")


if __name__ == "__main__":
    main()
