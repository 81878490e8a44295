"""What the store tells of itself, and what it remembers of servers and peers."""

from bellweave.edge.sql_store.schema import LEDGER_COLUMNS
from bellweave.edge.sql_store.transaction import Transaction
from bellweave.kms.ledger import ACCOUNTS
from bellweave.kms.operations import Accounts, Level, Levels, Renew, Witness
from bellweave.kms.records import Account, Buffer


def levels(work: Transaction, operation: Levels) -> tuple[Level, ...]:
    """See :class:`~bellweave.kms.operations.Levels`."""
    work.flush()
    return tuple(_level(work, buffer) for buffer in operation.buffers)


def _level(work: Transaction, buffer: Buffer) -> Level:
    pool, identity = work.pool(buffer.pool), work.buffer(buffer)
    free = waiting = unused = 0
    if pool is not None:
        free, waiting = work.database.execute(work.texts.pool_levels, (pool,)).fetchone()
    if identity is not None:
        (unused,) = work.database.execute(work.texts.buffer_level, (identity,)).fetchone()
    return Level(buffer_bytes=unused, free_bytes=free, waiting_bytes=waiting)


def accounts(work: Transaction, _: Accounts) -> dict[str, dict[Account, int]]:
    """See :class:`~bellweave.kms.operations.Accounts`."""
    work.flush()
    found: dict[str, dict[Account, int]] = {}
    for name, *counts in work.database.execute(work.texts.accounts).fetchall():
        bytes_of = dict(zip(LEDGER_COLUMNS, counts, strict=True))
        found[name] = {account: 8 * bytes_of[account] for account in ACCOUNTS}
    return found


def renew(work: Transaction, operation: Renew) -> None:
    """See :class:`~bellweave.kms.operations.Renew`."""
    work.database.execute(work.texts.renew, (operation.server, operation.until_s))


def witness(work: Transaction, operation: Witness) -> int:
    """See :class:`~bellweave.kms.operations.Witness`."""
    (highest,) = work.database.execute(work.texts.witness, (operation.peer, operation.changes)).fetchone()
    return int(highest)
