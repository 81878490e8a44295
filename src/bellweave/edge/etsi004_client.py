"""A client of ETSI GS QKD 004, in the dialect of ETSI's example in Python, over one TLS connection that is kept.

::

    async with Etsi004Client.connected("127.0.0.1", 25575, context) as client:
        opened = await client.open("alice", "bob", Terms(chunk_bytes=32, mimetype="application/json"))
        ...  # tell the peer opened.ksid
        chunk = await client.get(opened.ksid, 0)
        await client.close(opened.ksid)

Statuses are returned, not raised: which of them is a failure is for the application to say.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import TypeVar

from bellweave.api.etsi004_messages import (
    NO_KSID,
    Answer,
    CloseAnswer,
    CloseRequest,
    Dialect,
    GetAnswer,
    GetRequest,
    OpenAnswer,
    OpenRequest,
    Request,
)
from bellweave.api.etsi004_wire import HEADER_BYTES, read_answer, write_request
from bellweave.errors import ProtocolError
from bellweave.kms.stream_terms import Terms

A = TypeVar("A", bound=Answer)

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""Longest answer that is read: a chunk of the largest key, with room to spare."""


class Etsi004Client:
    """A connection to a KME; calls follow each other.

    Args:
        reader, writer: To the KME.
        timeout_s: Longest wait for an answer; longer than the Timeout of the streams.
        dialect: Of the requests.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        timeout_s: float = 65.0,
        dialect: Dialect = "python",
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout_s = timeout_s
        self._dialect: Dialect = dialect
        self._turn = asyncio.Lock()

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(
        cls,
        host: str,
        port: int,
        context: ssl.SSLContext,
        *,
        name: str | None = None,
        timeout_s: float = 65.0,
        dialect: Dialect = "python",
    ) -> "AsyncIterator[Etsi004Client]":
        """Connect for the time of an ``async with``.

        The context holds the caller's certificate and the KME's authority; ``name`` is what the KME's certificate must
        say, ``host`` if it is None.

        Raises:
            OSError: Nobody listens, or one of the two does not let the other in (``ssl.SSLError``).
        """
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=context, server_hostname=name or (host if context.check_hostname else None)
            )
        try:
            yield cls(reader, writer, timeout_s=timeout_s, dialect=dialect)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def open(self, source: str, destination: str, terms: Terms, ksid: bytes = NO_KSID) -> OpenAnswer:
        """OPEN_CONNECT. Without a KSID the KME makes one, which the peer is to be told.

        Raises:
            OSError, ProtocolError: As for all calls: no answer came, or one that makes no sense.
        """
        return await self._call(OpenRequest(source, destination, terms, ksid, self._dialect), OpenAnswer)

    async def get(self, ksid: bytes, index: int, metadata_bytes: int = 1024) -> GetAnswer:
        """GET_KEY: chunk number ``index``, with at most so many bytes of metadata, 0 = none."""
        return await self._call(GetRequest(ksid, index, metadata_bytes, self._dialect), GetAnswer)

    async def close(self, ksid: bytes) -> CloseAnswer:
        """CLOSE."""
        return await self._call(CloseRequest(ksid), CloseAnswer)

    async def _call(self, request: Request, kind: type[A]) -> A:
        async with self._turn, asyncio.timeout(self._timeout_s):
            self._writer.write(write_request(request))
            await self._writer.drain()
            try:
                header = await self._reader.readexactly(HEADER_BYTES)
                length = int.from_bytes(header[4:], "big")
                if length > MAX_ANSWER_BYTES:
                    raise ProtocolError(f"an answer of {length} bytes, the limit is {MAX_ANSWER_BYTES}")
                payload = await self._reader.readexactly(length)
            except asyncio.IncompleteReadError:
                raise ConnectionResetError("the KME closed the connection before it had answered") from None
        answer = read_answer(header + payload, self._dialect)
        if not isinstance(answer, kind):
            raise ProtocolError(f"{type(request).__name__} was answered with {type(answer).__name__}")
        return answer
