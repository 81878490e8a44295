"""The socket through which a running emulation is told of faults: one line of JSON there, one back.

It lies in the run directory, and only the owner may use it. The path of a Unix socket is short (108 bytes), that of a
run directory may not be: on Linux the socket is reached through an open folder.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import msgspec

from bellweave.emu.messages import Fault
from bellweave.errors import ScenarioError

NAME = "control"
ANSWER_S = 30.0

_LINE_BYTES = 1 << 16


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for.

    Attributes:
        fault: What begins, or ends.
        for_s: It ends by itself so much later; None: when it is told to.
    """

    fault: Fault
    for_s: float | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of it: ``said`` is for people; ``refused``, why it can't be."""

    said: str = ""
    refused: str = ""


Order = Callable[[Fault, float | None], Awaitable[str]]
"""Carries a fault out; returns a sentence for people, or raises ScenarioError."""


@contextlib.asynccontextmanager
async def serving(out: Path, order: Order) -> AsyncIterator[None]:
    """Listen in a run directory."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError):
            writer.write(msgspec.json.encode(await _answered(await reader.readline(), order)) + b"\n")
            await writer.drain()
        writer.close()

    (out / NAME).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with _reachable(out) as path:
        before = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
    server = await asyncio.start_unix_server(serve, sock=listener, limit=_LINE_BYTES)
    try:
        yield
    finally:
        server.close()
        (out / NAME).unlink(missing_ok=True)


async def ask(out: Path, wanted: Wanted) -> str:
    """Tell a running emulation of a fault, and return what it says.

    Raises:
        ScenarioError: None runs there, or it refuses.
    """
    caller = socket.socket(socket.AF_UNIX)
    try:
        with _reachable(out) as path:
            caller.connect(path)
    except OSError as error:
        caller.close()
        raise ScenarioError(f"no emulation runs there: {error.strerror}", file=str(out)) from None
    reader, writer = await asyncio.open_unix_connection(sock=caller)
    try:
        async with asyncio.timeout(ANSWER_S):
            writer.write(msgspec.json.encode(wanted) + b"\n")
            data = await reader.readline()
        answer = msgspec.json.decode(data, type=Answer)
    except (OSError, msgspec.MsgspecError):
        raise ScenarioError("the emulation does not answer", file=str(out)) from None
    finally:
        writer.close()
    if answer.refused:
        raise ScenarioError(answer.refused)
    return answer.said


async def _answered(data: bytes, order: Order) -> Answer:
    try:
        wanted = msgspec.json.decode(data, type=Wanted)
        return Answer(said=await order(wanted.fault, wanted.for_s))
    except msgspec.MsgspecError as error:
        return Answer(refused=f"not understood: {error}")
    except ScenarioError as error:
        return Answer(refused=str(error))


@contextlib.contextmanager
def _reachable(out: Path) -> Iterator[str]:
    """Give a short path of the socket."""
    if not Path("/proc/self/fd").is_dir():
        yield str(out / NAME)
        return
    folder = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{NAME}"
    finally:
        os.close(folder)
