"""A key for slaves at several KMEs.

The KME of the first slave that is named gets it in slices, as ever. Each other KME gets a copy, one-time-padded with a
key that the master's KME draws for it from the link of the two: so multicast needs a link to each of them, and costs it
the key's length. Slaves at the master's own KME fetch it there.

Rules:

1. All or nothing. Whether all are in step and have enough for pads is looked up before anything is used; what was told
   before something failed is retracted, keys and pads.
2. A pad covers one key. So once a copy was sent nothing is tried again with other bytes.
3. A copy is not the first step: nobody knows its id before the master does, and that is after all have stored it.

The statement of the copies, and of the master's key, covers the pads, too: each of them, broken, would tell the key.
"""

from dataclasses import dataclass, field, replace

import msgspec

from bellweave.errors import DeliveryError, NotEnoughKey, NotMet, PeerRefused
from bellweave.kms import drawing
from bellweave.kms.effects import Apply, Work, ask
from bellweave.kms.memory import Memory
from bellweave.kms.messages import Announce, Announced
from bellweave.kms.pads import take_of, wanted_of, xor
from bellweave.kms.records import KeyNote, Material, Statement, merged
from bellweave.kms.shelf import Reserved
from bellweave.kms.wanted import Wanted


@dataclass(frozen=True)
class Plan:
    """Who gets a key in which way.

    Attributes:
        wanted: The request for the slaves at ``main``.
        main: The KME that gets slices.
        others: The KMEs that get copies, and their slaves.
        local: The slaves at the master's KME, where that is not ``main``.
    """

    wanted: Wanted
    main: str
    others: dict[str, tuple[str, ...]]
    local: tuple[str, ...]


@dataclass(slots=True)
class Drawn:
    """Keys on their way to all of a plan; who may hold them is told if it comes to nothing."""

    notes: tuple[KeyNote, ...]
    reserved: list[Reserved]
    statements: tuple[Statement, ...]
    told: list[str] = field(default_factory=list)

    def retract(self, memory: Memory) -> None:
        """Have all that may hold it forget it, at the next tick."""
        for kme in self.told:
            drawing.orphan(memory, kme, self.notes)


def is_needed(memory: Memory, slaves: tuple[str, ...]) -> bool:
    """Return whether these slaves are at several KMEs."""
    return len(slaves) > 1 and len({memory.roster.kme_of(slave) for slave in slaves}) > 1


def draw(memory: Memory, wanted: Wanted, now_s: float) -> Work[tuple[Material, ...]]:
    """Draw keys for slaves at several KMEs; see :meth:`bellweave.api.service.KeyService.draw`."""
    plan = _plan(memory, wanted)
    yield from _check(memory, plan)
    reserved = yield from drawing.reserve(memory, plan.wanted, now_s)
    pads: dict[str, tuple[Material, ...]] = {}
    try:
        try:
            yield from _draw_pads(memory, plan, pads, now_s)
        except BaseException:
            drawing.give_back(reserved)
            raise
        return (yield from _deliver(memory, plan, pads, reserved, now_s))
    except BaseException:  # refused, unreachable, the store failed, or the driver gave up
        for kme, unused in pads.items():
            drawing.orphan(memory, kme, unused)
        raise


def _deliver(
    memory: Memory, plan: Plan, pads: dict[str, tuple[Material, ...]], reserved: list[Reserved], now_s: float
) -> Work[tuple[Material, ...]]:
    drawn = yield from _replicate(memory, plan, pads, reserved, now_s)
    try:
        for kme, slaves in plan.others.items():
            yield from _announce(memory, kme, slaves, pads[kme], drawn)
    except BaseException:
        drawing.doubt(drawn.reserved)
        drawn.retract(memory)
        raise
    done = False
    try:
        done = yield from drawing.commit(memory, plan.main, plan.wanted, drawn.notes, drawn.reserved, now_s, plan.local)
    finally:
        if not done:  # the bytes are in doubt already
            drawn.retract(memory)
    if not done:
        raise PeerRefused("the keys were used otherwise meanwhile; nothing was delivered")
    if plan.wanted.keep:
        return ()
    return tuple(
        Material(key_id=note.key_id, master=note.master, bits=each.bits, statement=statement)
        for note, each, statement in zip(drawn.notes, drawn.reserved, drawn.statements, strict=True)
    )


def _plan(memory: Memory, wanted: Wanted) -> Plan:
    groups: dict[str, list[str]] = {}
    for slave in wanted.slaves:
        kme = memory.roster.kme_of(slave)
        if kme is None or not memory.roster.allowed(wanted.master, slave):
            raise NotMet(f"no pool serves {wanted.master} for {slave}")
        groups.setdefault(kme, []).append(slave)
    main, *rest = groups
    return Plan(
        wanted=replace(wanted, slaves=tuple(groups[main])),
        main=main,
        others={kme: tuple(groups[kme]) for kme in rest if kme != memory.kme},
        local=() if main == memory.kme else tuple(groups.get(memory.kme, ())),
    )


def _check(memory: Memory, plan: Plan) -> Work[None]:
    """Raise what stands in the way as far as it can be known before anything is used."""
    for kme in (plan.main, *plan.others):
        memory.require_in_step(kme)
    count, size_bits = plan.wanted.count, plan.wanted.size_bits
    for kme in plan.others:
        pad = wanted_of(memory, kme, count, size_bits // 8, "relay")
        keys = yield from drawing.available(memory.lanes(pad.master, pad.slaves[0], pad.route), size_bits)
        if keys < count:
            raise NotEnoughKey(keys, count)


def _draw_pads(memory: Memory, plan: Plan, pads: dict[str, tuple[Material, ...]], now_s: float) -> Work[None]:
    for kme in plan.others:
        wanted = wanted_of(memory, kme, plan.wanted.count, plan.wanted.size_bits // 8, "relay")
        pads[kme] = yield from drawing.draw(memory, wanted, now_s)


def _replicate(
    memory: Memory, plan: Plan, pads: dict[str, tuple[Material, ...]], reserved: list[Reserved], now_s: float
) -> Work[Drawn]:
    """Have the main KME store the keys; what it refuses is tried again with other bytes: no copy was sent yet."""
    for _ in range(drawing.ATTEMPTS):
        notes = drawing.describe(memory, plan.wanted, reserved, now_s)
        if plan.main == memory.kme or (yield from drawing.replicate(memory, plan.main, notes, reserved)):
            statements = tuple(
                merged((each.statement, *(pads[kme][index].statement for kme in pads)))
                for index, each in enumerate(reserved)
            )
            return Drawn(notes, reserved, statements, [plan.main])
        reserved = yield from drawing.reserve(memory, plan.wanted, now_s)
    drawing.give_back(reserved)
    raise PeerRefused(f"{plan.main} refused the keys {drawing.ATTEMPTS} times; nothing was delivered")


def _announce(
    memory: Memory, kme: str, slaves: tuple[str, ...], pads: tuple[Material, ...], drawn: Drawn
) -> Work[None]:
    memory.require_in_step(kme)
    copies = tuple(
        KeyNote(
            key_id=note.key_id,
            pool=note.pool,
            master=note.master,
            slaves=slaves,
            size_bytes=note.size_bytes,
            slices=(),
            expires_s=note.expires_s,
            purpose=note.purpose,
            copy=xor(each.bits, pad.bits),
            pad_id=pad.key_id,
            statement=statement,
        )
        for note, each, pad, statement in zip(drawn.notes, drawn.reserved, pads, drawn.statements, strict=True)
    )
    try:
        announced = yield from ask(kme, Announce(notes=copies), Announced)
    except PeerRefused:
        raise
    except BaseException:  # whether it has stored them is in doubt
        drawing.orphan(memory, kme, copies)
        raise
    stored = tuple(note for note, problem in zip(copies, announced.problems, strict=False) if problem is None)
    if len(stored) == len(copies) == len(announced.problems):
        drawn.told.append(kme)
        return
    drawing.orphan(memory, kme, stored)  # not the others: a key that waits under one of their ids may be another one
    raise PeerRefused(f"{kme} can't store a copy: {next(filter(None, announced.problems), 'it answered for others')}")


# ---------------------------------------------------------------------------------------- the KME of other slaves


def problem_of(note: KeyNote) -> str | None:
    """Return why a note can't be one of a copy; None if it can."""
    if note.copy is None or note.pad_id is None or note.statement is None:
        return "a copy comes with a pad and a statement"
    if note.slices or len(note.copy) != note.size_bytes:
        return f"a copy has no slices, and here {note.size_bytes} bytes"
    return None


def unpad(memory: Memory, sender: str, copies: tuple[KeyNote, ...], now_s: float) -> Work[list[KeyNote | str]]:
    """Take the pads off copies that are sound; return each as it is stored, or why it can't be."""
    takes = tuple(take_of(memory, sender, note.pad_id or b"", now_s) for note in copies)
    taken = (yield Apply(takes)) if takes else []
    return [_unpadded(note, pads) for note, pads in zip(copies, taken, strict=True)]


def _unpadded(note: KeyNote, pads: tuple[Material, ...] | DeliveryError) -> KeyNote | str:
    if isinstance(pads, DeliveryError) or note.copy is None or len(pads[0].bits) != note.size_bytes:
        return "the pad of the copy does not wait here"
    return msgspec.structs.replace(note, copy=xor(note.copy, pads[0].bits), pad_id=None)
