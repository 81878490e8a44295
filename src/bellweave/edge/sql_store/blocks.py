"""What the store does with blocks and portions: hold, settle, cut, list and claim them."""

from bellweave.edge.sql_store.rows import DECODE_STATEMENT, ENCODE
from bellweave.edge.sql_store.schema import POOL_SHIFT, BlockState, PortionState
from bellweave.edge.sql_store.sealing import block_name
from bellweave.edge.sql_store.transaction import Transaction
from bellweave.errors import PeerRefused
from bellweave.kms.operations import (
    AddBlock,
    Claim,
    Cut,
    Free,
    FreeBlocks,
    NextNumber,
    Portions,
    Settle,
    Verdict,
    Verdicts,
    Waiting,
)
from bellweave.kms.records import Block, Buffer, Portion, Stock

_PAGE = 64
_VERDICTS: tuple[Verdict, ...] = ("waiting", "confirmed", "quarantined")


def add_block(work: Transaction, operation: AddBlock) -> bool:
    """See :class:`~bellweave.kms.operations.AddBlock`."""
    block = operation.block
    pool = work.new_pool(block.pool)
    digest = work.sealer.fingerprint(block.material)
    known = work.database.execute(work.texts.block_known, (pool, block.block_id)).fetchone()
    if known is not None:
        if known[0] != digest:  # an HMAC, and whoever asks can't see how long this takes
            raise PeerRefused(f"another block is or was in {block.pool} as {block.block_id}")
        return False
    size = len(block.material)
    statement = ENCODE(block.statement)
    values = (pool, block.block_id, size, digest, statement, block.expires_s, int(BlockState.WAITING), 0, 0, size, 1, 0)
    (identity,) = work.database.execute(work.texts.add_block, values).fetchone()
    wrapped, sealed = work.sealer.seal(block.material, block_name(block.pool, block.block_id, size))
    work.database.execute(work.texts.add_data_key, (identity, wrapped))
    work.database.execute(work.texts.add_material, (identity, sealed))
    for column in ("ingested", "available", "waiting"):
        work.count(pool, column, size)
    work.now_s = max(work.now_s, block.statement.made_s)
    work.events.append(("ingested", work.now_s, block.pool, (), block.block_id, size, digest))
    return True


def waiting(work: Transaction, operation: Waiting) -> tuple[Block, ...]:
    """See :class:`~bellweave.kms.operations.Waiting`."""
    pool = work.pool(operation.pool)
    if pool is None:
        return ()
    if operation.block_ids is None:
        rows = work.database.execute(work.texts.waiting, (pool, operation.limit)).fetchall()
    else:
        named = dict.fromkeys(operation.block_ids)
        found = [work.database.execute(work.texts.waiting_named, (pool, name)).fetchone() for name in named]
        rows = sorted(row for row in found if row is not None)
    blocks = [work.block(identity) for (identity,) in rows]
    return tuple(
        Block(
            pool=block.pool,
            block_id=block.block_id,
            material=block.material,
            statement=block.statement,
            expires_s=block.expires_s,
        )
        for block in blocks
    )


def settle(work: Transaction, operation: Settle) -> bool:
    """See :class:`~bellweave.kms.operations.Settle`."""
    name, block_id, tag_bytes = operation.pool, operation.block_id, operation.tag_bytes
    state = BlockState.CONFIRMED if operation.verdict == "confirmed" else BlockState.QUARANTINED
    pool = work.pool(name)
    row = None if pool is None else work.database.execute(work.texts.to_settle, (pool, block_id)).fetchone()
    if pool is None or row is None:
        raise PeerRefused(f"{name} has no block {block_id}")
    identity, found, size, ended = row
    if found != BlockState.WAITING:
        if found != state:
            raise PeerRefused(f"{block_id} of {name} is {_VERDICTS[found]} already")
        return False
    if ended:
        raise PeerRefused(f"{block_id} of {name} has expired")
    if not 0 <= tag_bytes <= size:
        raise PeerRefused(f"{block_id} of {name} has {size} bytes, fewer than its tag's {tag_bytes}")
    rest = size - tag_bytes
    free = rest if state == BlockState.CONFIRMED else 0
    settled = (int(state), free, free, identity, int(BlockState.WAITING))
    work.database.execute_all(work.texts.settle, [settled])
    work.count(pool, "waiting", -size)
    work.count(pool, "free", free)
    work.book(pool, "available", "authentication", tag_bytes)
    if not free:
        work.book(pool, "available", "quarantined", rest)
    work.events.append((operation.verdict, work.now_s, name, (), block_id, size, b""))
    return True


def verdicts(work: Transaction, operation: Verdicts) -> tuple[Verdict | None, ...]:
    """See :class:`~bellweave.kms.operations.Verdicts`."""
    pool = work.pool(operation.pool)
    execute, text = work.database.execute, work.texts.block_known
    rows = [None if pool is None else execute(text, (pool, each)).fetchone() for each in operation.block_ids]
    return tuple(None if row is None else _VERDICTS[row[1]] for row in rows)


def free_blocks(work: Transaction, operation: FreeBlocks) -> tuple[Free, ...]:
    """See :class:`~bellweave.kms.operations.FreeBlocks`."""
    pool = work.pool(operation.pool)
    missing_bytes, after = operation.least_bytes, 0
    found: list[Free] = []
    while pool is not None and missing_bytes > 0:
        rows = work.database.execute(work.texts.free, (pool, after, _PAGE)).fetchall()
        for block_id, start, length, statement, expires_s, after in rows:  # noqa: B007 the last one counts
            if missing_bytes <= 0:
                break
            missing_bytes -= length
            found.append(
                Free(
                    block_id=block_id,
                    start_bytes=start,
                    length_bytes=length,
                    statement=DECODE_STATEMENT(statement),
                    expires_s=expires_s,
                )
            )
        if len(rows) < _PAGE:
            break
    return tuple(found)


# ------------------------------------------------------------------------------------------------------------- portions
class _Fresh:
    """A block that is being cut: ``start`` and ``free`` change as portions are laid on it."""

    __slots__ = ("free", "identity", "old", "start")

    def __init__(self, identity: int, start: int, free: int) -> None:
        self.identity, self.start, self.free, self.old = identity, start, free, free


def cut(work: Transaction, operation: Cut) -> int:
    """See :class:`~bellweave.kms.operations.Cut`."""
    names = {portion.buffer.pool for portion in operation.portions}
    if len(names) != 1:
        raise PeerRefused(f"portions are cut of one pool at a time, not of {len(names)}")
    name = names.pop()
    pool = work.pool(name)
    if pool is None:
        raise PeerRefused(f"{name} holds no blocks")
    (number,) = work.database.execute(work.texts.next_number_locked, (pool,)).fetchone()
    fresh = [each for each in operation.portions if each.number >= number]
    _check_known(work, pool, [each for each in operation.portions if each.number < number])
    blocks = _lay(work, pool, name, number, fresh)
    if not fresh:
        return int(number)
    rows = []
    for each in fresh:
        buffer = work.new_buffer(each.buffer)
        state = PortionState.OPEN if each.length_bytes else PortionState.SETTLED
        place = (blocks[each.block_id].identity, each.start_bytes, each.length_bytes)
        rows.append((pool << POOL_SHIFT | each.number, buffer, *place, 0, 0, int(state), None))
        work.count_unused(buffer, each.length_bytes)
        work.count(pool, "free", -each.length_bytes)
    work.database.execute_all(work.texts.add_portion, rows)
    changed = [(each.start, each.free, each.identity, each.old) for each in blocks.values() if each.free != each.old]
    if changed:
        work.database.execute_all(work.texts.cut_block, sorted(changed, key=lambda values: values[2]))
    number += len(fresh)
    work.database.execute(work.texts.set_next_number, (number, pool))
    work.forget_missing([row[0] for row in rows])
    return int(number)


def _check_known(work: Transaction, pool: int, portions: list[Portion]) -> None:
    for portion in portions:
        found = _described(work, pool, portion.buffer.pool, portion.number, 1)
        if found != (portion,):
            raise PeerRefused(f"portion {portion.number} of {portion.buffer.pool} is another one here")


def _lay(work: Transaction, pool: int, name: str, number: int, portions: list[Portion]) -> dict[str, _Fresh]:
    """Return the blocks as they are when these portions are cut of them."""
    blocks: dict[str, _Fresh] = {}
    for wanted, portion in enumerate(portions, number):
        block_id = portion.block_id
        if portion.number != wanted:
            raise PeerRefused(f"{name} has no portion {wanted} yet, so not {portion.number}")
        block = blocks.get(block_id)
        if block is None:
            row = work.database.execute(work.texts.to_cut, (pool, block_id)).fetchone()
            if row is None or row[1] != BlockState.CONFIRMED:
                raise PeerRefused(f"{name} has no confirmed block {block_id}")
            block = blocks[block_id] = _Fresh(row[0], row[2], row[3])
        if portion.start_bytes != block.start or not 0 <= portion.length_bytes <= block.free:
            raise PeerRefused(f"the bytes of portion {portion.number} are not the next free ones of {block_id}")
        block.start += portion.length_bytes
        block.free -= portion.length_bytes
    return blocks


def _described(work: Transaction, pool: int, name: str, number: int, limit: int) -> tuple[Portion, ...]:
    first, end = pool << POOL_SHIFT | number, (pool + 1) << POOL_SHIFT
    rows = work.database.execute(work.texts.described, (first, end, limit)).fetchall()
    return tuple(
        Portion(
            buffer=Buffer(master=master, slave=slave, pool=name),
            number=identity & (1 << POOL_SHIFT) - 1,
            block_id=block_id,
            start_bytes=start,
            length_bytes=length,
        )
        for identity, master, slave, block_id, start, length in rows
    )


def portions(work: Transaction, operation: Portions) -> tuple[Portion, ...]:
    """See :class:`~bellweave.kms.operations.Portions`."""
    pool = work.pool(operation.pool)
    if pool is None or operation.number >= 1 << POOL_SHIFT:
        return ()
    return _described(work, pool, operation.pool, max(0, operation.number), operation.limit)


def next_number(work: Transaction, operation: NextNumber) -> int:
    """See :class:`~bellweave.kms.operations.NextNumber`."""
    pool = work.pool(operation.pool)
    return 0 if pool is None else int(work.database.execute(work.texts.next_number, (pool,)).fetchone()[0])


def claim(work: Transaction, operation: Claim) -> tuple[Stock, ...]:
    """See :class:`~bellweave.kms.operations.Claim`."""
    buffer = work.buffer(operation.buffer)
    if buffer is None:
        return ()
    work.flush()
    # One claim of a buffer at a time: the next one sees what this one took.
    work.database.execute(work.texts.lock_buffer, (buffer,)).fetchone()
    missing_bytes, after = operation.least_bytes, 0
    claimed: list[tuple[int, ...]] = []
    while missing_bytes > 0:
        rows = _claimable(work, operation, buffer, after)
        for row in rows:
            if missing_bytes <= 0:
                break
            claimed.append(row)
            missing_bytes -= row[4] - row[5]
        if len(rows) < _PAGE:
            break
        after = rows[-1][0]
    if claimed:
        work.database.execute_all(work.texts.claim, [(operation.server, row[0]) for row in claimed])
    return tuple(_stock(work, operation.buffer, row) for row in claimed)


def _claimable(work: Transaction, operation: Claim, buffer: int, after: int) -> list[tuple[int, ...]]:
    values = (buffer, after, operation.now_s, operation.server, operation.now_s, _PAGE)
    text = work.texts.claimable_again if operation.again else work.texts.claimable
    return work.database.execute(text, values).fetchall()  # type: ignore[no-any-return]


def _stock(work: Transaction, buffer: Buffer, row: tuple[int, ...]) -> Stock:
    identity, _, block_identity, start, length, used = row
    block = work.block(block_identity)
    return Stock(
        portion=Portion(
            buffer=buffer,
            number=identity & (1 << POOL_SHIFT) - 1,
            block_id=block.block_id,
            start_bytes=start,
            length_bytes=length,
        ),
        cursor_bytes=used,
        material=block.material[start : start + length],
        statement=block.statement,
        expires_s=block.expires_s,
    )
