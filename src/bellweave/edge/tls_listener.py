"""Listens for TLS connections, so many at a time, and hands each to a coroutine as a stream.

Handshakes are limited apart from connections: they are what costs, and a storm of them must not starve those who are
in. So a connection is accepted first and shakes hands when its turn comes.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable

import structlog

from bellweave.edge.tls import why_failed
from bellweave.kms.config import Limits

_log = structlog.get_logger(__name__)

_READ_BYTES = 64 * 1024
_PAUSE_S = 0.1
_GOODBYE_S = 1.0

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class TlsListener:
    """One listener.

    Args:
        context: What it shows and asks for.
        limits: ``connections``, ``handshakes`` and ``handshake_s`` are kept here.
        serve: Serves one connection to its end. ``OSError`` (of which time-outs are a kind) ends it without a fuss.
        turned_away: Gets the reason why a connection came to nothing, for metrics.

    Attributes:
        refused: Connections that were closed because there were too many.
        failed: Handshakes that came to nothing.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        limits: Limits,
        serve: Serve,
        turned_away: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self._context = context
        self._limits = limits
        self._serve = serve
        self._turned_away = turned_away
        self._handshakes = asyncio.Semaphore(limits.handshakes)
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.refused = 0
        self.failed = 0

    @property
    def port(self) -> int:
        """The port that it listens on; 0 before it does."""
        return 0 if self._socket is None else int(self._socket.getsockname()[1])

    @property
    def connections(self) -> frozenset["asyncio.Task[None]"]:
        """The tasks that serve the open connections."""
        return frozenset(self._connections)

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0: any free one.

        Raises:
            OSError: The address can't be had.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=256)
        self._socket.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(self._socket))

    async def stop(self) -> None:
        """Accept nothing more; connections go on."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.wait((self._accepting,))
        if self._socket is not None:
            self._socket.close()

    async def cut(self) -> None:
        """End all connections."""
        connections = self.connections
        for task in connections:
            task.cancel()
        if connections:
            await asyncio.wait(connections)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError as error:  # such as no file descriptors left
                _log.warning("accept failed", problem=type(error).__name__)
                await asyncio.sleep(_PAUSE_S)
                continue
            if len(self._connections) >= self._limits.connections:
                self.refused += 1
                self._turned_away("no room")
                accepted.close()
            else:
                task = asyncio.create_task(self._connected(accepted))
                self._connections.add(task)
                task.add_done_callback(self._connections.discard)
            await asyncio.sleep(0)  # there may always be one more to accept: let the others have their turn

    async def _connected(self, accepted: socket.socket) -> None:
        try:
            async with self._handshakes:
                reader, writer = await self._handshake(accepted)
        except BaseException as error:
            accepted.close()
            if not isinstance(error, OSError):  # ssl.SSLError and time-outs are some
                raise
            self.failed += 1
            why = why_failed(error)
            self._turned_away(why)
            _log.info("handshake failed", problem=why)
            return
        try:
            await self._serve(reader, writer)
        except OSError as error:
            _log.info("connection ended", problem=type(error).__name__)
        finally:
            await _goodbye(writer)

    async def _handshake(self, accepted: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_READ_BYTES)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol, accepted, ssl=self._context, ssl_handshake_timeout=self._limits.handshake_s
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _goodbye(writer: asyncio.StreamWriter) -> None:
    """Close a stream so that what was written still arrives, unless the client takes too long."""
    with contextlib.suppress(OSError):
        writer.close()
        async with asyncio.timeout(_GOODBYE_S):
            await writer.wait_closed()
    with contextlib.suppress(AttributeError):  # Debian 12's Python 3.11.2: of a transport that was closed twice
        writer.transport.abort()
