"""Links over real sockets with real TLS; what the KMEs say is made up here, test_kme_node.py has real ones."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from bellweave.edge import kme_line
from bellweave.edge.ports import free_ports
from bellweave.errors import PeerRefused, PeerUnreachable
from bellweave.kms.messages import Announce, Announced, Done, Hello, MarksAre, Refused, Retract
from bellweave.testing.certificates import Files
from bellweave.testing.key_links import note, usual
from bellweave.testing.link_ends import End, Tls, issued_at, linked, links_of, until

pytestmark = pytest.mark.emu


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    return issued_at(tmp_path_factory.mktemp("ours"), tmp_path_factory.mktemp("others"))


@pytest.fixture
def tls(issued: dict[str, Files], tmp_path: Path) -> dict[str, Tls]:
    return {name: Tls(files, tmp_path / f"{name}.deny") for name, files in issued.items()}


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
