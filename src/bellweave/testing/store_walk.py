"""A random walk over two stores, one at each end of a pool, that mirror each other as two KMEs would.

Whatever is added, settled, cut, delivered at one end, stored and taken at the other, said again, jumped over, withdrawn
or purged: no byte is ever in two keys, both ends give the same bytes for a key, and both ledgers close.
"""
# ruff: noqa: D102, S101 (this is a test; its rules are described by their names)

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bellweave.errors import PeerRefused, UnknownKeys
from bellweave.kms.operations import (
    AddBlock,
    Claim,
    Cut,
    Deliver,
    FreeBlocks,
    Marks,
    NextNumber,
    Purge,
    Record,
    Skip,
    Store,
    Take,
    Withdraw,
)
from bellweave.kms.records import Buffer, KeyNote, Portion, Stock
from bellweave.testing.stores import BUFFER, NOW_S, OTHER, POOL, block, ledger, level, note, portion, run, settle

BUFFERS = (BUFFER, OTHER)
SIZES = st.integers(1, 64)


class Walk(RuleBasedStateMachine):
    """The walk; :func:`walk` binds it to a kind of store."""

    make: Callable[[], Store]

    def __init__(self) -> None:
        super().__init__()
        self.master, self.slave = type(self).make(), type(self).make()
        self.now_s = NOW_S
        self.blocks: dict[str, bytes] = {}
        self.pending: list[str] = []
        self.keys = 0
        self.bits: dict[bytes, bytes] = {}  # of all keys delivered
        self.cuts: list[Portion] = []  # by number
        self.used: set[tuple[str, int]] = set()  # (block, byte) in a key that was delivered
        self.late: list[tuple[int, int]] = []  # the same as (portion, byte)
        self.waiting: list[KeyNote] = []

    def teardown(self) -> None:
        self.master.close()
        self.slave.close()

    @initialize(size_bytes=SIZES)
    def start_with_a_block(self, size_bytes: int) -> None:
        self.a_block_comes_in(size_bytes)

    @rule(size_bytes=SIZES)
    def a_block_comes_in(self, size_bytes: int) -> None:
        fresh = block(f"b{len(self.blocks)}", size_bytes, expires_s=self.now_s + 400)
        self.blocks[fresh.block_id] = fresh.material
        self.pending.append(fresh.block_id)
        for store in (self.master, self.slave, self.slave):
            run(store, AddBlock(block=fresh))

    @precondition(lambda self: self.pending)
    @rule(data=st.data(), good=st.integers(0, 7), tag_bytes=st.integers(0, 16))
    def a_block_is_settled(self, data: Any, good: int, tag_bytes: int) -> None:
        block_id = data.draw(st.sampled_from(self.pending))
        self.pending.remove(block_id)
        tag_bytes = min(tag_bytes, len(self.blocks[block_id]))
        for store in (self.master, self.slave):
            try:
                run(store, settle(block_id, "confirmed" if good else "quarantined", tag_bytes))
            except PeerRefused:
                if self.now_s < NOW_S + 400:  # it can't have expired
                    raise

    @rule(buffer=st.sampled_from(BUFFERS), size_bytes=SIZES)
    def portions_are_cut(self, buffer: Buffer, size_bytes: int) -> None:
        number = run(self.master, NextNumber(pool=POOL))
        free = run(self.master, FreeBlocks(pool=POOL, least_bytes=size_bytes))
        if not free:
            return
        first = free[0]
        cut = portion(number, first.start_bytes, min(size_bytes, first.length_bytes), first.block_id, buffer)
        self.cuts.append(cut)
        for store in (self.master, self.slave, self.slave):
            assert run(store, Cut(portions=(cut,))) == number + 1

    @rule(buffer=st.sampled_from(BUFFERS), size_bytes=SIZES, jump=st.booleans(), lost=st.booleans(), keep=st.booleans())
    def a_key_is_drawn(self, buffer: Buffer, size_bytes: int, jump: bool, lost: bool, keep: bool) -> None:
        key = self._slice(buffer, size_bytes, jump=jump)
        if key is None:
            return
        made, bits = key
        assert run(self.slave, Record(notes=(made, made), now_s=self.now_s)) == (None, None)
        if lost:  # the master's KME never learns of it; the mark tells it
            assert run(self.slave, Withdraw(key_ids=(made.key_id,), now_s=self.now_s)) == 1
            self._catch_up(made)
            return
        run(self.master, Deliver(notes=(made,), now_s=self.now_s, keep=(made,) if keep else ()))
        self._mark_used(made)
        self.bits[made.key_id] = bits
        self.waiting.append(made)

    def _slice(self, buffer: Buffer, size_bytes: int, *, jump: bool) -> tuple[KeyNote, bytes] | None:
        claim = Claim(buffer=buffer, server="0", least_bytes=size_bytes + 1, now_s=self.now_s, again=True)
        stocks = run(self.master, claim)
        parts, bits = [], b""
        for stock in stocks:
            start = stock.cursor_bytes + (jump and stock.cursor_bytes + 1 < stock.portion.length_bytes)
            length = min(size_bytes - len(bits), stock.portion.length_bytes - start)
            if length > 0:
                parts.append((stock.portion.number, start, length))
                bits += self._bytes_of(stock, start, length)
        if len(bits) < size_bytes:
            return None
        self.keys += 1
        made = note(self.keys, parts, (buffer.slave,), master=buffer.master, expires_s=self.now_s + 50)
        return made, bits

    def _bytes_of(self, stock: Stock, start_bytes: int, length_bytes: int) -> bytes:
        place = stock.portion.start_bytes + start_bytes
        bits = self.blocks[stock.portion.block_id][place : place + length_bytes]
        assert stock.material[start_bytes : start_bytes + length_bytes] == bits
        return bits

    def _mark_used(self, made: KeyNote) -> None:
        late = [(each.number, each.start_bytes + index) for each in made.slices for index in range(each.length_bytes)]
        places = {(self.cuts[number].block_id, self.cuts[number].start_bytes + at) for number, at in late}
        assert len(places) == made.size_bytes
        assert not places & self.used
        self.used |= places
        self.late += late

    def _catch_up(self, made: KeyNote) -> None:
        numbers = tuple({each.number for each in made.slices})
        marks = run(self.slave, Marks(pool=POOL, numbers=numbers))
        run(self.master, Skip(pool=POOL, cursors=tuple(zip(numbers, marks, strict=True))))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def a_key_is_taken(self, data: Any) -> None:
        made = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(made)
        take = Take(caller=made.slaves[0], master=made.master, key_ids=(made.key_id,), now_s=self.now_s)
        if made.expires_s <= self.now_s:
            results: list[Any] = self.slave.apply([take])
            assert isinstance(results[0], UnknownKeys)
            return
        (material,) = run(self.slave, take)
        assert material.bits == self.bits[made.key_id]
        results = self.slave.apply([take])
        assert isinstance(results[0], UnknownKeys)

    @precondition(lambda self: self.bits)
    @rule(data=st.data())
    def old_slices_are_refused(self, data: Any) -> None:
        number, at = data.draw(st.sampled_from(self.late))
        late = note(0, ((number, at, 1),))
        assert run(self.slave, Record(notes=(late,), now_s=self.now_s)) != (None,)
        results: list[Any] = self.master.apply([Deliver(notes=(late,), now_s=self.now_s)])
        assert isinstance(results[0], PeerRefused)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def a_key_is_withdrawn(self, data: Any) -> None:
        made = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(made)
        count = run(self.slave, Withdraw(key_ids=(made.key_id,), now_s=self.now_s))
        assert count == 1 or made.expires_s <= self.now_s

    @rule(later_s=st.sampled_from((1.0, 30.0, 200.0)), limit=st.integers(1, 9))
    def time_passes(self, later_s: float, limit: int) -> None:
        self.now_s += later_s
        for store in (self.master, self.slave):
            for most in (limit, 1000):
                run(store, Purge(now_s=self.now_s, limit=most))

    @invariant()
    def both_ledgers_close_and_levels_agree_with_them(self) -> None:
        for store in (self.master, self.slave):
            available_bits = ledger(store).get("available", 0)
            levels = [level(store, buffer) for buffer in BUFFERS]
            held_bytes = sum(each[0] for each in levels) + sum(levels[0][1:])
            assert 8 * held_bytes == available_bits


def walk(make: Callable[[], Store], examples: int = 100, steps: int = 40) -> type[RuleBasedStateMachine]:
    """Return the walk over stores of a kind, each made empty; its ``TestCase`` is the test."""

    class Bound(Walk):
        pass

    Bound.make = staticmethod(make)
    Bound.TestCase.settings = settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    return Bound
