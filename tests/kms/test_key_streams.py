"""Two KMEs in memory, with key between them, and two applications that share a stream."""

import contextlib
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave.errors import DeliveryError, NotEnoughKey, NotEntitled, PeerRefused, PeerUnreachable, UnknownKeys
from bellweave.kms import key_streams
from bellweave.kms.driver import Network, Running
from bellweave.kms.effects import Apply, Ask
from bellweave.kms.key_streams import Opened
from bellweave.kms.messages import Announce, CloseStream, DropChunk, OpenStream, StreamState, WantChunk
from bellweave.kms.operations import Accounts, AddBlock, Settle, Take, Withdraw
from bellweave.kms.params import Kms, Pair
from bellweave.kms.records import Block, Statement, pool_name
from bellweave.kms.stream_chunks import Chunk
from bellweave.kms.stream_state import chunk_id
from bellweave.kms.stream_terms import Terms
from bellweave.testing.key_servers import SAES, feed, network

KSID = bytes(range(1, 17))
TERMS = Terms(chunk_bytes=32, timeout_ms=1000, ttl_s=600)
PEER = {"alice": "bob", "bob": "alice", "anna": "bert", "bert": "anna"}


def fed(params: Kms | None = None, size_bytes: int = 4096, **more: Any) -> Network:
    net = network(params, **more)
    feed(net, "kme-a", "kme-b", "block-1", size_bytes)
    return net


def opens(net: Network, sae: str, ksid: bytes = KSID, terms: Terms = TERMS, other: str | None = None) -> Opened:
    kme = SAES[sae]
    return net.run(kme, net.kme(kme).streams.open(sae, other or PEER[sae], terms, ksid, net.now_s))


def gets(net: Network, sae: str, index: int, ksid: bytes = KSID) -> Chunk:
    kme = SAES[sae]
    return net.run(kme, net.kme(kme).streams.get(sae, ksid, index, net.now_s))


def closes(net: Network, sae: str, ksid: bytes = KSID) -> bool:
    kme = SAES[sae]
    return net.run(kme, net.kme(kme).streams.close(sae, ksid, net.now_s))


def bits(chunk: Chunk) -> bytes:
    assert chunk.state == "delivered"
    assert chunk.material is not None
    return chunk.material.bits


def cut_off(net: Network, ksid: bytes, index: int) -> None:
    """Draw a chunk at the master's KME so that the answer to its announcement is lost."""
    bits(gets(net, "alice", 1000, ksid))  # what follows comes from what is claimed already
    bits(gets(net, "bob", 1000, ksid))
    net.lose_answers("kme-a", "kme-b")
    with pytest.raises(PeerUnreachable):
        gets(net, "alice", index, ksid)


def joined(net: Network, first: str = "alice") -> bytes:
    ksid = opens(net, first, bytes(16)).ksid
    assert opens(net, PEER[first], ksid).state == "open"
    return ksid


@pytest.mark.parametrize("first", ["alice", "bob"])
def test_both_ends_get_the_same_chunks_in_any_order(first: str) -> None:
    net = fed()
    ksid = joined(net, first)

    here = {index: bits(gets(net, "alice", index, ksid)) for index in (0, 1, 5)}
    there = {index: bits(gets(net, "bob", index, ksid)) for index in (7, 5, 1, 0)}
    here[7] = bits(gets(net, "alice", 7, ksid))

    assert here == there
    assert len(set(here.values())) == 4
    assert {len(each) for each in here.values()} == {32}


def test_a_ksid_is_made_for_who_has_none_and_it_need_not_wait() -> None:
    net = fed()

    one, other = opens(net, "alice", bytes(16)), opens(net, "alice", bytes(16))

    assert one.ksid != other.ksid
    assert one.ksid[6] >> 4 == 4
    assert one.ksid[8] >> 6 == 2
    assert one.state == "waiting"


def test_who_comes_first_waits_and_is_told_when_the_peer_comes() -> None:
    net = fed()
    rung: list[bytes] = []
    assert opens(net, "alice").state == "waiting"
    net.kme("kme-a").streams.changed = rung.append

    assert opens(net, "bob").state == "open"

    assert KSID in rung
    assert opens(net, "alice").state == "open"


def test_the_first_terms_count_for_both() -> None:
    net = fed()
    opens(net, "alice", terms=TERMS)

    answer = opens(net, "bob", terms=Terms(chunk_bytes=64, ttl_s=5, mimetype="text/xml"))

    assert answer.terms == TERMS
    assert answer.met


def test_a_counter_proposal_is_an_open_stream() -> None:
    net = fed()

    answer = opens(net, "alice", terms=Terms(chunk_bytes=32, mimetype="text/xml"))

    assert not answer.met
    assert answer.terms.mimetype == "application/json"
    assert opens(net, "alice", terms=answer.terms).met
    assert opens(net, "bob").state == "open"
    assert bits(gets(net, "alice", 0)) == bits(gets(net, "bob", 0))


def test_nothing_is_drawn_before_the_peer_has_opened() -> None:
    net = fed()
    opens(net, "alice")
    before = net.store("kme-a").apply([Accounts()])

    assert gets(net, "alice", 0).state == "alone"

    assert net.store("kme-a").apply([Accounts()]) == before


@pytest.mark.parametrize("stranger", ["anna", "bert"])
def test_nobody_else_has_part_in_a_stream(stranger: str) -> None:
    net = fed()
    ksid = joined(net)
    own = bits(gets(net, "alice", 0, ksid))

    assert opens(net, stranger, ksid).state == "in use"
    assert opens(net, stranger, ksid, other=PEER[PEER[stranger]] if stranger == "anna" else "alice").state == "in use"
    assert gets(net, stranger, 0, ksid).state == "unknown"
    assert not closes(net, stranger, ksid)

    assert bits(gets(net, "bob", 0, ksid)) == own


def test_a_chunk_is_had_once() -> None:
    net = fed()
    ksid = joined(net)
    for sae in ("alice", "bob"):
        bits(gets(net, sae, 3, ksid))
    delivered = net.store("kme-a").apply([Accounts()])

    assert gets(net, "alice", 3, ksid).state == "gone"
    assert gets(net, "bob", 3, ksid).state == "gone"

    assert net.store("kme-a").apply([Accounts()]) == delivered


def test_a_chunk_is_an_ordinary_key_whose_id_both_can_tell() -> None:
    net = fed()
    ksid = joined(net)
    own = bits(gets(net, "alice", 2, ksid))

    (material,) = net.run("kme-b", net.kme("kme-b").take("bob", "alice", (chunk_id(ksid, 2),), net.now_s))

    assert material.bits == own
    assert gets(net, "bob", 2, ksid).state == "gone"


def test_too_little_key_draws_nothing_and_the_chunk_comes_later() -> None:
    net = fed(size_bytes=16 + 32)
    ksid = joined(net)
    bits(gets(net, "alice", 0, ksid))

    with pytest.raises(NotEnoughKey):
        gets(net, "alice", 1, ksid)
    assert gets(net, "bob", 1, ksid).state == "later"

    feed(net, "kme-a", "kme-b", "block-2", 4096)
    assert bits(gets(net, "bob", 1, ksid)) == bits(gets(net, "alice", 1, ksid))


def test_a_chunk_waits_no_longer_than_its_ttl() -> None:
    net = fed()
    opens(net, "alice", terms=Terms(chunk_bytes=32, ttl_s=60))
    opens(net, "bob")
    bits(gets(net, "alice", 0))
    bits(gets(net, "alice", 1))

    net.now_s += 59
    bits(gets(net, "bob", 0))
    net.now_s += 2
    assert gets(net, "bob", 1).state == "gone"


def test_after_a_close_nothing_new_is_drawn_but_what_is_drawn_waits_for_the_other_end() -> None:
    net = fed()
    ksid = joined(net)
    own = bits(gets(net, "alice", 0, ksid))

    assert closes(net, "alice", ksid)

    assert closes(net, "alice", ksid)
    assert gets(net, "alice", 1, ksid).state == "unknown"
    assert bits(gets(net, "bob", 0, ksid)) == own
    assert gets(net, "bob", 1, ksid).state == "gone"


@pytest.mark.parametrize("closer", ["alice", "bob"])
def test_what_was_not_fetched_is_erased_when_its_owner_closes(closer: str) -> None:
    net = fed()
    ksid = joined(net)
    kme = SAES[closer]
    for index in (0, 1, 2, 7):
        bits(gets(net, PEER[closer], index, ksid))
    bits(gets(net, closer, 1, ksid))

    closes(net, closer, ksid)

    for index in (0, 2, 7):
        with pytest.raises(UnknownKeys):
            net.run(kme, net.kme(kme).take(closer, "alice", (chunk_id(ksid, index),), net.now_s))


def test_two_applications_of_one_kme_share_a_stream() -> None:
    net = fed()
    pool = pool_name("kme-a", "kme-a", "direct")
    statement = Statement(
        block_ids=("x",), origin="direct", hops=1, epsilon=0.0, provable=True, provenance="test", made_s=0.0
    )
    block = Block(pool=pool, block_id="x", material=bytes(range(256)), statement=statement, expires_s=1e9)
    settled = Settle(pool=pool, block_id="x", verdict="confirmed", tag_bytes=0)
    assert net.store("kme-a").apply([AddBlock(block=block), settled]) == [True, True]
    ksid = opens(net, "alice", bytes(16), other="anna").ksid
    opens(net, "anna", ksid, other="alice")

    there = [bits(gets(net, "anna", index, ksid)) for index in (0, 1)]
    here = [bits(gets(net, "alice", index, ksid)) for index in (2, 1, 0)]

    assert here[:0:-1] == there
    assert bits(gets(net, "anna", 2, ksid)) == here[0]
    assert {gets(net, sae, index, ksid).state for sae in ("alice", "anna") for index in range(3)} == {"gone"}


def test_two_applications_of_one_kme_share_what_waits_until_both_have_closed() -> None:
    net = fed()
    streams = net.kme("kme-a").streams
    ksid = opens(net, "alice", bytes(16), other="anna").ksid

    answer = opens(net, "anna", ksid, other="alice")

    assert answer.state == "open"
    with pytest.raises(NotEnoughKey):  # no link feeds a pool within one KME
        gets(net, "anna", 0, ksid)
    assert closes(net, "alice", ksid)
    assert gets(net, "anna", 0, ksid).state == "gone"
    assert closes(net, "anna", ksid)
    assert streams.terms("anna", ksid) is None


def test_a_closed_ksid_is_spent() -> None:
    net = fed()
    ksid = joined(net)
    closes(net, "alice", ksid)

    assert opens(net, "alice", ksid).state == "in use"
    net.crash("kme-b")
    net.mend("kme-a", "kme-b")
    assert opens(net, "bob", ksid).state == "in use"


def test_where_only_one_direction_is_allowed_that_one_draws_whoever_opens_first() -> None:
    net = fed(pairs=(Pair(master="alice", slave="bob"),))

    ksid = joined(net, "bob")

    assert bits(gets(net, "bob", 0, ksid)) == bits(gets(net, "alice", 0, ksid))


def test_who_may_not_have_keys_may_not_have_a_stream() -> None:
    net = fed(pairs=(Pair(master="alice", slave="bob"),))
    for sae in ("anna", "bert"):
        with pytest.raises((NotEntitled, PeerRefused), match="may not"):
            opens(net, sae)
    for other in ("alice", "nobody"):
        with pytest.raises(NotEntitled):
            opens(net, "alice", other=other)


def test_streams_of_one_sae_are_limited_and_forgotten_when_nobody_uses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_streams, "STREAMS_PER_SAE", 2)
    net = fed(Kms(key_lifetime_s=100.0))
    for _ in range(2):
        opens(net, "alice", bytes(16))
    with pytest.raises(NotEntitled, match="2 streams"):
        opens(net, "alice", bytes(16))
    assert opens(net, "bob", bytes(16)).state == "waiting"

    net.now_s += 101
    assert opens(net, "alice", bytes(16)).state == "waiting"


# ------------------------------------------------------------------------------------------------- cuts and races


def test_who_cannot_be_told_to_the_other_kme_has_not_opened() -> None:
    net = fed()
    net.cut("kme-a", "kme-b")

    with pytest.raises(PeerUnreachable):
        opens(net, "alice")

    assert gets(net, "alice", 0).state == "unknown"
    net.mend("kme-a", "kme-b")
    assert opens(net, "bob", terms=Terms(chunk_bytes=64)).terms.chunk_bytes == 64


def test_an_opening_whose_answer_was_lost_can_be_repeated() -> None:
    net = fed()
    net.lose_answers("kme-a", "kme-b")
    with pytest.raises(PeerUnreachable):
        opens(net, "alice")

    assert opens(net, "alice").state == "waiting"
    assert opens(net, "bob").state == "open"
    assert bits(gets(net, "alice", 0)) == bits(gets(net, "bob", 0))


def test_what_was_drawn_is_there_while_the_link_is_down() -> None:
    net = fed()
    ksid = joined(net)
    own = bits(gets(net, "alice", 0, ksid))
    net.cut("kme-a", "kme-b")

    assert bits(gets(net, "bob", 0, ksid)) == own
    for sae in ("alice", "bob"):
        with pytest.raises(PeerUnreachable):
            gets(net, sae, 1, ksid)

    net.mend("kme-a", "kme-b")
    assert bits(gets(net, "bob", 1, ksid)) == bits(gets(net, "alice", 1, ksid))


@pytest.mark.parametrize("ticks", [0, 1])
def test_a_chunk_whose_announcement_was_cut_off_is_drawn_anew_and_is_the_same_at_both_ends(ticks: int) -> None:
    net = fed()
    ksid = joined(net)
    cut_off(net, ksid, 0)
    net.cut("kme-a", "kme-b")
    net.mend("kme-a", "kme-b")
    for _ in range(ticks):
        net.tick()

    own = bits(gets(net, "alice", 0, ksid))

    net.tick()
    assert bits(gets(net, "bob", 0, ksid)) == own


def test_a_chunk_that_the_other_end_has_had_is_lost_and_never_means_something_else() -> None:
    net = fed()
    ksid = joined(net)
    cut_off(net, ksid, 0)
    bits(gets(net, "bob", 0, ksid))
    net.cut("kme-a", "kme-b")
    net.mend("kme-a", "kme-b")

    assert gets(net, "alice", 0, ksid).state == "gone"
    assert bits(gets(net, "alice", 1, ksid)) == bits(gets(net, "bob", 1, ksid))


def test_one_application_that_asks_for_a_chunk_twice_at_once_gets_it_once() -> None:
    net = fed()
    ksid = joined(net)
    streams = net.kme("kme-a").streams
    works = [Running(net, "kme-a", streams.get("alice", ksid, 0, net.now_s)) for _ in range(2)]
    while not all(work.done for work in works):
        for work in works:
            if not work.done:
                work.step()

    assert sorted(work.result().state for work in works) == ["delivered", "later"]


def test_both_ends_that_ask_for_a_chunk_at_once_get_the_same() -> None:
    net = fed()
    ksid = joined(net)
    bits(gets(net, "alice", 1000, ksid))
    here = Running(net, "kme-a", net.kme("kme-a").streams.get("alice", ksid, 0, net.now_s))
    assert isinstance(here.effect, Ask)
    assert isinstance(here.effect.message, Announce)

    assert gets(net, "bob", 0, ksid).state == "later"
    while not here.done:
        here.step()

    assert bits(here.result()) == bits(gets(net, "bob", 0, ksid))


def test_an_application_that_is_served_a_chunk_keeps_it_from_being_dropped() -> None:
    net = fed()
    ksid = joined(net)
    cut_off(net, ksid, 0)
    taking = Running(net, "kme-b", net.kme("kme-b").streams.get("bob", ksid, 0, net.now_s))
    assert isinstance(taking.effect, Apply)
    assert isinstance(taking.effect.operations[0], Take)
    net.cut("kme-a", "kme-b")
    net.mend("kme-a", "kme-b")

    assert gets(net, "alice", 0, ksid).state == "gone"
    taking.step()
    bits(taking.result())


def test_a_chunk_that_is_taken_while_it_is_being_dropped_counts_as_had() -> None:
    net = fed()
    ksid = joined(net)
    cut_off(net, ksid, 0)
    dropping = Running(net, "kme-b", net.kme("kme-b").answer("kme-a", DropChunk(ksid, 0, 0), net.now_s))
    assert isinstance(dropping.effect, Apply)
    assert isinstance(dropping.effect.operations[0], Withdraw)
    taking = Running(net, "kme-b", net.kme("kme-b").streams.get("bob", ksid, 0, net.now_s))
    taking.act()
    dropping.step()

    taking.resume()
    while not taking.done:
        taking.step()
    if taking.result().state == "delivered":
        assert dropping.result().state == "gone"  # type: ignore[attr-defined]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::3])
def test_two_kmes_that_register_a_stream_at_once_agree(order: tuple[int, ...]) -> None:
    net = fed()
    here = Running(net, "kme-a", net.kme("kme-a").streams.open("alice", "bob", TERMS, KSID, net.now_s))
    there_terms = Terms(chunk_bytes=64)
    there = Running(net, "kme-b", net.kme("kme-b").streams.open("bob", "alice", there_terms, KSID, net.now_s))
    assert isinstance(here.effect, Ask)
    assert isinstance(there.effect, Ask)

    steps = [here.act, there.act, here.resume, there.resume]
    done: set[int] = set()
    for step in sorted(range(4), key=lambda step: order[step]):
        if step >= 2 and step - 2 not in done:
            steps[step - 2]()
            done.add(step - 2)
        if step not in done:
            steps[step]()
            done.add(step)

    assert here.result().terms == there.result().terms == opens(net, "alice").terms == opens(net, "bob").terms
    assert opens(net, "alice").state == opens(net, "bob").state == "open"
    assert bits(gets(net, "bob", 0)) == bits(gets(net, "alice", 0))


def test_of_two_that_register_at_once_the_first_in_the_alphabet_counts() -> None:
    net = fed()
    here = Running(net, "kme-a", net.kme("kme-a").streams.open("alice", "bob", TERMS, KSID, net.now_s))
    there = opens(net, "bob", terms=Terms(chunk_bytes=64))
    here.step()

    assert there.terms.chunk_bytes == here.result().terms.chunk_bytes == 32


def test_after_a_restart_of_the_masters_kme_the_ksid_is_spent_but_what_waits_is_served() -> None:
    net = fed()
    ksid = joined(net)
    own = bits(gets(net, "alice", 0, ksid))
    net.crash("kme-a")
    net.mend("kme-a", "kme-b")

    assert gets(net, "alice", 1, ksid).state == "unknown"
    assert opens(net, "alice", ksid).state == "in use"
    assert bits(gets(net, "bob", 0, ksid)) == own
    assert gets(net, "bob", 1, ksid).state == "gone"


def test_after_a_restart_of_the_other_kme_a_stream_goes_on() -> None:
    net = fed()
    ksid = joined(net)
    own = [bits(gets(net, "alice", index, ksid)) for index in range(3)]
    bits(gets(net, "bob", 0, ksid))
    net.crash("kme-b")
    net.mend("kme-a", "kme-b")

    assert opens(net, "bob", ksid).state == "open"

    assert gets(net, "bob", 0, ksid).state == "gone"
    assert bits(gets(net, "bob", 1, ksid)) == own[1]
    assert bits(gets(net, "bob", 3, ksid)) == bits(gets(net, "alice", 3, ksid))


def test_a_kme_speaks_for_its_own_applications_only() -> None:
    net = fed()
    ksid = joined(net)
    kme = net.kme("kme-b")
    for message in (
        OpenStream(KSID, "bob", "alice", TERMS, "bob", b"1"),
        OpenStream(KSID, "alice", "anna", TERMS, "alice", b"1"),
        OpenStream(KSID, "alice", "bob", TERMS, "anna", b"1"),
        OpenStream(KSID, "mallory", "bob", TERMS, "mallory", b"1"),
    ):
        assert not isinstance(net.run("kme-b", kme.answer("kme-a", message, net.now_s)), StreamState)
    for question in (WantChunk(KSID, 0), DropChunk(KSID, 0, 0)):
        assert net.run("kme-b", kme.answer("kme-a", question, net.now_s)).state == "gone"  # type: ignore[attr-defined]
    # The slave's KME draws nothing.
    wanted = net.run("kme-b", kme.answer("kme-a", WantChunk(ksid, 0), net.now_s))
    assert wanted.state == "gone"  # type: ignore[attr-defined]
    assert net.run("kme-b", kme.answer("kme-a", CloseStream(KSID), net.now_s)).number == 0  # type: ignore[attr-defined]


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["alice", "bob"]), st.integers(0, 5)),
        st.tuples(st.sampled_from(["lose a", "lose b", "cut", "mend", "tick", "restart a", "restart b"]), st.just(0)),
    ),
    max_size=30,
)


def happens(net: Network, ksid: bytes, what: str) -> bool:
    """Let something happen to links and KMEs; return whether the stream goes on."""
    if what == "cut":
        net.cut("kme-a", "kme-b")
    elif what == "lose a":
        net.lose_answers("kme-a", "kme-b")
    elif what == "lose b":
        net.lose_answers("kme-b", "kme-a")
    elif what == "restart b":
        net.crash("kme-b")
    else:
        if what == "restart a":
            net.crash("kme-a")
        net.mend("kme-a", "kme-b")
        net.tick()
        return "in use" not in {opens(net, sae, ksid).state for sae in ("alice", "bob")}
    return True


@settings(max_examples=60)
@given(steps)
def test_whatever_happens_to_the_link_an_index_means_one_thing_and_is_had_once(actions: list[tuple[str, int]]) -> None:
    net = fed()
    ksid = joined(net)
    had: dict[tuple[str, int], bytes] = {}
    for what, index in actions:
        other = {"restart a": "kme-b", "restart b": "kme-a"}.get(what)
        if other and ksid not in net.kme(other).streams._streams:
            break  # now both KMEs forget the stream
        with contextlib.suppress(DeliveryError):
            if what in PEER:
                chunk = gets(net, what, index, ksid)
                if chunk.state == "delivered":
                    assert (what, index) not in had
                    had[what, index] = bits(chunk)
                continue
            if not happens(net, ksid, what):
                break
    for index in range(6):
        assert len({had[sae, index] for sae in ("alice", "bob") if (sae, index) in had}) <= 1
    for sae in ("alice", "bob"):
        mine = [value for (owner, _), value in had.items() if owner == sae]
        assert len(mine) == len(set(mine))
