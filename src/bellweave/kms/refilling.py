"""The lead sets key aside for the buffers before it is asked for, so that most requests find it in memory.

A buffer below its low watermark is refilled to the high one, within its quota. If the pool has less than all of them
lack, the emptiest get theirs first, key by key: their levels are as even as can be. Of equally empty ones the first is
the one that has waited longest since key was last cut for it: so buffers that are always empty take turns, and no pair
starves because another one always asks first. Buffers of pairs that the directory lists are kept full at all times;
where it lists none, those that somebody has asked for since the start.
"""

import heapq

from bellweave.errors import PeerRefused
from bellweave.kms import portions
from bellweave.kms.effects import Work, apply
from bellweave.kms.memory import Memory
from bellweave.kms.operations import Cut, Levels
from bellweave.kms.records import Buffer, pool_name


def refill(memory: Memory, peer: str, pool: str, now_s: float) -> Work[None]:
    """Refill the buffers of one pool that this KME leads, and tell the peer.

    Raises:
        PeerUnreachable, PeerRefused: The peer asks for the portions later.
    """
    buffers = _buffers(memory, pool)
    if not buffers:
        return
    levels = yield from apply(Levels(buffers=buffers))
    key_bytes = memory.params.key_size_bits // 8
    needs = []
    for buffer, level in zip(buffers, levels, strict=True):
        keys = level.buffer_bytes // key_bytes
        names = (buffer.master, buffer.slave)
        if keys < memory.roster.low_keys(*names):
            most = min(memory.roster.high_keys(*names), memory.roster.quota_keys(*names))
            needs.append((buffer, keys, most))
    wanted_bytes = sum(most - keys for _, keys, most in needs) * key_bytes
    if wanted_bytes <= 0 or not (yield from portions.aligned(memory, peer, pool)):
        return
    number, free = yield from portions.free_blocks(memory, pool, wanted_bytes, now_s)
    needs.sort(key=lambda need: memory.turns.get(need[0], 0))
    shares = even_shares(needs, sum(each.length_bytes for each in free) // key_bytes)
    cut = portions.lay_out(number, free, [(buffer, keys * key_bytes) for buffer, keys in shares])
    if not cut:
        return
    try:
        yield from apply(Cut(portions=cut))
    except PeerRefused:  # a request cut meanwhile: the next tick sees what is left
        return
    memory.took_turn(*(buffer for buffer, _ in shares))
    if peer != memory.kme:
        yield from portions.push(peer, pool, cut)


def even_shares(needs: list[tuple[Buffer, int, int]], keys: int) -> list[tuple[Buffer, int]]:
    """Return how many of ``keys`` each buffer gets, given (buffer, keys that it has, most that it may have).

    Of equally empty buffers the first one in ``needs`` gets its key first.

    >>> a, b = (Buffer(master=name, slave="x", pool="p") for name in "ab")
    >>> [share for _, share in even_shares([(a, 0, 9), (b, 3, 9)], 5)]
    [4, 1]
    """
    levels = [(level, index) for index, (_, level, most) in enumerate(needs) if level < most]
    heapq.heapify(levels)
    shares = [0] * len(needs)
    while keys and levels:
        level, index = levels[0]
        shares[index] += 1
        keys -= 1
        if level + 1 < needs[index][2]:
            heapq.heapreplace(levels, (level + 1, index))
        else:
            heapq.heappop(levels)
    return [(buffer, share) for (buffer, _, _), share in zip(needs, shares, strict=True) if share]


def _buffers(memory: Memory, pool: str) -> tuple[Buffer, ...]:
    ends = {memory.kme, memory.roster.pools[pool]}
    listed = memory.roster.listed()
    if not listed:
        return tuple(
            buffer for buffer in memory.active_buffers() if buffer.pool == pool and not buffer.master.startswith("@")
        )
    found = []
    for pair in listed:
        master, slave = memory.roster.kme_of(pair.master), memory.roster.kme_of(pair.slave)
        if master is None or slave is None or {master, slave} != ends:
            continue
        found += [
            Buffer(master=pair.master, slave=pair.slave, pool=pool)
            for origin in pair.origins
            if pool_name(master, slave, origin) == pool
        ]
    return tuple(found)
