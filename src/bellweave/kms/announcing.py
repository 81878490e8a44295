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
    problems = [_problem(memory, sender, note) for note in message.notes]
    plain = all(note.copy is None for note in message.notes)
    if plain and not any(problems):
        return Announced(problems=(yield from apply(Record(notes=message.notes, now_s=now_s))))
    sound = tuple(note for note, each in zip(message.notes, problems, strict=True) if each is None)
    padless: dict[bytes, str] = {}
    if not plain:
        sound, padless = yield from multicast.unpad(memory, sender, sound, now_s)
    stored = iter((yield from apply(Record(notes=sound, now_s=now_s))) if sound else ())
    return Announced(
        problems=tuple(
            each or padless.get(note.key_id) or next(stored) for note, each in zip(message.notes, problems, strict=True)
        )
    )


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
