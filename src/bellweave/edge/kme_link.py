"""A KME's links to the others: TCP with mutual TLS; dialled, listened for, watched over and made again.

Rules:

1. Each end dials the peers whose address it knows, unless there is a connection already; the second in the alphabet
   waits a moment, so that there is one as a rule. Where two meet, both live, and questions go over the newer: a peer
   that has restarted is heard at once, though its old connection has not been missed yet.
2. A new connection means a new agreement on what has been used (the owner's ``connected``), for something may have been
   under way on the old one.
3. A peer that does not answer in time is cut off; its owner's :class:`~bellweave.kms.messages.Ping` a second sees to it
   that a dead one is noticed. Connections that are not asked over are left to TCP's keep-alive.
4. Whether a certificate is still let in is looked up every second.
5. A crowd at the port disturbs no link that is up (:mod:`bellweave.edge.arrivals`).
"""

import asyncio
import socket
from collections.abc import Callable, Mapping
from ssl import SSLContext, SSLError
from typing import Protocol

import structlog

from bellweave.dialogue import Message
from bellweave.edge.arrivals import Arrivals
from bellweave.edge.kme_line import Line, Then
from bellweave.errors import PeerUnreachable, ScenarioError

LOOK_S = 1.0
"""How often it is looked up whether certificates are still let in."""

CHECK_S = 0.25
"""How often questions that have waited for too long are looked for."""

KEEPALIVE_S = 5
"""Silence after which TCP asks whether the other end is there; it does so three times, a second apart."""

FIRST_DIAL_S = 0.5
"""How long the second in the alphabet leaves dialling to the first."""

LEAST_PAUSE_S = 0.1
MOST_PAUSE_S = 5.0
"""Between attempts to connect; each pause is twice the one before."""

MAX_LINES = 4
"""Most connections with one peer; the oldest makes room. More than two come from one that restarts quickly."""

_HANDSHAKE_S = 5.0
_SHUTDOWN_S = 1.0

_log = structlog.get_logger(__name__)


class Owner(Protocol):
    """What links need of the KME that they belong to."""

    def answer(self, sender: str, message: Message, then: Callable[[Message], None]) -> None:
        """Answer a message of another KME."""
        ...

    def connected(self, peer: str, failed: Callable[[str], None]) -> None:
        """Say Hello over a new connection; call ``failed`` with the reason if that can't be done."""
        ...

    def lost(self, peer: str) -> None:
        """Take note that what is under way with this peer is in doubt."""
        ...


class Links:
    """The links of one KME.

    Args:
        name: Of the KME.
        addresses: Of the others, ``(host, port)``; None for one that is waited for.
        owner: Answers.
        identify: Returns which KME is at the other end of a connection, by its certificate; None if it is none, or not
            let in (any more).
        server_ssl: For connections that are listened for.
        client_ssl: Returns a context for dialling.
        timeout_s: Longest wait for an answer.
        handshakes: How many of those who come may shake hands at once.
    """

    def __init__(
        self,
        name: str,
        addresses: Mapping[str, tuple[str, int] | None],
        owner: Owner,
        *,
        identify: Callable[[asyncio.BaseTransport], str | None],
        server_ssl: SSLContext,
        client_ssl: Callable[[], SSLContext],
        timeout_s: float,
        handshakes: int = 8,
    ) -> None:
        self.name = name
        self._addresses = addresses
        self._owner = owner
        self._identify = identify
        self._client_ssl = client_ssl
        self._timeout_s = timeout_s
        self._lines: dict[str, list[Line]] = {peer: [] for peer in addresses}  # the newest is the last
        self._down = {peer: asyncio.Event() for peer in addresses}
        for down in self._down.values():
            down.set()
        self._pause_s = dict.fromkeys(addresses, LEAST_PAUSE_S)
        self._partitioned: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._arrivals = Arrivals(
            server_ssl, lambda: Line(self, timeout_s), handshakes=handshakes, handshake_s=_HANDSHAKE_S
        )
        self._closing = False

    async def start(self, host: str | None = None, port: int = 0) -> tuple[str, int] | None:
        """Begin to dial, and to listen where a host is given; returns where.

        Raises:
            ScenarioError: There it can't listen.
        """
        loop = asyncio.get_running_loop()
        address = None
        if host is not None:
            try:
                address = self._arrivals.start(host, port)
            except OSError as error:
                raise ScenarioError(f"can't listen there: {error.strerror}", path=f"{host}:{port}") from None
        self._tasks = [loop.create_task(self._watch())]
        for peer, where in self._addresses.items():
            if where is not None:
                self._tasks.append(loop.create_task(self._keep_connected(peer, *where)))
        return address

    async def close(self) -> None:
        """Stop listening and dialling, and end all connections."""
        self._closing = True
        await self._arrivals.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lines in self._lines.values():
            for line in list(lines):
                line.drop("this KME stops")

    def ask(self, kme: str, message: Message, then: Then) -> None:
        """Ask a KME; ``then`` gets the answer, or :class:`PeerUnreachable` or :class:`PeerRefused`."""
        lines = self._lines.get(kme)
        if lines:
            lines[-1].ask(message, then)
        else:
            then(PeerUnreachable(f"{kme} is not connected"))

    def is_up(self, peer: str) -> bool:
        """Return whether there is a connection with this peer."""
        return bool(self._lines.get(peer))

    def partition(self, peer: str, *, on: bool) -> None:
        """Cut the link with a peer and refuse it from now on, or let it be made again: a fault on command."""
        if not on:
            self._partitioned.discard(peer)
            self._pause_s[peer] = LEAST_PAUSE_S
            return
        self._partitioned.add(peer)
        for line in list(self._lines[peer]):
            line.drop("the network between is cut")

    # --------------------------------------------------------------------------------------------- what lines call

    def opened(self, line: Line) -> str | None:
        """Return the name of the KME at the other end of a new connection, or None to close it."""
        peer = self._who(line)
        known = peer in self._lines and peer not in self._partitioned
        if self._closing or peer is None or not known or line.wanted not in {None, peer}:
            _log.warning("a connection is refused", kme=peer, wanted=line.wanted)
            return None
        lines = self._lines[peer]
        if len(lines) >= MAX_LINES:
            lines[0].drop("it has connected anew")
        lines.append(line)
        self._down[peer].clear()
        line.peer = peer
        _keep_alive(line)
        self._greet(line)
        return peer

    def answer(self, sender: str, message: Message, then: Callable[[Message], None]) -> None:
        """Answer a message of another KME."""
        self._owner.answer(sender, message, then)

    def closed(self, line: Line) -> None:
        """Tell the owner, where questions went over this connection."""
        lines = self._lines.get(line.peer, [])
        if line not in lines:
            return
        newest = lines[-1] is line
        lines.remove(line)
        if line.answered:
            self._pause_s[line.peer] = LEAST_PAUSE_S
        if not lines:
            self._down[line.peer].set()
        if newest:
            self._owner.lost(line.peer)
            if lines and not self._closing:
                self._greet(lines[-1])

    def _greet(self, line: Line) -> None:
        def failed(problem: str) -> None:
            if self._lines[line.peer][-1:] == [line]:  # otherwise the Hello over a newer one is what counts
                line.drop(problem)

        self._owner.connected(line.peer, failed)

    # ------------------------------------------------------------------------------------------------------- tasks

    async def _keep_connected(self, peer: str, host: str, port: int) -> None:
        """Dial a peer whenever there is no connection with it."""
        await asyncio.sleep(0.0 if self.name < peer else FIRST_DIAL_S)
        while True:
            await self._down[peer].wait()
            if peer in self._partitioned:
                await asyncio.sleep(CHECK_S)
                continue
            await self._dial(peer, host, port)
            pause_s = self._pause_s[peer]
            self._pause_s[peer] = min(2.0 * pause_s, MOST_PAUSE_S)
            await asyncio.sleep(pause_s)

    async def _dial(self, peer: str, host: str, port: int) -> None:
        try:
            async with asyncio.timeout(_HANDSHAKE_S):
                await asyncio.get_running_loop().create_connection(
                    lambda: Line(self, self._timeout_s, peer), host, port, ssl=self._client_ssl(),
                    ssl_handshake_timeout=_HANDSHAKE_S, ssl_shutdown_timeout=_SHUTDOWN_S,
                )  # fmt: skip
        except (OSError, SSLError) as error:  # TimeoutError is an OSError
            _log.info("a peer can't be reached", kme=peer, address=f"{host}:{port}", problem=str(error) or "time-out")

    async def _watch(self) -> None:
        """Look after all connections, for ever."""
        loop = asyncio.get_running_loop()
        look_s = loop.time()
        while True:
            await asyncio.sleep(CHECK_S)
            lines = [line for lines in self._lines.values() for line in lines]
            for line in lines:
                line.check()
            if loop.time() >= look_s + LOOK_S:
                look_s = loop.time()
                for line in lines:
                    if self._who(line) != line.peer:
                        line.drop("its certificate is not let in any more")

    def _who(self, line: Line) -> str | None:
        return None if line.transport is None else self._identify(line.transport)


def _keep_alive(line: Line) -> None:
    """Have TCP find out whether the other end is still there when nothing is said."""
    tcp = None if line.transport is None else line.transport.get_extra_info("socket")
    if tcp is None:
        return
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", KEEPALIVE_S), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):  # not everywhere
            tcp.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
