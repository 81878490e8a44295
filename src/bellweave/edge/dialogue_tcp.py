"""Dialogues over a stream: TCP, or TLS when an ``SSLContext`` is given.

Grammar: a conversation is a sequence of frames each way, and ends with an empty one. A frame is four bytes, the length
of what follows as a big-endian number, and then one message. An empty frame says that the sender's role has ended: in
order, unless an ``Abort`` came before it. A stream that stops without one was cut. After both empty frames the stream
can carry the next conversation.

The answers of a peer next door come within microseconds, faster than a process goes to sleep and is woken up. So a
role that waits first keeps its event loop awake for a moment, while that pays (:class:`_Vigil`); other tasks of the
loop go on meanwhile.

A role meets the troubles of the line as ``Damaged``: it tells its peer, as far as the line still does, and raises
:class:`~bellweave.errors.ProtocolError`. After an error the stream is of no further use.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from ssl import SSLContext
from typing import TypeVar

from bellweave.dialogue import Abort, Closed, Codec, Damaged, Dialogue, Message, encode

T = TypeVar("T")

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""Longest frame. The longest message is the seed of privacy amplification, 12.5 MB for 10^8 bits: a block of days."""

_END = bytes(4)

_VIGIL_S = 250e-6
"""How long a wait keeps the event loop awake: a few times what falling asleep and waking up takes."""

_MAX_WAITS_ASLEEP = 15
"""Waits without a vigil after one that was in vain: on a slow line it costs one vigil in 16 waits, at most."""


async def run(
    dialogue: Dialogue[T],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    codec: Codec,
    timeout_s: float,
    *,
    threaded: bool = False,
) -> T:
    """Run one role over the stream, its peer at the other end, and return what it returns.

    Args:
        dialogue: The role.
        reader: From the peer.
        writer: To the peer; stays open.
        codec: Decodes the messages of both.
        timeout_s: Longest silence of the peer while the role waits, > 0.
        threaded: Let the role compute in a thread, so that the loop stays free for others; each message then takes
            about a tenth of a millisecond more.

    Raises:
        ProtocolError: The peer broke the protocol or aborted, the line was cut, or the peer was silent for too long.
    """
    incoming: Message | None = None
    peer_has_ended = False
    vigil = _Vigil(reader, timeout_s)
    try:
        while True:
            outgoing = (await _sent_in_thread(dialogue, incoming)) if threaded else dialogue.send(incoming)
            if outgoing is None:
                if writer.transport.get_write_buffer_size():
                    await _drain(writer)
                with vigil:
                    incoming = await _receive(reader, codec, timeout_s)
                peer_has_ended |= isinstance(incoming, Closed)
            else:
                _send(writer, encode(outgoing))
                incoming = None
    except (StopIteration, _Returned) as end:
        writer.write(_END)
        await _drain(writer)
        if not peer_has_ended:
            await _wait_for_end(reader, timeout_s)
        result: T = end.value  # type: ignore[assignment]  # what the role returned
        return result
    except BaseException as error:
        # A role says Abort before it raises; of two, the peer only hears the first.
        _send(writer, encode(Abort(reason=f"the peer's role failed: {type(error).__name__}")))
        writer.write(_END)
        await _drain(writer)
        raise
    finally:
        vigil.end()
        dialogue.close()


async def _sent_in_thread(dialogue: Dialogue[object], incoming: Message | None) -> Message | None:
    """Advance a role in a thread; one that ends raises ``_Returned``, for no future can carry ``StopIteration``."""

    def step() -> Message | None:
        try:
            return dialogue.send(incoming)
        except StopIteration as end:
            raise _Returned(end.value) from None

    task = asyncio.get_running_loop().run_in_executor(None, step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():  # a role can't be closed while it computes, however often that is asked for
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((task,))
        task.exception()  # how it ended interests nobody any more, and is no news for the log
        raise


class _Returned(Exception):
    """A role's result, out of a thread."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


class _Vigil:
    """Watches over the waits of one conversation, each inside a ``with``.

    It ends a wait in which nothing came for ``timeout_s``: the reader raises ``TimeoutError``, for good. One timer does
    for all waits: when it rings, it finds out since when the role has been waiting.

    And it keeps the event loop awake, as long as it pays: a loop with something to run polls its lines. A wait that
    ends within :data:`_VIGIL_S` pays. After one that does not, one wait is left to sleep, then 3, 7, 15.
    """

    def __init__(self, reader: asyncio.StreamReader, timeout_s: float) -> None:
        self._reader = reader
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._since_s: float | None = None
        self._alarm = self._loop.call_later(timeout_s, self._ring)
        self._awake = self._ticking = False
        self._asleep = self._left_asleep = 0

    def __enter__(self) -> None:
        self._since_s = self._now()
        self._awake = not self._left_asleep
        if not self._awake:
            self._left_asleep -= 1
        elif not self._ticking:
            self._ticking = True
            self._loop.call_soon(self._tick)

    def __exit__(self, *_: object) -> None:
        if self._awake and self._since_s is not None:
            if self._now() - self._since_s > _VIGIL_S:
                self._asleep = self._left_asleep = min(2 * self._asleep + 1, _MAX_WAITS_ASLEEP)
            else:
                self._asleep = 0
        self._since_s = None

    def end(self) -> None:
        """Let the timer go."""
        self._alarm.cancel()

    def _tick(self) -> None:
        if self._awake and self._since_s is not None and self._now() - self._since_s < _VIGIL_S:
            self._loop.call_soon(self._tick)
        else:
            self._ticking = False

    def _ring(self) -> None:
        now_s = self._now()
        since_s = now_s if self._since_s is None else self._since_s
        if now_s < since_s + self._timeout_s:
            self._alarm = self._loop.call_at(since_s + self._timeout_s, self._ring)
        else:
            self._reader.set_exception(TimeoutError())


async def connect(
    host: str, port: int, *, ssl: SSLContext | None = None, timeout_s: float = 10.0
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a stream to a peer that listens.

    Raises:
        OSError: If nobody does; TimeoutError, one of its kind, after ``timeout_s``.
    """
    async with asyncio.timeout(timeout_s):
        return await asyncio.open_connection(host, port, ssl=ssl)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(
    handle: Handler, host: str = "127.0.0.1", port: int = 0, *, ssl: SSLContext | None = None
) -> AsyncIterator[int]:
    """Listen inside the ``async with`` and hand each stream to ``handle``; gives the port, a free one for 0.

    A stream is closed when its handler returns.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        finally:
            await close(writer)

    server = await asyncio.start_server(serve, host, port, ssl=ssl)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def close(writer: asyncio.StreamWriter) -> None:
    """Close a stream, whatever state it is in."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    if len(data) > MAX_FRAME_BYTES:
        raise ValueError(f"a message of {len(data)} bytes is longer than a frame, {MAX_FRAME_BYTES}")
    writer.write(len(data).to_bytes(4, "big") + data)


async def _drain(writer: asyncio.StreamWriter) -> None:
    """Let the stream take what was written; if it is broken, the next read will say so."""
    with contextlib.suppress(OSError):
        await writer.drain()


async def _receive(reader: asyncio.StreamReader, codec: Codec, timeout_s: float) -> Message:
    """Return the next message, or what the role gets to know instead of one."""
    try:
        data = await _read_frame(reader)
    except TimeoutError:
        return Damaged(problem=f"nothing came for {timeout_s} s")
    except (asyncio.IncompleteReadError, OSError) as error:
        return Damaged(problem=f"the line was cut ({type(error).__name__})")
    except _FrameTooLongError as error:
        return Damaged(problem=str(error))
    return codec.decode(data) if data else Closed()


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await reader.readexactly(4), "big")
    if length > MAX_FRAME_BYTES:
        raise _FrameTooLongError(f"a frame of {length} bytes, the limit is {MAX_FRAME_BYTES}")
    return await reader.readexactly(length)


async def _wait_for_end(reader: asyncio.StreamReader, timeout_s: float) -> None:
    """Read away what the peer still says, up to its own end, so that the next conversation starts afresh.

    The role has its result: nothing that comes now can change it, as in the other drivers.
    """
    with contextlib.suppress(asyncio.IncompleteReadError, OSError, _FrameTooLongError):
        async with asyncio.timeout(timeout_s):
            while await _read_frame(reader):
                pass


class _FrameTooLongError(Exception):
    """A frame announces more than :data:`MAX_FRAME_BYTES`."""
