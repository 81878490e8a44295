"""The statements of a store, compiled once for its database. Parameters go by position, in the order of their names.

PostgreSQL locks rows that are about to change, in the order of their ids; SQLite has one writer at a time anyway.
Numbers in conditions of partial indexes stand in the text: only so does the planner see that it may use the index.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Table,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)

from bellweave.edge.sql_store import schema as s
from bellweave.edge.sql_store.database import Database
from bellweave.edge.sql_store.schema import BlockState, PortionState

_p, _k, _b, _u = s.PORTIONS.c, s.KEYS.c, s.BLOCKS.c, s.BUFFERS.c

PORTION_COLUMNS = (_p.id, _p.buffer, _p.block, _p.start, _p.length, _p.used, _p.reserved)
KEY_COLUMNS = (_k.id, _k.key_id, _k.expires_s, _k.booked, _k.note, _k.taken, _k.copy)
NEW_KEY = ("key_id", "expires_s", "booked", "note", "taken", "copy")
NEW_BLOCK = (
    "pool", "block_id", "size", "digest", "statement", "expires_s", "state", "free_start", "free", "unsettled", "held",
    "ended",
)  # fmt: skip
NEW_PORTION = ("id", "buffer", "block", "start", "length", "used", "reserved", "state", "server")
NEW_AUDIT = ("server", "seq", "events", "mac")


class Statements:
    """Texts for :meth:`~bellweave.edge.sql_store.database.Database.execute`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._text = database.compiled
        self._pools()
        self._keys()
        self._blocks()
        self._portions()
        self._purging()
        self._rest()

    def _pools(self) -> None:
        text, c = self._text, s.POOLS.c
        self.pool = text(select(c.id).where(c.name == bindparam("name")), "name")
        self.pool_by_id = text(select(c.name).where(c.id == bindparam("i")), "i")
        self.add_pool = self._insert(s.POOLS, ("name", "next_number"), c.id)
        number = select(c.next_number).where(c.id == bindparam("i"))
        self.next_number = text(number, "i")
        self.next_number_locked = text(number.with_for_update(), "i")
        self.set_next_number = self._update(s.POOLS, c.id, ("next_number",))
        names = ("pool", "master", "slave")
        self.buffer = text(select(_u.id).where(*(_u[name] == bindparam(name) for name in names)), *names)
        self.lock_buffer = text(select(_u.id).where(_u.id == bindparam("i")).with_for_update(), "i")
        self.add_buffer = self._insert(s.BUFFERS, names, _u.id)
        self.book = self._adding(s.LEDGER, ("pool", "server"), s.LEDGER_COLUMNS)
        self.level = self._adding(s.LEVELS, ("buffer", "server"), ("unused",))
        totals: list[Any] = [_total(s.LEDGER.c[name]) for name in s.LEDGER_COLUMNS]
        joined = select(c.name, *totals).join(s.LEDGER, s.LEDGER.c.pool == c.id)
        self.accounts = text(joined.group_by(c.name).order_by(c.name))
        shared = select(_total(s.LEDGER.c.free), _total(s.LEDGER.c.waiting)).where(s.LEDGER.c.pool == bindparam("i"))
        self.pool_levels = text(shared, "i")
        self.buffer_level = text(select(_total(s.LEVELS.c.unused)).where(s.LEVELS.c.buffer == bindparam("i")), "i")

    def _keys(self) -> None:
        text = self._text
        for_ids = self._database.for_ids
        self.portions = for_ids(select(*PORTION_COLUMNS), _p.id, lock=True)
        self.keys = for_ids(select(*KEY_COLUMNS), _k.key_id)
        self.keys_locked = for_ids(select(*KEY_COLUMNS), _k.key_id, lock=True)
        self.update_portion = self._update(s.PORTIONS, _p.id, ("used", "reserved", "state"), ("used", "reserved"))
        self.add_key = self._insert(s.KEYS, NEW_KEY)
        self.delete_keys = for_ids(delete(s.KEYS), _k.id)
        self.update_key = self._update(s.KEYS, _k.id, ("booked", "taken"))
        everything = select(_k.id, _k.key_id, _k.note).where(_k.id > bindparam("after")).order_by(_k.id)
        self.all_keys = text(_limited(everything), "after", "most")

    def _blocks(self) -> None:
        text = self._text
        named = (_b.pool == bindparam("pool"), _b.block_id == bindparam("name"))
        self.block_known = text(select(_b.digest, _b.state).where(*named), "pool", "name")
        self.add_block = self._insert(s.BLOCKS, NEW_BLOCK, _b.id)
        self.add_data_key = self._insert(s.DATA_KEYS, ("block", "wrapped"))
        self.add_material = self._insert(s.MATERIALS, ("block", "sealed"))
        keys, materials = s.DATA_KEYS.c, s.MATERIALS.c
        opened = select(_b.pool, _b.block_id, _b.size, _b.statement, _b.expires_s, keys.wrapped, materials.sealed)
        opened = opened.join(s.DATA_KEYS, keys.block == _b.id).join(s.MATERIALS, materials.block == _b.id)
        self.open_block = text(opened.where(_b.id == bindparam("i")), "i")
        waiting = select(_b.id).where(_b.pool == bindparam("pool"), _is(_b.state, BlockState.WAITING), _is(_b.ended, 0))
        self.waiting = text(_limited(waiting.order_by(_b.id)), "pool", "most")
        self.waiting_named = text(waiting.where(_b.block_id == bindparam("name")), "pool", "name")
        unsettled = select(_b.id, _b.state, _b.size, _b.ended).where(*named)
        self.to_settle = text(unsettled.with_for_update(), "pool", "name")
        self.settle = self._update(s.BLOCKS, _b.id, ("state", "free", "unsettled"), ("state",))
        free = select(_b.block_id, _b.free_start, _b.free, _b.statement, _b.expires_s, _b.id)
        free = free.where(_b.pool == bindparam("pool"), _b.free > _literal(0), _b.id > bindparam("after"))
        self.free = text(_limited(free.order_by(_b.id)), "pool", "after", "most")
        cuttable = select(_b.id, _b.state, _b.free_start, _b.free).where(*named)
        self.to_cut = text(cuttable.with_for_update(), "pool", "name")
        self.cut_block = self._update(s.BLOCKS, _b.id, ("free_start", "free"), ("free",))

    def _portions(self) -> None:
        text = self._text
        self.add_portion = self._insert(s.PORTIONS, NEW_PORTION)
        described = (
            select(_p.id, _u.master, _u.slave, _b.block_id, _p.start, _p.length)
            .join(s.BUFFERS, _u.id == _p.buffer)
            .join(s.BLOCKS, _b.id == _p.block)
            .where(_p.id >= bindparam("first"), _p.id < bindparam("end"))
        )
        self.described = text(_limited(described.order_by(_p.id)), "first", "end", "most")
        lease = s.SERVERS.c.until_s
        ours = _p.server == bindparam("server")
        others = _p.server.is_distinct_from(bindparam("server"))
        nobodys = or_(_p.server.is_(None), lease.is_(None), lease <= bindparam("now"))
        self.claimable_again = text(_claimable(or_(ours, nobodys)), "buffer", "after", "at", "server", "now", "most")
        self.claimable = text(_claimable(others & nobodys), "buffer", "after", "at", "server", "now", "most")
        self.claim = self._update(s.PORTIONS, _p.id, ("server",))

    def _purging(self) -> None:
        text = self._text
        keys = select(_k.key_id).where(_k.expires_s <= bindparam("now")).order_by(_k.expires_s)
        self.expired_keys = text(_unlocked(keys), "now", "most")
        blocks = select(_b.id, _b.pool, _b.state, _b.free, _b.unsettled)
        blocks = blocks.where(_is(_b.ended, 0), _b.expires_s <= bindparam("now")).order_by(_b.expires_s)
        self.expired_blocks = text(_unlocked(blocks), "now", "most")
        opened = select(_p.id).where(_p.block == bindparam("block"), _is(_p.state, PortionState.OPEN))
        self.open_portions = text(opened.order_by(_p.id), "block")
        self.end_block = self._update(s.BLOCKS, _b.id, ("free", "unsettled", "ended"))
        done = select(_p.id, _p.block, _p.length).where(_is(_p.state, PortionState.DONE)).order_by(_p.id)
        self.done_portions = text(_unlocked(done), "most")
        self.settle_portion = self._update(s.PORTIONS, _p.id, ("state",))
        less = update(s.BLOCKS).values(unsettled=_b.unsettled - bindparam("less")).where(_b.id == bindparam("i"))
        self.settle_in_block = text(less, "less", "i")
        finished = select(_b.id).where(_is(_b.unsettled, 0), _is(_b.held, 1)).order_by(_b.id)
        self.finished_blocks = text(_unlocked(finished), "most")
        self.erase_data_keys = self._database.for_ids(delete(s.DATA_KEYS), s.DATA_KEYS.c.block)
        self.erase_materials = self._database.for_ids(delete(s.MATERIALS), s.MATERIALS.c.block)
        self.erased = self._update(s.BLOCKS, _b.id, ("held", "ended"))

    def _rest(self) -> None:
        insert, c = self._database.insert, s.WITNESSES.c
        renewed = insert(s.SERVERS).values(server=bindparam("server"), until_s=bindparam("until_s"))
        renewed = renewed.on_conflict_do_update(index_elements=["server"], set_={"until_s": renewed.excluded.until_s})
        self.renew = self._text(renewed, "server", "until_s")
        told = insert(s.WITNESSES).values(peer=bindparam("peer"), changes=bindparam("changes"))
        highest = case((told.excluded.changes > c.changes, told.excluded.changes), else_=c.changes)
        told = told.on_conflict_do_update(index_elements=["peer"], set_={"changes": highest})
        self.witness = self._text(told.returning(c.changes), "peer", "changes")
        self.add_audit = self._insert(s.AUDIT, NEW_AUDIT)
        last = select(s.AUDIT.c.seq, s.AUDIT.c.mac).where(s.AUDIT.c.server == bindparam("server"))
        self.last_audit = self._text(_limited(last.order_by(s.AUDIT.c.seq.desc())), "server", "most")
        self.forget_meta = self._text(delete(s.META).where(s.META.c.name == bindparam("name")), "name")

    def _insert(self, table: Table, columns: Sequence[str], returning: Column[Any] | None = None) -> str:
        """Return an INSERT of these columns."""
        statement = self._database.insert(table).values({name: bindparam(name) for name in columns})
        statement = statement.inline() if returning is None else statement.returning(returning)
        return self._text(statement, *columns)

    def _update(self, table: Table, key: Column[Any], columns: Sequence[str], matching: Sequence[str] = ()) -> str:
        """Return an UPDATE of the row with a key, if it is as it was: values, key, old values of ``matching``."""
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in columns}
        same = [table.c[name] == bindparam(f"old_{name}") for name in matching]
        statement = update(table).values(values).where(key == bindparam("i"), *same)
        names = [f"new_{name}" for name in columns], [f"old_{name}" for name in matching]
        return self._text(statement, *names[0], "i", *names[1])

    def _adding(self, table: Table, keys: tuple[str, ...], counts: tuple[str, ...]) -> str:
        """Return an INSERT that adds its counts to those of a row that is there."""
        statement = self._database.insert(table).values({name: bindparam(name) for name in keys + counts})
        added = {name: table.c[name] + statement.excluded[name] for name in counts}
        return self._text(statement.on_conflict_do_update(index_elements=list(keys), set_=added), *keys, *counts)


def _claimable(condition: Any) -> Any:
    """Return the query for portions of a buffer that a server may consume."""
    query = (
        select(*PORTION_COLUMNS[:6])
        .join(s.BLOCKS, _b.id == _p.block)
        .outerjoin(s.SERVERS, s.SERVERS.c.server == _p.server)
        .where(_p.buffer == bindparam("buffer"), _is(_p.state, PortionState.OPEN), _p.id > bindparam("after"))
        .where(_b.expires_s > bindparam("at"), condition)
        .order_by(_p.id)
    )
    return _limited(query).with_for_update(of=s.PORTIONS, skip_locked=True)


def _limited(query: Any) -> Any:
    return query.limit(bindparam("most")).offset(_literal(0))


def _unlocked(query: Any) -> Any:
    """Return a query for at most so many rows, past those that another server is at work on; it locks them."""
    return _limited(query).with_for_update(skip_locked=True)


def _total(column: Any) -> Any:
    return cast(func.coalesce(func.sum(column), _literal(0)), BigInteger)


def _literal(value: int) -> Any:
    return literal_column(str(int(value)))


def _is(column: Any, value: int) -> Any:
    return column == _literal(value)
