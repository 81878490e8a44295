"""What a KME does with the keys that another one announces for its SAEs: check, take the pads off copies, store."""

from bellweave.errors import PeerRefused
from bellweave.kms import multicast
from bellweave.kms.effects import Work, apply
from bellweave.kms.memory import Memory
from bellweave.kms.messages import Announce, Announced
from bellweave.kms.operations import Record
from bellweave.kms.records import KeyNote


def answer_announce(memory: Memory, sender: str, message: Announce, now_s: float) -> Work[Announced]:
    """Store announced keys, each by itself, and tell the problems."""
    if sender in memory.strangers:
        raise PeerRefused(f"{memory.kme} is not in step with {sender} yet")
    checked: list[KeyNote | str] = [_problem(memory, sender, note) or note for note in message.notes]
    copies = [index for index, note in enumerate(checked) if not isinstance(note, str) and note.copy is not None]
    if copies:
        unpadded = yield from multicast.unpad(memory, sender, tuple(message.notes[index] for index in copies), now_s)
        for index, note in zip(copies, unpadded, strict=True):
            checked[index] = note
    sound = tuple([note for note in checked if not isinstance(note, str)])
    stored = iter((yield from apply(Record(notes=sound, now_s=now_s))) if sound else ())
    return Announced(problems=tuple([each if isinstance(each, str) else next(stored) for each in checked]))


def _problem(memory: Memory, sender: str, note: KeyNote) -> str | None:
    roster = memory.roster
    if roster.kme_of(note.master) != sender:
        return f"{note.master} is no master at {sender}"
    for slave in note.slaves:
        if roster.kme_of(slave) != memory.kme:
            return f"{slave} is no slave at {memory.kme}"
    if note.copy is not None:
        return multicast.problem_of(note)
    if roster.pools.get(note.pool) != sender:
        return f"{note.pool} is not shared with {sender}"
    if sum(each.length_bytes for each in note.slices) != note.size_bytes:
        return f"the slices do not add up to {note.size_bytes} bytes"
    return None
