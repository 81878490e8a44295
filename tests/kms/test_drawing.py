from collections.abc import Sequence
from typing import Any

import pytest

from bellweave.errors import DeliveryError, NotEnoughKey, NotMet, PeerRefused, PeerUnreachable, StoreFailed, UnknownKeys
from bellweave.kms.driver import Network, Running
from bellweave.kms.effects import Apply, Ask
from bellweave.kms.messages import Announce
from bellweave.kms.operations import Accounts, Claim, Deliver
from bellweave.kms.params import Kms
from bellweave.kms.records import Material, Slice
from bellweave.kms.wanted import Wanted
from bellweave.testing.key_servers import feed, network, starter

A, B = "kme-a", "kme-b"
Draw = Running[tuple[Material, ...]]


def want(
    master: str = "alice", slaves: Sequence[str] = ("bob",), count: int = 1, size_bits: int = 256, **more: Any
) -> Wanted:
    return Wanted(master=master, slaves=tuple(slaves), count=count, size_bits=size_bits, **more)


def begin(net: Network, kme: str = A, wanted: Wanted | None = None) -> Draw:
    return Running(net, kme, net.kme(kme).draw(wanted or want(), net.now_s))


def draw(net: Network, kme: str = A, wanted: Wanted | None = None) -> tuple[Material, ...]:
    return finish(begin(net, kme, wanted))


def draw_all(net: Network) -> tuple[Material, ...]:
    keys: tuple[Material, ...] = ()
    while count(net):
        keys += draw(net)
    return keys


def finish(work: Draw) -> tuple[Material, ...]:
    while not work.done:
        work.step()
    return work.result()


def step_to(work: Draw, kind: type) -> None:
    """Advance to where it is about to send a message, or run an operation, of this kind."""
    while not work.done:
        effect = work.effect
        if isinstance(effect, Ask) and isinstance(effect.message, kind):
            return
        if isinstance(effect, Apply) and any(isinstance(each, kind) for each in effect.operations):
            return
        work.step()
    raise AssertionError(f"it ended before it came to {kind.__name__}")


def take(
    net: Network, keys: Sequence[Material], caller: str = "bob", master: str | None = "alice", kme: str = B
) -> tuple[Material, ...]:
    ids = tuple(key.key_id for key in keys)
    return net.run(kme, net.kme(kme).take(caller, master, ids, net.now_s))


def count(net: Network, size_bits: int = 256, master: str = "alice", slave: str = "bob", kme: str = A) -> int:
    return net.run(kme, net.kme(kme).count(master, slave, size_bits, net.now_s))[0]


@pytest.fixture
def net() -> Network:
    """Two KMEs that share 4096 bytes and their confirmation tag, none of it set aside."""
    result = network(Kms(low_keys=0, high_keys=0))
    feed(result, A, B, "block", 4096 + 16)
    return result


@pytest.mark.parametrize(("kme", "master", "slave", "other"), [(A, "alice", "bob", B), (B, "bob", "alice", A)])
@pytest.mark.parametrize("size_bits", [8, 256, 264, 8192])
def test_either_end_draws_and_the_other_takes_the_same(
    net: Network, kme: str, master: str, slave: str, other: str, size_bits: int
) -> None:
    keys = draw(net, kme, want(master, (slave,), count=3, size_bits=size_bits))

    assert [len(key.bits) * 8 for key in keys] == [size_bits] * 3
    assert take(net, keys, slave, master, other) == keys
    with pytest.raises(UnknownKeys):
        take(net, keys, slave, master, other)


def test_key_ids_are_uuids_of_version_4(net: Network) -> None:
    for key in draw(net, wanted=want(count=20, size_bits=64)):
        assert (key.key_id[6] >> 4, key.key_id[8] >> 6) == (4, 2)


def test_all_of_the_pool_can_be_drawn_and_no_more(net: Network) -> None:
    keys = [key for _ in range(4) for key in draw(net, wanted=want(count=32))]

    assert len({key.bits for key in keys}) == 128
    with pytest.raises(NotEnoughKey, match="0 of 1"):
        draw(net)


def test_a_request_for_too_many_uses_nothing_up(net: Network) -> None:
    with pytest.raises(NotEnoughKey) as caught:
        draw(net, wanted=want(count=129))

    assert (caught.value.available, caught.value.wanted) == (128, 129)
    assert len(draw(net, wanted=want(count=128))) == 128


def test_one_note_serves_several_slaves_at_one_kme(net: Network) -> None:
    keys = draw(net, wanted=want(slaves=("bob", "bert")))

    assert take(net, keys, "bert") == keys
    assert take(net, keys, "bob") == keys


def test_a_kept_key_waits_at_both_ends_and_is_not_returned(net: Network) -> None:
    key_id = bytes(range(16))

    assert draw(net, wanted=want(key_ids=(key_id,), keep=True)) == ()
    (here,) = net.run(A, net.kme(A).take("alice", "alice", (key_id,), net.now_s))
    (there,) = net.run(B, net.kme(B).take("bob", "alice", (key_id,), net.now_s))
    assert here.bits == there.bits


def test_a_key_waits_no_longer_than_was_asked_for(net: Network) -> None:
    keys = draw(net, wanted=want(lifetime_s=10.0))
    net.now_s += 10.5

    with pytest.raises(UnknownKeys):
        take(net, keys)


def test_kmes_draw_pads_for_themselves(net: Network) -> None:
    keys = draw(net, wanted=want("@kme-a", ("@kme-b",), purpose="relay"))

    assert take(net, keys, "@kme-b", "@kme-a") == keys


@pytest.mark.parametrize("slave", ["@kme-b", "nobody", "alice"])
def test_nobody_draws_for_a_kme_a_stranger_or_oneself(net: Network, slave: str) -> None:
    with pytest.raises(NotMet):
        draw(net, wanted=want(slaves=(slave,)))


# ------------------------------------------------------------------------------------------------ route, age, policy


def test_the_route_must_be_met() -> None:
    pairs = [{"master": "alice", "slave": "bob", "origins": ["relayed", "direct"]}]
    net = network(Kms(low_keys=0), pairs=pairs)
    feed(net, A, B, "block", 1024)

    with pytest.raises(NotMet):
        draw(net, wanted=want(route="indirect"))
    assert draw(net)[0].statement.origin == "direct"
    assert draw(net, wanted=want(route="direct"))[0].statement.origin == "direct"


def test_a_route_that_the_pairs_policy_excludes_is_not_met(net: Network) -> None:
    with pytest.raises(NotMet, match="indirect"):
        draw(net, wanted=want(route="indirect"))


def test_if_there_is_no_key_at_all_it_is_not_the_routes_fault() -> None:
    net = network(Kms(low_keys=0))

    with pytest.raises(NotEnoughKey):
        draw(net, wanted=want(route="direct"))


def test_keys_of_one_request_may_come_from_several_pools() -> None:
    pairs = [{"master": "alice", "slave": "bob", "origins": ["direct", "expanded"]}]
    net = network(Kms(low_keys=0), pairs=pairs, expansions=[{"kmes": [A, B], "low_bits": 1}])
    feed(net, A, B, "expanded", 3 * 32 + 16, origin="expanded")
    feed(net, A, B, "direct", 3 * 32 + 16)

    keys = draw(net, wanted=want(count=5))

    assert [key.statement.origin for key in keys] == ["direct"] * 3 + ["expanded"] * 2
    assert take(net, keys) == keys


def test_key_that_is_too_old_is_left_for_others(net: Network) -> None:
    net.now_s += 100.0
    draw(net)
    with pytest.raises(NotMet):
        draw(net, wanted=want(max_age_s=50.0))
    feed(net, A, B, "young", 1024)

    assert draw(net, wanted=want(max_age_s=50.0, count=4))[0].statement.block_ids == ("young",)
    assert draw(net)[0].statement.block_ids == ("block",)


def test_a_pair_that_is_not_listed_gets_nothing() -> None:
    net = network(pairs=[{"master": "alice", "slave": "bob"}])
    feed(net, A, B, "block", 1024)

    assert (net.kme(A).allowed("alice", "bob"), net.kme(A).allowed("anna", "bob")) == (True, False)
    with pytest.raises(NotMet):
        draw(net, wanted=want("anna"))


def test_a_buffer_holds_no_more_than_its_quota() -> None:
    net = network(Kms(low_keys=0, high_keys=0, quota_keys=10))
    feed(net, A, B, "block", 4096)

    assert count(net) == 10
    with pytest.raises(NotEnoughKey):
        draw(net, wanted=want(count=11))
    assert len(draw(net, wanted=want(count=10))) == 10


# --------------------------------------------------------------------------------------------- cuts and lost answers


def test_without_the_peer_nothing_is_delivered_and_nothing_used_up(net: Network) -> None:
    before = count(net)
    net.cut(A, B)
    for _ in range(3):
        with pytest.raises(PeerUnreachable):
            draw(net)

    net.mend(A, B)
    assert count(net) == before
    assert len(draw(net, wanted=want(count=128))) == 128


def test_a_key_whose_announcement_was_lost_on_the_way_is_used_again_after_the_next_greeting(net: Network) -> None:
    work = begin(net)
    step_to(work, Announce)
    work.fail(PeerUnreachable("cut"))
    with pytest.raises(PeerUnreachable):
        work.result()
    net.cut(A, B)
    net.mend(A, B)

    assert len(draw(net, wanted=want(count=128))) == 128


def test_a_key_that_the_peer_stored_though_the_answer_was_lost_is_never_delivered(net: Network) -> None:
    work = begin(net)
    step_to(work, Announce)
    assert isinstance(work.effect, Ask)
    assert isinstance(work.effect.message, Announce)
    (note,) = work.effect.message.notes
    net.lose_answers(A, B)
    work.step()
    with pytest.raises(PeerUnreachable):
        work.result()

    keys = [key for _ in range(127) for key in draw(net)]
    assert all(key.key_id != note.key_id for key in keys)
    with pytest.raises(NotEnoughKey):
        draw(net)
    net.tick()  # the peer is told that nobody got it
    with pytest.raises(UnknownKeys):
        net.run(B, net.kme(B).take("bob", "alice", (note.key_id,), net.now_s))


def test_after_a_crash_nothing_is_announced_that_the_peer_has_stored_before(net: Network) -> None:
    work = begin(net)
    step_to(work, Deliver)
    work.close()
    net.crash(A)
    net.mend(A, B)

    draw(net)
    assert [each.notes[0].slices for each in net.said(A, Announce)] == [(Slice(0, 0, 32),), (Slice(1, 0, 32),)]


def test_a_store_that_fails_delivers_nothing_and_the_peer_forgets_the_key(net: Network) -> None:
    work = begin(net)
    step_to(work, Deliver)
    work.fail(StoreFailed("disk full"))
    with pytest.raises(StoreFailed):
        work.result()
    net.tick()

    assert _waiting_bits(net) == 0
    assert len(draw(net)) == 1


def test_work_that_is_given_up_leaves_no_bytes_behind_that_could_be_used_twice(net: Network) -> None:
    works = [begin(net) for _ in range(3)]
    for work, kind in zip(works, (Claim, Announce, Deliver), strict=True):
        step_to(work, kind)
    works[2].act()
    for work in works:
        work.close()
    net.tick()

    keys = draw_all(net)
    assert len({key.bits for key in keys}) == len(keys) >= 126
    assert take(net, keys) == keys


def test_a_peer_that_does_not_know_a_portion_is_told_and_the_request_goes_through(net: Network) -> None:
    net.lose_answers(A, B)  # of the Assign that the request sends
    with pytest.raises(PeerUnreachable):
        draw(net)

    assert take(net, keys := draw(net)) == keys


# ------------------------------------------------------------------------------------------------------ interleavings


def test_two_requests_that_claim_at_once_share_what_they_claimed(net: Network) -> None:
    one, two = begin(net, wanted=want(count=64)), begin(net, wanted=want(count=64))
    while not (one.done and two.done):
        for work in (one, two):
            if not work.done:
                work.step()

    keys = one.result() + two.result()
    assert len({key.bits for key in keys}) == 128
    assert take(net, keys) == keys


def test_sixty_four_requests_at_once_get_all_there_is(net: Network) -> None:
    works = [begin(net, *((A, want()) if index % 2 else (B, want("bob", ("alice",))))) for index in range(64)]
    while any(not work.done for work in works):
        for work in works:
            if not work.done:
                work.step()

    assert len({work.result()[0].bits for work in works}) == 64


def test_answers_that_overtake_each_other_deliver_different_keys(net: Network) -> None:
    one, two = begin(net), begin(net)
    step_to(one, Announce)
    step_to(two, Announce)
    two_keys = finish(two)  # its bytes lie behind those of the first, which are lost now
    one_keys = finish(one)

    assert one_keys[0].bits != two_keys[0].bits
    assert take(net, one_keys + two_keys) == one_keys + two_keys


def test_deliveries_that_overtake_each_other_deliver_different_keys(net: Network) -> None:
    one, two = begin(net), begin(net)
    step_to(one, Deliver)
    step_to(two, Deliver)
    two_keys = finish(two)
    one_keys = finish(one)

    assert one_keys[0].bits != two_keys[0].bits
    assert take(net, one_keys + two_keys) == one_keys + two_keys


def test_a_request_in_flight_while_the_link_is_lost_and_made_anew_cannot_share_bytes_with_a_new_one(
    net: Network,
) -> None:
    old = begin(net)
    step_to(old, Announce)
    net.cut(A, B)
    net.mend(A, B)
    new = draw(net, wanted=want(count=4))
    old.act()  # the announcement arrives after all
    old.resume()
    old_keys = _result_or_none(finish_or_fail(old))

    bits = [key.bits for key in new + old_keys]
    assert len(set(bits)) == len(bits)
    assert take(net, new) == new


def test_a_request_that_asked_for_marks_on_a_link_that_broke_asks_again(net: Network) -> None:
    draw(net)
    net.cut(A, B)
    net.mend(A, B)
    slow = begin(net)
    step_to(slow, Claim)
    slow.step()  # now it asks for marks
    slow.act()
    keys = draw(net, wanted=want(count=20))
    net.cut(A, B)
    net.mend(A, B)
    slow.resume()

    late = finish(slow)
    assert late[0].bits not in {key.bits for key in keys}


def test_a_purge_between_reservation_and_delivery_does_no_harm() -> None:
    net = network(Kms(low_keys=0, block_lifetime_s=100.0))
    feed(net, A, B, "old", 1024)
    one, two = begin(net), begin(net)
    step_to(one, Announce)
    step_to(two, Deliver)
    net.now_s += 101.0
    net.tick()
    for work in (one, two):
        try:
            keys = finish(work)
        except DeliveryError:
            continue
        assert take(net, keys) == keys

    with pytest.raises(NotEnoughKey):
        draw(net)
    feed(net, A, B, "new", 1024)
    assert draw(net)[0].statement.block_ids == ("new",)


def test_several_servers_on_one_store_never_hand_out_the_same(net: Network) -> None:
    second = Network(net.now_s)
    second.add(starter(A, net.kme(A).params, server="1"), net.store(A))
    second.share(net, B)
    second.run(A, second.kme(A).hello(B, net.now_s))
    works = [begin(each) for _ in range(20) for each in (net, second)]
    while any(not work.done for work in works):
        for work in works:
            if not work.done:
                work.step()

    keys = tuple(key for work in works for key in work.result())
    assert len({key.bits for key in keys}) == 40
    assert take(net, keys) == keys


def test_a_peer_that_refuses_again_and_again_ends_in_an_error_and_no_key(net: Network) -> None:
    key_id = bytes(16)
    draw(net, wanted=want(key_ids=(key_id,)))

    with pytest.raises(PeerRefused):
        draw(net, wanted=want(key_ids=(key_id,)))


def finish_or_fail(work: Draw) -> Draw:
    while not work.done:
        work.step()
    return work


def _result_or_none(work: Draw) -> tuple[Material, ...]:
    try:
        return work.result()
    except DeliveryError:
        return ()


def _waiting_bits(net: Network) -> int:
    (pools,) = net.store(B).apply([Accounts()])
    return sum(accounts["reserved"] for accounts in pools.values())
