"""Servers that share a PostgreSQL store: each byte goes to one of them, and all bytes are used."""

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bellweave.edge.sql_store import SqlStore
from bellweave.edge.sql_store.audit import read_audit, verify
from bellweave.errors import PeerRefused, UnknownKeys
from bellweave.kms.operations import AddBlock, Cut, Operation, Portions, Record, Renew, Take, Witness
from bellweave.kms.records import Account
from bellweave.testing.postgres import Postgres
from bellweave.testing.store_crash import KEY_BYTES, Told, deliver_all, prepare
from bellweave.testing.stores import (
    NOW_S,
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
)

MASTER_KEY = bytes(range(32))


@pytest.mark.emu
def test_two_processes_that_race_over_one_buffer_use_all_of_it_and_no_byte_twice(
    tmp_path: Path, postgres: Postgres
) -> None:
    url = postgres.new_database()
    prepare(url, 2)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "bellweave.testing.store_crash"])
    files = [tmp_path / f"said {server}" for server in "01"]
    meeting = context.Barrier(2, timeout=60.0)  # neither may have it all before the other has begun
    children = [
        context.Process(target=deliver_all, args=(url, str(file), server, meeting))
        for file, server in zip(files, "01", strict=True)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(60.0)
        assert child.exitcode == 0

    told = Told(*files)

    places = {(number, start) for _, number, start in told.delivered}
    assert len(places) == len(told.delivered) == 2 * 32768 // KEY_BYTES
    assert all(Told(file).delivered for file in files), "both had some"
    told.check(url)
    assert ledger_of(url) == {"ingested": 2 * 32768 * 8, "delivered": 2 * 32768 * 8}
    assert {head.server for head in verify(url, MASTER_KEY)} >= {"0", "1"}


def ledger_of(url: str) -> dict[Account, int]:
    store = SqlStore(url, MASTER_KEY, server="look")
    found = ledger(store)
    store.close()
    return found


def at_once(*stores: SqlStore, batches: Callable[[int], list[Sequence[Operation[Any]]]]) -> list[list[Any]]:
    """Let each store run its batches in a thread of its own; return the results of each."""
    results: list[list[Any]] = [[] for _ in stores]
    ready = threading.Barrier(len(stores))

    def work(index: int) -> None:
        ready.wait(10.0)
        for batch in batches(index):
            results[index] += stores[index].apply(batch)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(stores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    return results


@pytest.fixture
def servers(postgres: Postgres) -> Iterator[tuple[SqlStore, SqlStore]]:
    url = postgres.new_database()
    stores = SqlStore(url, MASTER_KEY, server="0"), SqlStore(url, MASTER_KEY, server="1")
    yield stores
    for store in stores:
        store.close()


def test_a_key_that_two_servers_are_asked_for_is_taken_once(servers: tuple[SqlStore, SqlStore]) -> None:
    fill(servers[0], 8 * 200)
    assert not any(record(servers[0], *(note(key, ((0, 8 * key, 8),)) for key in range(200))))

    def batches(_: int) -> list[Sequence[Operation[Any]]]:
        takes = [Take(caller="bob", master=None, key_ids=(key_id(key),), now_s=NOW_S) for key in range(200)]
        return [takes[start : start + 20] for start in range(0, 200, 20)]

    results = at_once(*servers, batches=batches)

    for one, other in zip(*results, strict=True):
        assert isinstance(one, UnknownKeys) != isinstance(other, UnknownKeys)
    assert ledger(servers[1]) == {"ingested": 64 * 200, "delivered": 64 * 200}


def test_batches_that_want_the_same_rows_in_opposite_order_do_not_block_each_other(
    servers: tuple[SqlStore, SqlStore],
) -> None:
    fill(servers[0], *([64] * 40))
    assert not any(record(servers[0], *(note(key, ((key, 0, 32),)) for key in range(40))))

    def batches(server: int) -> list[Sequence[Operation[Any]]]:
        order = range(40) if server else range(39, -1, -1)
        batch: list[Operation[Any]] = []
        for key in order:
            batch.append(Take(caller="bob", master=None, key_ids=(key_id(key),), now_s=NOW_S))
            fresh = note(100 + 40 * server + key, ((key, 32 + 16 * server, 16),))
            batch.append(Record(notes=(fresh,), now_s=NOW_S))
        return [batch]

    results = at_once(*servers, batches=batches)

    assert [len(each) for each in results] == [80, 80]
    ledger(servers[0])


def test_changes_of_one_pool_at_several_servers_add_up(servers: tuple[SqlStore, SqlStore]) -> None:
    def batches(server: int) -> list[Sequence[Operation[Any]]]:
        own = [AddBlock(block=block(f"{server} {number}", 64)) for number in range(30)]
        both = [AddBlock(block=block(f"both {number}", 64)) for number in range(30)]
        counts = [Witness(peer="kme-b", changes=2 * number + server) for number in range(30)]
        return [list(each) for each in zip(own, both, counts, strict=True)]

    results = at_once(*servers, batches=batches)

    assert ledger(servers[0]) == {"ingested": 90 * 512, "available": 90 * 512}
    assert level(servers[1]) == (0, 0, 90 * 64)
    added = Counter(index for each in results for index, result in enumerate(each[1::3]) if result is True)
    assert added == Counter(range(30)), "each block that both got was new to one of them"
    for server, each in enumerate(results):
        counts = each[2::3]
        assert counts == sorted(counts), "the highest count is never lowered"
        assert all(count >= 2 * number + server for number, count in enumerate(counts))
    assert run(servers[0], Witness(peer="kme-b")) == 59


def test_numbers_of_portions_go_on_without_gaps_whoever_cuts(servers: tuple[SqlStore, SqlStore]) -> None:
    confirm(servers[0], *(block(name, 400) for name in "01"))

    def cut(server: int) -> list[Sequence[Operation[Any]]]:
        return [[Cut(portions=(portion(number, 4 * number, 4, str(server)),))] for number in range(100)]

    results = at_once(*servers, batches=cut)

    cuts = run(servers[0], Portions(pool=POOL, number=0, limit=1000))
    made = [result for each in results for result in each if not isinstance(result, PeerRefused)]
    assert [each.number for each in cuts] == list(range(len(cuts)))
    assert len(cuts) == max(made)


def test_a_servers_portions_pass_to_another_when_its_lease_is_over(servers: tuple[SqlStore, SqlStore]) -> None:
    one, other = servers
    fill(one, 64, 64)
    run(one, Renew(server="0", until_s=NOW_S + 10))
    assert numbers(claim(one, 1, "0")) == [0]

    assert numbers(claim(other, 1000, "1", now_s=NOW_S + 9)) == [1]
    assert numbers(claim(other, 1000, "1", now_s=NOW_S + 10)) == [0]
    deliver(other, note(1, ((0, 0, 48),)))
    with pytest.raises(PeerRefused):
        deliver(one, note(2, ((0, 0, 32),)))


def test_each_server_has_a_chain_of_its_own_in_the_audit_trail(postgres: Postgres) -> None:
    url = postgres.new_database()
    stores = SqlStore(url, MASTER_KEY, server="0"), SqlStore(url, MASTER_KEY, server="1")
    fill(stores[0], 64)
    deliver(stores[1], note(1))
    deliver(stores[0], note(2, ((0, 32, 32),)))

    heads = verify(url, MASTER_KEY)

    assert [(head.server, head.seq) for head in heads] == [("0", 3), ("1", 1)]
    assert [entry.server for entry in read_audit(url)] == ["0", "0", "0", "1"]
    for store in stores:
        store.close()


def test_two_servers_of_one_name_do_no_harm(postgres: Postgres) -> None:
    url = postgres.new_database()
    stores = SqlStore(url, MASTER_KEY), SqlStore(url, MASTER_KEY)
    fill(stores[0], 8 * 100)

    def batches(server: int) -> list[Sequence[Operation[Any]]]:
        keys = range(server, 100, 2)
        return [[Record(notes=(note(key, ((0, 8 * key, 8),)),), now_s=NOW_S)] for key in keys]

    at_once(*stores, batches=batches)

    assert verify(url, MASTER_KEY)
    ledger(stores[0])
    for store in stores:
        store.close()


def test_many_servers_may_make_a_store_at_once(postgres: Postgres) -> None:
    url = postgres.new_database()
    names: list[str] = []

    def start(server: int) -> None:
        store = SqlStore(url, MASTER_KEY, server=str(server))
        names.append(store.store_name)
        store.close()

    threads = [threading.Thread(target=start, args=(server,)) for server in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)

    assert len(names) == 6
    assert len(set(names)) == 1
