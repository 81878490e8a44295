"""The lines on which nodes dial in at the source's process, and what is still to be said on them.

Nodes are known by their certificates, as devices. A new line of a node takes the place of an old one, which may be
dead.
"""

import asyncio
import ssl
from collections.abc import Callable, Collection

import structlog

from bellweave.dialogue import Codec, Message
from bellweave.edge import frames
from bellweave.edge.frames import LineCut
from bellweave.edge.identity import holder_at
from bellweave.edge.tls_listener import TlsListener
from bellweave.emu import quanta
from bellweave.emu.messages import Joined
from bellweave.errors import ProtocolError
from bellweave.kms.config import Limits

SILENCE_S = 10.0
"""How long a node that does not read, or does not say who it is, is waited for."""

_LIMITS = Limits(connections=1024, handshakes=8, handshake_s=SILENCE_S)

_log = structlog.get_logger(__name__)


class Lines:
    """All lines to nodes.

    Args:
        names: The nodes that may dial in.
        codec: What they may say.
        heard: Gets what a node says after it has joined; raises ProtocolError if that can't be.
        joined: Called when a node has joined.
        left: Called when a node has no line any more.
        kept_out: Says whether a node may not join now.
        say: Gets sentences for people.

    Attributes:
        starts: How often each node has joined.
        changed: Set when a node joins.
    """

    def __init__(
        self,
        names: Collection[str],
        codec: Codec,
        heard: Callable[[str, Message], None],
        *,
        joined: Callable[[str], None],
        left: Callable[[str], None] | None = None,
        kept_out: Callable[[str], bool] | None = None,
        say: Callable[[str], None],
    ) -> None:
        self._names, self._codec, self._heard = frozenset(names), codec, heard
        self._joined, self._left, self._kept_out, self._say = joined, left, kept_out, say
        self._lines: dict[str, _Line] = {}
        self._listener: TlsListener | None = None
        self._last: Message | None = None
        self.starts = dict.fromkeys(names, 0)
        self.changed = asyncio.Event()

    def __contains__(self, name: object) -> bool:
        return name in self._lines

    async def serve(self, context: ssl.SSLContext, host: str, port: int = 0) -> int:
        """Let nodes dial in from now on; returns the port, a free one for 0.

        Args:
            context: For a server that asks for certificates (:func:`bellweave.edge.tls.server_context`).
            host: Where to listen.
            port: Where to listen.

        Raises:
            OSError: The address can't be had.
        """
        self._listener = TlsListener(context, _LIMITS, self._serve)
        await self._listener.start(host, port)
        return self._listener.port

    def missing(self) -> list[str]:
        """Return the nodes that have no line."""
        return sorted(self._names - set(self._lines))

    def say(self, name: str, message: Message) -> None:
        """Say something to a node, if it has a line."""
        if name in self._lines:
            self._lines[name].say(message)

    def cut(self, name: str) -> None:
        """End a node's line."""
        if name in self._lines:
            self._lines[name].cut()

    async def last(self, message: Message) -> None:
        """Say the last word to all, also to those that join later; return when all that was said is sent."""
        self._last = message
        lines = list(self._lines.values())
        for line in lines:
            line.say(message)
        await asyncio.gather(*(line.said() for line in lines))

    async def close(self) -> None:
        """Let all nodes go."""
        if self._listener is not None:
            await self._listener.stop()
            await self._listener.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one node until its line is cut."""
        frames.keep_alive(writer)
        line, name = _Line(writer), ""
        talking = asyncio.create_task(line.talk())
        try:
            name = await self._named(reader, writer)
            self.cut(name)
            self._lines[name] = line
            self.starts[name] += 1
            self._joined(name)
            if self._last is not None:
                line.say(self._last)
            self.changed.set()
            while True:
                self._heard(name, await frames.receive(reader, self._codec))
        except ProtocolError as error:
            self._say(f"{name or 'somebody'} is not understood: {error}")
        except LineCut as error:
            _log.info("the line to a node ended", node=name, problem=str(error))
        finally:
            if self._lines.get(name) is line:
                del self._lines[name]
                if self._left is not None:
                    self._left(name)
            talking.cancel()
            await asyncio.wait((talking,))

    async def _named(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Return which node it is.

        Raises:
            ProtocolError: It is none, or says that it is another.
            LineCut: It has nothing to say, or is down.
        """
        holder = holder_at(writer.transport)
        if holder is None or holder.role != "device" or holder.name not in self._names:
            raise ProtocolError(f"its certificate is that of {'nobody known here' if holder is None else holder}")
        said = await frames.receive(reader, self._codec, SILENCE_S)
        if said != Joined(holder.name):
            raise ProtocolError(f"the certificate of {holder.name!r}, but it says {said!r}")
        if self._kept_out is not None and self._kept_out(holder.name):
            raise LineCut(f"a fault keeps {holder.name} down")
        return holder.name


class _Line:
    """One connection to a node, and what is still to be sent over it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._words: asyncio.Queue[Message] = asyncio.Queue()
        self._over = asyncio.Event()

    def say(self, message: Message) -> None:
        """Send this when the line has taken what came before."""
        self._words.put_nowait(message)

    async def said(self) -> None:
        """Return when all that was said is sent, or the line is cut."""
        ends = (asyncio.create_task(self._words.join()), asyncio.create_task(self._over.wait()))
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in ends:
            task.cancel()
        await asyncio.wait(ends)

    def cut(self) -> None:
        """End it."""
        self._writer.transport.abort()

    async def talk(self) -> None:
        """Send what is said, until the line is cut."""
        try:
            while True:
                message = await self._words.get()
                await frames.send(self._writer, message, SILENCE_S, max_bytes=quanta.MAX_BYTES)
                self._words.task_done()
        except (LineCut, ValueError) as error:
            _log.warning("nothing can be sent to a node any more", problem=str(error))
            self.cut()
        finally:
            self._over.set()
