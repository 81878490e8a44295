"""A pool in memory erases what nothing needs any more; nothing in it is found by a walk."""

import hashlib

from bellweave.errors import PeerRefused
from bellweave.kms.operations import AddBlock, Cut, Deliver, Drop, Purge, Record, Take
from bellweave.kms.store import MemoryStore
from bellweave.testing.stores import BUFFER, NOW_S, POOL, block, confirm, fill, note, portion, run, settle


def held_bytes(store: MemoryStore, block_id: str = "one") -> int:
    return len(store._pools[POOL].blocks[block_id].block.material)


def test_a_blocks_bytes_go_with_the_last_of_its_keys() -> None:
    store = MemoryStore()
    fill(store, 32, 32)
    run(store, Record(notes=(note(1), note(2, ((1, 0, 32),))), now_s=NOW_S))
    for key in (1, 2):
        assert held_bytes(store) == 64
        run(store, Take(caller="bob", master=None, key_ids=(key.to_bytes(16, "big"),), now_s=NOW_S))
    assert held_bytes(store) == 0


def test_a_blocks_bytes_stay_while_some_are_free() -> None:
    store = MemoryStore()
    confirm(store, block("one", 64))
    run(store, Cut(portions=(portion(0, 0, 32),)))
    run(store, Deliver(notes=(note(1),), now_s=NOW_S))
    assert held_bytes(store) == 64
    run(store, Cut(portions=(portion(1, 32, 32),)))
    run(store, Drop(pool=POOL, numbers=(1,)))
    assert held_bytes(store) == 0


def test_a_quarantined_blocks_bytes_go_at_once() -> None:
    store = MemoryStore()
    run(store, AddBlock(block=block("one", 64)))
    run(store, settle(verdict="quarantined"))
    assert held_bytes(store) == 0
    assert store._pools[POOL].blocks["one"].digest == hashlib.sha256(block("one", 64).material).digest()


def test_a_waiting_blocks_bytes_go_when_it_expires_and_it_can_not_be_settled_then() -> None:
    store = MemoryStore()
    run(store, AddBlock(block=block("one", 64, expires_s=NOW_S + 1)))
    run(store, Purge(now_s=NOW_S + 1))
    assert held_bytes(store) == 0
    (result,) = store.apply([settle()])
    assert isinstance(result, PeerRefused)


def test_blocks_that_are_confirmed_late_are_used_in_the_order_in_which_they_came() -> None:
    store = MemoryStore()
    for name in "abc":
        run(store, AddBlock(block=block(name, 8)))
    for name in "cab":
        run(store, settle(name))
    assert list(store._pools[POOL].free) == ["a", "b", "c"]


def test_used_up_portions_leave_their_buffer() -> None:
    store = MemoryStore()
    fill(store, *([32] * 100))
    for number in range(0, 100, 2):
        run(store, Deliver(notes=(note(number, ((number, 0, 32),)),), now_s=NOW_S))
    assert list(store._pools[POOL].lines[BUFFER].pieces) == list(range(1, 100, 2))


def test_the_queue_of_expiries_does_not_grow_with_keys_that_went() -> None:
    store = MemoryStore()
    fill(store, 8000)
    for number in range(8000):
        made = note(number, ((0, number, 1),), expires_s=NOW_S + 3600)
        take = Take(caller="bob", master=None, key_ids=(made.key_id,), now_s=NOW_S)
        store.apply([Record(notes=(made,), now_s=NOW_S), take])
    assert len(store._keys._queue) <= 1100
