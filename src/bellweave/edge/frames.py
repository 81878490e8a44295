"""Messages over a stream, such as TLS gives: each a frame of four bytes, its length, and so many bytes of msgpack.

Rules:

1. The length is a big-endian number; a frame that is empty or longer than the limit is refused before it is read.
2. What the line does is a :class:`LineCut`, what the peer says wrongly is a
   :class:`~bellweave.errors.ProtocolError`. After either, and after a cancelled :func:`receive`, the stream is of no
   further use: the next frame may begin anywhere.
3. An ``Abort`` of the peer is raised, as :class:`~bellweave.errors.PeerAborted`; it never arrives as a message.

For lines on which either end speaks when it has something to say. A conversation of two roles, with its ends, goes
through :mod:`bellweave.edge.dialogue_tcp`.
"""

import asyncio
import contextlib
import socket

from bellweave.dialogue import Abort, Codec, Damaged, Message, encode
from bellweave.errors import PeerAborted, ProtocolError

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""Longest frame unless the caller says otherwise."""

_HEAD_BYTES = 4

_SILENT_S = 5
"""Silence after which TCP asks whether the peer is there, and between its next questions."""


class LineCut(ConnectionError):
    """The line was cut, ended, or silent for too long; says which."""


async def send(
    writer: asyncio.StreamWriter, message: Message, timeout_s: float | None = None, *, max_bytes: int = MAX_FRAME_BYTES
) -> None:
    """Write a message, and wait until the stream has taken it. Several tasks may send on one stream.

    Args:
        writer: To the peer.
        message: What to say.
        timeout_s: How long a peer that does not read may hold this up; None: for ever.
        max_bytes: Longest frame that the peer takes.

    Raises:
        LineCut: The line is broken, or the peer did not read in time.
        ValueError: The message is longer than a frame: a defect at this end.
    """
    data = encode(message)
    if len(data) > max_bytes:
        raise ValueError(f"a {type(message).__name__} of {len(data)} bytes is longer than a frame, {max_bytes}")
    if writer.is_closing():
        raise LineCut("the line is closed")
    try:
        writer.write(len(data).to_bytes(_HEAD_BYTES, "big") + data)
        async with asyncio.timeout(timeout_s):
            await writer.drain()
    except TimeoutError:
        raise LineCut(f"the peer read nothing for {timeout_s} s") from None
    except OSError as error:
        raise LineCut(f"the line was cut ({type(error).__name__})") from None


async def receive(
    reader: asyncio.StreamReader, codec: Codec, timeout_s: float | None = None, *, max_bytes: int = MAX_FRAME_BYTES
) -> Message:
    """Return the next message.

    Args:
        reader: From the peer.
        codec: Which messages may come.
        timeout_s: How long to wait for all of it; None: for ever.
        max_bytes: Longest frame that is taken.

    Raises:
        LineCut: The line was cut or ended, or nothing whole came in time.
        PeerAborted: The peer gave up, and said why.
        ProtocolError: The frame is too long, or holds none of the codec's messages.
    """
    try:
        async with asyncio.timeout(timeout_s):
            length = int.from_bytes(await reader.readexactly(_HEAD_BYTES), "big")
            if not 0 < length <= max_bytes:
                raise ProtocolError(f"a frame of {length} bytes, the limit is {max_bytes}")
            data = await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        raise LineCut(
            "the line was cut within a message" if error.partial else "the peer has closed the line"
        ) from None
    except TimeoutError:
        raise LineCut(f"nothing came for {timeout_s} s") from None
    except OSError as error:
        raise LineCut(f"the line was cut ({type(error).__name__})") from None
    message = codec.decode(data)
    if isinstance(message, Damaged):
        raise ProtocolError(f"no valid message: {message.problem}")
    if isinstance(message, Abort):
        raise PeerAborted(message.reason, message.rejection)
    return message


def keep_alive(writer: asyncio.StreamWriter) -> None:
    """Let the system notice a peer that is gone without a word, such as a machine that lost its power."""
    line = writer.get_extra_info("socket")
    if line is None:
        return
    with contextlib.suppress(OSError):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", _SILENT_S), ("TCP_KEEPINTVL", _SILENT_S), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
