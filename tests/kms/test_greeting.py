import copy

import pytest

from bellweave.errors import PeerRefused, PeerUnreachable, UnknownKeys
from bellweave.kms.driver import Network, Running
from bellweave.kms.effects import Ask
from bellweave.kms.messages import Hello
from bellweave.kms.operations import Witness
from bellweave.kms.records import Material
from bellweave.kms.store import MemoryStore
from bellweave.kms.wanted import Wanted
from bellweave.testing.key_servers import SAES, feed, network

A, B = "kme-a", "kme-b"


@pytest.fixture
def net() -> Network:
    result = network()
    feed(result, A, B, "x", 4000)
    return result


def draw(net: Network, master: str = "alice", slave: str = "bob") -> Material:
    kme = SAES[master]
    wanted = Wanted(master=master, slaves=(slave,), count=1, size_bits=256)
    (key,) = net.run(kme, net.kme(kme).draw(wanted, net.now_s))
    return key


def take(net: Network, key: Material, slave: str = "bob") -> Material:
    kme = SAES[slave]
    (taken,) = net.run(kme, net.kme(kme).take(slave, key.master, (key.key_id,), net.now_s))
    return taken


def copied(net: Network, kme: str) -> MemoryStore:
    store = net.store(kme)
    assert isinstance(store, MemoryStore)
    result = copy.deepcopy(store)
    net.tick()
    return result


def test_a_kme_is_in_step_while_the_link_that_it_greeted_on_is_up(net: Network) -> None:
    assert net.kme(A).in_step(B)
    net.cut(A, B)
    assert not net.kme(A).in_step(B)
    net.mend(A, B)
    assert net.kme(A).in_step(B)
    assert not net.kme(A).in_step("kme-z")
    assert net.kme(A).in_step(A)


def test_a_key_that_was_taken_does_not_come_back_with_a_backup(net: Network) -> None:
    key = draw(net)
    backup = copied(net, B)
    assert take(net, key) == key
    net.crash(B, backup)
    net.mend(A, B)

    with pytest.raises(UnknownKeys):
        take(net, key)
    assert take(net, new := draw(net)) == new


def test_a_store_that_has_just_been_copied_is_known_by_a_count_of_one(net: Network) -> None:
    backup = copied(net, B)

    (counted,) = backup.apply([Witness(peer=B)])
    (told,) = net.store(A).apply([Witness(peer=B)])
    assert told == counted + 1


def test_after_a_crash_what_waits_goes_on_waiting(net: Network) -> None:
    key = draw(net)
    for kme in (B, A):
        net.crash(kme)
        net.mend(A, B)

    assert take(net, key) == key


def test_keys_that_wait_are_withdrawn_once_and_not_at_each_greeting(net: Network) -> None:
    backup = copied(net, B)
    net.crash(B, backup)
    net.mend(A, B)
    key = draw(net)
    net.cut(A, B)
    net.mend(A, B)

    assert take(net, key) == key


@pytest.mark.parametrize("first", [A, B])
def test_one_store_after_the_other_can_be_lost(net: Network, first: str) -> None:
    backups = {kme: copied(net, kme) for kme in (A, B)}
    used = {draw(net).bits for _ in range(5)} | {draw(net, "bob", "alice").bits for _ in range(5)}
    for kme in (first, B if first == A else A):
        net.crash(kme, backups[kme])
        net.mend(A, B)
        net.tick()

    fresh = [draw(net).bits for _ in range(20)] + [draw(net, "bob", "alice").bits for _ in range(20)]
    assert len(set(fresh)) == 40
    assert not used & set(fresh)


def test_a_greeting_during_which_the_link_breaks_counts_for_nothing(net: Network) -> None:
    net.kme(A).lost(B)
    work = Running(net, A, net.kme(A).hello(B, net.now_s))
    while not (isinstance(work.effect, Ask) and isinstance(work.effect.message, Hello)):
        work.step()
    work.act()
    net.kme(A).lost(B)
    while not work.done:
        work.step()

    assert not net.kme(A).in_step(B)
    with pytest.raises(PeerUnreachable):
        draw(net)


def test_of_two_greetings_the_newer_one_counts_even_if_the_older_one_ends_last(net: Network) -> None:
    older, newer = (Running(net, A, net.kme(A).hello(B, net.now_s)) for _ in range(2))
    for work in (older, newer):  # both ends dial: two links, a greeting on each
        while not (isinstance(work.effect, Ask) and isinstance(work.effect.message, Hello)):
            work.step()
    while not newer.done:
        newer.step()
    assert net.kme(A).in_step(B)
    while not older.done:
        older.step()

    assert net.kme(A).in_step(B)
    draw(net)


def test_strangers_are_not_greeted(net: Network) -> None:
    with pytest.raises(PeerRefused, match="kme-z"):
        net.run(A, net.kme(A).hello("kme-z", net.now_s))
