"""Simulate: every block of every link of a scenario, photons to secret blocks, in virtual time.

Blocks that are distilled as one (``distill.accumulate_blocks``) share a record. Otherwise blocks are independent (each
has random streams of its own), so processes share them out; the records come back in order and are the same bytes for
any number of workers.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from bellweave.errors import ScenarioError
from bellweave.results.io import RunResult, RunWriter
from bellweave.results.records import BlockRecord, Manifest, Shard
from bellweave.roles.run import describe
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.load import checked_scenario, to_toml
from bellweave.scenario.schema import Scenario
from bellweave.sim.block import distil_block, distil_recording

Progress = Callable[[BlockRecord, int, int], None]
"""Called after each block with its record, how many are done, and how many there will be."""


def simulate(
    scenario: Scenario,
    out: Path | None = None,
    *,
    first_block: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Simulate all links of a scenario and return their records, in the order of links and blocks.

    Args:
        scenario: What to simulate; ``run.seed``, ``run.blocks`` and ``run.level`` say how.
        out: Run directory to write, and to go on in if it holds the same run unfinished; None keeps the records in
            memory.
        first_block: Number of the first block, to add blocks to an earlier run.
        workers: Processes; default: one a core, at most one a block.
        progress: Called after each block.

    Raises:
        ScenarioError: If the scenario is impossible or the directory is not this run's.
    """
    scenario = checked_scenario(scenario)
    together = scenario.distill.accumulate_blocks
    if scenario.run.blocks % together:
        problem = f"{scenario.run.blocks} blocks are no multiple of the {together} that are distilled as one"
        raise ScenarioError(problem, path="run.blocks")
    run = describe(scenario, Shard(first_block=first_block, blocks=scenario.run.blocks))
    if out is None:
        return RunResult(run, tuple(_run(scenario, run, [], workers, progress, None)))
    with RunWriter(out, run, to_toml(scenario)) as writer:
        return RunResult(run, tuple(_run(scenario, run, writer.done, workers, progress, writer)))


def run_block(scenario: Scenario, link: str, block: int) -> tuple[BlockRecord, float]:
    """Simulate one block of one link, or distil its recording; return its record and how many seconds it took."""
    started = time.perf_counter()
    if link in scenario.recorded:
        record = distil_recording(scenario, link).record
    else:
        record = distil_block(scenario, optical_link(scenario, link), block).record
    return record, time.perf_counter() - started


def _run(
    scenario: Scenario,
    run: Manifest,
    done: list[BlockRecord],
    workers: int | None,
    progress: Progress | None,
    writer: RunWriter | None,
) -> Iterator[BlockRecord]:
    wanted = run.wanted()
    yield from done
    for count, (record, elapsed_s) in enumerate(_blocks(scenario, wanted[len(done) :], workers), len(done) + 1):
        if writer is not None:
            writer.append(record, elapsed_s=elapsed_s)
        if progress is not None:
            progress(record, count, len(wanted))
        yield record


def _blocks(
    scenario: Scenario, wanted: list[tuple[str, int]], workers: int | None
) -> Iterator[tuple[BlockRecord, float]]:
    workers = min(workers or os.cpu_count() or 1, len(wanted))
    if workers <= 1:
        for link, block in wanted:
            yield run_block(scenario, link, block)
        return
    context = multiprocessing.get_context("spawn")  # fork would copy the parent's threads and locks
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        names, blocks = zip(*wanted, strict=True)
        yield from pool.map(partial(run_block, scenario), names, blocks, chunksize=4)
