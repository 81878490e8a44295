"""How a key is drawn: reserve, replicate, commit.

* *Reserve*: slices leave the shelves of the pair, in memory, all of a request at once.
* *Replicate*: the slave's KME stores them durably, and raises its marks, before anybody gets them.
* *Commit*: the own store records them as delivered, durably, before the answer leaves.

Both stores refuse bytes that were used before: the slave's below its mark, the master's below its cursor. Every key
that is delivered has passed both, so whatever overtakes what on the way, no byte is in two keys. A request that was
overtaken tries again with other bytes.
"""

from bellweave.errors import NotEnoughKey, NotMet, PeerRefused, PeerUnreachable
from bellweave.kms.effects import Work, apply, ask
from bellweave.kms.memory import Memory
from bellweave.kms.messages import Announce, Announced, Done, Retract
from bellweave.kms.operations import Deliver, Levels
from bellweave.kms.records import KEY_ID_BYTES, KeyNote, Material
from bellweave.kms.shelf import ANY_AGE_S, Reserved, Shelf
from bellweave.kms.supply import restock
from bellweave.kms.wanted import Wanted

ATTEMPTS = 4
"""How often a request that was overtaken or met stale marks is tried; each time its bytes are fresh."""

ROUNDS = 64
"""How often a request looks at its shelves again after something came in: others may have been quicker."""


def draw(memory: Memory, wanted: Wanted, now_s: float) -> Work[tuple[Material, ...]]:
    """Draw keys for slaves that are all at one KME; see :meth:`bellweave.api.service.KeyService.draw`."""
    for _ in range(ATTEMPTS):
        reserved = yield from reserve(memory, wanted, now_s)
        notes = describe(memory, wanted, reserved, now_s)
        peer = reserved[0].shelf.peer
        if peer != memory.kme and not (yield from replicate(memory, peer, notes, reserved)):
            continue
        if not (yield from commit(memory, peer, wanted, notes, reserved, now_s)):
            continue
        if wanted.keep:
            return ()
        return tuple(
            [
                Material(key_id=note.key_id, master=note.master, bits=each.bits, statement=each.statement)
                for note, each in zip(notes, reserved, strict=True)
            ]
        )
    raise PeerRefused(f"the keys for {wanted.slaves[0]} were refused {ATTEMPTS} times; nothing was delivered")


def reserve(memory: Memory, wanted: Wanted, now_s: float) -> Work[list[Reserved]]:
    """Take the keys' bytes off the pair's shelves, after filling these if need be; nothing runs in between."""
    lanes = memory.lanes(wanted.master, wanted.slaves[0], wanted.route)
    size_bytes = wanted.size_bits // 8
    oldest_s = ANY_AGE_S if wanted.max_age_s is None else now_s - wanted.max_age_s
    for _ in range(ROUNDS):
        memory.require_in_step(lanes[0].peer)
        reserved = _from_shelves(lanes, wanted.count, size_bytes, now_s, oldest_s)
        if reserved:
            return reserved
        if not (yield from _restock(memory, lanes, wanted.count, size_bytes, now_s, oldest_s)):
            break
    return (yield from _explain(memory, wanted))


def _from_shelves(
    lanes: tuple[Shelf, ...], count: int, size_bytes: int, now_s: float, oldest_s: float
) -> list[Reserved] | None:
    reserved: list[Reserved] = []
    for shelf in lanes:
        while len(reserved) < count:
            each = shelf.reserve(size_bytes, now_s, oldest_s)
            if each is None:
                break
            reserved.append(each)
    if len(reserved) == count:
        return reserved
    give_back(reserved)
    return None


def _restock(
    memory: Memory, lanes: tuple[Shelf, ...], count: int, size_bytes: int, now_s: float, oldest_s: float
) -> Work[bool]:
    for shelf in lanes:
        if (yield from restock(memory, shelf, size_bytes, count * size_bytes, now_s, oldest_s)):
            return True
        count -= shelf.usable_bytes(now_s, oldest_s) // size_bytes
        if count <= 0:  # another request has just filled it
            return True
    return False


def _explain(memory: Memory, wanted: Wanted) -> Work[list[Reserved]]:
    """Raise what says why there are not enough keys."""
    here = yield from available(memory.lanes(wanted.master, wanted.slaves[0], wanted.route), wanted.size_bits)
    if wanted.route is not None or wanted.max_age_s is not None:
        lanes = memory.lanes(wanted.master, wanted.slaves[0], None)
        if (yield from available(lanes, wanted.size_bits)) >= wanted.count:
            raise NotMet(f"of the keys of {wanted.master} for {wanted.slaves[0]} too few meet the route or age")
    raise NotEnoughKey(min(here, wanted.count - 1), wanted.count)


def available(lanes: tuple[Shelf, ...], size_bits: int) -> Work[int]:
    """Return how many keys of a size the stores hold for a pair, set aside or free."""
    levels = yield from apply(Levels(buffers=tuple(shelf.buffer for shelf in lanes)))
    return sum((level.buffer_bytes + level.free_bytes) * 8 // size_bits for level in levels)


def describe(memory: Memory, wanted: Wanted, reserved: list[Reserved], now_s: float) -> tuple[KeyNote, ...]:
    """Return the notes of the keys that are made of these bytes."""
    key_ids = wanted.key_ids or [random_key_id(memory) for _ in reserved]
    life_s = memory.params.key_lifetime_s
    expires_s = now_s + (life_s if wanted.lifetime_s is None else min(wanted.lifetime_s, life_s))
    return tuple(
        [
            KeyNote(
                key_id=key_id,
                pool=each.shelf.buffer.pool,
                master=wanted.master,
                slaves=wanted.slaves,
                size_bytes=len(each.bits),
                slices=each.slices,
                expires_s=expires_s,
                purpose=wanted.purpose,
            )
            for key_id, each in zip(key_ids, reserved, strict=True)
        ]
    )


def random_key_id(memory: Memory) -> bytes:
    """Return 16 bytes that are a UUID of version 4 (RFC 9562, 5.4)."""
    data = bytearray(memory.entropy.bytes(KEY_ID_BYTES))
    data[6] = data[6] & 0x0F | 0x40
    data[8] = data[8] & 0x3F | 0x80
    return bytes(data)


def replicate(memory: Memory, peer: str, notes: tuple[KeyNote, ...], reserved: list[Reserved]) -> Work[bool]:
    """Have the slaves' KME store the keys; return False if it refuses some: then none of them is used.

    Raises:
        PeerRefused: It can't; the bytes are given back.
        PeerUnreachable: Whether it has stored them is in doubt; the bytes are used no more until it tells its marks.
    """
    try:
        announced = yield from ask(peer, Announce(notes=notes), Announced)
    except PeerRefused:
        give_back(reserved)
        raise
    except BaseException:  # the link was cut, or the driver gave up
        doubt(reserved)
        orphan(memory, peer, notes)
        raise
    problems = announced.problems
    if len(problems) == len(notes) and problems.count(None) == len(problems):
        return True
    doubt(reserved)
    stored = tuple(note for note, problem in zip(notes, problems, strict=False) if problem is None)
    if stored:  # not the others: a key that waits under one of their ids may be another one
        yield from retract(memory, peer, stored)
    return False


def commit(
    memory: Memory,
    peer: str,
    wanted: Wanted,
    notes: tuple[KeyNote, ...],
    reserved: list[Reserved],
    now_s: float,
    local: tuple[str, ...] = (),
) -> Work[bool]:
    """Record the keys as delivered; return False if their bytes were overtaken: then none of them is.

    ``local``: slaves at this KME for whom they wait, too, where the peer is another one.

    Raises:
        StoreFailed: None of them is delivered; the bytes are used no more until the peer tells its marks.
    """
    keep = _kept(memory, peer, wanted, notes, local)
    try:
        yield from apply(Deliver(notes=notes, now_s=now_s, keep=keep))
    except PeerRefused:
        doubt(reserved)
        if peer != memory.kme:
            yield from retract(memory, peer, notes)
        return False
    except BaseException:  # the store failed, or the driver gave up
        doubt(reserved)
        orphan(memory, peer, notes)
        raise
    for each in reserved:
        each.shelf.delivered(each)
    return True


def _kept(
    memory: Memory, peer: str, wanted: Wanted, notes: tuple[KeyNote, ...], local: tuple[str, ...]
) -> tuple[KeyNote, ...]:
    """Return the notes that wait at this KME: for slaves that are here, and for a master that takes its keys by id."""
    slaves = wanted.slaves if peer == memory.kme else local
    if wanted.keep:
        slaves = (*slaves, wanted.master)
    if not slaves:
        return ()
    if slaves == wanted.slaves:
        return notes
    return tuple(
        KeyNote(
            key_id=note.key_id,
            pool=note.pool,
            master=note.master,
            slaves=slaves,
            size_bytes=note.size_bytes,
            slices=note.slices,
            expires_s=note.expires_s,
            purpose=note.purpose,
        )
        for note in notes
    )


def retract(memory: Memory, peer: str, notes: tuple[KeyNote, ...]) -> Work[None]:
    """Tell a KME that it keeps keys which nobody got; if it can't be told now, it is later."""
    try:
        yield from ask(peer, Retract(key_ids=tuple(note.key_id for note in notes)), Done)
    except (PeerUnreachable, PeerRefused):
        orphan(memory, peer, notes)
        raise


def retract_orphans(memory: Memory, peer: str) -> Work[None]:
    """Tell a KME of the keys that it was not told of when they failed."""
    state = memory.peers[peer]
    while state.orphans:
        some = tuple(state.orphans[:256])
        yield from ask(peer, Retract(key_ids=some), Done)
        state.orphans = [key_id for key_id in state.orphans if key_id not in set(some)]


def orphan(memory: Memory, peer: str, notes: tuple[KeyNote | Material, ...]) -> None:
    """Note that a KME may keep keys which nobody got: it is told when it can be reached."""
    if peer in memory.peers:
        memory.peers[peer].orphans.extend(note.key_id for note in notes)


def give_back(reserved: list[Reserved]) -> None:
    """Undo a reservation that surely nobody was told of."""
    for each in reversed(reserved):
        each.shelf.give_back(each)


def doubt(reserved: list[Reserved]) -> None:
    """Use what was reserved no more until the peer tells its marks."""
    for each in reserved:
        each.shelf.doubt(each)
