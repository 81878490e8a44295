"""Listens for TLS connections whose clients are not known before they have shaken hands, and few of which are expected.

So many may be arriving at once; when one more comes, the oldest makes room, which in a crowd is one that says nothing.
Fewer still may shake hands at once, and each has its time. What is open already is not counted, so no crowd at the port
disturbs it.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial

import structlog

from bellweave.edge.http_limits import Turns
from bellweave.edge.tls import why_failed

MAX_ARRIVING = 64
"""Most connections that have not shaken hands."""

_BACKLOG = 128
_NO_FILES_PAUSE_S = 0.5
_SHUTDOWN_S = 1.0

_log = structlog.get_logger(__name__)


class Arrivals:
    """One listener.

    Args:
        context: What it shows and asks for.
        make: Makes the protocol of a connection that has shaken hands.
        handshakes: How many at once.
        handshake_s: How long each may take, its wait included.
    """

    def __init__(
        self, context: ssl.SSLContext, make: Callable[[], asyncio.Protocol], *, handshakes: int, handshake_s: float
    ) -> None:
        self._context = context
        self._make = make
        self._turns = Turns(handshakes)
        self._handshake_s = handshake_s
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._arriving: dict[asyncio.Task[None], None] = {}  # the oldest is the first

    def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen; return where, which is what a port of 0 has become.

        Raises:
            OSError: The address can't be had.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self._socket.setblocking(False)
        self._accepting = asyncio.get_running_loop().create_task(self._accept(self._socket))
        address: tuple[str, int] = self._socket.getsockname()[:2]
        return address

    async def stop(self) -> None:
        """Accept nothing more, and let nobody in any more; open connections go on."""
        tasks = [*self._arriving, *(() if self._accepting is None else (self._accepting,))]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listener)
            except OSError as error:  # such as no file descriptors left
                _log.warning("no connection can be accepted", problem=error.strerror)
                await asyncio.sleep(_NO_FILES_PAUSE_S)
                continue
            if len(self._arriving) >= MAX_ARRIVING:
                oldest = next(iter(self._arriving))
                del self._arriving[oldest]
                oldest.cancel()
            task = loop.create_task(self._let_in(accepted, str(address[0])))
            self._arriving[task] = None
            task.add_done_callback(partial(self._gone, accepted))
            await asyncio.sleep(0)  # there may always be one more to accept: let the others have their turn

    def _gone(self, accepted: socket.socket, task: "asyncio.Task[None]") -> None:
        self._arriving.pop(task, None)
        if task.cancelled():  # perhaps before it began
            accepted.close()

    async def _let_in(self, accepted: socket.socket, address: str) -> None:
        """Shake hands; then the connection lives by itself."""
        loop = asyncio.get_running_loop()
        try:
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(self._handshake_s):
                await something_to_read(accepted)
                async with self._turns.turn():
                    await loop.connect_accepted_socket(
                        self._make, accepted, ssl=self._context,
                        ssl_handshake_timeout=self._handshake_s, ssl_shutdown_timeout=_SHUTDOWN_S,
                    )  # fmt: skip
        except OSError as error:  # ssl.SSLError and TimeoutError are some
            accepted.close()
            _log.info("a connection failed", interface="link", address=address, problem=why_failed(error))


async def something_to_read(sock: socket.socket) -> None:
    """Wait until a client has sent something: until then its connection costs next to nothing."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[None] = loop.create_future()

    def arrive() -> None:
        if not arrived.done():
            arrived.set_result(None)

    loop.add_reader(sock.fileno(), arrive)
    try:
        await arrived
    finally:
        loop.remove_reader(sock.fileno())
