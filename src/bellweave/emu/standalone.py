"""The same network node by node, on different hosts: what each gets is exported as a file, and run by hand.

``prepare`` writes a folder for the source and for each node, with one file, ``deployment.json``: all that this process
needs, its secrets included, readable by its owner only. Copy each folder to its host over a channel that you trust, and
take it away afterwards. Nodes may be started in any order; the source begins when all have joined.

Without a supervisor each process writes its own run directory, and ends by itself after the last slot. Its clock starts
with the source's word that the run has begun. A node that was stopped may be started again, and goes on with its store;
the source may not: its photons, and so the keys, would come again. For another run, prepare anew.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from bellweave.edge.files import check_secret, new_folder, read_file, write_whole
from bellweave.emu import source_process
from bellweave.emu.deployment import (
    DEPLOYMENT,
    Command,
    Deployment,
    NodeDeployment,
    Said,
    SourceDeployment,
    Stocked,
    line,
)
from bellweave.emu.journal import Journal, Sink, Stocks
from bellweave.emu.node import Node
from bellweave.emu.prepare import Plan, deployments
from bellweave.emu.supervisor import VERB
from bellweave.errors import ScenarioError
from bellweave.results.io import NetworkWriter
from bellweave.results.records import Shard
from bellweave.roles.run import describe
from bellweave.scenario.load import parse

FILE = "deployment.json"

BEGUN = "begun"
"""File beside it at the source: its run has begun."""

LAST_S = 1.0
"""The source stays so long after its last word."""

TICK_S = 0.1

Say = Callable[[str], None]


def prepare(plan: Plan, folder: Path) -> dict[str, Path]:
    """Write what each process needs, and return each one's folder.

    Raises:
        ScenarioError: The plan can't be, or a file is there already or can't be written.
    """
    made = deployments(plan)
    folders = {name: folder / name for name in (made.source.name, *made.nodes)}
    for path in folders.values():
        if (path / FILE).exists():
            raise ScenarioError("is there already; prepare into a new folder", file=str(path / FILE))
    for name, path in folders.items():
        new_folder(path)
        given = made.source if name == made.source.name else made.nodes[name]
        write_whole(path / FILE, line(given))
    return folders


def load(folder: Path, name: str) -> Deployment:
    """Return what was prepared for a process; a node's store is to lie in its folder.

    Raises:
        ScenarioError: It can't be read, or is another one's.
    """
    path = folder / FILE
    check_secret(path)
    try:
        found: Deployment = DEPLOYMENT.decode(read_file(path))
    except msgspec.MsgspecError as error:
        raise ScenarioError(f"was not prepared by this version: {error}", file=str(path)) from None
    if found.name != name:
        raise ScenarioError(f"is for {found.name}, not for {name}", file=str(path))
    if isinstance(found, SourceDeployment) and (folder / BEGUN).exists():
        raise ScenarioError("this run has begun before, and its keys would come again: prepare anew", file=str(path))
    if isinstance(found, NodeDeployment):
        return msgspec.structs.replace(found, folder=str(folder.absolute()))
    return found


async def run(
    deployment: Deployment, folder: Path, stop: asyncio.Event, watch: Sink, say: Say, out: Path | None = None
) -> None:
    """Be a node, or the source, until the run is over or ``stop`` is set.

    Args:
        deployment: What was prepared.
        folder: Where it was prepared.
        stop: Ends it early, in order.
        watch: Called with each event of this process.
        say: Called with sentences for people.
        out: Run directory; None: ``run`` in the folder.

    Raises:
        ScenarioError: An address or a file can't be used.
    """
    out = out or folder / "run"
    new_folder(out)
    scenario = parse(deployment.scenario)
    blocks = (scenario.schedule.slots if scenario.schedule else None) or scenario.run.blocks
    manifest = describe(scenario, Shard(blocks=blocks), verb=VERB)
    with NetworkWriter(out, manifest, deployment.scenario) as writer:
        told = _Told(Journal(writer.append, watch), Stocks(scenario), say)
        clerk = asyncio.create_task(told.keep())
        try:
            if isinstance(deployment, NodeDeployment):
                await _node(deployment, told, stop)
            else:
                told.mark = folder / BEGUN
                await _source(deployment, told, stop)
        finally:
            clerk.cancel()
            told.journal.close()


class _Told:
    """Takes what a process tells, in place of a supervisor."""

    def __init__(self, journal: Journal, stocks: Stocks, say: Say) -> None:
        self.journal, self._stocks, self._say = journal, stocks, say
        self.over = asyncio.Event()
        self.now_s: Callable[[], float] = lambda: 0.0
        self.mark: Path | None = None

    def take(self, what: msgspec.Struct) -> None:
        """Take one thing."""
        match what:
            case Said(what="over"):
                self.over.set()
            case Said(what="begun"):
                origin_s = what.at_s
                if self.mark is not None:
                    self.mark.touch()
                self.now_s = lambda: time.monotonic() - origin_s
                self._say("all nodes have joined; the run begins")
            case Said():
                self._say(f"{what.what}{f': {what.detail}' if what.detail else ''}")
            case Stocked():
                self.journal.note(self._stocks.sampled(what))
            case _:
                self.journal.note(what)  # type: ignore[arg-type]  # nothing else is told but events

    async def keep(self) -> None:
        """Keep the journal going."""
        while True:
            await asyncio.sleep(TICK_S)
            self.journal.advance(self.now_s())


async def _node(deployment: NodeDeployment, told: _Told, stop: asyncio.Event) -> None:
    node = Node(deployment, told.take)
    told.now_s = node.now_s
    await node.start()
    try:
        await _either(node.over(), stop)
        await node.drain(early=stop.is_set())
        await node.finish()
    finally:
        await node.stop()


async def _source(deployment: SourceDeployment, told: _Told, stop: asyncio.Event) -> None:
    await source_process.run(deployment, told.take, _until_over(told, stop))


async def _until_over(told: _Told, stop: asyncio.Event) -> AsyncIterator[Command]:
    """Yield no command, until the source has ended."""
    await _either(told.over.wait(), stop)
    await asyncio.sleep(LAST_S)
    nothing: tuple[Command, ...] = ()
    for command in nothing:
        yield command


async def _either(work: Coroutine[Any, Any, object], stop: asyncio.Event) -> None:
    """Wait until some work is done, or it is time to stop."""
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(work), asyncio.create_task(stop.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
