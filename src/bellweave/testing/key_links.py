"""What two ends of a link between KMEs say to each other, where no KME stands behind it."""

from bellweave.dialogue import Message
from bellweave.kms.messages import Announce, Announced, Hello, Refused, Welcome
from bellweave.kms.records import KeyNote, Slice


def usual(message: Message) -> Message | None:
    """Answer as a KME in good health would; it refuses keys of 64 bytes and more, each with its id for a reason."""
    match message:
        case Hello():
            return Welcome(0)
        case Announce():
            return Announced(tuple(None if note.size_bytes < 64 else note.key_id.hex() for note in message.notes))
        case _:
            return Refused(f"no {type(message).__name__} here")


def note(number: int, size_bytes: int = 32) -> KeyNote:
    """Return the note of a key; its number is its id and its place."""
    return KeyNote(
        key_id=number.to_bytes(16, "big"),
        pool="kme-a|kme-b/direct",
        master="alice",
        slaves=("bob",),
        size_bytes=size_bytes,
        slices=(Slice(number=0, start_bytes=32 * number, length_bytes=size_bytes),),
        expires_s=1e9,
    )
