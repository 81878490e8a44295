"""Claimed portions in memory, from which keys are sliced without waiting.

Rules:

1. Nothing here yields: between two effects of a work, what it reads and changes is consistent.
2. A batch's cursor says where the next slice starts. It is a hint: what makes two keys of the same bytes impossible is
   that the slave's KME refuses slices below its mark, and the own store slices below its cursor.
3. Bytes that were surely not announced are given back. If that is in doubt the batch is *closed*: no key is sliced from
   it any more, and when no slice of it is under way it is forgotten, to be claimed again with the peer's mark.
"""

from collections import deque
from dataclasses import dataclass

from bellweave.kms.records import Buffer, Slice, Statement, Stock, merged

ANY_AGE_S = float("-inf")


class Batch:
    """A portion in memory. ``durable_bytes``: its cursor as far as the store is known to have it."""

    __slots__ = (
        "closed", "cursor_bytes", "durable_bytes", "end_bytes", "expires_s", "flights", "holes", "made_s", "material",
        "number", "queued", "statement",
    )  # fmt: skip

    def __init__(self, stock: Stock, cursor_bytes: int) -> None:
        self.number = stock.portion.number
        self.material = stock.material
        self.statement = stock.statement
        self.made_s = stock.statement.made_s
        self.expires_s = stock.expires_s
        self.cursor_bytes = cursor_bytes
        self.durable_bytes = cursor_bytes
        self.end_bytes = stock.portion.length_bytes
        self.flights = 0  # slices reserved, and neither delivered nor given back
        self.holes: dict[int, int] = {}  # end -> start of what was given back while later slices were under way
        self.queued = True
        self.closed = False


@dataclass(slots=True)
class Reserved:
    """The bytes of one key, kept from everybody else. Never shown."""

    shelf: "Shelf"
    batches: tuple[Batch, ...]  # of the slices
    slices: tuple[Slice, ...]
    bits: bytes
    statement: Statement

    def __repr__(self) -> str:
        return f"<Reserved {len(self.bits)} bytes of {self.shelf.buffer.pool}>"


class Shelf:
    """What of one buffer is in memory.

    Attributes:
        buffer: Whose it is.
        peer: The KME that the pool is shared with: the slave's.
        demand_bytes: What requests that are claiming now lack, summed: a claim asks for all of it.
        active: Whether anybody has asked for it since the start.
    """

    def __init__(self, buffer: Buffer, peer: str, *, lowers_cursors: bool) -> None:
        self.buffer = buffer
        self.peer = peer
        self.demand_bytes = 0
        self.active = False
        self._lowers_cursors = lowers_cursors
        self._held: dict[int, Batch] = {}
        self._queue: deque[Batch] = deque()
        self._floors: dict[int, int] = {}  # number -> how far it was ever used here, where cursors are never lowered

    def holds(self, number: int) -> bool:
        """Return whether this portion is in memory."""
        return number in self._held

    def unsettled_bytes(self) -> int:
        """Return how much of the portions in memory the store counts as unused."""
        return sum(batch.end_bytes - batch.durable_bytes for batch in self._held.values())

    def usable_bytes(self, now_s: float, oldest_s: float = ANY_AGE_S) -> int:
        """Return how much a request can have now that takes nothing made before ``oldest_s``."""
        return sum(
            batch.end_bytes - batch.cursor_bytes
            for batch in self._queue
            if batch.expires_s > now_s and batch.made_s >= oldest_s
        )

    def put(self, stock: Stock, cursor_bytes: int) -> None:
        """Take in a claimed portion from this cursor on, unless it is there or used up."""
        number = stock.portion.number
        floor_bytes = max(cursor_bytes, self._floors.get(number, 0))
        if number in self._held or floor_bytes >= stock.portion.length_bytes:
            return
        batch = Batch(stock, cursor_bytes)
        batch.cursor_bytes = floor_bytes
        self._held[number] = batch
        self._queue.append(batch)

    def reserve(self, size_bytes: int, now_s: float, oldest_s: float = ANY_AGE_S) -> Reserved | None:
        """Slice one key off the front; None, and no change, if there is too little."""
        queue = self._queue
        if not queue:
            return None
        batch = queue[0]
        start = batch.cursor_bytes
        end = start + size_bytes
        if end > batch.end_bytes or batch.expires_s <= now_s or batch.made_s < oldest_s:
            return self._reserve_over_batches(size_bytes, now_s, oldest_s)
        batch.cursor_bytes = end
        batch.flights += 1
        if end == batch.end_bytes:
            queue.popleft()
            batch.queued = False
        slices = (Slice(batch.number, start, size_bytes),)
        return Reserved(self, (batch,), slices, batch.material[start:end], batch.statement)

    def _reserve_over_batches(self, size_bytes: int, now_s: float, oldest_s: float) -> Reserved | None:
        for batch in [batch for batch in self._queue if batch.expires_s <= now_s]:
            self._close(batch)
        parts: list[tuple[Batch, Slice]] = []
        missing = size_bytes
        for batch in self._queue:
            if batch.made_s >= oldest_s:
                length = min(missing, batch.end_bytes - batch.cursor_bytes)
                parts.append((batch, Slice(batch.number, batch.cursor_bytes, length)))
                missing -= length
                if not missing:
                    break
        if missing:
            return None
        for batch, each in parts:
            batch.cursor_bytes += each.length_bytes
            batch.flights += 1
            if batch.cursor_bytes == batch.end_bytes:
                self._queue.remove(batch)
                batch.queued = False
        bits = b"".join(
            batch.material[each.start_bytes : each.start_bytes + each.length_bytes] for batch, each in parts
        )
        batches, slices = zip(*parts, strict=True)
        return Reserved(self, batches, slices, bits, merged(tuple(batch.statement for batch in batches)))

    def delivered(self, reserved: Reserved) -> None:
        """Note that the store has recorded the key as delivered."""
        for batch, each in zip(reserved.batches, reserved.slices, strict=True):
            batch.flights -= 1
            end = each.start_bytes + each.length_bytes
            if end > batch.durable_bytes:  # noqa: PLR1730 six thousand times a second: max() costs a call
                batch.durable_bytes = end
            if not batch.flights:
                self._forget_if_finished(batch)

    def give_back(self, reserved: Reserved) -> None:
        """Undo a reservation of which the peer surely knows nothing."""
        for batch, each in zip(reversed(reserved.batches), reversed(reserved.slices), strict=True):
            batch.flights -= 1
            if batch.closed:
                self._forget_if_finished(batch)
                continue
            batch.holes[each.start_bytes + each.length_bytes] = each.start_bytes
            while (start := batch.holes.pop(batch.cursor_bytes, None)) is not None:
                batch.cursor_bytes = start
            if not batch.queued and batch.cursor_bytes < batch.end_bytes:
                batch.queued = True
                self._queue.appendleft(batch)
            self._forget_if_finished(batch)

    def doubt(self, reserved: Reserved) -> None:
        """Note that nobody here knows whether the peer has stored the key, or that it refused to."""
        for batch in reserved.batches:
            batch.flights -= 1
            self._close(batch)

    def clear(self) -> None:
        """Use nothing of what is in memory any more: the peer's marks are to be asked for again."""
        for batch in list(self._held.values()):
            self._close(batch)

    def _close(self, batch: Batch) -> None:
        if batch.queued:
            self._queue.remove(batch)
            batch.queued = False
        if not batch.closed and not self._lowers_cursors:
            self._floors[batch.number] = batch.cursor_bytes
        batch.closed = True
        self._forget_if_finished(batch)

    def _forget_if_finished(self, batch: Batch) -> None:
        if not batch.flights and (batch.closed or batch.cursor_bytes == batch.end_bytes):
            self._held.pop(batch.number, None)
