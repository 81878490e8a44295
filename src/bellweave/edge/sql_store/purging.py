"""How what has expired or is used up goes: keys, blocks, portions, in steps that never hold up other servers.

A block's material is erased when nothing needs it any more: no part of it is free, each of its portions is used up and
no key that waits has slices of it. Its data key goes first.
"""

from bellweave.edge.sql_store.keys import give_up, move
from bellweave.edge.sql_store.schema import POOL_SHIFT, BlockState, PortionState
from bellweave.edge.sql_store.transaction import Transaction
from bellweave.kms.operations import Purge


def purge(work: Transaction, operation: Purge) -> int:
    """See :class:`~bellweave.kms.operations.Purge`."""
    work.now_s = operation.now_s
    work.forget()
    purged_bytes = _end_keys(work, operation) + _end_blocks(work, operation)
    work.forget()
    _settle_portions(work, operation.limit)
    erase_finished(work, operation.limit)
    return 8 * purged_bytes


def _end_keys(work: Transaction, operation: Purge) -> int:
    rows = work.database.execute(work.texts.expired_keys, (operation.now_s, operation.limit)).fetchall()
    keys = [key for (key_id,) in rows if (key := work.key(key_id)) is not None]
    return sum(give_up(work, key, "expired") for key in keys)


def _end_blocks(work: Transaction, operation: Purge) -> int:
    """Purge what of expired blocks is in no key."""
    rows = work.database.execute(work.texts.expired_blocks, (operation.now_s, operation.limit)).fetchall()
    ended, purged_bytes = [], 0
    for identity, pool, state, free, unsettled in rows:
        left = unsettled if state == BlockState.WAITING else free
        ended.append((0, unsettled - left, 1, identity))
        work.count(pool, "waiting" if state == BlockState.WAITING else "free", -left)
        work.book(pool, "available", "purged", left)
        purged_bytes += left
        for (portion,) in work.database.execute(work.texts.open_portions, (identity,)).fetchall():
            row = work.portion(pool, portion & (1 << POOL_SHIFT) - 1)
            if row is not None:
                purged_bytes += move(work, pool, row, row.length)
    if ended:
        work.database.execute_all(work.texts.end_block, ended)
    return purged_bytes


def _settle_portions(work: Transaction, limit: int) -> None:
    """Take portions that nothing needs any more off their blocks' counts."""
    rows = work.database.execute(work.texts.done_portions, (limit,)).fetchall()
    if not rows:
        return
    work.database.execute_all(work.texts.settle_portion, [(int(PortionState.SETTLED), row[0]) for row in rows])
    counts: dict[int, int] = {}
    for _, block, length in rows:
        counts[block] = counts.get(block, 0) + length
    work.database.execute_all(work.texts.settle_in_block, [(count, block) for block, count in sorted(counts.items())])


def erase_finished(work: Transaction, limit: int) -> None:
    """Erase the material of blocks that nothing needs any more."""
    finished = work.database.execute(work.texts.finished_blocks, (limit,)).fetchall()
    if not finished:
        return
    ids = [identity for (identity,) in finished]
    for identity in ids:
        work.memory.blocks.pop(identity, None)
    work.database.delete(work.texts.erase_data_keys, ids)
    work.database.delete(work.texts.erase_materials, ids)
    work.database.execute_all(work.texts.erased, [(0, 1, identity) for identity in ids])
    work.erased += len(finished)
