"""One batch at work: rows are read once, changed in memory, and written together at the end.

Rules:

1. :meth:`Transaction.load` reads, and on PostgreSQL locks, what the whole batch is about before the first operation:
   portions in the order of their ids, then keys in the order of theirs. Two servers that want the same rows thus wait
   for each other one way round only.
2. Operations check first and change then. What they change is in memory, so one that fails leaves nothing behind.
3. :meth:`Transaction.flush` writes with one statement a table, whatever the number of operations. An UPDATE or DELETE
   repeats what it knows of the row; if that does not hold the transaction is undone and run again.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from bellweave.edge.sql_store.audit import RawEvent
from bellweave.edge.sql_store.database import Database
from bellweave.edge.sql_store.rows import DECODE_STATEMENT, ENCODE, KeyRow, OpenBlock, PortionRow
from bellweave.edge.sql_store.schema import LEDGER_COLUMNS, POOL_SHIFT, PortionState
from bellweave.edge.sql_store.sealing import Sealer, block_name
from bellweave.edge.sql_store.statements import Statements
from bellweave.errors import StoreFailed
from bellweave.kms.operations import Deliver, Drop, Marks, Operation, Record, Skip, Take, Withdraw
from bellweave.kms.records import Buffer, KeyNote, Slice

OPEN_BLOCKS = 256
"""Blocks whose material stays in memory, 8 MiB: keys are sliced from few blocks at a time; opening one takes 50 us."""

_COLUMN = {name: index for index, name in enumerate(LEDGER_COLUMNS)}
_NOTHING = [0] * len(LEDGER_COLUMNS)
_OPEN, _USED, _DONE = int(PortionState.OPEN), int(PortionState.USED), int(PortionState.DONE)


class Memory:
    """What a store remembers between batches; all of it is in the database too, and never changes there.

    Attributes:
        pools, buffers: Name to id.
        blocks: Opened lately, by id.
    """

    def __init__(self) -> None:
        self.pools: dict[str, int] = {}
        self.buffers: dict[Buffer, int] = {}
        self.blocks: OrderedDict[int, OpenBlock] = OrderedDict()

    def clear(self) -> None:
        """Forget what a transaction that was undone may have put here."""
        self.pools.clear()
        self.buffers.clear()
        self.blocks.clear()


class Transaction:
    """The state of one batch.

    Attributes:
        events: For the audit trail.
        erased: Whether data keys were erased.
        now_s: The last time that an operation told.
    """

    def __init__(
        self, database: Database, texts: Statements, sealer: Sealer, memory: Memory, server: str, now_s: float
    ) -> None:
        self.database = database
        self.texts = texts
        self.sealer = sealer
        self.memory = memory
        self.server = server
        self.events: list[RawEvent] = []
        self.erased = 0
        self.now_s = now_s
        self._portions: dict[int, PortionRow | None] = {}
        self._keys: dict[bytes, KeyRow | None] = {}
        self._dirty_portions: list[PortionRow] = []
        self._dirty_keys: list[KeyRow] = []
        self._ledger: dict[int, list[int]] = {}
        self._levels: dict[int, int] = {}

    # ------------------------------------------------------------------------------------------------------- reading
    def load(self, operations: Sequence[Operation[Any]]) -> None:
        """Read the rows that operations name."""
        portions: set[int] = set()
        keys: set[bytes] = set()
        leaving: set[bytes] = set()
        each: Any
        for each in operations:
            kind = type(each)
            if kind is Take or kind is Withdraw:
                leaving.update(each.key_ids)
            elif kind is Record or kind is Deliver:
                for note in each.notes:
                    self._add_slices(portions, note)
                for note in each.notes if kind is Record else each.keep:
                    keys.add(note.key_id)
            elif kind is Skip:
                self._add_numbers(portions, each.pool, (number for number, _ in each.cursors))
            elif kind is Drop or kind is Marks:
                self._add_numbers(portions, each.pool, each.numbers)
        self._fetch_keys(leaving)
        for key_id in leaving:
            row = self._keys[key_id]
            if row is not None:
                self._add_slices(portions, row.note)
        self._fetch_portions(portions)
        self._fetch_keys(keys - leaving if self.database.is_sqlite else keys | leaving, lock=True)

    def _add_slices(self, portions: set[int], note: KeyNote) -> None:
        pool = self.pool(note.pool)
        if pool is not None:
            base = pool << POOL_SHIFT
            portions.update([base | each.number for each in note.slices])

    def _add_numbers(self, portions: set[int], name: str, numbers: Iterable[int]) -> None:
        pool = self.pool(name)
        if pool is not None:
            portions.update(pool << POOL_SHIFT | number for number in numbers if 0 <= number < 1 << POOL_SHIFT)

    def _fetch_portions(self, ids: Iterable[int]) -> None:
        missing = [each for each in ids if each not in self._portions]
        if missing:
            self._portions.update(dict.fromkeys(missing))
            for values in self.database.fetch(self.texts.portions, sorted(missing)):
                self._portions[values[0]] = PortionRow(values)

    def _fetch_keys(self, key_ids: Iterable[bytes], *, lock: bool = False) -> None:
        key_ids = sorted(key_ids)
        if key_ids:
            self._keys.update(dict.fromkeys(key_ids))
            texts = self.texts.keys_locked if lock else self.texts.keys
            for values in self.database.fetch(texts, key_ids):
                self._keys[values[1]] = KeyRow(values)

    def portion(self, pool: int | None, number: int) -> PortionRow | None:
        """Return a portion of a pool."""
        if pool is None or not 0 <= number < 1 << POOL_SHIFT:
            return None
        identity = pool << POOL_SHIFT | number
        try:
            return self._portions[identity]
        except KeyError:
            self._fetch_portions((identity,))
            return self._portions[identity]

    def key(self, key_id: bytes) -> KeyRow | None:
        """Return a key that waits."""
        try:
            row = self._keys[key_id]
        except KeyError:
            self._fetch_keys((key_id,), lock=True)
            row = self._keys[key_id]
        return None if row is None or row.gone else row

    def pool(self, name: str) -> int | None:
        """Return the id of a pool; None if there is none of this name."""
        pool = self.memory.pools.get(name)
        if pool is None:
            row = self.database.execute(self.texts.pool, (name,)).fetchone()
            if row is None:
                return None
            pool = self.memory.pools[name] = row[0]
        return pool

    def new_pool(self, name: str) -> int:
        """Return the id of a pool, which is made if there is none."""
        pool = self.pool(name)
        if pool is None:
            (pool,) = self.database.execute(self.texts.add_pool, (name, 0)).fetchone()
            self.memory.pools[name] = pool
        return pool

    def buffer(self, buffer: Buffer) -> int | None:
        """Return the id of a buffer; None if nothing was ever in it."""
        identity = self.memory.buffers.get(buffer)
        if identity is None:
            pool = self.pool(buffer.pool)
            values = (pool, buffer.master, buffer.slave)
            row = None if pool is None else self.database.execute(self.texts.buffer, values).fetchone()
            if row is None:
                return None
            identity = self.memory.buffers[buffer] = row[0]
        return identity

    def new_buffer(self, buffer: Buffer) -> int:
        """Return the id of a buffer, which is made if there is none."""
        identity = self.buffer(buffer)
        if identity is None:
            values = (self.new_pool(buffer.pool), buffer.master, buffer.slave)
            (identity,) = self.database.execute(self.texts.add_buffer, values).fetchone()
            self.memory.buffers[buffer] = identity
        return identity

    def block(self, identity: int) -> OpenBlock:
        """Return a block with its material.

        Raises:
            StoreFailed: It was altered, or is gone though something of it is left in the books.
        """
        blocks = self.memory.blocks
        block = blocks.get(identity)
        if block is not None:
            blocks.move_to_end(identity)
            return block
        row = self.database.execute(self.texts.open_block, (identity,)).fetchone()
        if row is None:
            raise StoreFailed(f"the store {self.database.where} lacks the material of its block {identity}")
        pool, block_id, size, statement, expires_s, wrapped, sealed = row
        name = self.database.execute(self.texts.pool_by_id, (pool,)).fetchone()[0]
        material = self.sealer.open(wrapped, sealed, block_name(name, block_id, size))
        block = blocks[identity] = OpenBlock(name, block_id, material, DECODE_STATEMENT(statement), expires_s)
        if len(blocks) > OPEN_BLOCKS:
            blocks.popitem(last=False)
        return block

    def bits(self, pool: int | None, slices: tuple[Slice, ...]) -> bytes:
        """Return a key's material; its portions are there."""
        parts = []
        for each in slices:
            row = self.portion(pool, each.number)
            if row is None:
                raise StoreFailed(f"the store {self.database.where} lacks its portion {each.number}")
            start = row.start + each.start_bytes
            parts.append(self.block(row.block).material[start : start + each.length_bytes])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    # ------------------------------------------------------------------------------------------------------ changing
    def touch(self, row: PortionRow) -> None:
        """Note that a portion was changed."""
        if not row.dirty:
            row.dirty = True
            self._dirty_portions.append(row)

    def use(self, row: PortionRow, end_bytes: int) -> None:
        """Move a portion's cursor or mark."""
        self._levels[row.buffer] = self._levels.get(row.buffer, 0) + row.used - end_bytes
        row.used = end_bytes
        self.touch(row)

    def add_key(self, note: KeyNote, *, booked: bool, copy: bytes | None = None) -> None:
        """Let a key wait."""
        row = KeyRow((None, note.key_id, note.expires_s, int(booked), ENCODE(note), None, copy), note)
        self._keys[note.key_id] = row
        self.touch_key(row)

    def add_copy(self, note: KeyNote, copy: bytes) -> None:
        """Let a key wait that has a copy, which is sealed."""
        bare = msgspec.structs.replace(note, copy=None)
        self.add_key(bare, booked=False, copy=self.sealer.seal_in_one(copy, note.key_id))

    def with_copy(self, note: KeyNote, sealed: bytes) -> KeyNote:
        """Return a note with its copy."""
        return msgspec.structs.replace(note, copy=self.sealer.open_in_one(sealed, note.key_id))

    def touch_key(self, row: KeyRow) -> None:
        """Note that a key was changed."""
        if not row.dirty:
            row.dirty = True
            self._dirty_keys.append(row)

    def remove_key(self, row: KeyRow) -> None:
        """Let a key wait no more; its portions need not be kept for it."""
        row.gone = True
        self.touch_key(row)
        note = row.note
        pool = self.pool(note.pool) if note.slices else None
        for each in note.slices:
            portion = self.portion(pool, each.number)
            if portion is not None:
                portion.reserved -= each.length_bytes
                self.touch(portion)

    def book(self, pool: int, source: str, target: str, size_bytes: int) -> None:
        """Move bytes between two accounts of a pool."""
        row = self._ledger.get(pool)
        if row is None:
            row = self._ledger[pool] = _NOTHING.copy()
        row[_COLUMN[source]] -= size_bytes
        row[_COLUMN[target]] += size_bytes

    def count(self, pool: int, column: str, size_bytes: int) -> None:
        """Add to ``ingested``, or to a level of a pool."""
        row = self._ledger.get(pool)
        if row is None:
            row = self._ledger[pool] = _NOTHING.copy()
        row[_COLUMN[column]] += size_bytes

    def count_unused(self, buffer: int, size_bytes: int) -> None:
        """Add to the level of a buffer."""
        self._levels[buffer] = self._levels.get(buffer, 0) + size_bytes

    # ------------------------------------------------------------------------------------------------------- writing
    def flush(self) -> None:
        """Write what was changed.

        Raises:
            Conflict: Another server was quicker.
        """
        if self._dirty_portions:
            self._flush_portions()
        if self._dirty_keys:
            self._flush_keys()
        if self._ledger:
            rows = [(pool, self.server, *counts) for pool, counts in sorted(self._ledger.items())]
            self.database.execute_all(self.texts.book, rows)
            self._ledger.clear()
        if self._levels:
            levels = [(buffer, self.server, unused) for buffer, unused in sorted(self._levels.items()) if unused]
            if levels:
                self.database.execute_all(self.texts.level, levels)
            self._levels.clear()

    def forget(self) -> None:
        """Flush, and read all rows anew from now on: what follows changes them in the database."""
        self.flush()
        self._portions.clear()
        self._keys.clear()

    def forget_missing(self, ids: Iterable[int]) -> None:
        """Read these portions anew: they were made."""
        for each in ids:
            self._portions.pop(each, None)

    def _flush_portions(self) -> None:
        rows = []
        for row in sorted(self._dirty_portions, key=lambda each: each.id):
            state = _OPEN if row.used < row.length else _USED if row.reserved else _DONE
            rows.append((row.used, row.reserved, state, row.id, row.old_used, row.old_reserved))
            row.old_used, row.old_reserved, row.dirty = row.used, row.reserved, False
        self.database.execute_all(self.texts.update_portion, rows)
        self._dirty_portions.clear()

    def _flush_keys(self) -> None:
        added, changed, deleted = [], [], []
        for row in self._dirty_keys:
            row.dirty = False
            if row.gone:
                if row.id is not None:
                    deleted.append(row.id)
            elif row.id is not None:
                changed.append((row.booked, ENCODE(row.taken), row.id))
            else:
                taken = ENCODE(row.taken) if row.taken else None
                added.append((row.key_id, row.expires_s, row.booked, row.blob, taken, row.copy))
                self._keys.pop(row.key_id)  # read again if it is looked up again: then its id is known
        self._dirty_keys.clear()
        if deleted:
            self.database.delete(self.texts.delete_keys, deleted)
        if changed:
            self.database.execute_all(self.texts.update_key, changed)
        if added:
            self.database.execute_all(self.texts.add_key, added)
