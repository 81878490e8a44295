"""A key for slaves at several KMEs.

The KME of the first slave that is named gets it in slices, as ever. Each other KME gets a copy, one-time-padded with a
key that the master's KME draws for it from the link of the two: so multicast needs a link to each of them, and costs it
the key's length. Slaves at the master's own KME fetch it there.

Rules:

1. All or nothing. Whether all are in step and have enough for pads is looked up before anything is used; what was told
   before something failed is retracted, and the pads are spent.
2. A pad covers one key. So once a copy was sent nothing is tried again with other bytes.
3. A copy is not the first step: nobody knows its id before the master does, and that is after all have stored it.

The statement of the copies, and of the master's key, covers the pads, too: each of them, broken, would tell the key.
"""

from dataclasses import dataclass, field, replace

import msgspec

from bellweave.errors import NotEnoughKey, NotMet, PeerRefused
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

    def abandon(self, memory: Memory) -> None:
        """Use none of it, and have all that may hold it forget it."""
        drawing.doubt(self.reserved)
        self.retract(memory)

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
    try:
        pads = yield from _draw_pads(memory, plan, now_s)
    except BaseException:
        drawing.give_back(reserved)
        raise
    drawn = yield from _replicate(memory, plan, pads, reserved, now_s)
    try:
        for kme, slaves in plan.others.items():
            yield from _announce(memory, kme, slaves, pads[kme], drawn)
    except BaseException:  # refused, unreachable, or the driver gave up
        drawn.abandon(memory)
        raise
    try:
        done = yield from drawing.commit(memory, plan.main, plan.wanted, drawn.notes, drawn.reserved, now_s, plan.local)
    except BaseException:  # the store failed, or the driver gave up; the bytes are in doubt already
        drawn.retract(memory)
        raise
    if not done:
        drawn.retract(memory)
        raise PeerRefused("the keys were used otherwise meanwhile; nothing was delivered")
    if wanted.keep:
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


def _draw_pads(memory: Memory, plan: Plan, now_s: float) -> Work[dict[str, tuple[Material, ...]]]:
    pads = {}
    for kme in plan.others:
        wanted = wanted_of(memory, kme, plan.wanted.count, plan.wanted.size_bits // 8, "relay")
        pads[kme] = yield from drawing.draw(memory, wanted, now_s)
    return pads


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
    drawn.told.append(kme)
    announced = yield from ask(kme, Announce(notes=copies), Announced)
    if len(announced.problems) != len(copies) or any(announced.problems):
        problem = next((each for each in announced.problems if each), "it answered for another number of keys")
        raise PeerRefused(f"{kme} can't store a copy: {problem}")


# ---------------------------------------------------------------------------------------- the KME of other slaves


def problem_of(note: KeyNote) -> str | None:
    """Return why a note can't be one of a copy; None if it can."""
    if note.copy is None or note.pad_id is None or note.statement is None:
        return "a copy comes with a pad and a statement"
    if note.slices or len(note.copy) != note.size_bytes:
        return f"a copy has no slices, and here {note.size_bytes} bytes"
    return None


def unpad(
    memory: Memory, sender: str, notes: tuple[KeyNote, ...], now_s: float
) -> Work[tuple[tuple[KeyNote, ...], dict[bytes, str]]]:
    """Take the pads off the copies among these notes; return the notes that can be stored, and why others can't be."""
    copies = [note for note in notes if note.copy is not None]
    pads = dict(
        zip(
            (note.key_id for note in copies),
            (yield Apply(tuple(take_of(memory, sender, note.pad_id or b"", now_s) for note in copies))),
            strict=True,
        )
    )
    ready: list[KeyNote] = []
    problems: dict[bytes, str] = {}
    for note in notes:
        if note.copy is None:
            ready.append(note)
        elif isinstance(pads[note.key_id], tuple) and len(pads[note.key_id][0].bits) == note.size_bytes:
            clear = xor(note.copy, pads[note.key_id][0].bits)
            ready.append(msgspec.structs.replace(note, copy=clear, pad_id=None))
        else:
            problems[note.key_id] = "the pad of the copy does not wait here"
    return tuple(ready), problems
