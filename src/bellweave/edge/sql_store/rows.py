"""Rows of a store in memory while a batch works on them."""

from typing import Any

import msgspec

from bellweave.kms.records import KeyNote, Statement

ENCODE = msgspec.msgpack.Encoder().encode
DECODE_NOTE = msgspec.msgpack.Decoder(KeyNote).decode
DECODE_STATEMENT = msgspec.msgpack.Decoder(Statement).decode
DECODE_NAMES = msgspec.msgpack.Decoder(tuple[str, ...]).decode


class PortionRow:
    """A portion; what changes are ``used`` (cursor or mark) and ``reserved`` (bytes in keys that wait)."""

    __slots__ = ("block", "buffer", "dirty", "id", "length", "old_reserved", "old_used", "reserved", "start", "used")

    def __init__(self, values: tuple[int, int, int, int, int, int, int]) -> None:
        self.id, self.buffer, self.block, self.start, self.length, self.used, self.reserved = values
        self.old_used, self.old_reserved = self.used, self.reserved
        self.dirty = False


class KeyRow:
    """A key that waits.

    Attributes:
        id: None as long as it is not in the table.
        gone: Whether it is to leave the table, or not to come there.
        blob: The note, without a copy.
        taken: The slaves that have had it.
        copy: Its sealed copy.
    """

    __slots__ = ("_note", "blob", "booked", "copy", "dirty", "expires_s", "gone", "id", "key_id", "taken")

    def __init__(self, values: tuple[Any, ...], note: KeyNote | None = None) -> None:
        self.id: int | None
        self.key_id: bytes
        self.expires_s: float
        self.booked: int
        self.blob: bytes
        self.copy: bytes | None
        self.id, self.key_id, self.expires_s, self.booked, self.blob, taken, self.copy = values
        self.taken: tuple[str, ...] = DECODE_NAMES(taken) if taken else ()
        self._note = note
        self.dirty = False
        self.gone = False

    @property
    def note(self) -> KeyNote:
        """What was announced."""
        if self._note is None:
            self._note = DECODE_NOTE(self.blob)
        return self._note


class OpenBlock:
    """A block whose material is in memory. Never shown."""

    __slots__ = ("block_id", "expires_s", "material", "pool", "statement")

    def __init__(self, pool: str, block_id: str, material: bytes, statement: Statement, expires_s: float) -> None:
        self.pool = pool
        self.block_id = block_id
        self.material = material
        self.statement = statement
        self.expires_s = expires_s
