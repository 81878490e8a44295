"""What every key store does with keys: the part of the contract for what a master's and a slave's KME ask of it."""
# ruff: noqa: D102, S101 (the names of the tests are sentences; asserts are what they are made of)

from typing import Any

import pytest

from bellweave.errors import NotEntitled, PeerRefused, UnknownKeys
from bellweave.kms.operations import (
    Cut,
    Drop,
    Marks,
    Purge,
    Renew,
    Skip,
    Store,
    Withdraw,
    WithdrawAll,
)
from bellweave.kms.records import Statement, merged
from bellweave.testing.stores import (
    NOW_S,
    OTHER,
    POOL,
    block,
    claim,
    confirm,
    deliver,
    fill,
    key_id,
    ledger,
    level,
    note,
    numbers,
    portion,
    record,
    run,
    statement,
    take,
)

COPY_STATEMENT = Statement(
    block_ids=("far",), origin="direct", hops=1, epsilon=2e-10, provable=True, provenance="test", made_s=5.0
)


class MasterContract:
    """The master's KME claims, delivers, skips and drops."""

    def test_a_claim_gives_the_oldest_portions_with_their_bytes(self, store: Store) -> None:
        whole = fill(store, 64, 64, 64)
        first, second = claim(store, 65)
        assert numbers((first, second)) == [0, 1]
        assert (first.material, second.material) == (whole.material[:64], whole.material[64:128])
        assert first.statement == whole.statement
        assert first.expires_s == whole.expires_s
        assert first.cursor_bytes == 0
        assert claim(store, 1, buffer=OTHER) == ()

    def test_what_is_claimed_is_claimed_again_only_if_asked_for(self, store: Store) -> None:
        fill(store, 64, 64)
        assert numbers(claim(store, 1)) == [0]
        assert numbers(claim(store, 1)) == [1]
        assert claim(store, 1) == ()
        deliver(store, note(1))
        again = claim(store, 1000, again=True)
        assert [(stock.portion.number, stock.cursor_bytes) for stock in again] == [(0, 32), (1, 0)]
        assert len(again[0].material) == 64

    def test_another_servers_portions_are_passed_over_as_long_as_it_lives(self, store: Store) -> None:
        fill(store, 64, 64, 64)
        run(store, Renew(server="x", until_s=NOW_S + 10))
        assert numbers(claim(store, 1, "x")) == [0]
        assert numbers(claim(store, 1, "y", again=True)) == [1]
        run(store, Renew(server="x", until_s=NOW_S + 20))
        assert numbers(claim(store, 65, "y", again=True, now_s=NOW_S + 15)) == [1, 2]
        assert numbers(claim(store, 1000, "y", again=True, now_s=NOW_S + 30)) == [0, 1, 2]

    def test_used_up_and_expired_portions_are_not_claimed(self, store: Store) -> None:
        confirm(store, block("old", 32, expires_s=NOW_S + 1), block("new", 64))
        run(store, Cut(portions=(portion(0, 0, 32, "old"), portion(1, 0, 32, "new"), portion(2, 32, 32, "new"))))
        deliver(store, note(1, ((1, 0, 32),)))
        assert numbers(claim(store, 1000, again=True)) == [0, 2]
        assert numbers(claim(store, 1000, again=True, now_s=NOW_S + 1)) == [2]

    def test_a_delivery_moves_the_cursors_and_books_the_bits(self, store: Store) -> None:
        fill(store, 64, 64)
        deliver(store, note(1, ((0, 0, 32),)), note(2, ((0, 32, 32), (1, 0, 8))))
        assert level(store)[0] == 56
        assert ledger(store) == {"ingested": 1024, "available": 448, "delivered": 576}
        assert [stock.cursor_bytes for stock in claim(store, 1000)] == [8]

    def test_what_a_cursor_jumps_over_is_purged(self, store: Store) -> None:
        fill(store, 64)
        deliver(store, note(1, ((0, 16, 32),)))
        assert ledger(store) == {"ingested": 512, "available": 128, "purged": 128, "delivered": 256}
        assert level(store)[0] == 16

    @pytest.mark.parametrize(
        "late",
        [
            note(9, ((0, 16, 32),)),
            note(9, ((1, 0, 32), (1, 16, 32))),
            note(9, ((1, 0, 16), (0, 0, 16))),
            note(9, ((1, 48, 32),)),
            note(9, ((7, 0, 32),)),
            note(9, pool="none|such/direct"),
        ],
        ids=["below the cursor", "twice", "one of two", "past the end", "unknown portion", "unknown pool"],
    )
    def test_of_keys_of_which_one_can_not_be_had_none_is_delivered(self, store: Store, late: Any) -> None:
        fill(store, 64, 64)
        deliver(store, note(1))
        before = ledger(store)
        with pytest.raises(PeerRefused):
            deliver(store, note(8, ((1, 0, 8),)), late, keep=(note(8, ((1, 0, 8),), ("anna",)),))
        assert ledger(store) == before
        assert level(store)[0] == 96
        with pytest.raises(UnknownKeys):
            take(store, 8, caller="anna")

    def test_the_purpose_says_what_bits_are_spent_on(self, store: Store) -> None:
        fill(store, 96)
        deliver(
            store,
            note(1, ((0, 0, 32),)),
            note(2, ((0, 32, 32),), purpose="relay"),
            note(3, ((0, 64, 32),), purpose="expansion"),
        )
        assert ledger(store) == {"ingested": 768, "delivered": 256, "relay_pads": 256, "expansion": 256}

    def test_kept_keys_wait_here_and_are_booked_once(self, store: Store) -> None:
        whole = fill(store, 64)
        kept = note(1, ((0, 0, 32),), ("alice", "anna"))
        deliver(store, note(1), note(2, ((0, 32, 32),)), keep=(kept,))
        after = {"ingested": 512, "delivered": 512}
        assert ledger(store) == after
        (material,) = take(store, 1, caller="anna")
        assert material.bits == whole.material[:32]
        assert material.master == "alice"
        assert material.statement == whole.statement
        assert take(store, 1, caller="alice")[0] == material
        assert ledger(store) == after

    def test_kept_keys_that_nobody_takes_stay_delivered(self, store: Store) -> None:
        fill(store, 64)
        deliver(store, note(1), note(2, ((0, 32, 32),)), keep=(note(1), note(2, ((0, 32, 32),))))
        assert run(store, Withdraw(key_ids=(key_id(1),), now_s=NOW_S)) == 1
        assert run(store, Purge(now_s=NOW_S + 1000)) == 0
        assert ledger(store) == {"ingested": 512, "delivered": 512}
        with pytest.raises(UnknownKeys):
            take(store, 2)

    def test_a_kept_key_does_not_replace_one_that_waits_under_its_id(self, store: Store) -> None:
        fill(store, 64)
        deliver(store, note(1), keep=(note(1),))
        with pytest.raises(PeerRefused):
            deliver(store, note(1, ((0, 32, 32),)), keep=(note(1, ((0, 32, 32),)),))
        assert ledger(store)["delivered"] == 256

    def test_cursors_skip_forward_and_never_back(self, store: Store) -> None:
        fill(store, 64, 64)
        run(store, Skip(pool=POOL, cursors=((0, 40), (1, 64))))
        run(store, Skip(pool=POOL, cursors=((0, 8), (1, 0))))
        assert ledger(store) == {"ingested": 1024, "available": 192, "purged": 832}
        assert [(each.portion.number, each.cursor_bytes) for each in claim(store, 1000)] == [(0, 40)]

    def test_a_dropped_portion_is_purged_whatever_is_left_of_it(self, store: Store) -> None:
        fill(store, 64, 64)
        deliver(store, note(1))
        run(store, Drop(pool=POOL, numbers=(0,)))
        run(store, Drop(pool=POOL, numbers=(0,)))
        assert ledger(store) == {"ingested": 1024, "available": 512, "delivered": 256, "purged": 256}
        assert numbers(claim(store, 1000)) == [1]
        with pytest.raises(PeerRefused):
            deliver(store, note(2, ((0, 32, 32),)))


class SlaveContract:
    """The slave's KME stores announced keys and hands them out."""

    def test_an_announced_key_waits_and_raises_the_mark(self, store: Store) -> None:
        fill(store, 64, 64)
        assert record(store, note(1), note(2, ((0, 32, 32), (1, 0, 8)))) == (None, None)
        assert run(store, Marks(pool=POOL, numbers=(1, 0, 2))) == (8, 64, -1)
        assert run(store, Marks(pool="none|such/direct", numbers=(0,))) == (-1,)
        assert level(store)[0] == 56
        assert ledger(store) == {"ingested": 1024, "available": 448, "reserved": 576}

    def test_what_a_mark_jumps_over_is_purged(self, store: Store) -> None:
        fill(store, 64)
        assert record(store, note(1, ((0, 16, 32),))) == (None,)
        assert ledger(store) == {"ingested": 512, "available": 128, "purged": 128, "reserved": 256}

    def test_the_same_announcement_again_counts_as_stored(self, store: Store) -> None:
        fill(store, 64)
        assert record(store, note(1)) == (None,)
        assert record(store, note(1), note(2, ((0, 32, 32),))) == (None, None)
        assert ledger(store) == {"ingested": 512, "reserved": 512}

    @pytest.mark.parametrize(
        "wrong",
        [
            note(9, ((0, 16, 32),)),
            note(9, ((1, 0, 32), (1, 16, 32))),
            note(9, ((1, 0, 16), (0, 0, 16))),
            note(9, ((1, 48, 32),)),
            note(1, ((1, 0, 32),)),
            note(9, ((7, 0, 32),)),
            note(9, ((1, 0, 8), (7, 0, 32))),
            note(9, pool="none|such/direct"),
        ],
        ids=["below the mark", "twice", "one of two", "past the end", "id in use", "unknown", "one unknown", "no pool"],
    )
    def test_a_key_that_can_not_be_stored_is_refused_and_the_others_are_stored(self, store: Store, wrong: Any) -> None:
        fill(store, 64, 64)
        assert record(store, note(1)) == (None,)
        first, problem, last = record(store, note(2, ((0, 32, 16),)), wrong, note(3, ((0, 48, 16),)))
        assert (first, last) == (None, None)
        assert problem
        missing = {each.number for each in wrong.slices} - {0, 1} or wrong.pool != POOL
        assert problem.startswith("unknown portion") == bool(missing)
        assert run(store, Marks(pool=POOL, numbers=(0, 1))) == (64, 0)
        assert ledger(store) == {"ingested": 1024, "available": 512, "reserved": 512}

    def test_keys_are_taken_once_in_the_order_asked_for(self, store: Store) -> None:
        whole = fill(store, 64, 64)
        record(store, note(1), note(2, ((0, 32, 32), (1, 0, 8))))
        second, first = take(store, 2, 1)
        assert first.bits == whole.material[:32]
        assert second.bits == whole.material[32:72]
        assert second.statement == merged((whole.statement, whole.statement))
        assert (first.key_id, first.master, first.statement) == (key_id(1), "alice", whole.statement)
        assert ledger(store) == {"ingested": 1024, "available": 448, "delivered": 576}
        with pytest.raises(UnknownKeys):
            take(store, 1)

    def test_a_key_of_several_blocks_says_so(self, store: Store) -> None:
        confirm(store, block("new", 16), block("old", 16, statement=statement("old", made_s=1.0, provable=False)))
        run(store, Cut(portions=(portion(0, 0, 16, "new"), portion(1, 0, 16, "old"))))
        record(store, note(1, ((0, 0, 16), (1, 0, 16))))
        (material,) = take(store, 1)
        assert material.statement.block_ids == ("new", "old")
        assert material.statement.made_s == 1.0
        assert not material.statement.provable

    def test_of_keys_of_which_one_does_not_wait_none_is_taken(self, store: Store) -> None:
        fill(store, 128)
        record(
            store,
            note(1),
            note(2, ((0, 32, 32),), slaves=("bert",)),
            note(3, ((0, 64, 32),), master="anna"),
            note(4, ((0, 96, 32),), expires_s=NOW_S + 1),
        )
        with pytest.raises(UnknownKeys) as unknown:
            take(store, 1, 2, 3, 4, 5, now_s=NOW_S + 1)
        assert set(unknown.value.key_ids) == {key_id(3), key_id(4), key_id(5)}
        with pytest.raises(NotEntitled):
            take(store, 1, 2)
        assert ledger(store)["reserved"] == 1024
        assert len(take(store, 1, 3, 4, master=None)) == 3

    def test_a_key_for_several_slaves_goes_with_the_last_and_is_booked_with_the_first(self, store: Store) -> None:
        fill(store, 32)
        record(store, note(1, slaves=("bob", "bert")))
        first = take(store, 1, caller="bert")
        assert ledger(store) == {"ingested": 256, "delivered": 256}
        with pytest.raises(UnknownKeys):
            take(store, 1, caller="bert")
        assert take(store, 1) == first
        with pytest.raises(UnknownKeys):
            take(store, 1)
        assert ledger(store) == {"ingested": 256, "delivered": 256}

    def test_the_purpose_says_what_taken_bits_are_spent_on(self, store: Store) -> None:
        fill(store, 64)
        record(store, note(1, purpose="relay"), note(2, ((0, 32, 32),), purpose="expansion"))
        assert ledger(store)["reserved"] == 512
        take(store, 1, 2)
        assert ledger(store) == {"ingested": 512, "relay_pads": 256, "expansion": 256}

    def test_withdrawn_keys_are_purged(self, store: Store) -> None:
        fill(store, 64)
        record(store, note(1), note(2, ((0, 32, 32),), slaves=("bob", "bert")))
        take(store, 2)
        ids = (key_id(1), key_id(2), key_id(3))
        assert run(store, Withdraw(key_ids=ids, now_s=NOW_S)) == 2
        assert run(store, Withdraw(key_ids=ids, now_s=NOW_S)) == 0
        assert ledger(store) == {"ingested": 512, "purged": 256, "delivered": 256}
        with pytest.raises(UnknownKeys):
            take(store, 2, caller="bert")
        refused = record(store, note(1))[0]
        assert refused, "its bytes lie below the mark"

    def test_all_keys_of_some_pools_are_withdrawn_copies_too(self, store: Store) -> None:
        far = "kme-a|kme-c/direct"
        fill(store, 64)
        copy = note(2, (), pool=far, size_bytes=4, copy=b"copy", statement=COPY_STATEMENT)
        record(store, note(1), copy, note(3, ((0, 32, 32),)))
        assert run(store, WithdrawAll(pools=("none|such/direct",), now_s=NOW_S)) == 0
        assert run(store, WithdrawAll(pools=(far,), now_s=NOW_S)) == 1
        assert len(take(store, 1)) == 1
        assert run(store, WithdrawAll(pools=(POOL, far), now_s=NOW_S)) == 1
        assert ledger(store) == {"ingested": 512, "delivered": 256, "purged": 256}

    def test_a_copy_is_kept_whole_and_books_nothing(self, store: Store) -> None:
        far = "kme-a|kme-c/direct"
        copy = note(
            1, (), ("bob", "bert"), pool=far, size_bytes=4, copy=b"copy", pad_id=key_id(7), statement=COPY_STATEMENT
        )
        assert record(store, copy) == (None,)
        assert record(store, copy) == (None,)
        (material,) = take(store, 1)
        assert (material.bits, material.statement, material.master) == (b"copy", COPY_STATEMENT, "alice")
        assert take(store, 1, caller="bert") == (material,)
        assert not any(ledger(store, far).values())

    def test_a_key_is_taken_after_its_block_has_expired(self, store: Store) -> None:
        confirm(store, block("old", 32, expires_s=NOW_S + 1))
        run(store, Cut(portions=(portion(0, 0, 32, "old"),)))
        record(store, note(1, ((0, 0, 16),)))
        assert run(store, Purge(now_s=NOW_S + 1)) == 128
        assert take(store, 1, now_s=NOW_S + 2)[0].bits == block("old", 32).material[:16]
        assert ledger(store) == {"ingested": 256, "purged": 128, "delivered": 128}
