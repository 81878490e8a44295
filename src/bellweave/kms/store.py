"""A key store in memory: what simulations, tests and the benchmark of the interfaces alone run on.

It does what :mod:`~bellweave.kms.operations` says and keeps it as long as the process runs; nothing is sealed, and no
audit trail is written. Material is in :mod:`~bellweave.kms.pool`, keys that wait in :mod:`~bellweave.kms.waiting`.
"""

import heapq
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from bellweave.errors import DeliveryError, NotEntitled, PeerRefused, UnknownKeys
from bellweave.kms import operations as ops
from bellweave.kms.pool import Pool
from bellweave.kms.pool_parts import Piece
from bellweave.kms.records import Account, Block, KeyNote, Material, Portion, Stock
from bellweave.kms.waiting import Key, WaitingKeys

NOTHING = Pool("")
"""Stands for a pool that holds nothing yet, where one is only looked at."""


class MemoryStore:
    """A :class:`~bellweave.kms.operations.Store` that forgets all when it goes; for one thread at a time."""

    def __init__(self) -> None:
        self._pools: dict[str, Pool] = {}
        self._keys = WaitingKeys()
        self._expiries: list[tuple[float, str, str]] = []
        self._leases: dict[str, float] = {}
        self._witnessed: dict[str, int] = {}

    def apply(self, operations: Sequence[ops.Operation[Any]]) -> list[Any]:
        """Run a batch and return each operation's result or its error."""
        results: list[Any] = []
        for operation in operations:
            try:
                results.append(self._RUN[type(operation)](self, operation))
            except DeliveryError as error:
                results.append(error)
        return results

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _pool(self, name: str) -> Pool:
        pool = self._pools.get(name)
        if pool is None:
            pool = self._pools[name] = Pool(name)
        return pool

    def _look(self, name: str) -> Pool:
        return self._pools.get(name, NOTHING)

    # ------------------------------------------------------------------------------------------------- blocks, pools

    def _add_block(self, op: ops.AddBlock) -> bool:
        block = op.block
        added = self._pool(block.pool).add(block)
        if added:
            heapq.heappush(self._expiries, (block.expires_s, block.pool, block.block_id))
        return added

    def _waiting(self, op: ops.Waiting) -> tuple[Block, ...]:
        waiting = self._look(op.pool).waiting
        if op.block_ids is None:
            return tuple(held.block for _, held in zip(range(op.limit), waiting.values(), strict=False))
        named = {block_id for block_id in op.block_ids if block_id in waiting}
        return tuple(held.block for held in sorted((waiting[each] for each in named), key=lambda held: held.order))

    def _settle(self, op: ops.Settle) -> bool:
        return self._pool(op.pool).settle(op.block_id, op.verdict, op.tag_bytes)

    def _verdicts(self, op: ops.Verdicts) -> tuple[ops.Verdict | None, ...]:
        blocks = self._look(op.pool).blocks
        return tuple(blocks[each].verdict if each in blocks else None for each in op.block_ids)

    def _free_blocks(self, op: ops.FreeBlocks) -> tuple[ops.Free, ...]:
        return self._look(op.pool).free_blocks(op.least_bytes)

    def _cut(self, op: ops.Cut) -> int:
        names = {portion.buffer.pool for portion in op.portions}
        if len(names) != 1:
            raise PeerRefused(f"portions are cut of one pool at a time, not of {len(names)}")
        pool = self._pool(names.pop())
        pool.cut(op.portions)
        return len(pool.pieces)

    def _portions(self, op: ops.Portions) -> tuple[Portion, ...]:
        start = max(0, op.number)
        return tuple(piece.portion for piece in self._look(op.pool).pieces[start : start + op.limit])

    def _next_number(self, op: ops.NextNumber) -> int:
        return len(self._look(op.pool).pieces)

    # ---------------------------------------------------------------------------------------------- the master's KME

    def _claim(self, op: ops.Claim) -> tuple[Stock, ...]:
        line = self._look(op.buffer.pool).lines.get(op.buffer)
        missing_bytes = op.least_bytes
        stocks: list[Stock] = []
        for piece in line.pieces.values() if line else ():
            if missing_bytes <= 0:
                break
            if piece.held.block.expires_s > op.now_s and self._may_claim(piece, op):
                piece.server = op.server
                stocks.append(piece.stock())
                missing_bytes -= piece.portion.length_bytes - piece.used_bytes
        return tuple(stocks)

    def _may_claim(self, piece: Piece, op: ops.Claim) -> bool:
        if piece.server is None:
            return True
        if piece.server == op.server:
            return op.again
        return self._leases.get(piece.server, float("-inf")) <= op.now_s

    def _deliver(self, op: ops.Deliver) -> None:
        ends_bytes: dict[Piece, int] = {}
        for note in op.notes:
            problem = self._look(note.pool).problem(note, ends_bytes)
            if problem:
                raise PeerRefused(problem)
        for note in op.keep:
            if self._keys.get(note.key_id):
                raise PeerRefused(f"a key waits here already under the id {note.key_id.hex()}")
        for note in op.keep:  # before their slices are used up, so that the blocks stay
            self._keys.put(note, self._pools[note.pool], booked=True)
        for note in op.notes:
            self._pools[note.pool].consume(note, ops.SPENT_ON[note.purpose])

    def _skip(self, op: ops.Skip) -> None:
        pool = self._look(op.pool)
        for number, end_bytes in op.cursors:
            pool.skip(number, end_bytes)

    def _drop(self, op: ops.Drop) -> None:
        pool = self._look(op.pool)
        for number in op.numbers:
            pool.skip(number)

    # ----------------------------------------------------------------------------------------------- the slave's KME

    def _record(self, op: ops.Record) -> tuple[str | None, ...]:
        return tuple([self._record_one(note) for note in op.notes])

    def _record_one(self, note: KeyNote) -> str | None:
        known = self._keys.get(note.key_id)
        if known is not None:
            return None if known.note == note else f"another key waits here under the id {note.key_id.hex()}"
        if note.copy is not None:
            if note.statement is None or len(note.copy) != note.size_bytes:
                return f"the copy is not of {note.size_bytes} bytes, or nothing is said of it"
            self._keys.put(note, None, booked=False)
            return None
        pool = self._look(note.pool)
        problem = pool.problem(note, {})
        if problem:
            return problem
        self._keys.put(note, pool, booked=False)  # before its slices are used up, so that the blocks stay
        pool.consume(note, "reserved")
        return None

    def _marks(self, op: ops.Marks) -> tuple[int, ...]:
        pool = self._look(op.pool)
        found = [pool.piece(number) for number in op.numbers]
        return tuple(-1 if piece is None else piece.used_bytes for piece in found)

    def _take(self, op: ops.Take) -> tuple[Material, ...]:
        found: dict[bytes, Key] = {}
        for key_id in op.key_ids:
            key = self._keys.find(key_id, op.master, op.now_s)
            if key is not None and not key.was_taken_by(op.caller):
                found[key_id] = key
        unknown = [key_id for key_id in op.key_ids if key_id not in found]
        if unknown:
            raise UnknownKeys(tuple(dict.fromkeys(unknown)))
        for key in found.values():
            if op.caller not in key.slaves:
                raise NotEntitled(f"not all of the {len(op.key_ids)} keys wait for {op.caller}")
        materials = tuple([found[key_id].material() for key_id in op.key_ids])
        for key in found.values():
            self._keys.take(key, op.caller)
        return materials

    def _withdraw(self, op: ops.Withdraw) -> int:
        return self._keys.withdraw(op.key_ids)[0]

    def _withdraw_all(self, op: ops.WithdrawAll) -> int:
        return self._keys.withdraw(self._keys.of_pools(frozenset(op.pools)))[0]

    # ---------------------------------------------------------------------------------------------- looking, keeping

    def _levels(self, op: ops.Levels) -> tuple[ops.Level, ...]:
        return tuple(self._look(buffer.pool).level(buffer) for buffer in op.buffers)

    def _accounts(self, _: ops.Accounts) -> dict[str, dict[Account, int]]:
        return {name: dict(pool.book.bits) for name, pool in self._pools.items()}

    def _purge(self, op: ops.Purge) -> int:
        _, purged_bits = self._keys.withdraw(self._keys.expired(op.now_s, op.limit))
        left = op.limit
        while left and self._expiries and self._expiries[0][0] <= op.now_s:
            _, name, block_id = heapq.heappop(self._expiries)
            block_bits = self._pools[name].expire(block_id)
            purged_bits += block_bits
            left -= bool(block_bits)
        return purged_bits

    def _renew(self, op: ops.Renew) -> None:
        self._leases[op.server] = op.until_s

    def _witness(self, op: ops.Witness) -> int:
        self._witnessed[op.peer] = max(op.changes, self._witnessed.get(op.peer, 0))
        return self._witnessed[op.peer]

    _RUN: ClassVar[dict[type, Callable[..., Any]]] = {
        ops.AddBlock: _add_block,
        ops.Waiting: _waiting,
        ops.Settle: _settle,
        ops.Verdicts: _verdicts,
        ops.FreeBlocks: _free_blocks,
        ops.Cut: _cut,
        ops.Portions: _portions,
        ops.NextNumber: _next_number,
        ops.Claim: _claim,
        ops.Deliver: _deliver,
        ops.Skip: _skip,
        ops.Drop: _drop,
        ops.Record: _record,
        ops.Marks: _marks,
        ops.Take: _take,
        ops.Withdraw: _withdraw,
        ops.WithdrawAll: _withdraw_all,
        ops.Levels: _levels,
        ops.Accounts: _accounts,
        ops.Purge: _purge,
        ops.Renew: _renew,
        ops.Witness: _witness,
    }
