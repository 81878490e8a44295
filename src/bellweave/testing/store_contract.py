"""What every key store does: tests that run on the one in memory, on SQLite and on PostgreSQL.

A test module makes them its own with a class and a fixture named ``store`` that gives an empty store::

    class TestSqlite(StoreContract):
        @pytest.fixture
        def store(self, tmp_path): ...

The random walk over two stores is in :mod:`~bellweave.testing.store_walk`.
"""
# ruff: noqa: D102, S101 (the names of the tests are sentences; asserts are what they are made of)

from typing import Any

import msgspec
import pytest

from bellweave.errors import DeliveryError, PeerRefused, UnknownKeys
from bellweave.kms.operations import (
    AddBlock,
    Cut,
    Deliver,
    FreeBlocks,
    Marks,
    NextNumber,
    Portions,
    Purge,
    Record,
    Store,
    Take,
    Verdicts,
    Waiting,
    Witness,
)
from bellweave.kms.records import Statement
from bellweave.testing.store_contract_keys import MasterContract, SlaveContract
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
    settle,
    statement,
    take,
)


class BlockContract:
    """Blocks come in, are settled and cut."""

    def test_a_block_comes_in_once(self, store: Store) -> None:
        assert run(store, AddBlock(block=block()))
        assert not run(store, AddBlock(block=block()))
        assert ledger(store) == {"ingested": 2048, "available": 2048}
        assert level(store) == (0, 0, 256)

    def test_another_block_under_the_same_id_is_refused_at_any_time(self, store: Store) -> None:
        fill(store, 32)
        other = AddBlock(block=block("one", 32, seed=2))
        with pytest.raises(PeerRefused):
            run(store, other)
        deliver(store, note(1))
        run(store, Purge(now_s=NOW_S))
        with pytest.raises(PeerRefused):
            run(store, other)
        assert not run(store, AddBlock(block=block("one", 32)))
        assert ledger(store) == {"ingested": 256, "delivered": 256}

    def test_one_id_may_stand_for_different_blocks_in_two_pools(self, store: Store) -> None:
        other = "kme-a|kme-c/direct"
        assert run(store, AddBlock(block=block()))
        assert run(store, AddBlock(block=block(pool=other, size_bytes=8)))
        assert ledger(store, other)["available"] == 64

    def test_waiting_blocks_are_listed_in_the_order_in_which_they_came(self, store: Store) -> None:
        blocks = [block(name, 8) for name in ("z", "y", "x", "w")]
        for each in blocks:
            run(store, AddBlock(block=each))
        assert run(store, Waiting(pool=POOL)) == tuple(blocks)
        assert run(store, Waiting(pool=POOL, limit=2)) == tuple(blocks[:2])
        assert run(store, Waiting(pool=POOL, block_ids=("w", "none", "z"))) == (blocks[0], blocks[3])
        run(store, settle("y"))
        assert run(store, Waiting(pool=POOL)) == (blocks[0], *blocks[2:])
        assert run(store, Waiting(pool="none|such/direct")) == ()

    def test_a_confirmed_block_pays_for_its_tag(self, store: Store) -> None:
        run(store, AddBlock(block=block()))
        assert run(store, settle(tag_bytes=16))
        assert not run(store, settle(tag_bytes=16))
        assert ledger(store) == {"ingested": 2048, "available": 1920, "authentication": 128}
        assert level(store) == (0, 240, 0)
        (free,) = run(store, FreeBlocks(pool=POOL, least_bytes=1))
        assert (free.block_id, free.start_bytes, free.length_bytes) == ("one", 0, 240)
        assert free.statement == block().statement
        assert free.expires_s == block().expires_s

    def test_a_quarantined_block_is_never_used(self, store: Store) -> None:
        run(store, AddBlock(block=block()))
        assert run(store, settle(verdict="quarantined", tag_bytes=16))
        assert ledger(store) == {"ingested": 2048, "quarantined": 1920, "authentication": 128}
        assert level(store) == (0, 0, 0)
        assert run(store, FreeBlocks(pool=POOL, least_bytes=1)) == ()
        with pytest.raises(PeerRefused):
            run(store, Cut(portions=(portion(0, 0, 8),)))

    def test_a_verdict_stands(self, store: Store) -> None:
        for name in ("good", "bad", "open"):
            run(store, AddBlock(block=block(name, 32)))
        run(store, settle("good"))
        run(store, settle("bad", "quarantined"))
        for name, verdict in (("good", "quarantined"), ("bad", "confirmed"), ("never", "confirmed")):
            with pytest.raises(PeerRefused):
                run(store, settle(name, verdict))
        question = Verdicts(pool=POOL, block_ids=("open", "bad", "never", "good"))
        assert run(store, question) == ("waiting", "quarantined", None, "confirmed")

    def test_a_verdict_outlives_the_block(self, store: Store) -> None:
        fill(store, 32)
        deliver(store, note(1))
        run(store, Purge(now_s=NOW_S))
        assert run(store, Verdicts(pool=POOL, block_ids=("one",))) == ("confirmed",)
        assert not run(store, settle())

    def test_a_block_may_be_spent_on_its_tag_whole(self, store: Store) -> None:
        run(store, AddBlock(block=block("one", 9)))
        assert run(store, settle(tag_bytes=9))
        assert ledger(store) == {"ingested": 72, "authentication": 72}
        assert run(store, FreeBlocks(pool=POOL, least_bytes=1)) == ()

    def test_what_is_free_is_listed_oldest_first_until_it_adds_up(self, store: Store) -> None:
        confirm(store, block("z", 8), block("a", 16), block("m", 8))
        listed = [each.block_id for each in run(store, FreeBlocks(pool=POOL, least_bytes=9))]
        assert listed == ["z", "a"]
        assert len(run(store, FreeBlocks(pool=POOL, least_bytes=1 << 62))) == 3
        run(store, Cut(portions=(portion(0, 0, 8, "z"), portion(1, 0, 4, "a"))))
        listed_free = run(store, FreeBlocks(pool=POOL, least_bytes=12))
        assert [(each.block_id, each.start_bytes, each.length_bytes) for each in listed_free] == [
            ("a", 4, 12),
        ]

    def test_portions_are_cut_at_the_front_and_numbered_without_gaps(self, store: Store) -> None:
        confirm(store, block())
        assert run(store, NextNumber(pool=POOL)) == 0
        first = (portion(0, 0, 32), portion(1, 32, 32, buffer=OTHER))
        assert run(store, Cut(portions=first)) == 2
        again = (*first, portion(2, 64, 64))
        assert run(store, Cut(portions=again)) == 3
        assert run(store, Cut(portions=first)) == 3
        assert run(store, NextNumber(pool=POOL)) == 3
        assert run(store, Portions(pool=POOL, number=0)) == again
        assert run(store, Portions(pool=POOL, number=1, limit=1)) == again[1:2]
        assert run(store, Portions(pool=POOL, number=3)) == ()
        assert level(store) == (96, 128, 0)
        assert level(store, OTHER) == (32, 128, 0)
        assert ledger(store) == {"ingested": 2048, "available": 2048}

    @pytest.mark.parametrize(
        "wrong",
        [
            portion(2, 48, 8, "none"),
            portion(2, 0, 8, "open"),
            portion(2, 40, 8),
            portion(2, 56, 8),
            portion(2, 48, 300),
            portion(3, 48, 8),
            portion(0, 0, 16),
            portion(0, 0, 32, buffer=OTHER),
        ],
        ids=[
            "unknown block",
            "unconfirmed block",
            "cut already",
            "gap",
            "past the end",
            "missing number",
            "other bytes",
            "other buffer",
        ],
    )
    def test_of_portions_of_which_one_does_not_fit_none_is_cut(self, store: Store, wrong: Any) -> None:
        confirm(store, block())
        run(store, AddBlock(block=block("open")))
        run(store, Cut(portions=(portion(0, 0, 32),)))
        with pytest.raises(PeerRefused):
            run(store, Cut(portions=(portion(1, 32, 16), wrong)))
        assert run(store, NextNumber(pool=POOL)) == 1
        assert level(store)[:2] == (32, 224)

    def test_an_empty_portion_keeps_a_number(self, store: Store) -> None:
        confirm(store, block())
        assert run(store, Cut(portions=(portion(0, 0, 0), portion(1, 0, 8)))) == 2
        assert run(store, Marks(pool=POOL, numbers=(0, 1))) == (0, 0)
        assert numbers(claim(store, 1000)) == [1]


class KeepingContract:
    """Purging, witnessing, batches."""

    def test_what_expires_is_purged(self, store: Store) -> None:
        for name in ("waiting", "free", "cut"):
            run(store, AddBlock(block=block(name, 32, expires_s=NOW_S + 5)))
        run(store, settle("free"))
        run(store, settle("cut"))
        run(store, Cut(portions=(portion(0, 0, 24, "cut"),)))
        record(store, note(1, ((0, 0, 8),)))
        assert run(store, Purge(now_s=NOW_S + 4)) == 0
        assert _purged(store, NOW_S + 5) == 8 * (32 + 32 + 24)
        assert level(store) == (0, 0, 0)
        assert ledger(store) == {"ingested": 768, "purged": 704, "reserved": 64}
        assert claim(store, 1) == ()
        assert run(store, FreeBlocks(pool=POOL, least_bytes=1)) == ()
        assert _purged(store, NOW_S + 100) == 64
        assert ledger(store) == {"ingested": 768, "purged": 768}

    def test_a_purge_is_bounded_and_goes_on(self, store: Store) -> None:
        fill(store, 320)
        record(store, *(note(key, ((0, 32 * key, 32),)) for key in range(10)))
        assert run(store, Purge(now_s=NOW_S + 100, limit=4)) == 4 * 256
        assert run(store, Purge(now_s=NOW_S + 100, limit=4)) == 4 * 256
        assert run(store, Purge(now_s=NOW_S + 100, limit=4)) == 2 * 256
        assert run(store, Purge(now_s=NOW_S + 100, limit=4)) == 0
        assert ledger(store) == {"ingested": 2560, "purged": 2560}

    def test_a_key_that_some_have_taken_expires_without_being_booked_twice(self, store: Store) -> None:
        fill(store, 32)
        record(store, note(1, slaves=("bob", "bert")))
        take(store, 1)
        assert _purged(store, NOW_S + 100) == 0
        assert ledger(store) == {"ingested": 256, "delivered": 256}
        with pytest.raises(UnknownKeys):
            take(store, 1, caller="bert")

    def test_used_up_portions_keep_their_numbers_and_places(self, store: Store) -> None:
        """A peer whose store comes from a backup asks for them, and counts on from the last of them."""
        fill(store, 32, 32)
        deliver(store, note(1), note(2, ((1, 0, 32),)))
        run(store, Purge(now_s=NOW_S))
        run(store, Purge(now_s=NOW_S + 1_000_000))
        assert run(store, NextNumber(pool=POOL)) == 2
        assert run(store, Portions(pool=POOL, number=0)) == (portion(0, 0, 32), portion(1, 32, 32))

    def test_nothing_is_used_again_after_a_purge(self, store: Store) -> None:
        fill(store, 32)
        assert record(store, note(1)) == (None,)
        take(store, 1)
        run(store, Purge(now_s=NOW_S))
        assert record(store, note(1))[0]
        assert record(store, note(2))[0]
        with pytest.raises(PeerRefused):
            deliver(store, note(3))
        assert ledger(store) == {"ingested": 256, "delivered": 256}

    def test_a_witness_remembers_the_highest_count(self, store: Store) -> None:
        assert run(store, Witness(peer="kme-b")) == 0
        assert run(store, Witness(peer="kme-b", changes=7)) == 7
        assert run(store, Witness(peer="kme-b", changes=5)) == 7
        assert run(store, Witness(peer="kme-c", changes=1)) == 1

    def test_a_batch_goes_on_after_an_operation_that_fails(self, store: Store) -> None:
        added, refused, confirmed, next_number = store.apply(
            [
                AddBlock(block=block()),
                AddBlock(block=block(seed=2)),
                settle(),
                Cut(portions=(portion(0, 0, 32),)),
            ]
        )
        assert (added, confirmed, next_number) == (True, True, 1)
        assert isinstance(refused, PeerRefused)
        assert level(store) == (32, 224, 0)

    def test_operations_of_a_batch_see_those_before_them(self, store: Store) -> None:
        fill(store, 128)
        delivered = [Deliver(notes=(note(key, ((0, 32 * key, 32),)),), now_s=NOW_S) for key in (0, 1)]
        results: list[Any] = store.apply([*delivered, delivered[0], Marks(pool=POOL, numbers=(0,))])
        assert results[:2] == [None, None]
        assert isinstance(results[2], PeerRefused)
        record_two = Record(notes=(note(5, ((0, 64, 32),)),), now_s=NOW_S)
        takes = [Take(caller="bob", master=None, key_ids=(key_id(5),), now_s=NOW_S)] * 2
        stored, taken, missing = store.apply([record_two, *takes])
        assert stored == (None,)
        assert len(taken) == 1
        assert isinstance(missing, UnknownKeys)
        assert ledger(store) == {"ingested": 1024, "available": 256, "delivered": 768}

    def test_an_empty_batch_is_nothing(self, store: Store) -> None:
        assert store.apply([]) == []

    def test_errors_and_reprs_show_no_key(self, store: Store) -> None:
        whole = fill(store, 64)
        record(store, note(1))
        errors: list[Any] = store.apply(
            [
                AddBlock(block=block("one", 64, seed=2)),
                Deliver(notes=(note(2),), now_s=NOW_S),
                Take(caller="bert", master=None, key_ids=(key_id(1),), now_s=NOW_S),
                Record(notes=(note(3),), now_s=NOW_S),
            ]
        )
        assert [isinstance(each, DeliveryError) for each in errors] == [True, True, True, False]
        shown = "".join(map(repr, [*errors, store, whole, *claim(store, 64)])) + "".join(map(str, errors))
        for secret in (whole.material[:4], whole.material[32:36]):
            assert secret.hex() not in shown
            assert repr(secret)[2:-1] not in shown

    def test_statements_come_back_as_they_were(self, store: Store) -> None:
        given = statement(
            "one", block_ids=("x", "y"), origin="relayed", hops=3, epsilon=3e-9, provable=False, provenance="device"
        )
        confirm(store, block(statement=given))
        run(store, Cut(portions=(portion(0, 0, 32),)))
        (stock,) = claim(store, 1)
        assert stock.statement == given
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(given), type=Statement) == given


class StoreContract(BlockContract, MasterContract, SlaveContract, KeepingContract):
    """All that a store does."""


def _purged(store: Store, now_s: float) -> int:
    total = 0
    while bits := run(store, Purge(now_s=now_s)):
        total += bits
    return total
