"""Frames over real sockets."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bellweave.dialogue import Abort, Codec, Message, encode
from bellweave.edge import dialogue_tcp, frames
from bellweave.edge.frames import LineCut
from bellweave.errors import PeerAborted, ProtocolError

pytestmark = pytest.mark.emu


class Word(Message, frozen=True):
    text: str


class Number(Message, frozen=True):
    value: int


CODEC = Codec(Word)

Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def facing(raw: Raw, ask: Raw) -> None:
    """Run ``ask`` at one end of a socket and ``raw`` at the other."""

    async def main() -> None:
        async with asyncio.timeout(60), dialogue_tcp.listening(raw) as port:
            reader, writer = await dialogue_tcp.connect("127.0.0.1", port)
            try:
                await ask(reader, writer)
            finally:
                await dialogue_tcp.close(writer)

    asyncio.run(main())


def writes(data: bytes) -> Raw:
    async def raw(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return raw


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


def failing(data: bytes, kind: type[Exception], words: str) -> None:
    async def ask(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        with pytest.raises(kind, match=words):
            await frames.receive(reader, CODEC, 5.0)

    facing(writes(data), ask)


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def test_messages_come_whole_and_in_order_also_long_ones() -> None:
    words = ["one", "x" * 1_000_000, ""]

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in words:
            await frames.send(writer, await frames.receive(reader, CODEC))

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for text in words:
            await frames.send(writer, Word(text), 5.0)
        assert [await frames.receive(reader, CODEC, 5.0) for _ in words] == [Word(text) for text in words]

    facing(echo, ask)


def test_a_line_that_ends_says_whether_a_message_was_under_way() -> None:
    failing(b"", LineCut, "the peer has closed the line")
    failing(framed(encode(Word("half")))[:-2], LineCut, "cut within a message")


def test_a_frame_that_is_empty_or_too_long_is_refused_before_it_is_read() -> None:
    failing(framed(b""), ProtocolError, "a frame of 0 bytes")
    failing((frames.MAX_FRAME_BYTES + 1).to_bytes(4, "big"), ProtocolError, "the limit is 16777216")


def test_bytes_that_are_no_message_of_this_line_are_the_peers_fault() -> None:
    failing(framed(b"\xc1"), ProtocolError, "no valid message")
    failing(framed(encode(Number(7))), ProtocolError, "no valid message")


def test_a_peer_that_gives_up_says_why() -> None:
    failing(framed(encode(Abort(reason="had enough"))), PeerAborted, "had enough")


def test_a_silent_peer_is_a_cut_line_after_a_while() -> None:
    async def ask(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        with pytest.raises(LineCut, match=r"nothing came for 0\.05 s"):
            await frames.receive(reader, CODEC, 0.05)

    facing(silent, ask)


def test_a_peer_that_does_not_read_holds_nobody_up_for_longer_than_said() -> None:
    over = asyncio.Event()

    async def deaf(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's has it
        await over.wait()

    async def shout(writer: asyncio.StreamWriter) -> None:
        for _ in range(100):
            await frames.send(writer, Word("x" * 1_000_000), 0.05)

    async def ask(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with pytest.raises(LineCut, match="the peer read nothing"):
                await shout(writer)
        finally:
            writer.transport.abort()
            over.set()

    facing(deaf, ask)


def test_a_message_longer_than_the_limit_never_leaves() -> None:
    async def ask(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with pytest.raises(ValueError, match="a Word of 24 bytes is longer than a frame, 10"):
            await frames.send(writer, Word("1234567"), max_bytes=10)

    facing(silent, ask)


def test_nothing_is_sent_on_a_closed_line() -> None:
    async def ask(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        with pytest.raises(LineCut, match="the line is closed"):
            await frames.send(writer, Word("late"))

    facing(silent, ask)
