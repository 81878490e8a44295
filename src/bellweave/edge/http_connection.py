"""One connection of an HTTP server: requests in, answers out, in order.

Rules:

1. One request is worked on at a time; up to :data:`MAX_WAITING` more may wait, then nothing is read.
2. A request that can't be read is answered once those before it have been, and the connection ends.
3. There are no timers: the server calls :meth:`Connection.check` a few times a second. An answer that comes after its
   time-out is nobody's; the work that it is the result of has been done all the same.
4. A connection that ends while the client may still be sending lingers: what comes is thrown away, or else the client's
   TCP would lose the answer.

Why not aiohttp's server: it takes 40 us of CPU more for each request than this and offers neither a time-out for slow
heads nor a limit on handshakes. ``bench/kms.py`` measures the whole.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import lru_cache, partial
from http import HTTPStatus
from time import perf_counter
from typing import Any, Protocol, cast

from bellweave.api.http import Request, Response
from bellweave.edge.http_reader import HttpReader, Received
from bellweave.kms.config import Limits

MAX_WAITING = 16
"""Most requests that wait behind another one of their connection."""

LINGER_S = 2.0
LINGER_BYTES = 16 * 1024 * 1024
QUIET_S = 0.25
"""How long, and for how much, a connection that is over listens to what the client still sends; or until it is quiet
for a moment."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Then = Callable[[Response | None, Exception | None], None]


class Site(Protocol):
    """What a connection needs of its server."""

    limits: Limits
    date: bytes

    def opened(self, connection: "Connection", transport: asyncio.Transport) -> None:
        """Take note of a new connection, and of who is at its other end."""
        ...

    def serve(self, connection: "Connection", request: Request, then: Then) -> None:
        """Work on a request; ``then`` gets the answer, or what went wrong, at once or later."""
        ...

    def refusal(self, status: int, message: str, path: str) -> Response:
        """Return the answer to a request that no handler gets."""
        ...

    def failed(self, request: Request, error: Exception | None) -> Response:
        """Return the answer where the work on a request raised something, which is a mistake of ours."""
        ...

    def answered(self, connection: "Connection", request: Request, response: Response, took_s: float) -> None:
        """Take note of an answer."""
        ...

    def closed(self, connection: "Connection") -> None:
        """Take note that a connection is over."""
        ...


class Connection(asyncio.Protocol):
    """One connection.

    Args:
        site: Its server.

    Attributes:
        guest: Whatever the server knows of the other end.
        closing: Set it to end the connection when all that has come is answered.
    """

    __slots__ = (
        "_began_s", "_blocked_s", "_current", "_going", "_head_only", "_lingering_bytes", "_lingering_s",
        "_loop", "_paused", "_reader", "_since_s", "_site", "_transport", "_waiting", "_work_s", "_works", "closing",
        "guest",
    )  # fmt: skip

    def __init__(self, site: Site) -> None:
        self.guest: Any = None
        self._site = site
        self._loop = asyncio.get_running_loop()
        self._reader = HttpReader(site.limits.body_bytes)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Received] = deque()
        self._current: Received | None = None
        self._works = 0  # how many have begun: tells a late answer from that which is waited for
        self._work_s = self._began_s = 0.0
        self._since_s = self._loop.time()
        self._blocked_s: float | None = None
        self._lingering_s: float | None = None
        self._lingering_bytes = 0
        self._going = self._paused = self.closing = False

    # -------------------------------------------------------------------------------------------------- what comes in

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._site.opened(self, self._transport)

    def data_received(self, data: bytes) -> None:
        """Read, and work on what has been read."""
        if self._lingering_s is not None:
            self._lingering_bytes += len(data)
            self._since_s = self._loop.time()
            if self._lingering_bytes > LINGER_BYTES:
                self.abort()
            return
        reader = self._reader
        phase = reader.phase
        received = reader.feed(data)
        if received:
            self._waiting.extend(received)
            self._since_s = self._loop.time()
        elif reader.phase != phase:
            self._since_s = self._loop.time()
        if self._current is None:
            self._go_on()
        if len(self._waiting) >= MAX_WAITING and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        if reader.wants_continue and self._current is None and self._transport is not None:
            reader.wants_continue = False
            self._transport.write(_CONTINUE)

    def _go_on(self) -> None:
        """Begin to work on the next request, until one can't be answered at once."""
        if self._going or self._transport is None:
            return
        self._going = True
        while self._waiting and self._current is None and self._blocked_s is None and self._lingering_s is None:
            self._current = self._waiting.popleft()
            self._works += 1
            self._work_s = self._loop.time()
            self._began_s = perf_counter()
            self._site.serve(self, self._current.request, partial(self._done, self._works))
        self._going = False
        if self._current is not None or self._lingering_s is not None or self._transport is None:
            return
        if self._paused and len(self._waiting) < MAX_WAITING // 2:
            self._paused = False
            self._transport.resume_reading()
        if not self._waiting and self._reader.problem is not None:
            self._refuse(*self._reader.problem)
        elif not self._waiting and self.closing and self._reader.phase == "idle":
            self._close()

    # ------------------------------------------------------------------------------------------------- what goes out

    def _done(self, work: int, response: Response | None, error: Exception | None) -> None:
        """Send the answer of a work, if it is still waited for."""
        received = self._current
        if work != self._works or received is None:
            return
        if response is None:
            response = self._site.failed(received.request, error)
        self._answer(received, response, last=received.last or (self.closing and not self._waiting))

    def _answer(self, received: Received, response: Response, *, last: bool) -> None:
        self._current = None
        if self._transport is not None:
            connection = b"Connection: close\r\n" if last else received.connection
            body = b"" if received.request.method == "HEAD" else response.body
            self._transport.write(
                b"%b%bDate: %b\r\nContent-Length: %d\r\n\r\n%b"
                % (_head(response), connection, self._site.date, len(response.body), body)
            )
        self._site.answered(self, received.request, response, perf_counter() - self._began_s)
        if last:
            self._end()
        else:
            self._since_s = self._loop.time()
            self._go_on()

    def _refuse(self, status: int, message: str, path: str) -> None:
        """Answer what could not be read, and end."""
        self._began_s = perf_counter()
        response = self._site.refusal(status, message, path)
        self._answer(Received(Request("", path), last=True, connection=b""), response, last=True)

    def _end(self) -> None:
        """Close the connection, now or when the client has seen the answer."""
        self._waiting.clear()
        if self._reader.phase == "idle" and self._reader.problem is None:
            self._close()
            return
        self._since_s = self._loop.time()
        self._lingering_s = self._since_s + LINGER_S
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Begin nothing more: the client does not take what it has asked for."""
        self._blocked_s = self._loop.time()

    def resume_writing(self) -> None:
        """Go on."""
        self._blocked_s = None
        self._go_on()

    # ---------------------------------------------------------------------------------------------------------- ends

    def check(self, now_s: float) -> None:
        """End the connection if something takes too long; ``now_s`` is by the event loop's clock."""
        limits, quiet_s = self._site.limits, now_s - self._since_s
        if self._lingering_s is not None:
            if now_s > self._lingering_s or quiet_s > QUIET_S:
                self.abort()
        elif self._blocked_s is not None:
            if now_s > self._blocked_s + limits.body_s:
                self.abort()
        elif self._current is not None:
            if now_s > self._work_s + limits.request_s:
                current, self._works = self._current, self._works + 1
                message = f"no answer within {limits.request_s:g} s"
                self._answer(current, self._site.refusal(504, message, current.request.path), last=True)
        elif self._reader.phase == "idle":
            if quiet_s > limits.idle_s:
                self._close()
        elif quiet_s > (limits.header_s if self._reader.phase == "head" else limits.body_s):
            self._refuse(408, f"the {self._reader.phase} of the request took too long", self._reader.path)

    def finish(self) -> None:
        """Answer what has been asked, and close."""
        self.closing = True
        self._go_on()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget everything; work that is under way goes on."""
        self._transport = None
        self._reader.close()
        self._waiting.clear()
        self._site.closed(self)

    def _close(self) -> None:
        """Close when all that was written has left; :meth:`check` ends it if the client does not take it."""
        self._waiting.clear()
        self._since_s = self._lingering_s = self._loop.time() + LINGER_S
        if self._transport is not None:
            self._transport.close()


@lru_cache(maxsize=512)
def _head_of(status: int, headers: tuple[tuple[str, str], ...]) -> bytes:
    phrase = HTTPStatus(status).phrase
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {phrase}\r\n{fields}".encode("latin-1")


def _head(response: Response) -> bytes:
    return _head_of(response.status, response.headers)
