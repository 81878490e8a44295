"""One pool of a store in memory: its blocks, its portions, the buffers that these are for, and its ledger.

Rules:

1. Every count (free, waiting, unused) is kept up to date; nothing is found by a walk over the pool.
2. One measure tells how much of a portion's front is used up: at the master's KME its cursor, at the slave's its mark.
3. A block's bytes go as soon as nothing needs them any more: no part of it is free, none of its portions has unused
   bytes, and no key that waits has slices of it. What stays is its digest and verdict, and the place of its portions: a
   peer whose store comes from a backup asks for them.
"""

from collections import OrderedDict
from typing import Literal

from bellweave.errors import PeerRefused
from bellweave.kms.ledger import Book, consumed, settled
from bellweave.kms.operations import Free, Level
from bellweave.kms.pool_parts import Held, Line, Piece
from bellweave.kms.records import Account, Block, Buffer, KeyNote, Portion

Settled = Literal["confirmed", "quarantined"]


class Pool:
    """The state of one pool."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.book = Book()
        self.blocks: dict[str, Held] = {}
        self.waiting: OrderedDict[str, Held] = OrderedDict()
        self.free: OrderedDict[str, Held] = OrderedDict()
        self.pieces: list[Piece] = []
        self.lines: dict[Buffer, Line] = {}
        self.waiting_bytes = 0
        self.free_bytes = 0

    def add(self, block: Block) -> bool:
        """Hold a block; return False if it is or was there."""
        known = self.blocks.get(block.block_id)
        if known is not None:
            if not known.is_same(block):
                raise PeerRefused(f"another block is or was in {self.name} as {block.block_id}")
            return False
        held = Held(block, len(self.blocks))
        self.blocks[block.block_id] = self.waiting[block.block_id] = held
        self.waiting_bytes += len(block.material)
        self.book.ingest(8 * len(block.material))
        return True

    def settle(self, block_id: str, verdict: Settled, tag_bytes: int) -> bool:
        """Confirm a block or put it into quarantine; return False if that was done before."""
        held = self.blocks.get(block_id)
        if held is None:
            raise PeerRefused(f"{self.name} has no block {block_id}")
        if held.verdict != "waiting":
            if held.verdict != verdict:
                raise PeerRefused(f"{block_id} of {self.name} is {held.verdict} already")
            return False
        if block_id not in self.waiting:
            raise PeerRefused(f"{block_id} of {self.name} has expired")
        size_bytes = len(held.block.material)
        if not 0 <= tag_bytes <= size_bytes:
            raise PeerRefused(f"{block_id} of {self.name} has {size_bytes} bytes, fewer than its tag's {tag_bytes}")
        self.waiting.pop(block_id)
        self.waiting_bytes -= size_bytes
        for move in settled(verdict, size_bytes, tag_bytes):
            self.book.move(*move)
        held.verdict = verdict
        held.end_bytes = size_bytes - tag_bytes if verdict == "confirmed" else 0
        if held.end_bytes:
            self._offer(held)
        held.erase_if_finished()
        return True

    def _offer(self, held: Held) -> None:
        late = self.free and next(reversed(self.free.values())).order > held.order
        self.free[held.block.block_id] = held
        self.free_bytes += held.end_bytes
        if late:  # it was confirmed after blocks that came later
            self.free = OrderedDict(sorted(self.free.items(), key=lambda item: item[1].order))

    def free_blocks(self, least_bytes: int) -> tuple[Free, ...]:
        """Return what is free, oldest first, until it adds up."""
        found: list[Free] = []
        for block_id, held in self.free.items():
            if least_bytes <= 0:
                break
            length_bytes = held.end_bytes - held.start_bytes
            least_bytes -= length_bytes
            found.append(
                Free(
                    block_id=block_id,
                    start_bytes=held.start_bytes,
                    length_bytes=length_bytes,
                    statement=held.block.statement,
                    expires_s=held.block.expires_s,
                )
            )
        return tuple(found)

    def cut(self, portions: tuple[Portion, ...]) -> None:
        """Make these portions, all or none; those that are there are passed over."""
        fresh = self._check(portions)
        for portion in fresh:
            held = self.blocks[portion.block_id]
            line = self.lines.setdefault(portion.buffer, Line())
            piece = Piece(portion, held, line)
            self.pieces.append(piece)
            held.start_bytes += portion.length_bytes
            self.free_bytes -= portion.length_bytes
            if portion.length_bytes:
                held.uses += 1
                held.pieces.append(piece)
                line.pieces[portion.number] = piece
                line.unused_bytes += portion.length_bytes
            if held.start_bytes == held.end_bytes:
                self.free.pop(portion.block_id, None)

    def _check(self, portions: tuple[Portion, ...]) -> list[Portion]:
        """Return those of the portions that are not there, if they fit."""
        fresh: list[Portion] = []
        starts: dict[str, int] = {}
        for portion in portions:
            number, block_id = portion.number, portion.block_id
            if number < len(self.pieces):
                if self.pieces[number].portion != portion:
                    raise PeerRefused(f"portion {number} of {self.name} is another one here")
                continue
            if number != len(self.pieces) + len(fresh):
                raise PeerRefused(f"{self.name} has no portion {len(self.pieces) + len(fresh)} yet, so not {number}")
            held = self.blocks.get(block_id)
            if held is None or held.verdict != "confirmed":
                raise PeerRefused(f"{self.name} has no confirmed block {block_id}")
            start = starts.get(block_id, held.start_bytes)
            end = start + portion.length_bytes
            if portion.start_bytes != start or portion.length_bytes < 0 or end > held.end_bytes:
                raise PeerRefused(f"the bytes of portion {number} are not the next free ones of {block_id}")
            starts[block_id] = end
            fresh.append(portion)
        return fresh

    def level(self, buffer: Buffer) -> Level:
        """Return how much there is."""
        line = self.lines.get(buffer)
        return Level(
            buffer_bytes=line.unused_bytes if line else 0,
            free_bytes=self.free_bytes,
            waiting_bytes=self.waiting_bytes,
        )

    def piece(self, number: int) -> Piece | None:
        """Return a portion; None if it is not there."""
        return self.pieces[number] if 0 <= number < len(self.pieces) else None

    def skip(self, number: int, end_bytes: int | None = None) -> None:
        """Purge the front of a portion up to here (None: all of it), if so much of it is unused."""
        piece = self.piece(number)
        if piece is None:
            return
        length_bytes = piece.portion.length_bytes
        end_bytes = length_bytes if end_bytes is None else min(end_bytes, length_bytes)
        if end_bytes > piece.used_bytes:
            self.book.move("available", "purged", 8 * (end_bytes - piece.used_bytes))
            piece.use(end_bytes)

    def problem(self, note: KeyNote, ends_bytes: dict[Piece, int]) -> str | None:
        """Return why a key can't have its slices; else None, and ``ends_bytes`` tells how far they use the portions.

        Give the same dictionary for several notes that are to be used together.
        """
        for each in note.slices:
            piece = self.piece(each.number)
            if piece is None:
                return f"unknown portion {each.number} of {self.name}"
            end_bytes = each.start_bytes + each.length_bytes
            if each.start_bytes < ends_bytes.get(piece, piece.used_bytes):
                return f"portion {each.number} of {self.name} is used up to beyond byte {each.start_bytes}"
            if each.length_bytes <= 0 or end_bytes > piece.portion.length_bytes:
                return f"portion {each.number} of {self.name} has no bytes {each.start_bytes} to {end_bytes}"
            ends_bytes[piece] = end_bytes
        return None

    def consume(self, note: KeyNote, target: Account) -> None:
        """Use a key's slices, of which :meth:`problem` found nothing to say."""
        for each in note.slices:
            piece = self.pieces[each.number]
            for move in consumed(piece.used_bytes, each.start_bytes, each.length_bytes, target):
                self.book.move(*move)
            piece.use(each.start_bytes + each.length_bytes)

    def expire(self, block_id: str) -> int:
        """Purge what of a block is in no key; return how many bits that was."""
        held = self.blocks[block_id]
        before_bits = self.book.bits["purged"]
        left_bytes = held.end_bytes - held.start_bytes
        if self.waiting.pop(block_id, None):
            self.waiting_bytes -= left_bytes
        if self.free.pop(block_id, None):
            self.free_bytes -= left_bytes
        self.book.move("available", "purged", 8 * left_bytes)
        held.end_bytes = held.start_bytes
        for piece in list(held.pieces):
            self.skip(piece.portion.number)
        held.erase_if_finished()
        return self.book.bits["purged"] - before_bits
