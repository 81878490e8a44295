"""One line a request: who asked whom for what, and what came of it.

No body, no query string, no header; of keys the ids. Lines go the short way round structlog, which would take 40 us of
a request's 100: all that is in them is listed here. They are written a few times a second, and when the server stops.
"""

import asyncio
from datetime import UTC, datetime
from time import time_ns
from typing import TextIO

import msgspec

from bellweave.api.http import Request, Response
from bellweave.edge.http_server import Guest
from bellweave.edge.logs import Style, word

WRITE_S = 0.2
MAX_TEXT = 256
"""Longest path, in characters: clients choose it; the rest is cut."""


class Line(msgspec.Struct, omit_defaults=True):
    """One line; the names of its fields are those in the log."""

    timestamp: str
    level: str
    event: str
    interface: str
    client: str | None
    address: str
    method: str
    path: str
    status: int
    outcome: str
    ms: float
    key_ids: tuple[str, ...] = ()


class AccessLog:
    """Writes the lines.

    Args:
        style: As the other log's.
        stream: Where to.
    """

    def __init__(self, style: Style, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[str | bytes] = []
        self._waits = False
        self._second = -1
        self._second_text = ""
        self._make = _text if style == "text" else msgspec.json.Encoder().encode

    def answered(self, interface: str, guest: Guest, request: Request, response: Response, took_s: float) -> None:
        """Take note of an answer."""
        line = Line(
            self._now(), "info", "request", interface, guest.name, guest.address, request.method,
            request.path[:MAX_TEXT], response.status, response.outcome, round(1e3 * took_s, 3), response.key_ids,
        )  # fmt: skip
        self._lines.append(self._make(line))
        if not self._waits:
            self._waits = True
            asyncio.get_running_loop().call_later(WRITE_S, self.flush)

    def flush(self) -> None:
        """Write what waits; lines that can't be written are lost, requests are not."""
        self._waits = False
        lines, self._lines = self._lines, []
        text = "".join([f"{line.decode() if isinstance(line, bytes) else line}\n" for line in lines])
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # a full disk; a stream that is closed already
            return

    def _now(self) -> str:
        """Return the time of day; seconds change less often than requests come."""
        second, nanoseconds = divmod(time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        return f"{self._second_text}{nanoseconds // 1000:06d}Z"


def _text(line: Line) -> str:
    ids = f" key_ids={','.join(line.key_ids)}" if line.key_ids else ""
    return (
        f"{line.timestamp} info    request interface={line.interface} client={word(line.client)}"
        f" address={line.address} method={word(line.method)} path={word(line.path)} status={line.status}"
        f" outcome={line.outcome} ms={line.ms}{ids}"
    )
