"""A store's only writer: one thread, one transaction at a time; what comes meanwhile goes into the next (group commit).

Rules:

1. The store is touched by the writer's thread alone, so it needs no lock. A store in memory never waits: it runs in
   the event loop, without a thread (``inline``).
2. All else belongs to the event loop. It hands over a batch when the thread is idle and gets back all its results in
   one call, so a batch costs two wake-ups, however many requests it holds.
3. A request whose caller has gone away is carried out all the same.
"""

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import structlog

from bellweave.errors import DeliveryError, StoreFailed
from bellweave.kms.operations import Operation, Store

MAX_BATCH = 128
"""Most requests in one transaction: enough to share a slow disk's flush, few enough to keep the first from waiting."""

MAX_WAITING = 4096
"""Most requests that wait. More than all connections together can have under way; beyond it the store is too slow."""

Operations = Sequence[Operation[Any]]
Then = Callable[[list[Any] | DeliveryError], None]
"""Gets the results of a request's operations, or the error that hit them all."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Counts:
    """What a writer has done.

    Attributes:
        batches, requests: How many were carried out; the batches that failed among them.
        failed_batches: Nothing of these was changed.
        store_s: Time that the store took, all batches together.
        largest_batch: Requests.
    """

    batches: int = 0
    requests: int = 0
    failed_batches: int = 0
    store_s: float = 0.0
    largest_batch: int = 0


class StoreWriter:
    """Carries out store operations, one batch after the other.

    Args:
        store: Closed by :meth:`close`.
        inline: Whether the store is in memory and answers at once.
        observe: Gets each batch's number of requests and the seconds that the store took, in the event loop.
    """

    def __init__(
        self, store: Store, *, inline: bool = False, observe: Callable[[int, float], None] | None = None
    ) -> None:
        self.counts = Counts()
        self._store = store
        self._observe = observe
        self._closed = False
        self._busy = False
        self._waiting: deque[tuple[Operations, Then]] = deque()
        self._batches: SimpleQueue[list[tuple[Operations, Then]] | None] = SimpleQueue()
        self._drained: asyncio.Future[None] | None = None
        self._thread: threading.Thread | None = None
        if not inline:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._work, name="store writer", daemon=True)
            self._thread.start()

    @property
    def waiting(self) -> int:
        """How many requests wait for the next batch."""
        return len(self._waiting)

    async def apply(self, operations: Operations) -> list[Any]:
        """Carry out operations, as one of perhaps many requests in a transaction, and return their results.

        Raises:
            StoreFailed: Nothing was changed.
        """
        done: asyncio.Future[list[Any] | DeliveryError] = asyncio.get_running_loop().create_future()

        def then(outcome: list[Any] | DeliveryError) -> None:
            if not done.done():
                done.set_result(outcome)

        self.submit(operations, then)
        outcome = await done
        if isinstance(outcome, DeliveryError):
            raise outcome
        return outcome

    def submit(self, operations: Operations, then: Then) -> None:
        """As :meth:`apply`, but calls ``then``; at once where the store is inline or nothing can be done."""
        if self._closed:
            then(StoreFailed("the store is closed"))
        elif self._thread is None:
            outcome, store_s = self._run([(operations, then)])
            self._finish([(operations, then)], outcome, store_s)
        elif len(self._waiting) >= MAX_WAITING:
            then(StoreFailed(f"{MAX_WAITING} requests wait for the store, which is the limit"))
        else:
            self._waiting.append((operations, then))
            if not self._busy:
                self._busy = True
                self._loop.call_soon(self._hand_over)  # so that others of this turn of the loop come along

    async def close(self) -> None:
        """Carry out what waits, take no more, and close the store."""
        self._closed = True
        if self._thread is None:
            self._store.close()
            return
        if self._busy:
            self._drained = self._loop.create_future()
            await self._drained
        self._batches.put(None)
        await asyncio.to_thread(self._thread.join)

    def _hand_over(self) -> None:
        """Give the idle thread the next batch."""
        waiting = self._waiting
        if waiting:
            self._batches.put([waiting.popleft() for _ in range(min(MAX_BATCH, len(waiting)))])
            return
        self._busy = False
        if self._drained is not None:
            self._drained.set_result(None)

    def _work(self) -> None:
        """Be the thread."""
        while (batch := self._batches.get()) is not None:
            outcome, store_s = self._run(batch)
            self._loop.call_soon_threadsafe(self._carried_out, batch, outcome, store_s)
        self._store.close()

    def _run(self, batch: list[tuple[Operations, Then]]) -> tuple[list[Any] | DeliveryError, float]:
        """Return all results of a batch in one list, or what went wrong with it, and how long it took."""
        operations = batch[0][0] if len(batch) == 1 else [*itertools.chain.from_iterable(each for each, _ in batch)]
        start_s = time.perf_counter()
        try:
            outcome: list[Any] | DeliveryError = self._store.apply(operations)
        except StoreFailed as error:
            _log.warning("the store failed", problem=str(error), requests=len(batch))
            outcome = error
        except Exception as error:  # noqa: BLE001 logged whole; the callers go on
            _log.exception("the store failed unexpectedly", requests=len(batch))
            outcome = StoreFailed(f"the store failed unexpectedly: {type(error).__name__}")
        return outcome, time.perf_counter() - start_s

    def _carried_out(self, batch: list[tuple[Operations, Then]], outcome: list[Any] | DeliveryError, s: float) -> None:
        self._hand_over()  # first of all: the thread works on the next while the loop looks at these
        self._finish(batch, outcome, s)

    def _finish(self, batch: list[tuple[Operations, Then]], outcome: list[Any] | DeliveryError, store_s: float) -> None:
        """Count a batch and hand each request its results."""
        counts = self.counts
        counts.batches += 1
        counts.requests += len(batch)
        counts.store_s += store_s
        counts.largest_batch = max(counts.largest_batch, len(batch))
        if self._observe is not None:
            self._observe(len(batch), store_s)
        if isinstance(outcome, DeliveryError):
            counts.failed_batches += 1
            for _, then in batch:
                then(StoreFailed(str(outcome)))  # an error of its own for each: tracebacks grow where they are raised
            return
        first = 0
        for operations, then in batch:
            end = first + len(operations)
            then(outcome[first:end])
            first = end
