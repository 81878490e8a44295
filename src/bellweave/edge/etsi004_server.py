"""Serves ETSI GS QKD 004 over mutual TLS.

State belongs to the KSID and the caller, never to a connection: a client may keep one or make a new one for each call.
Who calls is asked of the certificate at every request, so one that is put on the deny list is out at once.

Limits (:class:`~bellweave.kms.config.Limits`): a message must be there ``body_s`` after its first bytes; a connection
that says nothing for ``idle_s`` ends, and so does one whose client does not take its answer for ``body_s``. Requests of
an SAE beyond ``requests_per_s`` are delayed, as the protocol has no status for them. A call that waits for its peer or
for key does so up to its stream's own Timeout, and no longer than its client.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import Any, Protocol, TypeVar

from bellweave.api.etsi004 import Reply, handle
from bellweave.api.etsi004_messages import Broken, GetRequest, Incoming
from bellweave.api.etsi004_wire import Connection
from bellweave.api.http import Request, Response
from bellweave.api.key_id import uuid_text
from bellweave.edge.http_server import Guest, Observer
from bellweave.edge.identity import Presented, presented
from bellweave.edge.tls_listener import TlsListener
from bellweave.kms.config import Limits
from bellweave.kms.effects import Work
from bellweave.kms.key_streams import KeyStreams

T = TypeVar("T")

_READ_BYTES = 16 * 1024

_LOOK_AGAIN_S = 0.1
"""How often a call that waits for key looks again: key comes in without a bell, a few times a second at best."""


INTERFACE = "etsi004"


class Run(Protocol):
    """Carries out work, such as :meth:`bellweave.edge.kms_driver.Driver.run`."""

    def __call__(self, work: Work[T], /) -> Awaitable[T]:
        """Return what the work returns."""
        ...


class Bell:
    """Wakes the calls that wait for a stream."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, set[asyncio.Future[None]]] = {}

    def ring(self, ksid: bytes) -> None:
        """Wake all that wait for this one."""
        for waiter in self._waiting.pop(ksid, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, ksid: bytes, timeout_s: float) -> None:
        """Wait for the bell, but not too long."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(ksid, set()).add(waiter)
        try:
            await asyncio.wait((waiter,), timeout=timeout_s)
        finally:
            waiter.cancel()
            group = self._waiting.get(ksid, set())
            group.discard(waiter)
            if not group:
                self._waiting.pop(ksid, None)


class Etsi004Server:
    """One listener.

    Args:
        streams: Of the KME; they ring this server's bell from now on.
        context: Of the listener; it must ask for certificates.
        identify: Which SAE is let in with a certificate at this moment; None: nobody, its calls are refused.
        run: Carries out work.
        now: The time, as the KME counts it.
        limits: Against abuse.
        observer: Gets metrics and access log.

    Attributes:
        listener: Where connections come in.
    """

    def __init__(
        self,
        streams: KeyStreams,
        context: ssl.SSLContext,
        identify: Callable[[Presented], str | None],
        run: Run,
        now: Callable[[], float],
        limits: Limits,
        observer: Observer,
    ) -> None:
        self._streams = streams
        self._identify = identify
        self._run = run
        self._now = now
        self._limits = limits
        self._bell = Bell()
        streams.changed = self._bell.ring
        self._of_sae: Counter[str] = Counter()
        self._free_s: dict[str, float] = {}
        self._busy: set[asyncio.Task[Any] | None] = set()
        self._stopping = False
        self._observer = observer
        self.listener = TlsListener(context, limits, self._serve, partial(observer.turned_away, INTERFACE))

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0: any free one.

        Raises:
            OSError: The address can't be had.
        """
        await self.listener.start(host, port)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Accept nothing more, let calls under way end for ``grace_s``, then end all connections."""
        self._stopping = True
        await self.listener.stop()
        for task in self.listener.connections - self._busy:
            task.cancel()
        if under_way := self.listener.connections & self._busy:
            await asyncio.wait(under_way, timeout=grace_s)
        await self.listener.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown = presented(writer.transport)
        if shown is None:
            return
        sae = self._identify(shown) or ""
        self._of_sae[sae] += 1
        self._observer.connections(INTERFACE, self._of_sae.total())
        try:
            if self._of_sae[sae] <= self._limits.connections_per_client:
                peer = writer.get_extra_info("peername")
                guest = Guest(sae or None, str(peer[0]) if peer else "", shown)
                await self._converse(reader, writer, guest)
        finally:
            self._of_sae[sae] -= 1
            self._observer.connections(INTERFACE, self._of_sae.total())

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, guest: Guest) -> None:
        """Answer requests in their order, until the client ends, is too slow, or can't be understood."""
        connection = Connection()
        clock_s = asyncio.get_running_loop().time
        until_s = clock_s() + self._limits.idle_s
        while not self._stopping:
            async with asyncio.timeout_at(until_s):
                data = await reader.read(_READ_BYTES)
            if not data:
                return
            began = not connection.in_message
            for request in connection.feed(data):
                began = True
                if not await self._answer(request, guest, reader, writer):
                    return
            if began:
                until_s = clock_s() + (self._limits.body_s if connection.in_message else self._limits.idle_s)

    async def _answer(
        self, request: Incoming, guest: Guest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; return whether the connection goes on."""
        task = asyncio.current_task()
        self._busy.add(task)
        try:
            guest.name = None if guest.shown is None else self._identify(guest.shown)
            began_s = perf_counter()
            await self._pace(guest.name or "")
            reply = await self._reply(request, guest.name, reader)
            if reply is None:
                return False
            self._observer.answered(INTERFACE, guest, *_told(request, reply), perf_counter() - began_s)
            writer.write(reply.data)
            async with asyncio.timeout(self._limits.body_s):
                await writer.drain()
        finally:
            self._busy.discard(task)
        return not reply.close

    async def _pace(self, sae: str) -> None:
        """Hold a request back until its SAE may ask again; a second's worth may come at once."""
        rate = self._limits.requests_per_s
        if rate is None:
            return
        now_s = asyncio.get_running_loop().time()
        free_s = max(self._free_s.get(sae, 0.0), now_s - 1.0) + 1.0 / rate
        self._free_s[sae] = free_s
        if free_s > now_s:
            await asyncio.sleep(free_s - now_s)

    async def _reply(self, request: Incoming, caller: str | None, reader: asyncio.StreamReader) -> Reply | None:
        """Return the reply, after waiting for it if need be; None if the client has gone meanwhile."""
        since_s = self._now()
        while True:
            outcome = await self._run(handle(request, caller, self._streams, since_s, self._now()))
            if isinstance(outcome, Reply):
                return outcome
            if reader.at_eof():
                return None
            await self._bell.wait(outcome.ksid, min(_LOOK_AGAIN_S, max(0.0, outcome.until_s - self._now())))


def _told(request: Incoming, reply: Reply) -> tuple[Request, Response]:
    """Return what metrics and access log get of a call, in their terms: method, KSID and index, and the status."""
    path = f"/{reply.method}"
    if not isinstance(request, Broken):
        path += f"/{uuid_text(request.ksid)}"
    if isinstance(request, GetRequest):
        path += f"/{request.index}"
    return Request(reply.method.upper(), path), Response(reply.status, b"", outcome=reply.status.name.lower())
