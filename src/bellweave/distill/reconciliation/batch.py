"""Frames that share their messages, one party's side: the engine, and the counts of what it discloses.

A book adds in microseconds; a reconciliation has hundreds of rounds. So counts gather here, and :meth:`Batch.enter`
hands them over, also when the conversation breaks off: call it in a ``finally``.
"""

import math

import numpy as np

from bellweave.blocks import Bytes
from bellweave.dialogue import Dialogue, refuse, reject
from bellweave.distill.ledger import Book, Corrections, per_basis
from bellweave.distill.reconciliation import layout
from bellweave.distill.reconciliation.engine import Engine
from bellweave.distill.reconciliation.presets import error_rate


class Batch:
    """One party's side of frames that advance together.

    Args:
        name: The preset.
        frames: Shape (frames, bits), this party's bits.
        book: Where the counts go, and the estimate that block sizes follow.
    """

    def __init__(self, name: str, frames: Bytes, book: Book) -> None:
        self.engine = Engine(name, error_rate(book.estimate.errors, book.estimate.sample), frames)
        self.frames = len(frames)
        self._book = book
        self._left = book.ledger.left
        self._counts: layout.Ints = np.zeros(layout.KINDS, np.int64)
        self._tag = 0
        self._rounds = 0
        self._searched: int | None = None

    def count(self) -> Dialogue[None]:
        """Count the engine's questions *before* they are sent.

        Raises:
            BlockRejected: They would disclose more than is left of the block.
        """
        asked = self.engine.counts
        yield from self._spend(self.engine.asked - int(asked[layout.IS_VERDICT]))
        self._counts += asked

    def count_tags(self, length: int) -> Dialogue[None]:
        """Count a tag of so many bits a frame; Bob answers each with one bit."""
        self._searched = self.engine.flips
        yield from self._spend(length * self.frames)
        self._tag += length * self.frames
        self._counts[layout.IS_VERDICT] += self.frames

    def _spend(self, bits: int) -> Dialogue[None]:
        if bits > self._left:
            yield from reject("too short", f"{bits} more bits would disclose all of the block")
        self._left -= bits
        self._rounds += 1

    def conclude(self) -> Dialogue[None]:
        """Make sure that every frame ended well.

        Raises:
            BlockRejected: A frame was given up.
            ProtocolError: A frame's answers contradict each other.
        """
        phases = self.engine.phases
        if (phases == layout.BROKEN).any():
            yield from refuse("answers in reconciliation contradict each other")
        if lost := int((phases == layout.FAILED).sum()):
            yield from reject("verification failed", f"{lost} of {self.frames} frames stay wrong after repairs")

    def enter(self, basis: Bytes) -> None:
        """Hand all counts over to the book; ``basis`` of the batch's bits, shape (n,), a longer one is cut."""
        wrong = self.engine.wrong.reshape(-1)[: basis.size]
        errors_z, errors_x = per_basis(basis[: wrong.size][wrong.astype(bool)])
        residual = 0 if self._searched is None else self.engine.flips - self._searched
        repairs = self.engine.repairs
        top, bisection, check, repair, _ = counts = self._counts.tolist()
        self._book.add(top=top, bisection=bisection, check=check, repair=repair, tag=self._tag)
        self._book.corrections += Corrections(
            errors_z=errors_z,
            errors_x=errors_x,
            parity_rounds=self._rounds,
            answered=sum(counts),
            frames=self.frames,
            frames_repaired=int((repairs > 0).sum()),
            repairs=int(repairs.sum()),
            residual_errors=residual,
        )


def tag_length(tag_bits: int, frames: int, comparisons: int) -> int:
    """Return the tag's length for each of so many frames, so that all together fail with at most 2^-``tag_bits``.

    >>> tag_length(50, 1, 1), tag_length(50, 3, 64)
    (50, 58)
    """
    return tag_bits + math.ceil(math.log2(frames * comparisons))
