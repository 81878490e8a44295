"""Every status, as an application sees it, from real KMEs in memory."""

import json
from typing import Any

import pytest

from bellweave.api import etsi004
from bellweave.api.etsi004 import LEAST_METADATA_BYTES, Reply, Status, Wait, handle, sae_of
from bellweave.api.etsi004_messages import (
    C_VERSION,
    NO_KSID,
    Answer,
    Broken,
    CloseRequest,
    Dialect,
    GetAnswer,
    GetRequest,
    OpenAnswer,
    OpenRequest,
    Request,
)
from bellweave.api.etsi004_wire import read_answer
from bellweave.errors import NotEnoughKey, StoreFailed
from bellweave.kms.driver import Network
from bellweave.kms.stream_terms import JSON, Terms
from bellweave.testing.key_servers import SAES, feed, network

KSID = bytes(range(1, 17))
TERMS = Terms(chunk_bytes=32, timeout_ms=1000, ttl_s=600, mimetype=JSON)
FAR = {"alice": "bob", "bob": "alice"}


def fed(size_bytes: int = 4096, **more: Any) -> Network:
    net = network(**more)
    feed(net, "kme-a", "kme-b", "block-1", size_bytes)
    return net


def once(net: Network, sae: str | None, request: Request, since_s: float | None = None) -> Reply | Wait:
    kme = SAES[sae or "alice"]
    streams = net.kme(kme).streams
    return net.run(kme, handle(request, sae, streams, net.now_s if since_s is None else since_s, net.now_s))


def call(net: Network, sae: str | None, request: Request) -> Answer:
    """Return the answer; one that is waited for comes at the end of the wait."""
    since_s = net.now_s
    outcome = once(net, sae, request)
    if isinstance(outcome, Wait):
        net.now_s = outcome.until_s
        outcome = once(net, sae, request, since_s)
    assert isinstance(outcome, Reply)
    assert not outcome.close
    answer = read_answer(outcome.data, "c" if getattr(request, "dialect", "") == "c" else "python")
    assert answer.status == outcome.status
    assert outcome.data[:3] == request.version
    return answer


def opened(net: Network, sae: str, ksid: bytes = KSID, terms: Terms = TERMS) -> OpenAnswer:
    answer = call(net, sae, OpenRequest(f"qkd://{sae}", f"qkd://{FAR[sae]}", terms, ksid))
    assert isinstance(answer, OpenAnswer)
    return answer


def got(net: Network, sae: str, index: int, ksid: bytes = KSID, room_bytes: int = 1024) -> GetAnswer:
    answer = call(net, sae, GetRequest(ksid, index, room_bytes))
    assert isinstance(answer, GetAnswer)
    assert answer.index == index or answer.status == Status.METADATA_SIZE
    return answer


def joined(net: Network, terms: Terms = TERMS) -> bytes:
    ksid = opened(net, "alice", NO_KSID, terms).ksid
    assert opened(net, "bob", ksid).status == Status.SUCCESS
    return ksid


def test_status_0_both_have_the_stream_the_chunk_and_its_metadata() -> None:
    net = fed()
    ksid = joined(net)
    net.now_s += 2.5

    here, there = got(net, "alice", 4, ksid), got(net, "bob", 4, ksid)

    assert here.status == there.status == 0
    assert here.key == there.key
    assert len(here.key) == 32
    assert json.loads(here.metadata) == {
        "age": 2500,
        "hops": 0,
        "bellweave_origin": "direct",
        "bellweave_provenance": "test",
        "bellweave_provable": True,
        "bellweave_epsilon": 1e-10,
    }
    for sae in ("alice", "bob", "alice"):
        assert call(net, sae, CloseRequest(ksid)).status == 0


def test_status_0_at_once_for_an_all_zero_ksid() -> None:
    net = fed()

    outcome = once(net, "alice", OpenRequest("alice", "bob", TERMS))

    assert isinstance(outcome, Reply)
    assert outcome.status == Status.SUCCESS


def test_status_1_when_the_peer_has_not_come_in_time_and_the_stream_stays() -> None:
    net = fed()
    began_s = net.now_s

    assert opened(net, "alice").status == Status.PEER_NOT_YET

    assert 0.5 <= net.now_s - began_s < 1.0
    assert opened(net, "bob").status == Status.SUCCESS
    assert got(net, "alice", 0).key == got(net, "bob", 0).key != b""


def test_a_wait_for_the_peer_ends_when_it_comes() -> None:
    net = fed()
    request = OpenRequest("alice", "bob", TERMS, KSID)
    assert isinstance(once(net, "alice", request), Wait)

    opened(net, "bob")

    reply = once(net, "alice", request)
    assert isinstance(reply, Reply)
    assert reply.status == Status.SUCCESS


def test_status_2_for_a_chunk_that_was_had_or_will_never_be_drawn() -> None:
    net = fed()
    ksid = joined(net)
    assert got(net, "alice", 0, ksid).status == Status.SUCCESS

    assert got(net, "alice", 0, ksid).status == Status.NOT_ENOUGH_KEY

    call(net, "bob", CloseRequest(ksid))
    assert got(net, "alice", 1, ksid).status == Status.NOT_ENOUGH_KEY


def test_status_2_at_once_where_key_is_known_to_come_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    net = fed()
    ksid = joined(net)
    for retry_s, expected in ((0.5, Wait), (5.0, Reply)):

        def draw(*_: object, retry_s: float = retry_s) -> Any:
            yield from ()
            raise NotEnoughKey(0, 1, retry_s)

        monkeypatch.setattr(net.kme("kme-a"), "draw", draw)
        outcome = once(net, "alice", GetRequest(ksid, 0))
        assert isinstance(outcome, expected)
        if isinstance(outcome, Reply):
            assert outcome.status == Status.NOT_ENOUGH_KEY


def test_status_3_before_the_peer_has_opened_and_6_after_the_timeout() -> None:
    net = fed()
    ksid = opened(net, "alice", NO_KSID).ksid

    assert got(net, "alice", 0, ksid).status == Status.PEER_ABSENT

    net.now_s += 1.0
    assert got(net, "alice", 0, ksid).status == Status.TIMEOUT


@pytest.mark.parametrize("sae", ["anna", "bert", None])
def test_status_3_for_the_stream_of_others_as_for_one_that_is_not_there(sae: str | None) -> None:
    net = fed()
    ksid = joined(net)

    for where in (ksid, KSID):
        assert call(net, sae, GetRequest(where, 0)).status == Status.PEER_ABSENT
        assert call(net, sae, CloseRequest(where)).status == Status.PEER_ABSENT

    assert got(net, "alice", 0, ksid).status == Status.SUCCESS


@pytest.mark.parametrize(
    ("caller", "source", "destination"),
    [
        ("alice", "alice", "nobody"),
        ("alice", "anna", "bob"),
        ("alice", "alice", "alice"),
        ("alice", "", ""),
        (None, "alice", "bob"),
    ],
)
def test_status_4_where_the_uris_name_nobody_or_not_the_caller(
    caller: str | None, source: str, destination: str
) -> None:
    net = fed()

    answer = call(net, caller, OpenRequest(source, destination, TERMS))

    assert isinstance(answer, OpenAnswer)
    assert (answer.status, answer.ksid, answer.terms) == (Status.NO_CONNECTION, NO_KSID, TERMS)


def test_status_4_where_the_other_kme_cannot_be_reached_or_the_store_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    net = fed()
    ksid = joined(net)
    net.cut("kme-a", "kme-b")

    assert opened(net, "alice").status == Status.NO_CONNECTION
    assert got(net, "alice", 0, ksid).status == Status.NO_CONNECTION
    assert got(net, "bob", 0, ksid).status == Status.NO_CONNECTION

    net.mend("kme-a", "kme-b")

    def fails(_: object) -> Any:
        raise StoreFailed("the disk is full")

    monkeypatch.setattr(net.store("kme-a"), "apply", fails)
    assert got(net, "alice", 0, ksid).status == Status.NO_CONNECTION
    monkeypatch.undo()
    assert got(net, "alice", 0, ksid).key == got(net, "bob", 0, ksid).key != b""


def test_status_5_for_the_ksid_of_others_and_for_one_that_was_closed() -> None:
    net = fed()
    ksid = joined(net)

    answer = call(net, "anna", OpenRequest("anna", "bert", TERMS, ksid))
    assert answer.status == Status.IN_USE
    assert isinstance(answer, OpenAnswer)
    assert answer.terms == TERMS

    call(net, "alice", CloseRequest(ksid))
    assert opened(net, "alice", ksid).status == Status.IN_USE


def test_status_6_when_there_was_too_little_key_until_the_timeout() -> None:
    net = fed(size_bytes=16)
    ksid = joined(net)
    for sae in ("alice", "bob"):
        began_s = net.now_s

        assert got(net, sae, 0, ksid).status == Status.TIMEOUT

        assert 0.5 <= net.now_s - began_s < 1.0


def test_key_that_comes_while_a_call_waits_is_delivered() -> None:
    net = fed(size_bytes=16)
    ksid = joined(net)
    request = GetRequest(ksid, 0)
    assert isinstance(once(net, "bob", request), Wait)

    feed(net, "kme-a", "kme-b", "block-2", 1024)

    reply = once(net, "bob", request)
    assert isinstance(reply, Reply)
    assert reply.status == Status.SUCCESS


def test_status_7_opens_the_stream_on_the_counter_proposal() -> None:
    net = fed()
    answer = opened(net, "alice", NO_KSID, Terms(chunk_bytes=16, mimetype="text/xml"))

    assert answer.status == Status.NOT_MET
    assert answer.terms.mimetype == JSON
    assert answer.ksid != NO_KSID
    assert opened(net, "bob", answer.ksid, Terms(mimetype="text/xml")).status == Status.SUCCESS
    assert len(got(net, "alice", 0, answer.ksid).key) == 16


@pytest.mark.parametrize("dialect", ["python", "c"])
def test_status_8_loses_no_key(dialect: Dialect) -> None:
    net = fed()
    ksid = joined(net)

    answer = call(net, "alice", GetRequest(ksid, 0, LEAST_METADATA_BYTES - 1, dialect, C_VERSION))

    assert isinstance(answer, GetAnswer)
    assert (answer.status, answer.needed_bytes) == (Status.METADATA_SIZE, LEAST_METADATA_BYTES)
    again = got(net, "alice", 0, ksid, answer.needed_bytes)
    assert again.status == Status.SUCCESS
    assert set(json.loads(again.metadata)) == {"age", "hops"}
    assert len(again.metadata) <= LEAST_METADATA_BYTES


@pytest.mark.parametrize(("mimetype", "room_bytes"), [(JSON, 0), ("", 0), ("", 1), ("", 1024)])
def test_who_wants_no_metadata_gets_none(mimetype: str, room_bytes: int) -> None:
    net = fed()
    ksid = joined(net, Terms(chunk_bytes=32, mimetype=mimetype))

    answer = got(net, "alice", 0, ksid, room_bytes)

    assert (answer.status, answer.metadata) == (Status.SUCCESS, b"")


def test_a_chunk_that_is_too_long_is_negotiated_down_as_for_the_c_client() -> None:
    net = fed()
    terms = Terms(chunk_bytes=8192, max_bps=32, min_bps=32, mimetype=JSON)

    answer = call(net, "alice", OpenRequest("qkd//alice@a", "qkd//bob@b", terms, NO_KSID, "c", C_VERSION))

    assert isinstance(answer, OpenAnswer)
    assert (answer.status, answer.terms.chunk_bytes) == (Status.SUCCESS, 1024)
    # The C client gives both ends the same source and destination.
    other = call(net, "bob", OpenRequest("qkd//alice@a", "qkd//bob@b", terms, answer.ksid, "c", C_VERSION))
    assert other.status == Status.SUCCESS
    assert len(got(net, "bob", 0, answer.ksid).key) == 1024


def test_a_stream_may_be_opened_in_one_dialect_and_read_in_the_other() -> None:
    net = fed()
    ksid = joined(net)

    answer = call(net, "alice", GetRequest(ksid, 0, 512, "c", C_VERSION))

    assert isinstance(answer, GetAnswer)
    assert answer.key == got(net, "bob", 0, ksid).key != b""


def test_what_cannot_be_read_is_answered_and_the_connection_closed() -> None:
    net = fed()
    streams = net.kme("kme-a").streams

    reply = net.run("kme-a", handle(Broken("too long", 4), "alice", streams, 0.0, 0.0))

    assert isinstance(reply, Reply)
    assert reply.close
    assert read_answer(reply.data).status == Status.NO_CONNECTION


def test_keys_are_in_no_repr() -> None:
    net = fed()
    ksid = joined(net)

    reply = once(net, "alice", GetRequest(ksid, 0))

    assert isinstance(reply, Reply)
    answer = read_answer(reply.data)
    assert isinstance(answer, GetAnswer)
    for shown in (repr(reply), repr(answer)):
        assert answer.key.hex() not in shown
        assert repr(answer.key)[2:-1] not in shown


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("alice", "alice"),
        ("qkd://alice", "alice"),
        ("qkd//alice@site", "alice"),
        ("qkd://alice@kme-a:25575/x?y#z", "alice"),
        ("client://alice:4000", "alice"),
        ("qkd://site/alice", None),
        ("urn:bellweave:sae:a%2Fb", "a/b"),
        ("a/b", "a/b"),
        ("qkd://ALICE", None),
        ("//", None),
        ("", None),
        ("x://@/", None),
    ],
)
def test_a_uri_names_an_sae(uri: str, name: str | None) -> None:
    assert sae_of(uri, {"alice", "a/b", "kme-a2"}) == name


def test_the_least_room_is_enough_for_the_largest_numbers() -> None:
    assert len(etsi004._encode(etsi004.Metadata(2**32 - 1, 2**32 - 1))) == LEAST_METADATA_BYTES
