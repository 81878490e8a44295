"""What a pool in memory is made of: blocks, the pieces that they are cut into, and the lines that these wait in."""

import hashlib
import hmac
from collections import OrderedDict

from bellweave.kms.operations import Verdict
from bellweave.kms.records import Block, Portion, Stock


class Held:
    """A block.

    Attributes:
        order: Counts up in the pool.
        start_bytes, end_bytes: What is in no portion yet.
        pieces: Its portions, while its bytes are there.
        uses: How many portions with unused bytes, and slices of keys that wait, need the bytes.
        digest: Of the bytes, once they are erased.
    """

    __slots__ = ("block", "digest", "end_bytes", "order", "pieces", "start_bytes", "uses", "verdict")

    def __init__(self, block: Block, order: int) -> None:
        self.block: Block = block
        self.order = order
        self.verdict: Verdict = "waiting"
        self.start_bytes = 0
        self.end_bytes = len(block.material)
        self.uses = 0
        self.pieces: list[Piece] = []
        self.digest: bytes | None = None

    def is_same(self, block: Block) -> bool:
        """Return whether the other has the same bytes; works after they were erased, too."""
        if self.digest is None:
            return hmac.compare_digest(self.block.material, block.material)
        return hmac.compare_digest(self.digest, hashlib.sha256(block.material).digest())

    def unused(self) -> None:
        """Count one use less."""
        self.uses -= 1
        if not self.uses:
            self.erase_if_finished()

    def erase_if_finished(self) -> None:
        """Erase the bytes if nothing needs them."""
        if self.uses or self.start_bytes < self.end_bytes or self.digest is not None:
            return
        block = self.block
        self.pieces.clear()
        self.digest = hashlib.sha256(block.material).digest()
        self.block = Block(
            pool=block.pool,
            block_id=block.block_id,
            material=b"",
            statement=block.statement,
            expires_s=block.expires_s,
        )


class Piece:
    """A portion.

    Attributes:
        held: Its block.
        line: Where it waits while it has unused bytes.
        used_bytes: How much of its front is used up.
        server: Who consumes it.
    """

    __slots__ = ("held", "line", "portion", "server", "used_bytes")

    def __init__(self, portion: Portion, held: Held, line: "Line") -> None:
        self.portion = portion
        self.held = held
        self.line = line
        self.used_bytes = 0
        self.server: str | None = None

    def use(self, end_bytes: int) -> None:
        """Move the measure forward to here; the ledger is the caller's business."""
        self.line.unused_bytes -= end_bytes - self.used_bytes
        self.used_bytes = end_bytes
        if end_bytes == self.portion.length_bytes:
            del self.line.pieces[self.portion.number]
            self.held.unused()

    def material(self, start_bytes: int, length_bytes: int) -> bytes:
        """Return bytes of it, counted from its start."""
        start = self.portion.start_bytes + start_bytes
        return self.held.block.material[start : start + length_bytes]

    def stock(self) -> Stock:
        """Return the portion with its bytes."""
        block = self.held.block
        return Stock(
            portion=self.portion,
            cursor_bytes=self.used_bytes,
            material=self.material(0, self.portion.length_bytes),
            statement=block.statement,
            expires_s=block.expires_s,
        )


class Line:
    """A buffer: its portions that have unused bytes, oldest first."""

    __slots__ = ("pieces", "unused_bytes")

    def __init__(self) -> None:
        self.pieces: OrderedDict[int, Piece] = OrderedDict()
        self.unused_bytes = 0
