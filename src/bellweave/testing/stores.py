"""Material for the tests of key stores: blocks, portions, notes, and stores that hold them."""

# ruff: noqa: S101 (these are parts of tests)

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from bellweave.errors import DeliveryError
from bellweave.kms.ledger import imbalance_bits
from bellweave.kms.operations import (
    Accounts,
    AddBlock,
    Claim,
    Cut,
    Deliver,
    Level,
    Levels,
    Operation,
    Record,
    Settle,
    Store,
    Take,
)
from bellweave.kms.records import Account, Block, Buffer, KeyNote, Portion, Slice, Statement
from bellweave.rng import stream

R = TypeVar("R")

POOL = "kme-a|kme-b/direct"
BUFFER = Buffer(master="alice", slave="bob", pool=POOL)
OTHER = Buffer(master="anna", slave="bert", pool=POOL)
NOW_S = 1000.0


def run(store: Store, operation: Operation[R]) -> R:
    """Run one operation; raise its error or return its result."""
    (result,) = store.apply((operation,))
    if isinstance(result, DeliveryError):
        raise result
    return result  # type: ignore[no-any-return]


def statement(block_id: str, **more: Any) -> Statement:
    """Return what is known of a block."""
    values: dict[str, Any] = {
        "block_ids": (block_id,),
        "origin": "direct",
        "hops": 1,
        "epsilon": 1e-10,
        "provable": True,
        "provenance": "test",
        "made_s": NOW_S,
    }
    return Statement(**(values | more))


def block(block_id: str = "one", size_bytes: int = 256, *, pool: str = POOL, seed: int = 1, **more: Any) -> Block:
    """Return a block, the same for the same arguments."""
    values: dict[str, Any] = {
        "pool": pool,
        "block_id": block_id,
        "material": stream(seed, pool, block_id).bytes(size_bytes),
        "statement": statement(block_id),
        "expires_s": NOW_S + 10_000.0,
    }
    return Block(**(values | more))


def portion(
    number: int, start_bytes: int, length_bytes: int, block_id: str = "one", buffer: Buffer = BUFFER
) -> Portion:
    """Return a portion."""
    return Portion(buffer=buffer, number=number, block_id=block_id, start_bytes=start_bytes, length_bytes=length_bytes)


def note(
    key: int, slices: Iterable[tuple[int, int, int]] = ((0, 0, 32),), slaves: tuple[str, ...] = ("bob",), **more: Any
) -> KeyNote:
    """Return a note of a key whose id is ``key``, of slices (number, start, length) in bytes."""
    parts = tuple(Slice(*each) for each in slices)
    values: dict[str, Any] = {
        "key_id": key.to_bytes(16, "big"),
        "pool": POOL,
        "master": "alice",
        "slaves": slaves,
        "size_bytes": sum(each.length_bytes for each in parts),
        "slices": parts,
        "expires_s": NOW_S + 100.0,
    }
    return KeyNote(**(values | more))


def confirm(store: Store, *blocks: Block, tag_bytes: int = 0) -> None:
    """Have a store hold blocks and confirm them."""
    for each in blocks:
        assert run(store, AddBlock(block=each))
        settle = Settle(pool=each.pool, block_id=each.block_id, verdict="confirmed", tag_bytes=tag_bytes)
        assert run(store, settle)


def fill(store: Store, *lengths_bytes: int, block_id: str = "one", buffer: Buffer = BUFFER) -> Block:
    """Have a fresh store hold a block that is cut into portions of these lengths for a buffer; return the block."""
    whole = block(block_id, sum(lengths_bytes), pool=buffer.pool)
    confirm(store, whole)
    starts = [sum(lengths_bytes[:index]) for index in range(len(lengths_bytes))]
    portions = (
        portion(number, start, length, block_id, buffer)
        for number, (start, length) in enumerate(zip(starts, lengths_bytes, strict=True))
    )
    run(store, Cut(portions=tuple(portions)))
    return whole


def ledger(store: Store, pool: str = POOL) -> dict[Account, int]:
    """Return the accounts of a pool that are not 0, in bits, after a check that they close."""
    accounts = run(store, Accounts()).get(pool, {})
    assert imbalance_bits(accounts) == 0, accounts
    assert all(bits >= 0 for bits in accounts.values()), accounts
    return {account: bits for account, bits in accounts.items() if bits}


def level(store: Store, buffer: Buffer = BUFFER) -> tuple[int, int, int]:
    """Return a buffer's level: bytes unused in it, free in its pool, waiting in its pool."""
    (found,) = run(store, Levels(buffers=(buffer,)))
    assert isinstance(found, Level)
    return msgspec.structs.astuple(found)


def settle(block_id: str = "one", verdict: Any = "confirmed", tag_bytes: int = 0) -> Settle:
    """Return the operation that settles a block of :data:`POOL`."""
    return Settle(pool=POOL, block_id=block_id, verdict=verdict, tag_bytes=tag_bytes)


def record(store: Store, *notes: Any) -> tuple[str | None, ...]:
    """Store announced keys; return the problems."""
    return run(store, Record(notes=notes, now_s=NOW_S))


def deliver(store: Store, *notes: Any, keep: tuple[Any, ...] = ()) -> None:
    """Record keys as delivered."""
    run(store, Deliver(notes=notes, now_s=NOW_S, keep=keep))


def take(store: Store, *keys: int, caller: str = "bob", master: str | None = "alice", now_s: float = NOW_S) -> Any:
    """Take keys by their numbers."""
    return run(store, Take(caller=caller, master=master, key_ids=tuple(map(key_id, keys)), now_s=now_s))


def claim(store: Store, least_bytes: int, server: str = "0", buffer: Buffer = BUFFER, **more: Any) -> Any:
    """Claim portions of a buffer."""
    values: dict[str, Any] = {"now_s": NOW_S} | more
    return run(store, Claim(buffer=buffer, server=server, least_bytes=least_bytes, **values))


def numbers(stocks: Any) -> list[int]:
    """Return the numbers of claimed portions."""
    return [stock.portion.number for stock in stocks]


def key_id(key: int) -> bytes:
    """Return the id of the key of this number, as :func:`note` makes it."""
    return key.to_bytes(16, "big")
