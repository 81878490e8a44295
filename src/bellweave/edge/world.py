"""A disposable world: user, network, mount and PID namespaces of its own, in which an emulated network lives.

Rules:

1. The same for root and for a plain user; nothing of the machine's own network or processes is touched.
2. It dies with its controller, however that ends: PID 1 inside (:mod:`bellweave.edge.world_init`) exits when the pipe
   to it closes, and with it the kernel ends every process, namespace, device and route of the world.
3. Two worlds never meet: they share no name and no address space.
4. Files are the machine's own, but for ``/run``, which is new and empty. So a Unix socket that something inside makes
   in the run's folder can be opened from outside.
"""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from bellweave.edge.world_errors import NO_UNSHARE, WorldError, cure
from bellweave.edge.world_places import SBIN_PATH, UNSHARE

INIT = Path(__file__).with_name("world_init.py")
START_S = 15.0
STOP_S = 10.0
RUN_S = 60.0
"""Longest that a command in a world may take."""

_LINE_BYTES = 1 << 24


class Spawned:
    """A process in a world.

    Attributes:
        argv: What it was started as.
        pid: Inside the world.
        rc: Exit code; negative: by that signal; None while it runs.
    """

    def __init__(self, argv: Sequence[str], job: int, end: "asyncio.Future[dict[str, Any]]") -> None:
        self.argv = tuple(argv)
        self.job = job
        self.pid = 0
        self._end = end

    @property
    def rc(self) -> int | None:
        """Exit code; negative: by that signal; None while it runs."""
        return int(self._end.result()["rc"]) if self._end.done() and not self._end.exception() else None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self._end.done()

    async def wait(self) -> int:
        """Wait for its end and return its exit code.

        Raises:
            WorldError: The world ended.
        """
        return int((await asyncio.shield(self._end))["rc"])


class World:
    """The controller's handle of a world; ``async with World() as world``.

    Args:
        python: Interpreter for PID 1; any Python from 3.9 on will do.

    Attributes:
        pid: Of the world's outermost process, as the machine sees it.
    """

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._numbers = itertools.count()
        self._begun: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ended: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._complaint = b""
        self._over = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def pid(self) -> int:
        """Process id of the world's outermost process."""
        return self._alive().pid

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.returncode is None and not self._over

    async def start(self) -> None:
        """Make the world.

        Raises:
            WorldError: It can't be made here; the message has the cure.
        """
        unshare = shutil.which("unshare", path=os.environ.get("PATH", "") + ":" + SBIN_PATH)
        if unshare is None:
            raise WorldError(NO_UNSHARE)
        # LC_ALL: complaints are read by programs
        environment = {**os.environ, "PATH": SBIN_PATH, "LC_ALL": "C"}
        environment.pop("NOTIFY_SOCKET", None)  # systemd's, if we run under it: not for the daemons inside
        self._process = await asyncio.create_subprocess_exec(
            unshare, *UNSHARE, self._python, "-I", "-S", str(INIT),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=environment, limit=_LINE_BYTES, start_new_session=True,
        )  # fmt: skip
        self._over = False
        hello = self._expect(self._begun, next(self._numbers))
        self._reader = asyncio.create_task(self._read(self._process))
        try:
            await asyncio.wait_for(hello, START_S)
        except TimeoutError:
            await self.close()
            raise WorldError(f"the world did not start within {START_S:g} s") from None
        except WorldError:
            await self.close()
            raise WorldError(cure(self._complaint.decode(errors="replace"))) from None

    async def close(self) -> None:
        """End the world and all that is in it; also one that has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._reader is not None:
            await self._reader

    async def run(
        self, argv: Sequence[str], *, namespace: str = "", given: str = "", check: bool = True, timeout_s: float = RUN_S
    ) -> str:
        """Run a command to its end and return what it printed on standard output.

        Args:
            argv: Program and arguments.
            namespace: Network namespace; empty: the world's own.
            given: Its standard input.
            check: Whether an exit code other than 0 is an error.
            timeout_s: It is killed after that.

        Raises:
            WorldError: It can't be started, failed, or took too long.
        """
        spawned = await self._start(argv, namespace, capture=True, input=given)
        try:
            end = await asyncio.wait_for(asyncio.shield(spawned._end), timeout_s)  # noqa: SLF001 ours
        except TimeoutError:
            await self.kill(spawned, signal.SIGKILL)
            raise WorldError(f"{' '.join(argv)}: no end after {timeout_s:g} s") from None
        if check and end["rc"]:
            raise WorldError(f"{' '.join(argv)}: {(end['err'] or end['out']).strip() or 'exit code ' + str(end['rc'])}")
        return str(end["out"])

    async def ip(self, namespace: str, *lines: str) -> None:
        """Carry out many ``ip`` commands at once in a network namespace (empty: the world's own).

        Raises:
            WorldError: One failed.
        """
        if lines:
            where = ["-n", namespace] if namespace else []
            await self.run(["ip", *where, "-batch", "-"], given="\n".join(lines) + "\n")

    async def spawn(
        self,
        namespace: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        log: Path | str | None = None,
    ) -> Spawned:
        """Start a process that goes on; what it prints goes to the end of ``log`` (none: nowhere).

        Raises:
            WorldError: It can't be started.
        """
        return await self._start(
            argv, namespace, env=dict(env or {}), cwd=None if cwd is None else str(cwd), log=str(log) if log else None
        )

    async def kill(self, spawned: Spawned, number: int = signal.SIGTERM, timeout_s: float | None = None) -> int | None:
        """Send a signal to a process and all that it started, and wait for its end.

        Args:
            spawned: Which; one that has ended gets none.
            number: The signal.
            timeout_s: After so long it is killed; None: only the signal is sent, nothing waited for but for SIGKILL.

        Returns:
            Its exit code; None if it was not waited for and runs.
        """
        if spawned.running:
            await self._ask(op="kill", job=spawned.job, signal=int(number))
        if number == signal.SIGKILL:
            timeout_s = STOP_S
        if timeout_s is None:
            return spawned.rc
        try:
            return await asyncio.wait_for(spawned.wait(), timeout_s)
        except TimeoutError:
            if number == signal.SIGKILL:
                raise WorldError(f"{spawned.argv[0]} does not end") from None
            return await self.kill(spawned, signal.SIGKILL)

    # -------------------------------------------------------------------------------------------------------- the pipe
    def _alive(self) -> asyncio.subprocess.Process:
        if self._process is None or not self.running:
            raise WorldError("the world has ended")
        return self._process

    async def _start(self, argv: Sequence[str], namespace: str, **options: Any) -> Spawned:
        inside = ["ip", "netns", "exec", namespace, *argv] if namespace else list(argv)
        number = next(self._numbers)
        spawned = Spawned(argv, number, self._expect(self._ended, number))
        spawned.pid = int((await self._ask(number, op="start", argv=inside, **options))["pid"])
        return spawned

    async def _ask(self, number: int | None = None, **request: Any) -> dict[str, Any]:
        process = self._alive()
        if process.stdin is None:
            raise AssertionError("started with a pipe")
        number = next(self._numbers) if number is None else number
        answer = self._expect(self._begun, number)
        process.stdin.write(json.dumps({"id": number, **request}).encode() + b"\n")
        with contextlib.suppress(ConnectionError):  # then the reader says that the world has ended
            await process.stdin.drain()
        return await answer

    @staticmethod
    def _expect(table: dict[int, asyncio.Future[dict[str, Any]]], number: int) -> asyncio.Future[dict[str, Any]]:
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_looked_at)
        table[number] = future
        return future

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Hand on what PID 1 says until it is gone."""
        if process.stdout is None or process.stderr is None:
            raise AssertionError("started with pipes")
        try:
            while line := await process.stdout.readline():
                self._heard(json.loads(line))
            self._complaint = await process.stderr.read()
        finally:
            self._over = True  # maybe before the process is reaped: nobody must ask what nobody will answer
            for table in (self._begun, self._ended):
                for future in table.values():
                    if not future.done():
                        future.set_exception(WorldError("the world has ended"))
                table.clear()

    def _heard(self, said: dict[str, Any]) -> None:
        number = said["id"]
        begun = self._begun.pop(number, None)
        if "error" in said:
            self._ended.pop(number, None)
            if begun is not None and not begun.done():
                begun.set_exception(WorldError(said["error"]))
        elif begun is not None:
            if not begun.done():
                begun.set_result(said)
        else:
            ended = self._ended.pop(number, None)
            if ended is not None and not ended.done():
                ended.set_result(said)


def _looked_at(future: "asyncio.Future[dict[str, Any]]") -> None:
    """Nobody needs to wait for every process: an end of the world that nobody asks about is no unhandled error."""
    if not future.cancelled():
        future.exception()
