"""How bytes get onto a shelf: claimed from the buffer, or first cut from the pool.

Nothing that is claimed is used before the peer has told how far it was used already. With itself a KME needs no marks.
"""

from bellweave.errors import PeerRefused
from bellweave.kms import portions
from bellweave.kms.effects import Work, apply, apply_all, ask
from bellweave.kms.memory import Memory
from bellweave.kms.messages import Assign, Want
from bellweave.kms.operations import Claim, Levels, NextNumber, Renew, Skip
from bellweave.kms.records import Stock
from bellweave.kms.shelf import ANY_AGE_S, Shelf

RESERVE = 8
"""A request that finds its buffer empty has it filled, too, but with no more than this part of what is free: what is
set aside is lost for other pairs."""

LEASE_S = 30.0
"""How long a server's claims last after it was last heard of; it is heard of every second."""


def restock(
    memory: Memory, shelf: Shelf, size_bytes: int, wanted_bytes: int, now_s: float, oldest_s: float = ANY_AGE_S
) -> Work[bool]:
    """Try to get what a shelf lacks; return whether it is worth looking at it again.

    There should be ``wanted_bytes`` on it; less than what completes one key of ``size_bytes`` is of no use.

    Raises:
        PeerUnreachable, PeerRefused, StoreFailed: Nothing is used up.
    """
    shelf.active = True
    usable_bytes = shelf.usable_bytes(now_s, oldest_s)
    short_bytes = wanted_bytes - usable_bytes
    if short_bytes <= 0:
        return False
    if (yield from _claim(memory, shelf, short_bytes, now_s)):
        return True
    return (yield from _cut(memory, shelf, size_bytes - usable_bytes % size_bytes, short_bytes, now_s, oldest_s))


def _claim(memory: Memory, shelf: Shelf, short_bytes: int, now_s: float) -> Work[bool]:
    pool, peer = shelf.buffer.pool, memory.peers.get(shelf.peer)
    era = peer.era if peer else 0
    shelf.demand_bytes += short_bytes
    try:
        _, stocks = yield from apply_all(
            Renew(server=memory.server, until_s=now_s + LEASE_S),
            Claim(
                buffer=shelf.buffer,
                server=memory.server,
                least_bytes=shelf.demand_bytes + shelf.unsettled_bytes(),
                now_s=now_s,
                again=True,
            ),
        )
        fresh = tuple(stock for stock in stocks if not shelf.holds(stock.portion.number))
        if not fresh:
            return False
        used = (0,) * len(fresh)
        if peer:
            used = yield from portions.marks(memory, peer.name, pool, tuple(each.portion.number for each in fresh))
    finally:
        shelf.demand_bytes -= short_bytes
    ahead = _ahead(fresh, used)
    if ahead:
        yield from apply(Skip(pool=pool, cursors=ahead))
    lost = tuple(stock.portion for stock, mark_bytes in zip(fresh, used, strict=True) if mark_bytes < 0)
    if lost:
        yield from portions.drop(memory, pool, lost)
    if not peer or peer.era == era:  # else these marks are of an earlier link: they are asked for again
        for stock, mark_bytes in zip(fresh, used, strict=True):
            if mark_bytes >= 0:
                shelf.put(stock, max(stock.cursor_bytes, mark_bytes))
    return True


def _ahead(stocks: tuple[Stock, ...], used: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple(
        (stock.portion.number, mark_bytes)
        for stock, mark_bytes in zip(stocks, used, strict=True)
        if mark_bytes > stock.cursor_bytes
    )


def _cut(memory: Memory, shelf: Shelf, least_bytes: int, short_bytes: int, now_s: float, oldest_s: float) -> Work[bool]:
    buffer, peer = shelf.buffer, shelf.peer
    most_bytes = short_bytes
    if not buffer.master.startswith("@"):
        (level,) = yield from apply(Levels(buffers=(buffer,)))
        high_bytes = memory.roster.high_keys(buffer.master, buffer.slave) * memory.params.key_size_bits // 8
        most_bytes = max(short_bytes, min(high_bytes, level.free_bytes // RESERVE))
    if memory.roster.leads(buffer.pool):
        if not (yield from portions.aligned(memory, peer, buffer.pool)):
            raise PeerRefused(f"{memory.kme} lacks portions of {buffer.pool} that {peer} has")
        cut = yield from portions.cut(memory, buffer, least_bytes, most_bytes, now_s, oldest_s)
        if cut and peer != memory.kme:
            yield from portions.push(peer, buffer.pool, cut)
        return bool(cut)
    number = yield from apply(NextNumber(pool=buffer.pool))
    question = Want(buffer=buffer, number=number, least_bytes=least_bytes, most_bytes=most_bytes)
    reply = yield from ask(peer, question, Assign)
    if not reply.portions:
        return False
    yield from portions.accept(buffer.pool, reply.portions)
    if len(reply.portions) == portions.AT_ONCE:
        yield from portions.pull(peer, buffer.pool)
    return True
