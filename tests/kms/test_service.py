from typing import Any

import pytest

from bellweave.dialogue import Message
from bellweave.errors import NotEntitled, PeerRefused, PeerUnreachable, UnknownKeys
from bellweave.kms.driver import Network
from bellweave.kms.messages import Announce, Announced, Done, Hello, Ping, Refused, Retract, Welcome
from bellweave.kms.operations import Accounts, Level, Levels, Waiting
from bellweave.kms.params import Kms
from bellweave.kms.parts import split
from bellweave.kms.records import MAX_BLOCK_BYTES, Buffer, KeyNote, Material, Slice
from bellweave.kms.wanted import Wanted
from bellweave.testing.key_servers import SAES, block, feed, network

A, B, POOL = "kme-a", "kme-b", "kme-a|kme-b/direct"


def draw(net: Network, count: int = 1, slaves: tuple[str, ...] = ("bob",), **more: Any) -> tuple[Material, ...]:
    wanted = Wanted(master="alice", slaves=slaves, count=count, size_bits=256, **more)
    return net.run(A, net.kme(A).draw(wanted, net.now_s))


def take(net: Network, *key_ids: bytes, caller: str = "bob", master: str | None = "alice") -> tuple[Material, ...]:
    kme = SAES[caller]
    return net.run(kme, net.kme(kme).take(caller, master, key_ids, net.now_s))


def answer(net: Network, kme: str, sender: str, message: Message) -> Message:
    return net.run(kme, net.kme(kme).answer(sender, message, net.now_s))


# ------------------------------------------------------------------------------------------------------------ blocks


@pytest.mark.parametrize("size_bytes", [0, 1, MAX_BLOCK_BYTES, MAX_BLOCK_BYTES + 1, 5 * MAX_BLOCK_BYTES - 1])
def test_a_block_is_held_in_as_few_parts_of_nearly_one_length_as_fit(size_bytes: int) -> None:
    data = block("x", size_bytes).bits
    parts = split(data)

    assert b"".join(parts) == data
    assert len(parts) == max(1, -(-size_bytes // MAX_BLOCK_BYTES))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_parts_of_a_block_have_names_of_their_own_and_one_statement() -> None:
    net = network()
    made = block("x", MAX_BLOCK_BYTES + 100)
    assert net.run(A, net.kme(A).ingest(made, B, net.now_s))

    (held,) = net.store(A).apply([Waiting(pool=POOL)])
    assert [each.block_id for each in held] == ["x#0", "x#1"]
    assert b"".join(each.material for each in held) == made.bits
    assert {each.statement.block_ids for each in held} == {("x",)}


def test_a_block_is_taken_in_once_and_another_one_of_its_name_is_refused() -> None:
    net = network()
    kme = net.kme(A)

    assert net.run(A, kme.ingest(block("x", 100), B, net.now_s))
    assert not net.run(A, kme.ingest(block("x", 100), B, net.now_s))
    with pytest.raises(PeerRefused):
        net.run(A, kme.ingest(block("x", 100, seed=2), B, net.now_s))
    with pytest.raises(PeerRefused, match="kme-z"):
        net.run(A, kme.ingest(block("x", 100), "kme-z", net.now_s))


def test_less_than_a_byte_is_left_out_and_what_is_not_proven_is_said() -> None:
    net = network()
    made = block("x", 100, bits=b"\xff" * 99 + b"\xe0", bit_count=795, provable_bits=100)
    net.run(A, net.kme(A).ingest(made, B, net.now_s))

    ((held,),) = net.store(A).apply([Waiting(pool=POOL)])
    assert held.material == b"\xff" * 99
    assert not held.statement.provable


# ------------------------------------------------------------------------------------------------------------- keys


def test_the_count_is_what_can_be_drawn_whatever_has_been_set_aside() -> None:
    net = network(Kms(low_keys=4, high_keys=8, quota_keys=50))
    feed(net, A, B, "x", 32 * 20 + 16)
    count = net.kme(A).count

    assert net.run(A, count("alice", "bob", 256, net.now_s)) == (20, 50)
    draw(net, count=3)
    assert net.run(A, count("alice", "bob", 256, net.now_s)) == (17, 50)
    assert net.run(A, count("alice", "bob", 512, net.now_s)) == (8, 25)


def test_another_sae_gets_nothing_and_the_key_waits_on() -> None:
    net = network()
    feed(net, A, B, "x", 1024)
    (key,) = draw(net)

    with pytest.raises(NotEntitled):
        take(net, key.key_id, caller="bert")
    with pytest.raises(UnknownKeys):
        take(net, key.key_id, master="anna")
    assert take(net, key.key_id) == (key,)


def test_all_or_none_are_taken() -> None:
    net = network()
    feed(net, A, B, "x", 1024)
    keys = draw(net, 3)

    with pytest.raises(UnknownKeys) as caught:
        take(net, keys[0].key_id, bytes(16))
    assert caught.value.key_ids == (bytes(16),)
    assert take(net, *(key.key_id for key in reversed(keys))) == tuple(reversed(keys))


def test_nothing_is_handed_out_after_a_start_until_the_masters_kme_has_greeted() -> None:
    net = network()
    feed(net, A, B, "x", 1024)
    (key,) = draw(net)
    (kept,) = (bytes(16),)
    draw(net, key_ids=(kept,), keep=True)
    net.crash(B)
    net.crash(A)

    for master in ("alice", None):
        with pytest.raises(PeerUnreachable):
            take(net, key.key_id, master=master)
    with pytest.raises(PeerUnreachable):
        take(net, kept, caller="alice")
    net.mend(A, B)
    assert take(net, key.key_id) == (key,)
    assert take(net, kept, caller="alice") == take(net, kept)


def test_keys_are_handed_out_without_the_peer_once_it_has_greeted() -> None:
    net = network()
    feed(net, A, B, "x", 1024)
    (key,) = draw(net)
    net.cut(A, B)

    assert take(net, key.key_id) == (key,)


# ---------------------------------------------------------------------------------------------------------- messages


def note(**changes: Any) -> KeyNote:
    values: dict[str, Any] = {
        "key_id": bytes(range(16)),
        "pool": POOL,
        "master": "alice",
        "slaves": ("bob",),
        "size_bytes": 32,
        "slices": (Slice(0, 0, 32),),
        "expires_s": 1e9,
    }
    return KeyNote(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"master": "bert"}, "bert is no master at kme-a"),
        ({"slaves": ("bob", "anna")}, "anna is no slave at kme-b"),
        ({"pool": "kme-b|kme-c/direct"}, "kme-b|kme-c/direct is not shared with kme-a"),
        ({"size_bytes": 33}, "the slices do not add up to 33 bytes"),
        ({"slices": (Slice(99, 0, 32),)}, "unknown portion"),
    ],
)
def test_a_note_that_can_not_be_is_refused_and_the_others_are_stored(changes: dict[str, Any], problem: str) -> None:
    net = network(Kms(low_keys=2, high_keys=4))
    feed(net, A, B, "x", 1024)
    draw(net)
    sound = note(slices=(Slice(0, 32, 32),), key_id=bytes(16))

    reply = answer(net, B, A, Announce(notes=(note(**changes), sound)))

    assert isinstance(reply, Announced)
    assert reply.problems[0] is not None
    assert reply.problems[0].startswith(problem)
    assert reply.problems[1] is None


def test_strangers_and_messages_that_are_no_questions_are_refused() -> None:
    net = network()

    for sender, message in (("kme-z", Ping(changes=1)), (A, Done()), (A, Welcome(changes=1))):
        assert isinstance(answer(net, B, sender, message), Refused)


@pytest.mark.parametrize(
    "hello",
    [
        Hello(sender="kme-c", receiver=B, store="s", changes=0),
        Hello(sender=A, receiver="kme-c", store="s", changes=0),
        Hello(sender=A, receiver=B, store="s", changes=0, protocol=2),
    ],
)
def test_a_greeting_names_both_ends_and_the_protocol(hello: Hello) -> None:
    assert isinstance(answer(network(), B, A, hello), Refused)


def test_retracted_keys_are_forgotten() -> None:
    net = network()
    feed(net, A, B, "x", 1024)
    (key,) = draw(net)

    assert answer(net, B, A, Retract(key_ids=(key.key_id,))) == Done()
    with pytest.raises(UnknownKeys):
        take(net, key.key_id)


def test_nothing_is_stored_for_a_peer_before_it_has_been_greeted() -> None:
    net = network()
    feed(net, A, B, "x", 1024)
    net.crash(B)

    assert isinstance(answer(net, B, A, Announce(notes=(note(),))), Refused)


# -------------------------------------------------------------------------------------------------------------- time


def test_expired_bits_and_keys_are_purged_and_both_ledgers_close() -> None:
    net = network(Kms(key_lifetime_s=10.0, block_lifetime_s=100.0))
    feed(net, A, B, "x", 1024)
    (key,) = draw(net)
    net.now_s += 11.0
    net.tick()
    with pytest.raises(UnknownKeys):
        take(net, key.key_id)
    net.now_s += 100.0
    net.tick()

    for kme in (A, B):
        (pools,) = net.store(kme).apply([Accounts()])
        accounts = pools[POOL]
        assert accounts["available"] == accounts["reserved"] == 0
        assert accounts["ingested"] == sum(accounts.values()) - accounts["ingested"]


def test_a_tick_without_peers_in_step_still_purges() -> None:
    net = network(Kms(block_lifetime_s=100.0))
    feed(net, A, B, "x", 1024)
    net.cut(A, B)
    net.now_s += 101.0
    net.tick()

    (level,) = net.store(A).apply([Levels(buffers=(Buffer(master="alice", slave="bob", pool=POOL),))])[0]
    assert level == Level(buffer_bytes=0, free_bytes=0, waiting_bytes=0)
