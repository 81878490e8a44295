"""A process that works on a store until it is killed, and how to see afterwards that nothing was used twice or lost.

The worker plays both ends of a pool on one store: as a master's KME it delivers keys of one buffer, as a slave's it
stores and takes keys of another. After each batch, when the store has said that it is durable, it tells in a file what
it did, one line a key: so whatever a line tells must be true after any crash.
"""
# ruff: noqa: S101 (these are parts of tests)

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from bellweave.edge.sql_store import SqlStore
from bellweave.edge.sql_store.audit import read_audit, verify
from bellweave.errors import UnknownKeys
from bellweave.kms.operations import AddBlock, Claim, Cut, Deliver, Marks, Operation, Record, Renew, Settle, Take
from bellweave.kms.records import Buffer, KeyNote, Portion, Slice
from bellweave.rng import from_bytes
from bellweave.testing.stores import BUFFER, NOW_S, POOL, block, ledger, run

MASTER_KEY = bytes(range(32))
STORED = Buffer(master="carol", slave="bob", pool="kme-b|kme-c/direct")
PORTION_BYTES = 2048
KEY_BYTES = 16
LATER_S = NOW_S + 1e6


def prepare(url: str, blocks: int) -> None:
    """Make a store with so many blocks of 32 KiB in each of the two pools, cut into portions."""
    store = SqlStore(url, MASTER_KEY)
    for buffer in (BUFFER, STORED):
        operations: list[Operation[Any]] = []
        portions: list[Portion] = []
        for index in range(blocks):
            whole = block(f"block {index}", 32768, pool=buffer.pool, expires_s=LATER_S)
            operations.append(AddBlock(block=whole))
            settle = Settle(pool=buffer.pool, block_id=whole.block_id, verdict="confirmed", tag_bytes=0)
            operations.append(settle)
            for start in range(0, 32768, PORTION_BYTES):
                portions.append(
                    Portion(
                        buffer=buffer,
                        number=len(portions),
                        block_id=whole.block_id,
                        start_bytes=start,
                        length_bytes=PORTION_BYTES,
                    )
                )
        store.apply([*operations, Cut(portions=tuple(portions))])
    store.close()


class Worker:
    """Delivers, stores and takes as fast as it can."""

    def __init__(self, url: str, said: Path, server: str) -> None:
        self._store = SqlStore(url, MASTER_KEY, server=server)
        self._said = os.open(said, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._server = server
        self._entropy = from_bytes(os.urandom(16))
        self._number = 0
        run(self._store, Renew(server=server, until_s=LATER_S))

    def work(self, batches: int) -> None:
        """Do so many batches of each kind, or as many as there is key for."""
        for _ in range(batches):
            size = int(self._entropy.integers(1, 65))
            if not (self._deliver(size) and self._record_and_take(size)):
                break
        self._store.close()
        os.close(self._said)

    def deliver_all(self, meet: Callable[[], object]) -> None:
        """Deliver until the buffer is empty, but for what other servers hold; after the first batch, ``meet`` them."""
        self._deliver(1)
        meet()
        while self._deliver(int(self._entropy.integers(1, 65))):
            pass
        self._store.close()
        os.close(self._said)

    def _deliver(self, count: int) -> bool:
        claim = Claim(buffer=BUFFER, server=self._server, least_bytes=count * KEY_BYTES, now_s=NOW_S, again=True)
        notes: list[KeyNote] = []
        for stock in run(self._store, claim):
            start = stock.cursor_bytes
            while start + KEY_BYTES <= PORTION_BYTES and len(notes) < count:
                notes.append(self._note(BUFFER, stock.portion.number, start))
                start += KEY_BYTES
        results = self._store.apply([Deliver(notes=(note,), now_s=NOW_S) for note in notes])
        self._tell("delivered", [note for note, result in zip(notes, results, strict=True) if result is None])
        return bool(notes)

    def _record_and_take(self, count: int) -> bool:
        notes: list[KeyNote] = []
        while len(notes) < count:
            (mark_bytes,) = run(self._store, Marks(pool=STORED.pool, numbers=(self._number,)))
            if mark_bytes < 0:
                return False
            starts = range(mark_bytes, PORTION_BYTES - KEY_BYTES + 1, KEY_BYTES)
            notes += [self._note(STORED, self._number, start) for start in starts[: count - len(notes)]]
            if len(notes) < count:
                self._number += 1
        results = self._store.apply([Record(notes=(note,), now_s=NOW_S) for note in notes])
        stored = [note for note, (problem,) in zip(notes, results, strict=True) if problem is None]
        self._tell("stored", stored)
        some = stored[: len(stored) // 2]
        takes = [Take(caller="bob", master="carol", key_ids=(note.key_id,), now_s=NOW_S) for note in some]
        taken = self._store.apply(takes)
        assert not any(isinstance(each, UnknownKeys) for each in taken)
        self._tell("taken", some)
        return True

    def _note(self, buffer: Buffer, number: int, start_bytes: int) -> KeyNote:
        return KeyNote(
            key_id=self._entropy.bytes(16),
            pool=buffer.pool,
            master=buffer.master,
            slaves=(buffer.slave,),
            size_bytes=KEY_BYTES,
            slices=(Slice(number, start_bytes, KEY_BYTES),),
            expires_s=LATER_S,
        )

    def _tell(self, what: str, notes: list[KeyNote]) -> None:
        lines = [
            f"{what} {note.key_id.hex()} {each.number} {each.start_bytes}\n" for note in notes for each in note.slices
        ]
        os.write(self._said, "".join(lines).encode())


def work(url: str, said: str, server: str = "0", batches: int = 1 << 30) -> None:
    """Be the worker: the target of a process."""
    Worker(url, Path(said), server).work(batches)


class Meeting(Protocol):
    """Of processes: a barrier."""

    def wait(self) -> int:
        """Return when all are there."""


def deliver_all(url: str, said: str, server: str, meeting: Meeting) -> None:
    """Be one of several servers: the target of a process."""
    Worker(url, Path(said), server).deliver_all(meeting.wait)


class Told:
    """What workers said before they were killed, each in a file of its own; a last line that was torn counts not."""

    def __init__(self, *said: Path) -> None:
        lines = [line.split() for file in said if file.exists() for line in file.read_text().split("\n")[:-1]]
        self.delivered = [
            (key_id, int(number), int(start)) for what, key_id, number, start in lines if what == "delivered"
        ]
        self.stored = [(key_id, int(number), int(start)) for what, key_id, number, start in lines if what == "stored"]
        self.taken = {key_id for what, key_id, *_ in lines if what == "taken"}

    def check(self, url: str) -> None:
        """Check a store that was opened again: no bytes in two keys, and all that was said is so."""
        for kind in (self.delivered, self.stored):
            places = [place for _, *place in kind]
            assert len({(number, start) for number, start in places}) == len(places), "bytes in two keys"
        audit = Counter((event.what, event.subject) for entry in read_audit(url) for event in entry.events)
        assert all(audit[kind, key_id] <= 1 for kind, key_id in audit if kind in {"delivered", "stored", "taken"})
        assert all(audit["delivered", key_id] for key_id, *_ in self.delivered), "delivered but not recorded"
        assert all(audit["stored", key_id] for key_id, *_ in self.stored), "announced but not stored"
        assert all(audit["taken", key_id] for key_id in self.taken), "taken but not recorded"
        verify(url, MASTER_KEY)
        store = SqlStore(url, MASTER_KEY, server="check")
        self._check_cursors(store, POOL, self.delivered)
        self._check_cursors(store, STORED.pool, self.stored)
        ids = [key_id for key_id, *_ in self.stored]
        takes = [Take(caller="bob", master="carol", key_ids=(bytes.fromhex(each),), now_s=NOW_S) for each in ids]
        results = store.apply(takes) if takes else []
        for key_id, result in zip(ids, results, strict=True):
            waited = not isinstance(result, UnknownKeys)
            assert waited != bool(audit["taken", key_id]), "a key that waits is gone, or one that was taken is back"
        for pool in (POOL, STORED.pool):
            ledger(store, pool)
        store.close()

    @staticmethod
    def _check_cursors(store: SqlStore, pool: str, keys: list[tuple[str, int, int]]) -> None:
        ends: dict[int, int] = {}
        for _, number, start in keys:
            ends[number] = max(ends.get(number, 0), start + KEY_BYTES)
        cursors = run(store, Marks(pool=pool, numbers=tuple(ends)))
        assert all(cursor >= end for cursor, end in zip(cursors, ends.values(), strict=True)), "a cursor went back"
