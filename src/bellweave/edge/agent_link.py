"""The line between the agents of a tunnel's two ends: TLS with the certificates of the tunnel's two SAEs.

Rules:

1. The server's agent listens, on a port of its own; the client's dials, and again whenever the line is cut.
2. Each end looks who is there: exactly the SAE at the tunnel's other end, by the role in its certificate. It says
   :class:`~bellweave.edge.agent_messages.Here` then, and the line is up when the other end has said so too. In TLS 1.3
   a client hears only after its handshake that it was refused.
3. A message that names another tunnel, or other ends, ends the line: nothing of it is passed on.
4. A new line takes the place of the old one, which may be dead and not know it.
5. What is said while no line is up is lost, and :meth:`AgentLink.say` returns that. Whoever needs an answer waits for
   it with a time limit (:mod:`bellweave.tunnel.rotation`).

The server's certificate must be good for a server (:meth:`bellweave.edge.pki.Authority.issue` with ``listens``).
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import structlog

from bellweave.dialogue import Codec
from bellweave.edge import frames
from bellweave.edge.agent_messages import Bound, Here, InUse, Loaded, NotInUse, Tell, Unable
from bellweave.edge.frames import LineCut
from bellweave.edge.identity import Holder, holder_of, presented
from bellweave.edge.tls import client_context, server_context
from bellweave.edge.tls_listener import TlsListener
from bellweave.errors import ProtocolError, ScenarioError
from bellweave.kms.config import Limits
from bellweave.tunnel.aead import Ends, Side

LEAST_PAUSE_S = 0.1
MOST_PAUSE_S = 1.0
"""Between attempts to connect; each pause is twice the one before. A tunnel must be back 10 s after a fault."""

HANDSHAKE_S = 5.0
"""How long a handshake may take, and the other end's first word after it."""

MAX_FRAME_BYTES = 4096

SILENT_S = 2
"""Silence after which TCP asks whether the other end is there; it gives up 3 s later."""

_LIMITS = Limits(connections=8, handshakes=2, handshake_s=HANDSHAKE_S)
_TO_CLIENT = Codec(Here, Loaded, Unable)
_TO_SERVER = Codec(Here, Tell, InUse, NotInUse)

_log = structlog.get_logger(__name__)


class AgentLink:
    """One end of the line.

    Args:
        ends: Whose tunnel it is; the SAEs' names are those in the certificates.
        side: Which end.
        ca, cert, key: PEM files: the authorities, this SAE's own certificate, its key.
        host, port: Where the server's agent listens; port 0: any, for :attr:`port` to tell.

    Attributes:
        refused: Connections and messages that were not let in.

    Raises:
        ScenarioError: A file can't be used.
    """

    def __init__(self, ends: Ends, side: Side, *, ca: Path, cert: Path, key: Path, host: str, port: int) -> None:
        self.ends = ends
        self.side = side
        self.refused = 0
        self._host, self._port = host, port
        self._peer = Holder("sae", ends.server if side == "client" else ends.client)
        if side == "client":
            self._context = client_context(ca, cert, key, least_version="1.3", check_hostname=False)
            self._codec = _TO_CLIENT
        else:
            self._context = server_context(ca, cert, key, least_version="1.3")
            self._codec = _TO_SERVER
        self._heard: Callable[[Bound], None] = lambda _: None
        self._met: Callable[[], None] = lambda: None
        self._line: _Line | None = None
        self._listener: TlsListener | None = None
        self._dialling: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether both ends have let each other in and the line was not cut since, as far as is known here."""
        return self._line is not None

    @property
    def port(self) -> int:
        """The port of the server's agent; 0 before it listens on any free one."""
        return self._port if self._listener is None else self._listener.port

    async def start(self, heard: Callable[[Bound], None], met: Callable[[], None]) -> None:
        """Listen, or begin to dial.

        Args:
            heard: Gets every message of the other end but its ``Here``.
            met: Called when a line has come up.

        Raises:
            ScenarioError: The address can't be listened on.
        """
        self._heard, self._met = heard, met
        if self.side == "client":
            self._dialling = asyncio.create_task(self._dial())
            return
        listener = TlsListener(self._context, _LIMITS, self._serve)
        try:
            await listener.start(self._host, self._port)
        except OSError as error:
            raise ScenarioError(f"can't listen there: {error.strerror}", path=f"{self._host}:{self._port}") from None
        self._listener = listener

    async def close(self) -> None:
        """End the line, and take and make no more."""
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.wait((self._dialling,))
        if self._listener is not None:
            await self._listener.stop()
            await self._listener.cut()
        self._line = None

    def say(self, kind: type[Bound], key_id: str, reason: str | None = None) -> bool:
        """Say something about a key; returns False if no line is up: then it is lost."""
        if self._line is None:
            return False
        self._line.say(self._bound(kind, key_id) if reason is None else self._bound(kind, key_id, reason))
        return True

    def _bound(self, kind: type[Bound], key_id: str, *more: str) -> Bound:
        return kind(self.ends.tunnel, self.ends.client, self.ends.server, key_id, *more)

    # ------------------------------------------------------------------------------------------------------- lines

    async def _dial(self) -> None:
        """Keep a line up, for ever."""
        pause_s = LEAST_PAUSE_S
        while True:
            line = None
            try:
                async with asyncio.timeout(HANDSHAKE_S):
                    reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._context)
                line = _Line(reader, writer)
                await self._serve(reader, writer, line)
            except OSError as error:  # of which time-outs, ssl.SSLError and LineCut are kinds
                _log.debug("no line to the peer's agent", tunnel=self.ends.tunnel, problem=str(error) or "time-out")
            finally:
                if line is not None:
                    line.writer.transport.abort()
            pause_s = LEAST_PAUSE_S if line is not None and line.up else min(2.0 * pause_s, MOST_PAUSE_S)
            await asyncio.sleep(pause_s)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: "_Line | None" = None
    ) -> None:
        """Let the other end in and pass on what it says, until the line is cut."""
        if not self._let_in(writer):
            return
        line = line or _Line(reader, writer)
        _keep_alive(writer)
        saying = asyncio.create_task(line.talk())
        try:
            await self._greet(line)
            if self._line is not None:
                self._line.writer.transport.abort()
            self._line = line
            self._met()
            while True:
                self._heard(await self._receive(line, None))
        except ProtocolError as error:
            self.refused += 1
            _log.warning("the peer's agent is not understood", tunnel=self.ends.tunnel, problem=str(error))
        except LineCut as error:
            _log.info("the line to the peer's agent ended", tunnel=self.ends.tunnel, problem=str(error))
        finally:
            if self._line is line:
                self._line = None
            saying.cancel()
            await asyncio.wait((saying,))

    async def _greet(self, line: "_Line") -> None:
        line.say(self._bound(Here, ""))
        if not isinstance(await self._receive(line, HANDSHAKE_S), Here):
            raise ProtocolError("its first word is not Here")
        line.up = True

    async def _receive(self, line: "_Line", timeout_s: float | None) -> Bound:
        message = await frames.receive(line.reader, self._codec, timeout_s, max_bytes=MAX_FRAME_BYTES)
        if not isinstance(message, Bound) or Ends(message.tunnel, message.client, message.server) != self.ends:
            raise ProtocolError("it speaks of another tunnel")
        return message

    def _let_in(self, writer: asyncio.StreamWriter) -> bool:
        shown = presented(writer.transport)
        holders = {holder for uri in (shown.uris if shown else ()) if (holder := holder_of(uri)) is not None}
        if holders == {self._peer}:
            return True
        self.refused += 1
        names = ", ".join(sorted(f"{holder.role} {holder.name}" for holder in holders)) or "nobody known here"
        _log.warning("an agent is not let in", tunnel=self.ends.tunnel, shown=names, wanted=self._peer.name)
        return False


class _Line:
    """One connection, and what is still to be said over it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.up = False
        self._words: asyncio.Queue[Bound] = asyncio.Queue()

    def say(self, message: Bound) -> None:
        self._words.put_nowait(message)

    async def talk(self) -> None:
        """Send what is said, until the line is cut."""
        with contextlib.suppress(LineCut):
            while True:
                await frames.send(self.writer, await self._words.get(), HANDSHAKE_S, max_bytes=MAX_FRAME_BYTES)
        self.writer.transport.abort()


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    """Have TCP notice soon that the other end is gone."""
    tcp = writer.get_extra_info("socket")
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    limits = (("TCP_KEEPIDLE", SILENT_S), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 5000))
    for name, value in limits:
        if hasattr(socket, name):  # not everywhere
            tcp.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
