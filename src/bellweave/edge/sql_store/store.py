"""The durable key store: every operation of :mod:`bellweave.kms.operations` on SQLite or PostgreSQL.

A batch is one transaction: its rows are read, its operations run in memory, its changes and its audit row are written,
and it is committed. When :meth:`SqlStore.apply` returns all of it is on disk; when it raises nothing has changed.
"""

from collections.abc import Callable, Sequence
from typing import Any

from bellweave.edge.clock import now_s
from bellweave.edge.sql_store import blocks, keys, looking, meta, purging
from bellweave.edge.sql_store.audit import START, encoded, link
from bellweave.edge.sql_store.database import Conflict, Database
from bellweave.edge.sql_store.sealing import MASTER_KEY_BYTES
from bellweave.edge.sql_store.statements import Statements
from bellweave.edge.sql_store.transaction import Memory, Transaction
from bellweave.errors import DeliveryError, StoreFailed
from bellweave.kms import operations as ops

CONFLICTS = 32
"""How often a transaction is run again that another server was in the way of; each time somebody gets on."""

SCRUB_S = 10.0
"""How long, at most, erased data keys may stay in SQLite's write-ahead log while the store is at work."""

_RUN: dict[type, Callable[[Transaction, Any], Any]] = {
    ops.Deliver: keys.deliver,
    ops.Record: keys.record,
    ops.Take: keys.take,
    ops.Withdraw: keys.withdraw,
    ops.WithdrawAll: keys.withdraw_all,
    ops.Skip: keys.skip,
    ops.Drop: keys.drop,
    ops.Marks: keys.marks,
    ops.AddBlock: blocks.add_block,
    ops.Waiting: blocks.waiting,
    ops.Settle: blocks.settle,
    ops.Verdicts: blocks.verdicts,
    ops.FreeBlocks: blocks.free_blocks,
    ops.Cut: blocks.cut,
    ops.Portions: blocks.portions,
    ops.NextNumber: blocks.next_number,
    ops.Claim: blocks.claim,
    ops.Levels: looking.levels,
    ops.Accounts: looking.accounts,
    ops.Renew: looking.renew,
    ops.Witness: looking.witness,
    ops.Purge: purging.purge,
}


_TEXTS: dict[bool, Statements] = {}


def _texts(database: Database) -> Statements:
    """Return the statements for a kind of database: to compile them takes 50 ms, once."""
    texts = _TEXTS.get(database.is_sqlite)
    if texts is None:
        texts = _TEXTS[database.is_sqlite] = Statements(database)
    return texts


class SqlStore:
    """A :class:`~bellweave.kms.operations.Store` in a database; for one thread at a time.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql+psycopg://...``; it is made if it is not there.
        master_key: 32 bytes, which wrap the data keys at rest.
        server: Name of this server among those that share the store; no two that run may have the same.
        kme: Whose store it is; one that was made for another KME is refused. None: whoever's.

    Attributes:
        store_name: Random, drawn when the store was made or restored.
        shared: Whether other servers may use it, too.

    Raises:
        StoreFailed: It can't be opened: no such database, another master key, another KME's, or a newer Bellweave's.
    """

    def __init__(self, url: str, master_key: bytes | None = None, *, server: str = "0", kme: str | None = None) -> None:
        if master_key is None or len(master_key) != MASTER_KEY_BYTES:
            raise StoreFailed(f"a store at rest needs a master key of {MASTER_KEY_BYTES} bytes")
        self._database = Database(url)
        self._texts = _texts(self._database)
        self._memory = Memory()
        self._server = server
        self._now_s = 0.0
        self._head: tuple[int, bytes] | None = None
        self._to_scrub = False
        self._scrubbed_s = 0.0
        try:
            with self._database.transaction():
                self._sealer, self.store_name = meta.prepare(self._database, master_key, kme)
                self._checked = self._database.connections
                restored = meta.RESTORED in meta.read(self._database)
            if restored:
                self._retry(self._withdraw_restored)
        except Conflict as conflict:
            raise StoreFailed(str(conflict)) from None
        except BaseException:
            self._database.close()
            raise
        self.shared = not self._database.is_sqlite

    def __repr__(self) -> str:
        return f"<SqlStore {self._database.where}>"

    def apply(self, operations: Sequence[ops.Operation[Any]]) -> list[Any]:
        """Run a batch in one transaction and return each operation's result or its error.

        Raises:
            StoreFailed: Nothing was changed. The next batch tries the database anew.
        """
        if not operations:
            return []
        results: list[Any] = self._retry(lambda work: self._run(work, operations))
        if self._to_scrub and not 0.0 <= self._now_s - self._scrubbed_s < SCRUB_S:
            self._database.checkpoint()
            self._to_scrub, self._scrubbed_s = False, self._now_s
        return results

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def _retry(self, run: Callable[[Transaction], Any]) -> Any:
        for _ in range(CONFLICTS):
            try:
                return self._transact(run)
            except Conflict as conflict:
                last = conflict
        raise StoreFailed(f"the store {self._database.where} is too busy: {last}")

    def _transact(self, run: Callable[[Transaction], Any]) -> Any:
        work = Transaction(self._database, self._texts, self._sealer, self._memory, self._server, self._now_s)
        try:
            with self._database.transaction():
                if self._database.connections != self._checked:
                    self._check()
                result = run(work)
                work.flush()
                head = self._write_audit(work)
        except BaseException:
            self._memory.clear()
            self._head = None
            raise
        self._head, self._now_s = head, work.now_s
        self._to_scrub = self._to_scrub or work.erased > 0
        return result

    def _check(self) -> None:
        """Refuse to go on, on a new connection, if another store is there now: a backup was restored, say."""
        if meta.read(self._database).get(meta.NAME) != self.store_name:
            raise StoreFailed(f"{self._database.where} is another store than the one that was opened; start again")
        self._checked = self._database.connections

    def _run(self, work: Transaction, operations: Sequence[ops.Operation[Any]]) -> list[Any]:
        work.load(operations)
        results: list[Any] = []
        for operation in operations:
            try:
                results.append(_RUN[type(operation)](work, operation))
            except StoreFailed:
                raise
            except DeliveryError as error:
                results.append(error)
        return results

    def _write_audit(self, work: Transaction) -> tuple[int, bytes] | None:
        """Write the batch's events; return the chain's new head."""
        if not work.events:
            return self._head
        if self._head is None:
            row = self._database.execute(self._texts.last_audit, (self._server, 1)).fetchone()
            self._head = (0, START) if row is None else (row[0], bytes(row[1]))
        seq, previous = self._head
        events = encoded(work.events)
        mac = link(self._sealer.chain, self._server, seq + 1, previous, events)
        self._database.execute(self._texts.add_audit, (self._server, seq + 1, events, mac))
        return seq + 1, mac

    def _withdraw_restored(self, work: Transaction) -> None:
        """Forget the keys that wait: this store comes from a backup, and they may have been taken since."""
        work.now_s = now_s()
        keys.withdraw_of(work, None)
        self._database.execute(self._texts.forget_meta, (meta.RESTORED,))
