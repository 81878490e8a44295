"""What the store does with keys: deliver, store, take, withdraw them, and move cursors and marks."""

from bellweave.edge.sql_store.audit import What
from bellweave.edge.sql_store.rows import DECODE_NOTE, KeyRow, PortionRow
from bellweave.edge.sql_store.transaction import Transaction
from bellweave.errors import NotEntitled, PeerRefused, UnknownKeys
from bellweave.kms.operations import (
    SPENT_ON,
    Deliver,
    Drop,
    Marks,
    Record,
    Skip,
    Take,
    Withdraw,
    WithdrawAll,
)
from bellweave.kms.records import KeyNote, Material, Statement, merged

_PAGE = 512


# --------------------------------------------------------------------------------------------------- cursors and marks
def problem(work: Transaction, note: KeyNote, ends_bytes: dict[int, int]) -> str | None:
    """Return why a key can't have its slices; else None, and ``ends_bytes`` tells how far they use the portions.

    Give the same dictionary for several notes that are to be used together.
    """
    pool = work.pool(note.pool)
    for each in note.slices:
        row = work.portion(pool, each.number)
        if row is None:
            return f"unknown portion {each.number} of {note.pool}"
        end_bytes = each.start_bytes + each.length_bytes
        if each.start_bytes < ends_bytes.get(row.id, row.used):
            return f"portion {each.number} of {note.pool} is used up to beyond byte {each.start_bytes}"
        if each.length_bytes <= 0 or end_bytes > row.length:
            return f"portion {each.number} of {note.pool} has no bytes {each.start_bytes} to {end_bytes}"
        ends_bytes[row.id] = end_bytes
    return None


def consume(work: Transaction, note: KeyNote, target: str) -> None:
    """Use a key's slices, of which :func:`problem` found nothing to say."""
    pool = work.pool(note.pool)
    if pool is None:
        return
    for each in note.slices:
        row = work.portion(pool, each.number)
        if row is None:
            continue
        if each.start_bytes > row.used:
            work.book(pool, "available", "purged", each.start_bytes - row.used)
        work.book(pool, "available", target, each.length_bytes)
        work.use(row, each.start_bytes + each.length_bytes)


def keep_waiting(work: Transaction, note: KeyNote, *, booked: bool) -> None:
    """Let a key wait, and its portions be kept for it."""
    pool = work.pool(note.pool)
    for each in note.slices:
        row = work.portion(pool, each.number)
        if row is not None:
            row.reserved += each.length_bytes
            work.touch(row)
    work.add_key(note, booked=booked)


def skip(work: Transaction, operation: Skip) -> None:
    """See :class:`~bellweave.kms.operations.Skip`."""
    pool = work.pool(operation.pool)
    for number, end_bytes in operation.cursors:
        row = work.portion(pool, number)
        if pool is not None and row is not None:
            move(work, pool, row, end_bytes)


def drop(work: Transaction, operation: Drop) -> None:
    """See :class:`~bellweave.kms.operations.Drop`."""
    pool = work.pool(operation.pool)
    for number in operation.numbers:
        row = work.portion(pool, number)
        if pool is not None and row is not None:
            move(work, pool, row, row.length)


def move(work: Transaction, pool: int, row: PortionRow, end_bytes: int) -> int:
    """Purge the front of a portion up to here, if so much of it is unused; return how many bytes that was."""
    jumped_bytes = min(end_bytes, row.length) - row.used
    if jumped_bytes <= 0:
        return 0
    work.book(pool, "available", "purged", jumped_bytes)
    work.use(row, row.used + jumped_bytes)
    return jumped_bytes


def marks(work: Transaction, operation: Marks) -> tuple[int, ...]:
    """See :class:`~bellweave.kms.operations.Marks`."""
    pool = work.pool(operation.pool)
    rows = [work.portion(pool, number) for number in operation.numbers]
    return tuple(-1 if row is None else row.used for row in rows)


# -------------------------------------------------------------------------------------------------- delivering, storing
def deliver(work: Transaction, operation: Deliver) -> None:
    """See :class:`~bellweave.kms.operations.Deliver`."""
    ends_bytes: dict[int, int] = {}
    for note in operation.notes:
        trouble = problem(work, note, ends_bytes)
        if trouble is not None:
            raise PeerRefused(trouble)
    for note in operation.keep:
        if work.key(note.key_id) is not None:
            raise PeerRefused(f"a key waits here already under the id {note.key_id.hex()}")
    now_s = work.now_s = operation.now_s
    for note in operation.notes:
        consume(work, note, SPENT_ON[note.purpose])
        _report(work, "delivered", now_s, note)
    for note in operation.keep:
        keep_waiting(work, note, booked=True)
        _report(work, "stored", now_s, note)


def record(work: Transaction, operation: Record) -> tuple[str | None, ...]:
    """See :class:`~bellweave.kms.operations.Record`."""
    work.now_s = operation.now_s
    return tuple([_record_one(work, note) for note in operation.notes])


def _record_one(work: Transaction, note: KeyNote) -> str | None:
    known = work.key(note.key_id)
    if known is not None:
        return None if _described(work, known) == note else f"another key waits here under the id {note.key_id.hex()}"
    if note.copy is not None:
        return _record_copy(work, note, note.copy)
    trouble = problem(work, note, {})
    if trouble is not None:
        return trouble
    consume(work, note, "reserved")
    keep_waiting(work, note, booked=False)
    _report(work, "stored", work.now_s, note)
    return None


def _record_copy(work: Transaction, note: KeyNote, copy: bytes) -> str | None:
    if note.statement is None or len(copy) != note.size_bytes:
        return f"the copy is not of {note.size_bytes} bytes, or nothing is said of it"
    work.add_copy(note, copy)
    _report(work, "stored", work.now_s, note, copy)
    return None


def _described(work: Transaction, row: KeyRow) -> KeyNote:
    """Return the note as it was announced."""
    return work.with_copy(row.note, row.copy) if row.copy is not None else row.note


# --------------------------------------------------------------------------------------------------- taking, forgetting
def take(work: Transaction, operation: Take) -> tuple[Material, ...]:
    """See :class:`~bellweave.kms.operations.Take`."""
    caller, master, now_s = operation.caller, operation.master, operation.now_s
    found: dict[bytes, KeyRow] = {}
    for key_id in operation.key_ids:
        row = work.key(key_id)
        if row is None or row.expires_s <= now_s or caller in row.taken:
            continue
        if master is None or row.note.master == master:
            found[key_id] = row
    if len(found) < len(operation.key_ids):
        unknown = [key_id for key_id in operation.key_ids if key_id not in found]
        if unknown:
            raise UnknownKeys(tuple(dict.fromkeys(unknown)))
    for row in found.values():
        if caller not in row.note.slaves:
            raise NotEntitled(f"not all of the {len(operation.key_ids)} keys wait for {caller}")
    work.now_s = now_s
    materials = {key_id: _taken(work, row, caller) for key_id, row in found.items()}
    return tuple([materials[key_id] for key_id in operation.key_ids])


def _taken(work: Transaction, row: KeyRow, caller: str) -> Material:
    note = row.note
    pool = work.pool(note.pool)
    if row.copy is None:
        bits = work.bits(pool, note.slices)
        statement = _statement(work, pool, note)
    else:
        whole = work.with_copy(note, row.copy)
        bits, statement = whole.copy or b"", whole.statement or _statement(work, pool, note)
    if not row.booked and pool is not None and note.slices:
        work.book(pool, "reserved", SPENT_ON[note.purpose], note.size_bytes)
    row.booked = 1
    row.taken = (*row.taken, caller)
    if len(row.taken) == len(note.slaves):
        work.remove_key(row)
    else:
        work.touch_key(row)
    mark = work.sealer.fingerprint(bits)
    work.events.append(("taken", work.now_s, caller, (note.master,), note.key_id, len(bits), mark))
    return Material(key_id=note.key_id, master=note.master, bits=bits, statement=statement)


def _statement(work: Transaction, pool: int | None, note: KeyNote) -> Statement:
    slices = note.slices
    if len(slices) == 1:
        row = work.portion(pool, slices[0].number)
        if row is not None:
            return work.block(row.block).statement
    rows = [work.portion(pool, each.number) for each in slices]
    return merged(tuple([work.block(row.block).statement for row in rows if row is not None]))


def withdraw(work: Transaction, operation: Withdraw) -> int:
    """See :class:`~bellweave.kms.operations.Withdraw`."""
    work.now_s = operation.now_s
    rows = [row for key_id in dict.fromkeys(operation.key_ids) if (row := work.key(key_id)) is not None]
    for row in rows:
        give_up(work, row, "withdrawn")
    return len(rows)


def withdraw_all(work: Transaction, operation: WithdrawAll) -> int:
    """See :class:`~bellweave.kms.operations.WithdrawAll`."""
    work.now_s = operation.now_s
    return withdraw_of(work, frozenset(operation.pools))


def withdraw_of(work: Transaction, pools: frozenset[str] | None) -> int:
    """Forget all keys that wait, of these pools, or of all; return how many."""
    count, last = 0, 0
    while True:
        work.forget()
        rows = work.database.execute(work.texts.all_keys, (last, _PAGE)).fetchall()
        key_ids = [key_id for _, key_id, note in rows if pools is None or DECODE_NOTE(note).pool in pools]
        count += withdraw(work, Withdraw(key_ids=tuple(key_ids), now_s=work.now_s))
        if len(rows) < _PAGE:
            return count
        last = rows[-1][0]


def give_up(work: Transaction, row: KeyRow, what: What) -> int:
    """Forget a key that waits; return how many of its bytes are booked as purged."""
    note = row.note
    pool = work.pool(note.pool)
    purged_bytes = 0
    if not row.booked and pool is not None and note.slices:
        purged_bytes = note.size_bytes
        work.book(pool, "reserved", "purged", purged_bytes)
    work.remove_key(row)
    work.events.append((what, work.now_s, note.master, note.slaves, note.key_id, note.size_bytes, b""))
    return purged_bytes


def _report(work: Transaction, what: What, now_s: float, note: KeyNote, bits: bytes | None = None) -> None:
    if bits is None:
        bits = work.bits(work.pool(note.pool), note.slices)
    mark = work.sealer.fingerprint(bits)
    work.events.append((what, now_s, note.master, note.slaves, note.key_id, len(bits), mark))
