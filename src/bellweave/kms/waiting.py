"""The keys that wait in a store in memory.

Rules:

1. A key waits for each of its slaves, and goes when the last of them has taken it, it is withdrawn, or it has expired.
2. It holds on to the blocks of its slices, not to bytes of its own; a copy is its own bytes.
3. The queue of expiries is lazy: keys that went stay in it, until they are more than those that wait.
"""

import heapq
from collections.abc import Iterable

from bellweave.kms.ledger import given_up, taken, total_bits
from bellweave.kms.pool import Pool
from bellweave.kms.pool_parts import Piece
from bellweave.kms.records import KeyNote, Material, merged

SLACK = 1024
"""Stale entries that the queue may hold, whatever waits."""


class Key:
    """A key that waits. ``booked``: its bits are booked as delivered; ``pieces``: what its slices are of."""

    __slots__ = ("booked", "note", "pieces", "pool", "slaves")

    def __init__(self, note: KeyNote, pool: Pool | None, *, booked: bool) -> None:
        self.note = note
        self.pool = pool
        self.slaves = set(note.slaves)
        self.booked = booked
        self.pieces: tuple[Piece, ...] = tuple([pool.pieces[each.number] for each in note.slices]) if pool else ()
        for piece in self.pieces:
            piece.held.uses += 1

    def material(self) -> Material:
        """Return the key as it leaves the store."""
        note, pieces = self.note, self.pieces
        if note.copy is not None and note.statement is not None:
            return Material(key_id=note.key_id, master=note.master, bits=note.copy, statement=note.statement)
        parts = [
            piece.material(each.start_bytes, each.length_bytes) for piece, each in zip(pieces, note.slices, strict=True)
        ]
        return Material(
            key_id=note.key_id,
            master=note.master,
            bits=b"".join(parts),
            statement=merged(tuple([piece.held.block.statement for piece in pieces])),
        )

    def was_taken_by(self, slave: str) -> bool:
        """Return whether it waited for this slave, who has had it."""
        return slave in self.note.slaves and slave not in self.slaves

    def book_taken(self) -> None:
        """Book that a slave has taken it."""
        if self.pool and not self.booked:
            for move in taken(self.note, booked=False):
                self.pool.book.move(*move)
        self.booked = True

    def let_go(self) -> None:
        """Hold on to the blocks no longer."""
        for piece in self.pieces:
            piece.held.unused()


class WaitingKeys:
    """All that wait in one store, by id."""

    def __init__(self) -> None:
        self._keys: dict[bytes, Key] = {}
        self._queue: list[tuple[float, bytes]] = []

    def get(self, key_id: bytes) -> Key | None:
        """Return the key of this id, expired or not; None if none waits."""
        return self._keys.get(key_id)

    def find(self, key_id: bytes, master: str | None, now_s: float) -> Key | None:
        """Return the key of this id, unless it has expired or is of another master."""
        key = self._keys.get(key_id)
        if key is None or key.note.expires_s <= now_s or (master is not None and key.note.master != master):
            return None
        return key

    def put(self, note: KeyNote, pool: Pool | None, *, booked: bool) -> None:
        """Let a key wait whose id is not in use."""
        self._keys[note.key_id] = Key(note, pool, booked=booked)
        queue = self._queue
        heapq.heappush(queue, (note.expires_s, note.key_id))
        if len(queue) > 2 * len(self._keys) + SLACK:
            self._queue = [(key.note.expires_s, key_id) for key_id, key in self._keys.items()]
            heapq.heapify(self._queue)

    def take(self, key: Key, slave: str) -> None:
        """Hand a key to a slave that it waits for."""
        key.book_taken()
        key.slaves.discard(slave)
        if not key.slaves:
            del self._keys[key.note.key_id]
            key.let_go()

    def withdraw(self, key_ids: Iterable[bytes]) -> tuple[int, int]:
        """Forget keys; return how many there were, and how many bits were booked as purged."""
        count = purged_bits = 0
        for key_id in key_ids:
            key = self._keys.pop(key_id, None)
            if key is None:
                continue
            count += 1
            moves = given_up(key.note, booked=key.booked)
            purged_bits += total_bits(moves, "purged")
            if key.pool:
                for move in moves:
                    key.pool.book.move(*move)
            key.let_go()
        return count, purged_bits

    def of_pools(self, pools: frozenset[str]) -> tuple[bytes, ...]:
        """Return the ids of the keys from these pools, copies too."""
        return tuple(key_id for key_id, key in self._keys.items() if key.note.pool in pools)

    def expired(self, now_s: float, limit: int) -> tuple[bytes, ...]:
        """Return the ids of keys that have expired, at most so many; they are not in the queue any more."""
        found: list[bytes] = []
        queue = self._queue
        while queue and queue[0][0] <= now_s and len(found) < limit:
            expires_s, key_id = heapq.heappop(queue)
            key = self._keys.get(key_id)
            if key is not None and key.note.expires_s == expires_s:
                found.append(key_id)
        return tuple(found)
