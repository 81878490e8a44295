"""A link's port lets in its peers only, whatever else comes to it."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from bellweave.dialogue import Message, encode
from bellweave.edge import arrivals
from bellweave.edge.kme_frames import Frames, framed
from bellweave.kms.messages import CODEC, Announce, Announced, Done, Hello, Refused, Retract
from bellweave.testing.certificates import Files
from bellweave.testing.key_links import note
from bellweave.testing.link_ends import HANG_S, End, Tls, issued_at, linked, links_of

pytestmark = pytest.mark.emu


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    return issued_at(tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("others"))


@pytest.fixture
def tls(issued: dict[str, Files], tmp_path: Path) -> dict[str, Tls]:
    return {name: Tls(files, tmp_path / f"{name}.deny") for name, files in issued.items()}


async def test_a_certificate_that_is_withdrawn_ends_the_connection(tls: dict[str, Tls]) -> None:
    async with linked(tls) as (a, b):
        tls["kme-b"].deny.write_text(tls["kme-a"].fingerprint)

        await asyncio.gather(a.until("lost kme-b"), b.until("lost kme-a"))
        await asyncio.sleep(0.3)

        assert b.events == ["connected kme-a", "welcomed", "lost kme-a"]


@pytest.mark.parametrize("stranger", ["kme-c", "alice"])
async def test_whoever_is_not_the_kme_that_was_dialled_is_not_asked(tls: dict[str, Tls], stranger: str) -> None:
    a, b = End("kme-a"), End(stranger)
    where = await links_of(b, tls[stranger], {"kme-a": None}).start("127.0.0.1")
    await links_of(a, tls["kme-a"], {"kme-b": where, "kme-c": None}).start()
    await asyncio.sleep(0.4)

    assert a.events == []
    assert not a.links.is_up("kme-b")
    await a.links.close()
    await b.links.close()


@pytest.mark.parametrize("stranger", ["kme-c", "alice", "other authority"])
async def test_whoever_is_no_peer_is_not_answered(tls: dict[str, Tls], stranger: str) -> None:
    a, b = End(stranger), End("kme-b")
    where = await links_of(b, tls["kme-b"], {"kme-a": None}).start("127.0.0.1")
    await links_of(a, tls[stranger], {"kme-b": where}).start()
    await asyncio.sleep(0.4)

    assert b.events == []
    assert b.heard == []
    await a.links.close()
    await b.links.close()


@contextlib.contextmanager
def crowd_at(where: tuple[str, int], number: int) -> Iterator[list[socket.socket]]:
    """Give connections that have not shaken hands, in the order in which they came."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(number):
            found.append(stack.enter_context(socket.create_connection(where)))
            found[-1].setblocking(False)
        yield found


async def test_a_silent_crowd_at_the_port_disturbs_no_link_and_keeps_no_peer_out(tls: dict[str, Tls]) -> None:
    async with linked(tls) as (a, b):
        where = ("127.0.0.1", b.port)
        with crowd_at(where, arrivals.MAX_ARRIVING // 2) as first, crowd_at(where, arrivals.MAX_ARRIVING) as then:
            async with asyncio.timeout(4.0):  # less than a handshake's time-out: the oldest have made room
                for each in first:
                    assert await asyncio.get_running_loop().sock_recv(each, 1) == b""
            for each in then:
                with pytest.raises(BlockingIOError):
                    each.recv(1)
            assert await a.ask("kme-b", Announce((note(1),))) == Announced((None,))

            _, anew = await asyncio.open_connection(*where, ssl=tls["kme-a"].client)
            await b.until("connected kme-a", 2)
            anew.close()
            await b.until("lost kme-a")


async def test_a_crowd_that_does_not_go_on_with_its_handshakes_keeps_no_peer_out(tls: dict[str, Tls]) -> None:
    a, b = End("kme-a"), End("kme-b")
    where = await links_of(b, tls["kme-b"], {"kme-a": None}).start("127.0.0.1")
    assert where is not None
    with crowd_at(where, 32) as crowd:
        for each in crowd:
            each.send(b"\x16\x03\x01\x02\x00\x01")
        await links_of(a, tls["kme-a"], {"kme-b": where}).start()
        await a.until("welcomed")
    await a.links.close()
    await b.links.close()


async def said_to(tls: dict[str, Tls], *frames: bytes) -> tuple[End, bytes]:
    """Return kme-b, and what it said, after kme-a has sent these bytes and kme-b has closed the connection."""
    b = End("kme-b")
    where = await links_of(b, tls["kme-b"], {"kme-a": None}).start("127.0.0.1")
    assert where is not None
    reader, writer = await asyncio.open_connection(*where, ssl=tls["kme-a"].client)
    writer.write(b"".join(frames))
    async with asyncio.timeout(HANG_S):
        said = await reader.read()
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    assert "lost kme-a" in b.events
    await b.links.close()
    return b, said


HELLO = framed(1, encode(Hello("kme-a", "kme-b", "store", 0)))


@pytest.mark.parametrize(
    "frame",
    [
        (1 << 31).to_bytes(4, "big") + bytes(8),
        (0).to_bytes(4, "big") + bytes(8),
        framed(2, b"\xc1garbage"),
        framed(2, b""),
        b"GET / HTTP/1.1\r\nHost: kme-b\r\n\r\n",
    ],
    ids=["too long", "too short", "no message", "empty", "HTTP"],
)
async def test_what_is_no_frame_or_no_message_ends_the_connection(tls: dict[str, Tls], frame: bytes) -> None:
    b, _ = await said_to(tls, HELLO, frame)

    assert [type(message) for message in b.heard] == [Hello]


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        (Retract(()), "its first message is Retract, not Hello"),
        (Hello("kme-c", "kme-b", "store", 0), "its Hello goes from 'kme-c' to 'kme-b'"),
        (Hello("kme-a", "kme-c", "store", 0), "its Hello goes from 'kme-a' to 'kme-c'"),
        (Hello("kme-a", "kme-b", "store", 0, protocol=99), "it speaks version 99 of the protocol, not 1"),
    ],
)
async def test_a_connection_begins_with_a_hello_of_the_kme_that_its_certificate_names(
    tls: dict[str, Tls], first: Message, problem: str
) -> None:
    b, said = await said_to(tls, framed(1, encode(first)), framed(2, encode(Retract(()))))

    assert b.heard == []
    answers = [CODEC.decode(message) for number, message in Frames().feed(said) if number >> 31]
    assert answers == [Refused(problem)]


async def test_an_answer_that_nobody_waits_for_is_passed_over(tls: dict[str, Tls]) -> None:
    b, _ = await said_to(tls, HELLO, framed(1 << 31 | 77, encode(Done())), framed(2, b""))

    assert [type(message) for message in b.heard] == [Hello]
