"""The processes of an emulated network, as the supervisor holds them.

Rules:

1. A child gets one line with all that it needs, then commands; when its input ends it does, too. On Linux the kernel
   kills it at the moment its supervisor dies, whatever that died of.
2. What it says on standard output is handed on line by line; its log is a file that only its owner may read.
3. Children have a session of their own: Ctrl-C at the terminal reaches the supervisor, which ends them in order.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bellweave.emu.deployment import REPORT, Command, Deployment, Report, Said, line

LONGEST_LINE_BYTES = 1 << 22
LAST_WORDS_BYTES = 4000
END_S = 10.0
"""How long a child may take to end once its input has."""

COMMAND = (sys.executable, "-m", "bellweave", "emulate", "--child")


class Child:
    """A process, and what becomes of it.

    Args:
        name: Of the process.
        deployment: What it gets.
        log: File for what it prints on standard error.
        report: Gets what it says.
        command: What starts it.

    Attributes:
        starts: How often it has been started.
        process: None before the first start.
    """

    def __init__(
        self,
        name: str,
        deployment: Deployment,
        log: Path,
        report: Callable[["Child", Report], None],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.name = name
        self.deployment = deployment
        self.log = log
        self.starts = 0
        self.process: asyncio.subprocess.Process | None = None
        self._report = report
        self._command = command
        self._reading: asyncio.Task[None] | None = None
        self._said: dict[str, asyncio.Event] = {}

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self.process is not None and self.process.returncode is None

    async def start(self) -> None:
        """Start it, or start it again."""
        self.starts += 1
        self._said.clear()
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self.process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LONGEST_LINE_BYTES,
                start_new_session=True,
            )
        finally:
            os.close(log)
        self._reading = asyncio.create_task(self._read(self.process))
        self._write(line(self.deployment))

    def tell(self, command: Command) -> None:
        """Give it a command; one that has ended hears nothing."""
        self._write(line(command))

    async def said(self, what: str) -> None:
        """Wait until it has said this since it was started; returns also when it has ended."""
        told = asyncio.create_task(self._event(what).wait())
        ended = asyncio.create_task(self.ended())
        try:
            await asyncio.wait((told, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (told, ended):
                task.cancel()

    def has_said(self, what: str) -> bool:
        """Return whether it has said this since it was started."""
        return self._event(what).is_set()

    async def ended(self) -> int:
        """Wait for its end, and until all that it said has been handed on; return its exit code."""
        if self.process is None or self._reading is None:
            return 0
        await asyncio.shield(self._reading)
        return await self.process.wait()

    async def end(self, timeout_s: float = END_S) -> bool:
        """End its input and wait for its end; returns whether it had to be killed."""
        if self.process is None:
            return False
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.ended(), timeout_s)
        except TimeoutError:
            await self.kill()
            return True
        return False

    async def kill(self) -> None:
        """Kill it at once."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.ended()

    def last_words(self) -> str:
        """Return how it ended and the end of its log, in one line for people."""
        code = None if self.process is None else self.process.returncode
        how = "it runs" if code is None else f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_WORDS_BYTES))
                words = [text for text in file.read().decode(errors="replace").splitlines() if text.strip()]
        except OSError:
            words = []
        return f"{how}; its log, {self.log}, ends: {words[-1]}" if words else f"{how}; its log, {self.log}, is empty"

    # ---------------------------------------------------------------------------------------------------------- pipes

    def _event(self, what: str) -> asyncio.Event:
        return self._said.setdefault(what, asyncio.Event())

    def _write(self, data: bytes) -> None:
        if self.process is None or self.process.stdin is None or self.process.stdin.is_closing():
            return
        with contextlib.suppress(ConnectionError):
            self.process.stdin.write(data)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            raise AssertionError("started with a pipe")
        while data := await process.stdout.readline():
            try:
                report = REPORT.decode(data)
            except msgspec.MsgspecError:
                text = data.decode(errors="replace").strip()
                report = Said(what="problem", detail=f"{self.name} printed what is no report: {text[:200]}")
            self._report(self, report)
            if isinstance(report, Said):
                self._event(report.what).set()
        await process.wait()
