"""Two applications, at two KMEs in memory, share a stream."""

import pytest

from bellweave.errors import NotEnoughKey, NotEntitled, PeerRefused, UnknownKeys
from bellweave.kms import key_streams
from bellweave.kms.operations import Accounts, AddBlock, Settle
from bellweave.kms.params import Kms, Pair
from bellweave.kms.records import Block, Statement, pool_name
from bellweave.kms.stream_state import chunk_id
from bellweave.kms.stream_terms import Terms
from bellweave.testing.key_servers import SAES, feed
from bellweave.testing.key_streams import KSID, PEER, TERMS, bits, closes, fed, gets, joined, opens


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
