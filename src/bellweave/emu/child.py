"""What runs in a process of an emulated network: it reads its line, does what the line says, and ends with its input.

``bellweave emulate --child`` calls :func:`main`. See :mod:`bellweave.emu.deployment` for the lines.
"""

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable

import msgspec
import structlog

from bellweave.edge import logs
from bellweave.edge.event_loop import loop_factory
from bellweave.emu.deployment import COMMAND, DEPLOYMENT, Command, Said, SourceDeployment, line
from bellweave.errors import BellweaveError

Say = Callable[[msgspec.Struct], None]

LONGEST_LINE_BYTES = 1 << 22

COLLECT_S = 60.0
"""How often garbage in cycles is looked for; that takes some 20 ms."""

_PR_SET_PDEATHSIG = 1

_log = structlog.get_logger(__name__)


def main() -> int:
    """Run the process, and return its exit code."""
    die_with_parent()
    data = sys.stdin.buffer.readline()
    if not data:
        return 0  # the supervisor is gone already
    logs.configure("text")
    deployment = DEPLOYMENT.decode(data)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_run(deployment))


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies; where there is no such thing, the end of input does."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def to_stdout(what: msgspec.Struct) -> None:
    """Say something to the supervisor."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.buffer.write(line(what))
        sys.stdout.buffer.flush()


async def _run(deployment: object) -> int:
    work: asyncio.Task[None]
    reader = await _stdin()
    if isinstance(deployment, SourceDeployment):
        from bellweave.emu.source_process import run as run_source  # noqa: PLC0415 a node needs none of it

        work = asyncio.create_task(run_source(deployment, to_stdout, commands(reader)))
    else:
        from bellweave.emu.node import run as run_node  # noqa: PLC0415 and the source none of this

        work = asyncio.create_task(run_node(deployment, to_stdout, commands(reader)))  # type: ignore[arg-type]
    spare_collections()
    collecting = asyncio.create_task(collect())
    try:
        await work
    except BellweaveError as error:
        _log.error("ended", problem=str(error))
        return 1
    finally:
        collecting.cancel()
    return 0


async def _stdin() -> asyncio.StreamReader:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    return reader


async def commands(reader: asyncio.StreamReader) -> AsyncIterator[Command]:
    """Yield the commands that come, until the input ends."""
    while data := await reader.readline():
        try:
            yield COMMAND.decode(data)
        except msgspec.MsgspecError as error:
            _log.error("a command is not understood", problem=str(error))


def problem(say: Say, detail: str) -> None:
    """Say that something is wrong that people should know."""
    _log.warning(detail)
    say(Said(what="problem", detail=detail))


def spare_collections() -> None:
    """Let Python look for garbage in cycles less often: what was imported stays for good. See :func:`collect`."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def collect() -> None:
    """Look for garbage in cycles every minute, for ever.

    Python counts objects, and a TLS connection that has ended is few: memory that it holds would wait for hours.
    """
    while True:
        await asyncio.sleep(COLLECT_S)
        gc.collect()
