"""Test key in both stores of each pair."""

from itertools import islice

import pytest

from bellweave.errors import ScenarioError
from bellweave.kms.operations import Accounts, AddBlock, Claim, Cut, Level, Levels, Settle
from bellweave.kms.params import Kms, Pair
from bellweave.kms.prefill import fill
from bellweave.kms.records import MAX_BLOCK_BYTES, Buffer, pool_name
from bellweave.kms.store import MemoryStore
from bellweave.kms.wanted import Wanted
from bellweave.rng import stream
from bellweave.testing.key_servers import directory, network
from bellweave.testing.stores import run

SAES = {"alice": "kme-a", "bob": "kme-b", "carol": "kme-c"}
PAIRS = (("alice", "bob"), ("bob", "carol"), ("bob", "alice"), ("carol", "bob"))


def filled(kme: str, keys: int, params: Kms | None = None, **more: object) -> MemoryStore:
    store = MemoryStore()
    operations = fill(
        directory(kme, SAES, **more), params or Kms(), [(*pair, keys) for pair in PAIRS], stream(1, "test"), 1000.0
    )
    assert not any(isinstance(result, Exception) for result in store.apply(list(operations)))
    return store


def buffer(master: str, slave: str, origin: str = "direct") -> Buffer:
    return Buffer(master=master, slave=slave, pool=pool_name(SAES[master], SAES[slave], origin))  # type: ignore[arg-type]


def bits(store: MemoryStore, of: Buffer) -> bytes:
    stocks = run(store, Claim(buffer=of, server="0", least_bytes=1 << 40, now_s=1000.0, again=True))
    assert {stock.statement.provenance for stock in stocks} == {"test"}
    return b"".join(stock.material for stock in stocks)


@pytest.mark.parametrize("keys", [1, 1024, 1025, 3000])
def test_each_buffer_holds_exactly_so_many_keys_the_same_at_both_ends(keys: int) -> None:
    stores = {kme: filled(kme, keys) for kme in ("kme-a", "kme-b", "kme-c")}
    seen = set()
    for master, slave in PAIRS:
        here, there = (bits(stores[SAES[sae]], buffer(master, slave)) for sae in (master, slave))
        assert here == there
        assert len(here) == 32 * keys
        seen.add(here)
    assert len(seen) == len(PAIRS)


def test_a_kme_keeps_nothing_of_pairs_of_others() -> None:
    accounts = run(filled("kme-a", 10), Accounts())
    assert list(accounts) == ["kme-a|kme-b/direct"]


def test_a_pairs_first_pool_is_filled() -> None:
    pairs = tuple(Pair(master=master, slave=slave, origins=("relayed", "direct")) for master, slave in PAIRS)
    store = filled("kme-a", 10, pairs=pairs)
    (level,) = run(store, Levels(buffers=(buffer("alice", "bob", "relayed"),)))
    assert level == Level(buffer_bytes=320, free_bytes=0, waiting_bytes=0)


def test_keys_that_do_not_divide_a_block_are_whole_over_all() -> None:
    assert len(bits(filled("kme-a", 999, Kms(key_size_bits=520)), buffer("alice", "bob"))) == 999 * 65


def test_blocks_come_one_at_a_time() -> None:
    operations = fill(directory("kme-a", SAES), Kms(), [(*pair, 10_000_000) for pair in PAIRS], stream(1, "test"), 0.0)
    first = list(islice(operations, 6))
    assert [type(each) for each in first] == [AddBlock, Settle, Cut] * 2
    assert isinstance(first[0], AddBlock)
    assert len(first[0].block.material) == MAX_BLOCK_BYTES


def test_a_stranger_is_no_party() -> None:
    with pytest.raises(ScenarioError, match="eve is not among the SAEs"):
        list(fill(directory("kme-a", SAES), Kms(), (("alice", "eve", 1),), stream(1, "test"), 0.0))


def test_kmes_deliver_from_buffers_that_were_filled() -> None:
    net = network(saes=SAES)
    for kme in ("kme-a", "kme-b", "kme-c"):
        net.store(kme).apply(
            list(fill(directory(kme, SAES), Kms(), [(*pair, 50) for pair in PAIRS], stream(1, "test"), net.now_s))
        )
    wanted = Wanted(master="bob", slaves=("carol",), count=50, size_bits=256)
    keys = net.run("kme-b", net.kme("kme-b").draw(wanted, net.now_s))
    ids = tuple(key.key_id for key in keys)
    assert net.run("kme-c", net.kme("kme-c").take("carol", "bob", ids, net.now_s)) == keys
