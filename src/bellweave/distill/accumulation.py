"""Accumulation: several blocks of a link are distilled as one, for one finite-key statement and one pair of tags.

A finite-key proof pays for its sample, its tag and its authentication once per statement, and short blocks can't. So
the rounds of a fixed number of blocks are held at both ends and then go through one
:mod:`~bellweave.distill.session`: one sifting, one sample, reconciliation in frames, one amplification over all of it.

What the proof needs, and why blocks are joined before sifting and not after reconciliation:

1. *The sample is a uniformly random subset of fixed size k of all n + k sifted rounds* (Tomamichel and Leverrier). One
   draw over the joined rounds is exactly that. Samples drawn block by block with fixed sizes are not: they are
   stratified, and the theorem does not speak of them. (Choosing each round independently would do, given the total.)
2. *Nothing about bases or the sample is known while photons are under way.* If a block's bases and sample were
   announced before the next block's photons, an eavesdropper could treat these by what she has learnt, and the
   theorem, which takes the state of all rounds as given before anything is announced, would not apply (for announced
   bases see Pfister, Lütkenhaus, Wehner and Coles, New J. Phys. 18, 053001, 2016). Until the last photon of the last
   block only times of detection are announced, which matching needs; the proof assumes anyway that detection does not
   depend on the basis.
3. *Which rounds count does not depend on their bits.* How many blocks are joined is fixed beforehand
   (``Distillation.accumulate_blocks``). A block may be left out for what is known by then, such as a clock that was
   not found, never for its errors: dropping blocks whose sample looks bad would bend the sample.
4. *The threshold is fixed beforehand*, as for a single block; it now applies to the joined sample.

The price: rounds wait (one byte or two each), no block gives key early, and an eavesdropper or a fault in one block
spoils the whole. Blocks in which reconciliation fails do not, for it repairs them.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from bellweave.blocks import Bytes, Rounds
from bellweave.distill.outcome import Context

HELD = "Bases and sample of the joined blocks were announced only after the last photon of all of them was detected."
"""What a statement about joined blocks is conditional on; :class:`Accumulator` sees to it within one process."""

ROUNDING_S = 1e-6
"""Begin plus length of a block may come to a little more than the begin of the one right after it."""


class Accumulator:
    """Holds one party's rounds of successive blocks of one link until there are enough.

    Args:
        blocks: How many blocks are distilled as one, >= 1; fixed beforehand, the same at both ends.
    """

    def __init__(self, blocks: int) -> None:
        if blocks < 1:
            raise ValueError(f"at least one block is distilled, not {blocks}")
        self.blocks = blocks
        self._held: list[tuple[Context, Rounds]] = []

    def __len__(self) -> int:
        return len(self._held)

    @property
    def full(self) -> bool:
        """Whether there are enough blocks to distil."""
        return len(self._held) >= self.blocks

    def hold(self, context: Context, rounds: Rounds) -> None:
        """Keep a block's rounds.

        Raises:
            ValueError: The block is of another link or kind, or lies before one that is held already.
        """
        if self.full:
            raise ValueError(f"{self.blocks} blocks are held already")
        if self._held:
            last = self._held[-1][0]
            same = ("link", "provenance", "mint")
            if any(getattr(last, name) != getattr(context, name) for name in same):
                raise ValueError(f"{context.block_id} can't be joined with {last.block_id}")
            if context.start_s < last.end_s - ROUNDING_S:
                raise ValueError(f"{context.block_id} starts at {context.start_s} s, before {last.end_s} s")
        self._held.append((context, rounds))

    def take(self) -> tuple[Context, Rounds]:
        """Return the blocks as one and hold nothing any more.

        Raises:
            ValueError: There are fewer blocks than were fixed.
        """
        if not self.full:
            raise ValueError(f"{len(self._held)} blocks are held, {self.blocks} are distilled as one")
        contexts, rounds = zip(*self._held, strict=True)
        self._held = []
        return joined_context(contexts), joined_rounds(rounds)


def joined_context(contexts: Sequence[Context]) -> Context:
    """Return the context of blocks that are distilled as one; that of a single block is its own."""
    first, last = contexts[0], contexts[-1]
    if len(contexts) == 1:
        return first
    said = dict.fromkeys(sentence for context in contexts for sentence in context.assumptions)
    return msgspec.structs.replace(
        first, block_id=f"{first.block_id}+{len(contexts) - 1}", end_s=last.end_s, assumptions=(*said, HELD)
    )


def joined_rounds(blocks: Sequence[Rounds]) -> Rounds:
    """Return the rounds of blocks as one; ids go on where those of the block before end."""
    if len(blocks) == 1:
        return blocks[0]
    ids, offset = [], 0
    for each in blocks:
        ids.append(each.id - (int(each.id[0]) if len(each) else 0) + offset)
        offset = int(ids[-1][-1]) + 1 if len(each) else offset
    return Rounds(
        id=np.concatenate(ids),
        basis=np.concatenate([each.basis for each in blocks]),
        bit=np.concatenate([each.bit for each in blocks]),
        intensity=_joined([each.intensity for each in blocks]),
        announcement=_joined([each.announcement for each in blocks]),
    )


def _joined(columns: Sequence[Bytes | None]) -> Bytes | None:
    present = [column for column in columns if column is not None]
    return np.concatenate(present) if len(present) == len(columns) else None
