import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from bellweave.edge.store_writer import MAX_BATCH, MAX_WAITING, StoreWriter
from bellweave.errors import PeerRefused, StoreFailed
from bellweave.kms.operations import Accounts, NextNumber, Operation


class EchoStore:
    """Answers each operation with its pool's name; does nothing while its gate is closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[int] = []
        self.error: Exception | None = None
        self.threads: set[str] = set()
        self.closed = False

    def apply(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(60.0)
        self.batches.append(len(operations))
        if self.error is not None:
            raise self.error
        return [each.pool if isinstance(each, NextNumber) else PeerRefused("not mine") for each in operations]

    def close(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.closed = True


async def test_each_request_gets_the_results_of_its_own_operations() -> None:
    store = EchoStore()
    writer = StoreWriter(store)

    answers = await asyncio.gather(*(writer.apply([NextNumber(pool=f"{n}.{k}") for k in range(n)]) for n in range(9)))

    assert answers == [[f"{n}.{k}" for k in range(n)] for n in range(9)]
    await writer.close()


async def test_requests_of_one_moment_share_a_transaction() -> None:
    store = EchoStore()
    writer = StoreWriter(store)

    await asyncio.gather(*(writer.apply([NextNumber(pool="p")]) for _ in range(64)))

    assert store.batches == [64]
    assert (writer.counts.batches, writer.counts.requests, writer.counts.largest_batch) == (1, 64, 64)
    assert writer.counts.store_s > 0.0
    await writer.close()


async def test_what_comes_during_a_commit_goes_together_into_the_next_up_to_the_limit() -> None:
    store = EchoStore()
    writer = StoreWriter(store)
    store.gate.clear()
    first = asyncio.ensure_future(writer.apply([NextNumber(pool="p")]))
    while not store.threads:  # noqa: ASYNC110 it is in the store
        await asyncio.sleep(0.001)

    rest = [asyncio.ensure_future(writer.apply([NextNumber(pool="p")])) for _ in range(MAX_BATCH + 10)]
    await asyncio.sleep(0)
    store.gate.set()
    await asyncio.gather(first, *rest)

    assert store.batches == [1, MAX_BATCH, 10]
    await writer.close()


async def test_a_failed_transaction_fails_every_request_of_its_batch_and_none_of_the_next() -> None:
    store = EchoStore()
    writer = StoreWriter(store)
    store.error = StoreFailed("the disk is full")

    failed = await asyncio.gather(*(writer.apply([NextNumber(pool="p")]) for _ in range(3)), return_exceptions=True)
    store.error = None

    assert [str(error) for error in failed if isinstance(error, StoreFailed)] == ["the disk is full"] * 3
    assert len({id(error) for error in failed}) == 3
    assert writer.counts.failed_batches == 1
    assert await writer.apply([NextNumber(pool="p")]) == ["p"]
    await writer.close()


async def test_a_fault_in_the_store_fails_the_batch_and_not_the_writer() -> None:
    store = EchoStore()
    writer = StoreWriter(store)
    store.error = ZeroDivisionError()

    with pytest.raises(StoreFailed, match="unexpectedly: ZeroDivisionError"):
        await writer.apply([NextNumber(pool="p")])
    store.error = None

    assert await writer.apply([NextNumber(pool="p")]) == ["p"]
    await writer.close()


async def test_an_operation_that_fails_is_a_result_and_no_failure_of_the_batch() -> None:
    writer = StoreWriter(EchoStore())

    good, bad = await writer.apply([NextNumber(pool="p"), Accounts()])

    assert good == "p"
    assert isinstance(bad, PeerRefused)
    await writer.close()


async def test_a_request_beyond_the_limit_is_refused_at_once() -> None:
    store = EchoStore()
    writer = StoreWriter(store)
    store.gate.clear()
    waiting = [asyncio.ensure_future(writer.apply([NextNumber(pool="p")])) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)

    with pytest.raises(StoreFailed, match=f"{MAX_WAITING} requests wait"):
        await writer.apply([NextNumber(pool="p")])

    store.gate.set()
    assert len(await asyncio.gather(*waiting)) == MAX_WAITING
    await writer.close()


async def test_a_request_is_carried_out_even_if_its_caller_has_gone() -> None:
    store = EchoStore()
    writer = StoreWriter(store)
    store.gate.clear()
    gone = asyncio.ensure_future(writer.apply([NextNumber(pool="gone")]))
    stays = asyncio.ensure_future(writer.apply([NextNumber(pool="stays")]))
    await asyncio.sleep(0.02)

    gone.cancel()
    store.gate.set()

    assert await stays == ["stays"]
    assert store.batches == [2]
    await writer.close()


async def test_closing_carries_out_what_waits_and_then_takes_no_more() -> None:
    store = EchoStore()
    writer = StoreWriter(store)
    waiting = [asyncio.ensure_future(writer.apply([NextNumber(pool="p")])) for _ in range(300)]
    await asyncio.sleep(0)

    await writer.close()

    assert await asyncio.gather(*waiting) == [["p"]] * 300
    assert store.closed
    assert store.threads == {"store writer"}
    with pytest.raises(StoreFailed, match="closed"):
        await writer.apply([NextNumber(pool="p")])


async def test_a_store_in_memory_answers_at_once_without_a_thread() -> None:
    store = EchoStore()
    writer = StoreWriter(store, inline=True)
    answers: list[Any] = []

    writer.submit([NextNumber(pool="p")], answers.append)

    assert answers == [["p"]]
    assert store.threads == {threading.current_thread().name}
    await writer.close()
    assert store.closed


async def test_every_batch_is_observed() -> None:
    seen: list[tuple[int, float]] = []
    writer = StoreWriter(EchoStore(), observe=lambda requests, store_s: seen.append((requests, store_s)))

    await asyncio.gather(*(writer.apply([NextNumber(pool="p")]) for _ in range(5)))

    assert [requests for requests, _ in seen] == [5]
    assert seen[0][1] > 0.0
    await writer.close()
