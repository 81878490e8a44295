from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bellweave.errors import NotEnoughKey
from bellweave.kms.driver import Network
from bellweave.kms.operations import Cut, Levels
from bellweave.kms.params import Kms
from bellweave.kms.records import Buffer, Portion
from bellweave.kms.refilling import even_shares
from bellweave.kms.wanted import Wanted
from bellweave.testing.key_servers import feed, network

A, B, POOL = "kme-a", "kme-b", "kme-a|kme-b/direct"
ALICE, BOB = Buffer(master="alice", slave="bob", pool=POOL), Buffer(master="bob", slave="alice", pool=POOL)
PAIRS = [{"master": "alice", "slave": "bob"}, {"master": "bob", "slave": "alice"}]


def keys_set_aside(net: Network, kme: str, *buffers: Buffer) -> list[float]:
    (levels,) = net.store(kme).apply([Levels(buffers=buffers)])
    return [level.buffer_bytes / 32 for level in levels]


def draw(net: Network, kme: str, master: str, slave: str, count: int = 1) -> Any:
    wanted = Wanted(master=master, slaves=(slave,), count=count, size_bits=256)
    return net.run(kme, net.kme(kme).draw(wanted, net.now_s))


def test_listed_pairs_are_kept_full_in_both_directions_at_both_ends() -> None:
    net = network(Kms(low_keys=2, high_keys=5), pairs=PAIRS)
    feed(net, A, B, "x", 1000)

    for kme in (A, B):
        assert keys_set_aside(net, kme, ALICE, BOB) == [5, 5]
    draw(net, A, "alice", "bob", 3)
    net.tick()
    assert keys_set_aside(net, A, ALICE) == [2]  # not below the low watermark
    draw(net, A, "alice", "bob")
    net.tick()
    assert keys_set_aside(net, A, ALICE) == keys_set_aside(net, B, ALICE) == [5]


def test_each_pair_has_watermarks_and_a_quota_of_its_own() -> None:
    pairs = [PAIRS[0] | {"low_keys": 10, "high_keys": 12}, PAIRS[1] | {"high_keys": 9, "quota_keys": 4}]
    net = network(Kms(low_keys=2, high_keys=5), pairs=pairs)
    feed(net, A, B, "x", 1000)

    assert keys_set_aside(net, A, ALICE, BOB) == [12, 4]


def test_without_a_list_those_are_refilled_that_somebody_asked_for() -> None:
    net = network(Kms(low_keys=2, high_keys=5))
    feed(net, A, B, "x", 1000)
    assert keys_set_aside(net, A, ALICE, BOB) == [0, 0]

    draw(net, A, "alice", "bob", 5)
    net.tick()
    assert keys_set_aside(net, A, ALICE, BOB) == [5, 0]


def test_a_request_has_its_buffer_filled_but_leaves_most_of_the_pool_to_others() -> None:
    net = network(Kms(low_keys=0, high_keys=64))
    feed(net, A, B, "x", 16 + 32 * 80)

    draw(net, A, "alice", "bob")
    assert keys_set_aside(net, A, ALICE) == [9]
    assert len(draw(net, B, "bob", "alice", 70)) == 70
    assert keys_set_aside(net, B, BOB) == [0]


def test_scarce_key_is_shared_evenly_in_whole_keys() -> None:
    net = network(Kms(low_keys=8, high_keys=64), pairs=PAIRS)
    feed(net, A, B, "x", 16 + 32 * 7 + 31)

    assert sorted(keys_set_aside(net, A, ALICE, BOB)) == [3, 4]
    assert keys_set_aside(net, A, ALICE, BOB) == keys_set_aside(net, B, ALICE, BOB)


def test_pairs_that_ask_at_the_same_moments_take_turns_where_key_is_scarce() -> None:
    net = network(Kms(low_keys=1, high_keys=1, confirmation_bits=0), pairs=PAIRS)
    got = {"alice": 0, "bob": 0}
    for block in range(6):
        feed(net, A, B, f"x{block}", 32)
        for kme, master, slave in ((A, "alice", "bob"), (B, "bob", "alice")):
            with suppress(NotEnoughKey):
                got[master] += len(draw(net, kme, master, slave))

    assert got == {"alice": 3, "bob": 3}


def test_portions_that_the_peer_did_not_hear_of_reach_it_later() -> None:
    net = network(Kms(low_keys=2, high_keys=5), pairs=PAIRS)
    feed(net, A, B, "x", 16 + 32)
    (levels,) = net.store(A).apply([Levels(buffers=(ALICE, BOB))])
    start = sum(level.buffer_bytes for level in levels)
    hidden = Portion(buffer=BOB, number=1, block_id="x", start_bytes=start, length_bytes=0)
    net.store(A).apply([Cut(portions=(hidden,))])
    feed(net, A, B, "y", 1000)

    assert keys_set_aside(net, B, ALICE, BOB) == keys_set_aside(net, A, ALICE, BOB) == [5, 5]


@given(needs=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 30)), max_size=6), keys=st.integers(0, 100))
def test_shares_are_as_even_as_the_limits_allow(needs: list[tuple[int, int]], keys: int) -> None:
    buffers = [Buffer(master=str(index), slave="s", pool=POOL) for index in range(len(needs))]
    shares = dict(even_shares([(buffer, *need) for buffer, need in zip(buffers, needs, strict=True)], keys))
    levels = [have + shares.get(buffer, 0) for buffer, (have, _) in zip(buffers, needs, strict=True)]

    room = sum(max(0, most - have) for have, most in needs)
    assert sum(shares.values()) == min(keys, room)
    for buffer, level, (_, most) in zip(buffers, levels, needs, strict=True):
        if buffer in shares:
            assert level <= most
            others = [other for other, (_, limit) in zip(levels, needs, strict=True) if other < limit]
            assert all(level <= other + 1 for other in others)
