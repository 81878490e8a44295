"""What the probe streams in a world meet, for the agents outside: the reading end of :mod:`bellweave.edge.probe_world`.

One feed does for all tunnels of a process. It connects again whenever the other side was restarted.
"""

import asyncio
import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import structlog

from bellweave.edge.probe import Counted, ProbePlan, together
from bellweave.results.network_records import Probed

PROGRAM = Path(__file__).with_name("probe_world.py")

PAUSE_S = 0.5
"""Between two attempts to connect."""

Host = tuple[str, str]
"""Namespace and inner address."""

_log = structlog.get_logger(__name__)


def command(
    path: Path | str, tunnels: Mapping[str, tuple[Host, Host]], plan: ProbePlan | None = None, python: str = ""
) -> list[str]:
    """Return what is to be started in a world, once, to have probes in all tunnels.

    Args:
        path: Of the Unix socket that feeds connect to; short (some 100 bytes) and in a private folder.
        tunnels: Name to its client's and its server's host.
        plan: What is sent.
        python: Interpreter; empty: this one.
    """
    asked = {
        "socket": str(path),
        "plan": asdict(plan or ProbePlan()),
        "tunnels": [{"tunnel": name, "client": here, "server": there} for name, (here, there) in tunnels.items()],
    }
    return [python or sys.executable, "-I", "-S", str(PROGRAM), json.dumps(asked)]


class ProbeFeed:
    """What some tunnels' streams meet.

    Args:
        path: Of the Unix socket.
        tunnels: Which.
    """

    def __init__(self, path: Path | str, tunnels: Iterable[str]) -> None:
        self._path = str(path)
        self._tunnels = sorted(tunnels)
        self._counted: dict[str, Counted] = {}
        self._reading: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read, now or when there is something to read."""
        self._reading = asyncio.create_task(self._read())

    def take(self, tunnel: str) -> Probed | None:
        """Return what a tunnel's stream met since the last call; None: nothing was told since."""
        counted = self._counted.pop(tunnel, None)
        return None if counted is None else probed(tunnel, counted)

    async def close(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))

    async def _read(self) -> None:
        while True:
            with suppress(OSError, EOFError):
                reader, writer = await asyncio.open_unix_connection(self._path)
                try:
                    writer.write(json.dumps(self._tunnels).encode() + b"\n")
                    while line := await reader.readline():
                        self._take_in(line)
                finally:
                    writer.close()
                _log.info("the probes have ended")
            await asyncio.sleep(PAUSE_S)

    def _take_in(self, line: bytes) -> None:
        if not line.endswith(b"\n"):
            return  # cut off
        told = json.loads(line)
        tunnel = told.pop("tunnel")
        counted = Counted(**told)
        before = self._counted.get(tunnel)
        self._counted[tunnel] = counted if before is None else together(before, counted)


def probed(tunnel: str, counted: Counted) -> Probed:
    """Return counts as an event without a time."""
    return Probed(
        at_s=0.0,
        tunnel=tunnel,
        sent=counted.sent,
        received=counted.received,
        lost=counted.lost,
        longest_gap_s=counted.longest_gap_s,
        rtt_s=counted.rtt_s,
        bits_per_s=counted.bits_per_s,
    )
