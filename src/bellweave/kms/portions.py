"""Portions: which bytes of which block go into which buffer, and how two KMEs agree on it.

The lead cuts at its own store and then tells the peer (:class:`Assign`), which answers how far it got (:class:`Next`);
the peer asks for portions with :class:`Want`. Either end that lacks portions, because a message or a store was lost,
gets them from the other with a :class:`Want` for no bytes. A portion of a block that is not here any more (this store
comes from a backup) gets an empty one in its place, and marks of empty portions are told as -1: its master drops it.
"""

from collections import deque
from collections.abc import Iterable

from bellweave.errors import PeerRefused
from bellweave.kms.effects import Work, apply, apply_all, ask
from bellweave.kms.memory import Memory
from bellweave.kms.messages import AskMarks, Assign, MarksAre, Next, Want
from bellweave.kms.operations import (
    Cut,
    Drop,
    Free,
    FreeBlocks,
    Levels,
    Marks,
    NextNumber,
    Portions,
    Skip,
)
from bellweave.kms.records import Buffer, Portion
from bellweave.kms.shelf import ANY_AGE_S

CONFLICTS = 64
"""How often a cut is tried again because another one got the numbers; each time somebody gets on."""

AT_ONCE = 256
"""Portions in one message."""

ALL = 1 << 62


def lay_out(number: int, free: Iterable[Free], shares: Iterable[tuple[Buffer, int]]) -> tuple[Portion, ...]:
    """Return portions from ``number`` on that give each buffer its bytes, at the fronts of the free blocks in turn."""
    portions: list[Portion] = []
    gaps = deque((each.block_id, each.start_bytes, each.length_bytes) for each in free)
    for buffer, size_bytes in shares:
        missing = size_bytes
        while missing and gaps:
            block_id, start, left = gaps.popleft()
            length = min(missing, left)
            missing -= length
            if left > length:
                gaps.appendleft((block_id, start + length, left - length))
            portions.append(
                Portion(
                    buffer=buffer,
                    number=number + len(portions),
                    block_id=block_id,
                    start_bytes=start,
                    length_bytes=length,
                )
            )
    return tuple(portions)


def free_blocks(
    memory: Memory, pool: str, least_bytes: int, now_s: float, oldest_s: float = ANY_AGE_S
) -> Work[tuple[int, tuple[Free, ...]]]:
    """Return the pool's next number and what can be cut of it: not expired, not too old, not lost by the peer."""
    number, found = yield from apply_all(NextNumber(pool=pool), FreeBlocks(pool=pool, least_bytes=least_bytes))
    fit = _fit(memory, pool, found, now_s, oldest_s)
    if len(fit) < len(found):
        number, found = yield from apply_all(NextNumber(pool=pool), FreeBlocks(pool=pool, least_bytes=ALL))
        fit = _fit(memory, pool, found, now_s, oldest_s)
    return number, fit


def _fit(memory: Memory, pool: str, found: tuple[Free, ...], now_s: float, oldest_s: float) -> tuple[Free, ...]:
    return tuple(
        each
        for each in found
        if each.expires_s > now_s
        and each.statement.made_s >= oldest_s
        and (pool, each.block_id) not in memory.lost_blocks
    )


def cut(
    memory: Memory, buffer: Buffer, least_bytes: int, most_bytes: int, now_s: float, oldest_s: float = ANY_AGE_S
) -> Work[tuple[Portion, ...]]:
    """At the lead's store: cut portions for a buffer, within its quota; fewer bytes than ``least_bytes``: none."""
    quota_bytes = memory.roster.quota_keys(buffer.master, buffer.slave) * memory.params.key_size_bits // 8
    for _ in range(CONFLICTS):
        (level,) = yield from apply(Levels(buffers=(buffer,)))
        size_bytes = min(most_bytes, quota_bytes - level.buffer_bytes)
        if size_bytes < least_bytes:
            return ()
        number, free = yield from free_blocks(memory, buffer.pool, size_bytes, now_s, oldest_s)
        if sum(each.length_bytes for each in free) < least_bytes:
            return ()
        portions = lay_out(number, free, ((buffer, size_bytes),))
        try:
            yield from apply(Cut(portions=portions))
        except PeerRefused:  # another request cut meanwhile
            continue
        memory.took_turn(buffer)
        return portions
    return ()


def push(peer: str, pool: str, portions: tuple[Portion, ...]) -> Work[None]:
    """Tell the peer of portions, and of those before them that it lacks.

    Raises:
        PeerRefused: It does not get on.
        PeerUnreachable: It can't be told; it asks for them itself later.
    """
    last = portions[-1].number
    told = -1
    while portions:
        reply = yield from ask(peer, Assign(portions=portions[:AT_ONCE]), Next)
        if reply.number > last:
            return
        if reply.number == told:
            raise PeerRefused(f"{peer} can't hold portion {told} of {pool}")
        told = reply.number
        portions = yield from apply(Portions(pool=pool, number=told, limit=AT_ONCE))


def pull(peer: str, pool: str) -> Work[bool]:
    """Get the portions that the peer has and this store lacks; return whether none is missing now."""
    nobody = Buffer(master="", slave="", pool=pool)
    while True:
        number = yield from apply(NextNumber(pool=pool))
        reply = yield from ask(peer, Want(buffer=nobody, number=number, least_bytes=1, most_bytes=0), Assign)
        if not reply.portions:
            return True
        if (yield from accept(pool, reply.portions)) == number:
            return False


def accept(pool: str, portions: tuple[Portion, ...]) -> Work[int]:
    """Cut here what the peer has cut; return the pool's next number, which is lower if portions are missing."""
    number = yield from apply(NextNumber(pool=pool))
    fresh = tuple(portion for portion in portions if portion.number >= number)
    if not fresh:
        return number
    try:
        return (yield from apply(Cut(portions=fresh)))
    except PeerRefused:
        pass  # a portion is missing, or its block: one by one
    for portion in fresh:
        number = yield from _accept_one(portion)
        if number <= portion.number:
            return number
    return number


def _accept_one(portion: Portion) -> Work[int]:
    pool = portion.buffer.pool
    try:
        return (yield from apply(Cut(portions=(portion,))))
    except PeerRefused:
        pass
    number = yield from apply(NextNumber(pool=pool))
    free = yield from apply(FreeBlocks(pool=pool, least_bytes=1))
    if number != portion.number or not free:
        return number
    empty = Portion(
        buffer=portion.buffer,
        number=number,
        block_id=free[0].block_id,
        start_bytes=free[0].start_bytes,
        length_bytes=0,
    )
    try:
        return (yield from apply(Cut(portions=(empty,))))
    except PeerRefused:  # another message brought it meanwhile
        return (yield from apply(NextNumber(pool=pool)))


def marks(memory: Memory, peer: str, pool: str, numbers: tuple[int, ...]) -> Work[tuple[int, ...]]:
    """Return how far portions are used as far as the peer was told; -1 for those that it can't hold.

    Raises:
        PeerUnreachable, PeerRefused: It does not say; use nothing.
    """
    known = yield from _ask_marks(peer, pool, numbers)
    if -1 in known and memory.roster.leads(pool):
        first = numbers[known.index(-1)]
        missing = yield from apply(Portions(pool=pool, number=first, limit=AT_ONCE))
        if missing:
            yield from push(peer, pool, missing)
        known = yield from _ask_marks(peer, pool, numbers)
    return known


def _ask_marks(peer: str, pool: str, numbers: tuple[int, ...]) -> Work[tuple[int, ...]]:
    reply = yield from ask(peer, AskMarks(pool=pool, numbers=numbers), MarksAre)
    if len(reply.marks) != len(numbers):
        raise PeerRefused(f"{peer} told {len(reply.marks)} marks of {len(numbers)}")
    return reply.marks


def skip_used(peer: str, pool: str) -> Work[None]:
    """Move the cursors and marks of all portions to where the peer has them: this store comes from a backup."""
    number = 0
    while some := (yield from apply(Portions(pool=pool, number=number, limit=AT_ONCE))):
        number = some[-1].number + 1
        numbers = tuple(each.number for each in some)
        known = yield from _ask_marks(peer, pool, numbers)
        cursors = tuple((each, mark) for each, mark in zip(numbers, known, strict=True) if mark > 0)
        yield from apply(Skip(pool=pool, cursors=cursors))


def drop(memory: Memory, pool: str, portions: tuple[Portion, ...]) -> Work[None]:
    """Give up portions of blocks that the peer lost."""
    memory.lost_blocks.update((pool, portion.block_id) for portion in portions)
    yield from apply(Drop(pool=pool, numbers=tuple(portion.number for portion in portions)))


def answer_assign(memory: Memory, sender: str, message: Assign) -> Work[Next]:
    """Cut here what the lead has cut."""
    if not message.portions:
        raise PeerRefused("no portions were named")
    pool = message.portions[0].buffer.pool
    if memory.roster.pools.get(pool) != sender or memory.roster.leads(pool):
        raise PeerRefused(f"{sender} does not lead {pool} here")
    if any(portion.buffer.pool != pool for portion in message.portions):
        raise PeerRefused("the portions are of several pools")
    return Next(number=(yield from accept(pool, message.portions)))


def answer_want(memory: Memory, sender: str, message: Want, now_s: float) -> Work[Assign]:
    """Cut portions for a buffer of the sender's, if it wants any; return all those that it lacks."""
    buffer = message.buffer
    if memory.roster.pools.get(buffer.pool) != sender:
        raise PeerRefused(f"{buffer.pool} is not shared with {sender}")
    if message.most_bytes:
        if memory.roster.kme_of(buffer.master) != sender or memory.roster.kme_of(buffer.slave) != memory.kme:
            raise PeerRefused(f"{buffer.master} for {buffer.slave} is no buffer of {sender}")
        if not (yield from aligned(memory, sender, buffer.pool)):
            raise PeerRefused(f"{memory.kme} is not in step with {sender} in {buffer.pool} yet")
        yield from cut(memory, buffer, message.least_bytes, message.most_bytes, now_s)
    return Assign(portions=(yield from apply(Portions(pool=buffer.pool, number=message.number, limit=AT_ONCE))))


def answer_marks(memory: Memory, sender: str, message: AskMarks) -> Work[MarksAre]:
    """Tell how far portions are used as far as this KME was told."""
    if memory.roster.pools.get(message.pool) != sender:
        raise PeerRefused(f"{message.pool} is not shared with {sender}")
    if not (yield from aligned(memory, sender, message.pool)):
        raise PeerRefused(f"{memory.kme} is not in step with {sender} in {message.pool} yet")
    told, *found = yield from apply_all(
        Marks(pool=message.pool, numbers=message.numbers),
        *(Portions(pool=message.pool, number=number, limit=1) for number in message.numbers),
    )
    return MarksAre(
        marks=tuple(
            mark if portions and portions[0].number == number and portions[0].length_bytes else -1
            for number, mark, portions in zip(message.numbers, told, found, strict=True)
        )
    )


def aligned(memory: Memory, peer: str, pool: str) -> Work[bool]:
    """Return whether this store holds all of the pool's portions, after getting those it lacks, once on each link."""
    if peer == memory.kme:
        return True
    state = memory.peers[peer]
    if pool not in state.aligned:
        era = state.era
        if not (yield from pull(peer, pool)) or state.era != era:
            return False
        state.aligned.add(pool)
    return True
