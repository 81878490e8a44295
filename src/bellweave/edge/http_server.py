"""HTTPS with mutual TLS in front of a pure handler; plain HTTP where there is no door.

Rules:

1. Who calls is what the verified certificate says, looked up once for a connection; whether it is (still) let in is
   looked up for every request. No header counts. A caller without a registered name is the handler's to refuse.
2. A connection costs little until its client has sent something, then it waits for a turn to shake hands: a storm of
   handshakes leaves the open connections served.
3. Whatever goes wrong becomes one of the interface's own answers, with a JSON body.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Protocol

import structlog

from bellweave.api.errors import framework_response
from bellweave.api.http import Request, Response
from bellweave.edge.arrivals import something_to_read
from bellweave.edge.http_connection import Connection, Then
from bellweave.edge.http_limits import Rate, Turns
from bellweave.edge.identity import Identity, Presented, presented
from bellweave.edge.tls import Certificates, why_failed
from bellweave.errors import ScenarioError
from bellweave.kms.config import Limits
from bellweave.kms.effects import Work

CHECK_S = 0.25
"""How often connections are asked whether they are overdue."""

_BACKLOG = 512
_MOST_ACCEPTED = 64
_NO_FILES_PAUSE_S = 0.5
_SHUTDOWN_S = 1.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Service:
    """What an endpoint serves.

    Attributes:
        interface: Its name in metrics and logs.
        handle: Returns the work that a request is; its arguments are the request, the caller, and the time.
        start: Begins work, as :meth:`bellweave.edge.kms_driver.Driver.start` does.
        clock: Returns the seconds since 1970.
        etsi014: Whether paths under ``/api/v1/keys/`` have ETSI 014's codes only.
    """

    interface: str
    handle: Callable[[Request, str | None, float], Work[Response]]
    start: Callable[[Work[Response], Then], None]
    clock: Callable[[], float]
    etsi014: bool = False


@dataclass(frozen=True)
class Door:
    """Who is let in.

    Attributes:
        certificates: What the server shows, and what it trusts.
        who: Returns the name that a certificate stands for, such as
            ``lambda shown, now_s: certificates.sae(shown, saes, now_s)``.
    """

    certificates: Certificates
    who: Callable[[Presented, float], Identity]


@dataclass(slots=True)
class Guest:
    """Who is at the other end of a connection.

    Attributes:
        name: Registered name; None: none is known.
        address: Where from.
        shown: The certificate; None without TLS.
        crowded: Whether the client has more connections than it may.
    """

    name: str | None
    address: str
    shown: Presented | None = None
    crowded: bool = False


class Observer(Protocol):
    """Gets to know what the servers of a process do; it must be cheap to tell."""

    def answered(self, interface: str, guest: Guest, request: Request, response: Response, took_s: float) -> None:
        """Take note of an answer."""
        ...

    def connections(self, interface: str, number: int) -> None:
        """Take note of how many connections are open."""
        ...

    def turned_away(self, interface: str, why: str) -> None:
        """Take note of a connection that came to nothing: no room, or a handshake that failed."""
        ...


class HttpServer:
    """Serves one endpoint.

    Args:
        service: What.
        limits: Against abuse.
        door: Who may come in; None: plain HTTP, everybody who can reach it.
        observer: Gets metrics and access log.
    """

    def __init__(self, service: Service, limits: Limits, door: Door | None, observer: Observer) -> None:
        self.limits = limits
        self.date = formatdate(usegmt=True).encode()
        self._service = service
        self._door = door
        self._observer = observer
        self._rate = None if limits.requests_per_s is None else Rate(limits.requests_per_s)
        self._turns = Turns(limits.handshakes)
        self._connections: set[Connection] = set()
        self._of_client: Counter[str | None] = Counter()
        self._count = 0  # connections that are open or arriving
        self._arriving: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._listener: socket.socket | None = None
        self._empty = asyncio.Event()

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Begin to serve; return where, which is what a port of 0 has become.

        Raises:
            ScenarioError: There it can't listen.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise ScenarioError(f"can't listen there: {error.strerror}", path=f"{host}:{port}") from None
        self._listener.setblocking(False)
        self._listen()
        self._tasks = [asyncio.get_running_loop().create_task(self._check())]
        address: tuple[str, int] = self._listener.getsockname()[:2]
        return address

    async def stop(self, grace_s: float) -> None:
        """Take no more connections, answer what has been asked, for so long at most, and close."""
        if self._listener is None:
            return
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._listener.close()
        self._listener = None
        for task in self._arriving:
            task.cancel()
        await asyncio.gather(*self._arriving, return_exceptions=True)
        for connection in list(self._connections):
            connection.finish()
        if self._connections:
            self._empty.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace_s)
        for connection in list(self._connections):
            connection.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------------------------ arriving

    def _listen(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        """Take the connections that have come."""
        loop = asyncio.get_running_loop()
        for _ in range(_MOST_ACCEPTED):
            if self._listener is None:
                return
            try:
                sock, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:  # no more files: give those who have some time to close them
                _log.warning("no connection can be accepted", problem=error.strerror)
                loop.remove_reader(self._listener.fileno())
                loop.call_later(_NO_FILES_PAUSE_S, self._listen)
                return
            if self._count >= self.limits.connections:
                sock.close()
                self._observer.turned_away(self._service.interface, "no room")
                continue
            self._count += 1
            task = loop.create_task(self._let_in(sock, str(address[0])))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _let_in(self, sock: socket.socket, address: str) -> None:
        """Shake hands; then the connection lives by itself."""
        connection = Connection(self)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(self.limits.handshake_s):
                await self._shake_hands(sock, connection)
        except OSError as error:  # SSLError and TimeoutError are
            why = why_failed(error)
            self._observer.turned_away(self._service.interface, why)
            _log.info("a connection failed", interface=self._service.interface, address=address, problem=why)
        finally:
            if connection.guest is None:  # it has not come to be open
                self._count -= 1
                sock.close()

    async def _shake_hands(self, sock: socket.socket, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        if self._door is None:
            await loop.connect_accepted_socket(lambda: connection, sock)
            return
        await something_to_read(sock)
        async with self._turns.turn():
            await loop.connect_accepted_socket(
                lambda: connection, sock, ssl=self._door.certificates.server_context,
                ssl_handshake_timeout=self.limits.handshake_s, ssl_shutdown_timeout=_SHUTDOWN_S,
            )  # fmt: skip

    # ---------------------------------------------------------------------------------------- what connections call

    def opened(self, connection: Connection, transport: asyncio.Transport) -> None:
        """Find out who is at the other end of a new connection."""
        self._connections.add(connection)
        peer = transport.get_extra_info("peername")
        guest = connection.guest = Guest(None, str(peer[0]) if peer else "")
        if self._door is not None:
            guest.shown = presented(transport)
            if guest.shown is not None:
                identity = self._door.who(guest.shown, self._service.clock())
                guest.name = identity.name
                if identity.name is None:
                    _log.info("a client has no name here", interface=self._service.interface, address=guest.address,
                              fingerprint=guest.shown.fingerprint, reason=identity.reason)  # fmt: skip
            self._of_client[guest.name] += 1
            guest.crowded = self._of_client[guest.name] > self.limits.connections_per_client
        self._observer.connections(self._service.interface, len(self._connections))

    def serve(self, connection: Connection, request: Request, then: Then) -> None:
        """Begin to work on a request, or refuse it."""
        guest: Guest = connection.guest
        service = self._service
        now_s = service.clock()
        name = guest.name
        if self._door is not None:
            refused = self._refused(guest, now_s)
            if refused is not None:
                connection.closing = True
                response = self.refusal(*refused, request.path)
                then(replace(response, outcome="denied") if response.status == 401 else response, None)
                return
            if self._rate is not None and not self._rate.admits(name or "", now_s):
                message = f"at most {self.limits.requests_per_s:g} requests a second"
                then(self._framework(429, message, request.path, retry_s=1.0), None)
                return
        service.start(service.handle(request, name, now_s), then)

    def _refused(self, guest: Guest, now_s: float) -> tuple[int, str] | None:
        """Return status and message for a guest who is not served (any more)."""
        if self._door is None or guest.shown is None:
            return 401, "unauthorized"
        reason = self._door.certificates.refusal(guest.shown, now_s)
        if reason is not None:
            _log.info("a request is refused", client=guest.name, reason=reason)
            return 401, "unauthorized"
        if guest.crowded:
            return 429, f"at most {self.limits.connections_per_client} connections for one client"
        return None

    def refusal(self, status: int, message: str, path: str) -> Response:
        """Return the answer to a request that no handler gets."""
        return self._framework(status, message, path)

    def failed(self, request: Request, error: Exception | None) -> Response:
        """Return the answer where work raised something: a mistake of ours, which the log has whole."""
        _log.error("a request failed", interface=self._service.interface, path=request.path, exc_info=error)
        return self._framework(500, "internal error", request.path)

    def answered(self, connection: Connection, request: Request, response: Response, took_s: float) -> None:
        """Tell the observer."""
        self._observer.answered(self._service.interface, connection.guest, request, response, took_s)

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._count -= 1
        self._connections.discard(connection)
        if self._door is not None:
            self._of_client[connection.guest.name] -= 1
        self._observer.connections(self._service.interface, len(self._connections))
        if not self._connections:
            self._empty.set()

    def _framework(self, status: int, message: str, path: str, retry_s: float | None = None) -> Response:
        etsi014 = self._service.etsi014 and path.startswith("/api/v1/keys/")
        return framework_response(status, message, etsi014=etsi014, retry_s=retry_s)

    async def _check(self) -> None:
        """Look after all connections, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_S)
            self.date = formatdate(usegmt=True).encode()
            now_s = loop.time()
            for connection in list(self._connections):
                connection.check(now_s)
