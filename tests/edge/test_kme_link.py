"""Links over real sockets with real TLS; what the KMEs say is made up here, test_kme_node.py has real ones."""

import asyncio
import contextlib
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from bellweave.dialogue import Message, encode
from bellweave.edge import arrivals, kme_line
from bellweave.edge.clock import now_s
from bellweave.edge.identity import presented
from bellweave.edge.kme_frames import Frames, framed
from bellweave.edge.kme_link import Links
from bellweave.edge.ports import free_ports
from bellweave.edge.tls import Certificates
from bellweave.errors import DeliveryError, PeerRefused, PeerUnreachable
from bellweave.kms.messages import CODEC, Announce, Announced, Done, Hello, MarksAre, Refused, Retract, Welcome
from bellweave.testing.certificates import Files, Pki
from bellweave.testing.key_links import note, usual

pytestmark = pytest.mark.emu

HANG_S = 60.0
"""What takes so long hangs: machines that do other things too are slow, but not that slow."""


class End:
    """One KME's end: it answers what :attr:`says` says, and writes down what happens to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.links: Links
        self.events: list[str] = []
        self.refused_s: list[float] = []
        self.heard: list[Message] = []
        self.says: Callable[[Message], Message | None] = usual
        self.held: list[Callable[[Message], None]] = []
        self.greets = True
        self.port = 0

    def answer(self, sender: str, message: Message, then: Callable[[Message], None]) -> None:
        self.heard.append(message)
        answer = self.says(message)
        if answer is None:
            self.held.append(then)
        else:
            then(answer)

    def connected(self, peer: str, failed: Callable[[str], None]) -> None:
        def welcomed(answer: Message | DeliveryError) -> None:
            self.events.append("welcomed" if isinstance(answer, Welcome) else str(answer))
            if not isinstance(answer, Welcome):
                self.refused_s.append(asyncio.get_running_loop().time())
                failed(str(answer))

        self.events.append(f"connected {peer}")
        if self.greets:
            self.links.ask(peer, Hello(self.name, peer, "store", 0), welcomed)

    def lost(self, peer: str) -> None:
        self.events.append(f"lost {peer}")

    async def ask(self, peer: str, message: Message) -> Message:
        done: asyncio.Future[Message | DeliveryError] = asyncio.get_running_loop().create_future()
        self.links.ask(peer, message, done.set_result)
        answer = await asyncio.wait_for(done, HANG_S)
        if isinstance(answer, DeliveryError):
            raise answer
        return answer

    async def until(self, event: str, times: int = 1) -> None:
        async with asyncio.timeout(HANG_S):
            while self.events.count(event) < times:  # noqa: ASYNC110 a test looks from outside
                await asyncio.sleep(0.005)


class Tls:
    """What one end shows and whom it lets in."""

    def __init__(self, files: Files, deny: Path) -> None:
        deny.touch()
        self.deny = deny
        self.certificates = Certificates(files.tls(deny=str(deny)), deny.parent, print)
        self.client = self.certificates.client_context
        self.fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(files.cert.read_text())).hexdigest()

    def identify(self, transport: asyncio.BaseTransport) -> str | None:
        shown = presented(transport)
        return None if shown is None else self.certificates.peer(shown, "kme", now_s()).name


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    ours, other = (Pki(tmp_path_factory.mktemp("certificates")) for _ in range(2))
    kmes = {name: ours.kme(name) for name in ("kme-a", "kme-b", "kme-c")}
    return kmes | {"alice": ours.sae("alice"), "other authority": replace(other.kme("kme-a"), ca=ours.ca)}


@pytest.fixture
def tls(issued: dict[str, Files], tmp_path: Path) -> dict[str, Tls]:
    return {name: Tls(files, tmp_path / f"{name}.deny") for name, files in issued.items()}


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_S):
        while not true():  # noqa: ASYNC110 a test looks from outside
            await asyncio.sleep(0.005)


def links_of(end: End, tls: Tls, addresses: dict[str, tuple[str, int] | None], *, timeout_s: float = HANG_S) -> Links:
    """Give an end its links; with several in one test, the test may bend ``tls`` first."""
    end.links = Links(
        end.name,
        addresses,
        end,
        identify=tls.identify,
        server_ssl=tls.certificates.server_context,
        client_ssl=lambda: tls.client,
        timeout_s=timeout_s,
    )
    return end.links


@contextlib.asynccontextmanager
async def linked(tls: dict[str, Tls], *, timeout_s: float = HANG_S) -> AsyncIterator[tuple[End, End]]:
    """Give the two ends of a link that kme-a has dialled."""
    a, b = End("kme-a"), End("kme-b")
    where = await links_of(b, tls["kme-b"], {"kme-a": None}, timeout_s=timeout_s).start("127.0.0.1")
    assert where is not None
    b.port = where[1]
    await links_of(a, tls["kme-a"], {"kme-b": where}, timeout_s=timeout_s).start()
    try:
        await a.until("welcomed")
        await b.until("welcomed")
        yield a, b
    finally:
        await a.links.close()
        await b.links.close()


async def test_both_ends_ask_over_the_same_connection(tls: dict[str, Tls]) -> None:
    async with linked(tls) as (a, b):
        a_hears, b_hears = await asyncio.gather(
            a.ask("kme-b", Announce((note(1),))), b.ask("kme-a", Announce((note(2), note(3))))
        )

    assert a_hears == Announced((None,))
    assert b_hears == Announced((None, None))
    assert a.events == ["connected kme-b", "welcomed", "lost kme-b"]
    assert b.events == ["connected kme-a", "welcomed", "lost kme-a"]
    assert a.heard[0] == Hello("kme-b", "kme-a", "store", 0)


async def test_announcements_of_one_moment_are_joined_and_their_answers_split(tls: dict[str, Tls]) -> None:
    async with linked(tls) as (a, b):
        parts = [tuple(note(100 * n + k, 64 if k % 3 else 32) for k in range(n % 4 + 1)) for n in range(64)]

        answers = await asyncio.gather(*(a.ask("kme-b", Announce(part)) for part in parts))

    assert answers == [usual(Announce(part)) for part in parts]
    announcements = [message for message in b.heard if isinstance(message, Announce)]
    assert [len(message.notes) for message in announcements] == [sum(map(len, parts))]


async def test_what_is_announced_meanwhile_collects_until_the_answer_comes(tls: dict[str, Tls]) -> None:
    async with linked(tls) as (a, b):
        b.says = lambda message: None if isinstance(message, Announce) else usual(message)
        first = asyncio.ensure_future(a.ask("kme-b", Announce((note(1),))))
        await until(lambda: len(b.held) == 1)
        rest = [asyncio.ensure_future(a.ask("kme-b", Announce((note(n),)))) for n in range(2, 12)]
        await asyncio.sleep(0.05)
        assert len(b.held) == 1
        b.says = usual

        b.held.pop()(Announced((None,)))

        assert await asyncio.gather(first, *rest) == [Announced((None,))] * 11
    assert [len(message.notes) for message in b.heard if isinstance(message, Announce)] == [1, 10]


async def test_joined_announcements_keep_their_limits(tls: dict[str, Tls]) -> None:
    async with linked(tls) as (a, b):
        many = [a.ask("kme-b", Announce((note(n),))) for n in range(2 * kme_line.MAX_JOINED_NOTES + 1)]
        await asyncio.gather(*many)
        large = [a.ask("kme-b", Announce((note(n, kme_line.MAX_JOINED_BYTES),))) for n in range(3)]
        await asyncio.gather(*large)

    counts = [len(message.notes) for message in b.heard if isinstance(message, Announce)]
    assert counts == [kme_line.MAX_JOINED_NOTES] * 2 + [1] + [1] * 3


async def test_a_refusal_is_an_error_that_quotes_the_peer(tls: dict[str, Tls]) -> None:
    async with linked(tls) as (a, b):
        b.says = lambda message: Refused("the store is closed") if isinstance(message, Announce) else usual(message)

        with pytest.raises(PeerRefused, match="kme-b refused: no Retract here"):
            await a.ask("kme-b", Retract((bytes(16),)))
        answers = await asyncio.gather(
            *(a.ask("kme-b", Announce((note(n),))) for n in range(3)), return_exceptions=True
        )

    assert [str(answer) for answer in answers] == ["kme-b refused: the store is closed"] * 3


async def test_an_announcement_that_is_answered_with_another_number_of_verdicts_fails(tls: dict[str, Tls]) -> None:
    async with linked(tls) as (a, b):
        b.says = lambda message: Announced((None, None)) if isinstance(message, Announce) else usual(message)

        with pytest.raises(PeerUnreachable, match="nonsense"):
            await a.ask("kme-b", Announce((note(1),)))

        await a.until("lost kme-b")


async def test_nobody_is_asked_before_there_is_a_connection_and_a_greeting(tls: dict[str, Tls]) -> None:
    a, b = End("kme-a"), End("kme-b")
    a.greets = False
    where = await links_of(b, tls["kme-b"], {"kme-a": None}).start("127.0.0.1")
    links = links_of(a, tls["kme-a"], {"kme-b": where})

    with pytest.raises(PeerUnreachable, match="kme-b is not connected"):
        await a.ask("kme-b", Announce((note(1),)))
    with pytest.raises(PeerUnreachable, match="kme-z is not connected"):
        await a.ask("kme-z", Announce((note(1),)))
    await links.start()
    await a.until("connected kme-b")
    with pytest.raises(PeerUnreachable, match="kme-b is not connected"):
        await a.ask("kme-b", Announce((note(1),)))

    await a.links.close()
    await b.links.close()
    assert not any(isinstance(message, Announce) for message in b.heard)


async def test_a_peer_that_does_not_answer_in_time_is_cut_off_and_connected_to_again(tls: dict[str, Tls]) -> None:
    async with linked(tls, timeout_s=1.0) as (a, b):
        b.says = lambda message: None if isinstance(message, Announce) else usual(message)

        answers = await asyncio.gather(
            *(a.ask("kme-b", Announce((note(n),))) for n in range(5)), return_exceptions=True
        )

        assert {str(answer) for answer in answers} == {"kme-b is not connected: it did not answer in time"}
        b.held.pop()(Announced((None,) * 5))  # too late: nobody listens
        b.says = usual
        await a.until("welcomed", 2)
        assert await a.ask("kme-b", Announce((note(9),))) == Announced((None,))
    assert a.events[:4] == ["connected kme-b", "welcomed", "lost kme-b", "connected kme-b"]


async def test_a_cut_in_the_middle_of_announcements_fails_them_all_and_the_link_comes_back(tls: dict[str, Tls]) -> None:
    async with linked(tls) as (a, b):
        b.says = lambda message: None if isinstance(message, Announce) else usual(message)
        asked = [asyncio.ensure_future(a.ask("kme-b", Announce((note(n),)))) for n in range(5)]
        await until(lambda: len(b.held) == 1)
        asked += [asyncio.ensure_future(a.ask("kme-b", Announce((note(n),)))) for n in range(5, 9)]
        await asyncio.sleep(0)

        transport = a.links._lines["kme-b"][-1].transport
        assert transport is not None
        transport.abort()

        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(answer, PeerUnreachable) for answer in answers)
        b.says = usual
        await a.until("welcomed", 2)
        assert await a.ask("kme-b", Announce((note(9),))) == Announced((None,))
    assert a.events[2] == "lost kme-b"


async def test_a_peer_that_restarts_is_found_again(tls: dict[str, Tls]) -> None:
    a, b = End("kme-a"), End("kme-b")
    where = await links_of(b, tls["kme-b"], {"kme-a": None}).start("127.0.0.1")
    assert where is not None
    await links_of(a, tls["kme-a"], {"kme-b": where}).start()
    await a.until("welcomed")

    await b.links.close()
    await a.until("lost kme-b")
    await asyncio.sleep(0.3)  # a few attempts in vain
    again = End("kme-b")
    await links_of(again, tls["kme-b"], {"kme-a": None}).start(*where)
    await a.until("welcomed", 2)

    assert await a.ask("kme-b", Announce((note(1),))) == Announced((None,))
    await a.links.close()
    await again.links.close()


@pytest.mark.parametrize("at", ["kme-a", "kme-b"])
async def test_a_partitioned_peer_is_cut_off_and_refused_until_the_partition_ends(tls: dict[str, Tls], at: str) -> None:
    async with linked(tls) as ends:
        end = next(each for each in ends if each.name == at)
        other = next(each for each in ends if each is not end)
        end.links.partition(other.name, on=True)
        await other.until(f"lost {at}")
        await asyncio.sleep(0.5)  # a few attempts in vain
        assert not end.links.is_up(other.name)
        assert end.events.count("welcomed") == 1

        end.links.partition(other.name, on=False)
        await end.until("welcomed", 2)
        assert await other.ask(at, Announce((note(1),))) == Announced((None,))


async def test_where_both_know_the_address_either_finds_the_other(tls: dict[str, Tls]) -> None:
    ports = free_ports(["127.0.0.1"] * 2)
    a, b = End("kme-a"), End("kme-b")
    await links_of(b, tls["kme-b"], {"kme-a": ("127.0.0.1", ports[0])}).start("127.0.0.1", ports[1])
    await asyncio.sleep(0.6)  # b has dialled in vain when a comes
    await links_of(a, tls["kme-a"], {"kme-b": ("127.0.0.1", ports[1])}).start("127.0.0.1", ports[0])
    await asyncio.gather(a.until("welcomed"), b.until("welcomed"))
    await asyncio.sleep(1.2)

    for _ in range(3):
        assert await a.ask("kme-b", Announce((note(1),))) == Announced((None,))
        assert await b.ask("kme-a", Announce((note(1),))) == Announced((None,))
    assert a.events.count("lost kme-b") == b.events.count("lost kme-a") == 0
    await a.links.close()
    await b.links.close()


async def test_a_newer_connection_is_used_and_the_older_takes_over_when_it_breaks(tls: dict[str, Tls]) -> None:
    async with linked(tls) as (a, b):
        (first,) = a.links._lines["kme-b"]
        await a.links._dial("kme-b", "127.0.0.1", b.port)
        await a.until("welcomed", 2)
        assert len(a.links._lines["kme-b"]) == 2

        b.links._lines["kme-a"][-1].drop("for a test")
        await a.until("welcomed", 3)

        assert a.links._lines["kme-b"] == [first]
        assert await a.ask("kme-b", Announce((note(1),))) == Announced((None,))
        assert a.events == ["connected kme-b", "welcomed"] * 2 + ["lost kme-b", "connected kme-b", "welcomed"]


async def test_two_kmes_that_ask_each_other_at_full_load_wait_for_no_one(tls: dict[str, Tls]) -> None:
    async with linked(tls) as (a, b):
        large = Retract(tuple(n.to_bytes(16, "big") for n in range(10_000)))
        for end in (a, b):
            end.says = lambda message: MarksAre((7,) * 10_000) if isinstance(message, Retract) else usual(message)
        asks = [
            end.ask(other, message)
            for _ in range(100)
            for end, other in ((a, "kme-b"), (b, "kme-a"))
            for message in (large, Announce((note(1),)))
        ]

        answers = await asyncio.gather(*asks)

    assert len(answers) == 400


async def test_a_peer_that_asks_too_much_is_refused(tls: dict[str, Tls], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kme_line, "MAX_QUESTIONS", 10)
    async with linked(tls) as (a, b):
        b.says = lambda message: None if isinstance(message, Retract) else usual(message)
        asked = [asyncio.ensure_future(a.ask("kme-b", Retract(()))) for _ in range(15)]
        await until(lambda: sum(each.done() for each in asked) == 5)

        for then in b.held:
            then(Done())

        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [str(answer) for answer in answers if isinstance(answer, PeerRefused)] == [
            "kme-b refused: 10 questions are under way already"
        ] * 5
        assert answers.count(Done()) == 10


async def test_a_message_that_is_too_long_is_refused_here_or_there(tls: dict[str, Tls]) -> None:
    async with linked(tls) as (a, b):
        b.says = lambda message: MarksAre((1,) * (17 << 20)) if isinstance(message, Retract) else usual(message)

        with pytest.raises(PeerRefused, match="kme-b can't be told: a message of"):
            await a.ask("kme-b", Retract((bytes(17 << 20),)))
        with pytest.raises(PeerRefused, match="kme-b refused: a message of"):
            await a.ask("kme-b", Retract(()))

        assert a.events == ["connected kme-b", "welcomed"]


async def test_a_peer_that_refuses_the_greeting_is_called_again_after_ever_longer_pauses(tls: dict[str, Tls]) -> None:
    a, b = End("kme-a"), End("kme-b")
    b.says = lambda message: Refused("not today") if isinstance(message, Hello) else usual(message)
    where = await links_of(b, tls["kme-b"], {"kme-a": None}).start("127.0.0.1")
    await links_of(a, tls["kme-a"], {"kme-b": where}).start()

    await a.until("kme-b refused: not today", 4)
    pauses_s = [later - earlier for earlier, later in pairwise(a.refused_s)]
    assert all(pause_s > least_s for pause_s, least_s in zip(pauses_s, (0.1, 0.2, 0.4), strict=True))
    b.says = usual

    await a.until("welcomed")
    await a.links.close()
    await b.links.close()


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
