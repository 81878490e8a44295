"""A running emulated network as the measures see it: its events, its processes, its daemons."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from bellweave.edge.probe import PROBE_HZ
from bellweave.edge.vici_client import ViciClient, ViciError
from bellweave.results.network_records import Event, ProcessChanged
from bellweave.scenario.load import to_toml
from bellweave.scenario.schema import Scenario

RUN = Path(__file__).with_name("emulation_run.py")
LONGEST_LINE_BYTES = 1 << 22
END_S = 90.0

_decode = msgspec.json.Decoder(Event).decode


class RunningNetwork:
    """A network that runs; ``async with RunningNetwork(...) as network``.

    Args:
        scenario: With everything.
        out: Run directory.
        channel, layout, probe_hz: As of ``bellweave emulate``.
        watch: Called with each event.
        env: Added to the environment of all processes.

    Attributes:
        names: Process number to name, of source and nodes.
        said: What the supervisor said to people.
        code: Exit code of the supervisor, once it has ended.
    """

    def __init__(
        self,
        scenario: Scenario,
        out: Path,
        *,
        channel: str = "ipsec",
        layout: str = "bridge",
        probe_hz: float = PROBE_HZ,
        watch: Callable[[Event], None],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._scenario, self.out, self._channel, self._layout = scenario, out, channel, layout
        self._watch, self._probe_hz = watch, probe_hz
        self._env = dict(env or {})
        self.names: dict[int, str] = {}
        self.said: list[str] = []
        self.code: int | None = None
        self.process: asyncio.subprocess.Process
        self._reading: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self.out.mkdir(parents=True, exist_ok=True)
        file = self.out.with_name(f"{self.out.name}.toml")
        file.write_text(to_toml(self._scenario))
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, str(RUN), str(file), str(self.out), self._channel, self._layout, str(self._probe_hz),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=os.environ | self._env, limit=LONGEST_LINE_BYTES,
        )  # fmt: skip
        self._reading = [asyncio.create_task(self._events()), asyncio.create_task(self._words())]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def running(self) -> bool:
        """Whether the supervisor lives."""
        return self.process.returncode is None

    async def ended(self, timeout_s: float) -> bool:
        """Wait so long, or until it has ended; returns whether it has."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), timeout_s)
        return not self.running

    async def stop(self) -> None:
        """End it in order, and wait until all its events are here."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(self.process.wait(), END_S)
        except TimeoutError:
            self.said.append(f"it had to be killed: not over in {END_S:g} s")
            self.process.kill()
            await self.process.wait()
        await asyncio.gather(*self._reading)
        self.code = self.process.returncode

    def processes(self) -> dict[int, str]:
        """Return process number to name, of everything that lives: the supervisor, and whatever it started."""
        parents: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, IndexError, ValueError):
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    parents.setdefault(parent, []).append(int(entry.name))
        found = {self.process.pid: "supervisor"}
        waiting = [self.process.pid]
        while waiting:
            for pid in parents.get(waiting.pop(), []):
                if name := self._name(pid):
                    found[pid] = name
                waiting.append(pid)
        return found

    async def daemons(self) -> dict[str, tuple[int, int]]:
        """Return, of each IKE daemon that answers: how many IKE SAs it has, how many secrets are loaded."""

        async def asked(path: Path) -> tuple[int, int] | None:
            client = ViciClient(str(path))
            try:
                sas = await client.listed("list-sas", "list-sa")
                secrets = await client.call("get-shared")
                return len(sas), len(secrets.get("keys", ()))
            except ViciError:
                return None
            finally:
                client.close()

        answers = {}
        for path in sorted((self.out / "gateways").glob("*/vici")):
            answer = await asked(path)
            if answer is not None:
                answers[path.parent.name] = answer
        return answers

    def _name(self, pid: int) -> str:
        if pid in self.names:
            return self.names[pid]
        try:
            comm = Path(f"/proc/{pid}/comm").read_text().strip()
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if comm.startswith("charon"):
                return f"charon {Path(f'/proc/{pid}/cwd').readlink().name}"
        except OSError:
            return ""
        return f"probes {pid}" if "probe" in command else f"{comm} {pid}" if command else ""

    async def _events(self) -> None:
        if self.process.stdout is None:
            raise AssertionError("started with a pipe")
        while data := await self.process.stdout.readline():
            event = _decode(data)
            if isinstance(event, ProcessChanged) and event.state == "started":
                self.names[int(event.detail.split()[-1])] = event.process
            self._watch(event)

    async def _words(self) -> None:
        if self.process.stderr is None:
            raise AssertionError("started with a pipe")
        while data := await self.process.stderr.readline():
            self.said.append(data.decode(errors="replace").strip())


def pss_bytes(pid: int) -> int | None:
    """Return the proportional set size of a process: its memory, with what it shares divided; None: it is gone."""
    return _rollup(pid).get("Pss")


def private_bytes(pid: int) -> int | None:
    """Return the memory that is a process's own alone; None: it is gone."""
    found = _rollup(pid)
    return found["Private_Dirty"] + found["Private_Clean"] if found else None


def _rollup(pid: int) -> dict[str, int]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}


def open_files(pid: int) -> int | None:
    """Return how many files a process has open; None: it is gone."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return None


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used; 0: it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load() -> float:
    """Return the machine's load average of the last minute."""
    return os.getloadavg()[0]


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Return the same with numbers of four digits, for JSON that people read."""
    return {key: _plain(each) for key, each in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return plain(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
