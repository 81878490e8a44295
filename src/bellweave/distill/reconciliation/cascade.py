"""Cascade between two parties: the messages around :mod:`bellweave.distill.reconciliation.engine`.

Theory of operation. A key is cut into frames, all of which advance together: a round is one :class:`Parities` and one
:class:`Differences`, whatever the number of frames. Which parities are next follows from the answers so far; messages
hold one bit each and no index. Then Alice sends the tag of every frame under one hash. Where Bob's is another, random
subsets of the frame are compared until one is odd; it is searched, the passes cascade, and Bob compares again with the
same tag. A frame that needs too many repairs costs the block.

Why the tag may be used again: the bits that Bob will hold after one, two, three... repairs are fixed before the hash is
drawn, for subsets and searches follow from both parties' bits and public rules alone; the tag only tells when to stop.
So each comparison fails with at most 2^-bits, and the tag is lengthened by the logarithm of frames times comparisons:
the whole key is wrong with probability 2^-``tag_bits`` at most.

Variants that repair nothing end with one tag for the whole key (:mod:`bellweave.distill.verification`).
"""

from dataclasses import dataclass

import numpy as np

from bellweave.blocks import Bytes, pack_bits, unpack_bits
from bellweave.dialogue import Dialogue, receive, refuse
from bellweave.distill import verification
from bellweave.distill.hashing import same, seed_bits
from bellweave.distill.ledger import Book
from bellweave.distill.messages import Differences, Parities, Tag, unpacked
from bellweave.distill.reconciliation.batch import Batch, tag_length
from bellweave.distill.reconciliation.engine import cut
from bellweave.distill.reconciliation.presets import PRESETS
from bellweave.distill.sifting import Sifted
from bellweave.rng import Entropy

FRAMES_AT_ONCE = 64
"""Frames that share their messages: a round costs the same for one or for many; state is half a megabyte a frame."""


class Cascade:
    """A reconciler (:class:`bellweave.distill.reconciliation.interface.Reconciler`).

    Args:
        name: One of :data:`bellweave.distill.reconciliation.presets.PRESETS`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._repairs = PRESETS[name].repairs

    def alice(self, sifted: Sifted, tag_bits: int, entropy: Entropy, book: Book) -> Dialogue[Bytes]:
        """Answer with parities and tags; return the bits as they were, shape (n,)."""
        frames = cut(sifted.bit)
        length = tag_length(tag_bits, len(frames), self._repairs + 1)
        for first in range(0, len(frames), FRAMES_AT_ONCE):
            batch = Batch(self.name, frames[first : first + FRAMES_AT_ONCE], book)
            try:
                yield from _answer(batch)
                if self._repairs:
                    yield from _offer_tags(batch, length, entropy)
                    yield from _answer(batch)
                yield from batch.conclude()
            finally:
                batch.enter(sifted.basis[first * frames.shape[1] :])
        if not self._repairs:
            yield from verification.alice(sifted.bit, tag_bits, entropy, book)
        return sifted.bit

    def bob(self, sifted: Sifted, tag_bits: int, book: Book) -> Dialogue[Bytes]:
        """Compare and correct; return the corrected bits, shape (n,).

        They are Alice's, but for a chance of 2^-``tag_bits``.

        Raises:
            BlockRejected: A frame can't be corrected, or no bits are left to disclose.
        """
        frames = cut(sifted.bit)
        length = tag_length(tag_bits, len(frames), self._repairs + 1)
        corrected = np.empty_like(frames)
        for first in range(0, len(frames), FRAMES_AT_ONCE):
            batch = Batch(self.name, frames[first : first + FRAMES_AT_ONCE], book)
            try:
                yield from _compare(batch, None)
                if self._repairs:
                    tags = yield from _weigh_tags(batch, length)
                    yield from _compare(batch, tags)
                yield from batch.conclude()
            finally:
                batch.enter(sifted.basis[first * frames.shape[1] :])
            corrected[first : first + FRAMES_AT_ONCE] = batch.engine.corrected
        bits: Bytes = corrected.reshape(-1)[: len(sifted)]
        if not self._repairs:
            yield from verification.bob(bits, tag_bits, book)
        return bits


@dataclass(frozen=True, eq=False)
class Tags:
    """Alice's tags, and the hash that they were made with."""

    seed: Bytes
    tags: Bytes

    def differ(self, frame: int, bits: Bytes) -> bool:
        """Return whether these bits have another tag than Alice's frame of that number."""
        theirs = self.tags[frame]
        return not same(verification.tag(bits, self.seed, theirs.size), theirs)


# ---------------------------------------------------------------------------------------------------------------- Alice


def _answer(batch: Batch) -> Dialogue[None]:
    """Answer with parities until all frames rest."""
    engine = batch.engine
    parities = engine.advance(engine.answers)
    while engine.asked:
        yield from batch.count()
        yield Parities(bits=parities)
        differences = (yield from receive(Differences)).bits
        yield from _require(differences, engine.asked)
        parities = engine.advance(differences)


def _offer_tags(batch: Batch, length: int, entropy: Entropy) -> Dialogue[None]:
    """Send a tag of every frame, and take Bob's verdicts."""
    yield from batch.count_tags(length)
    own = batch.engine.frames
    seed = seed_bits(entropy, own.shape[1] + length - 1)
    tags = np.concatenate([verification.tag(frame, seed, length) for frame in own])
    yield Tag(seed=pack_bits(seed), tag=pack_bits(tags))
    verdicts = (yield from receive(Differences)).bits
    yield from _require(verdicts, batch.frames)
    batch.engine.await_verdicts(verdicts)


# ------------------------------------------------------------------------------------------------------------------ Bob


def _compare(batch: Batch, tags: Tags | None) -> Dialogue[None]:
    """Compare parities, and repaired frames with their tags, until all frames rest."""
    engine = batch.engine
    mine = engine.advance(engine.answers)
    while engine.asked:
        yield from batch.count()
        theirs = (yield from receive(Parities)).bits
        yield from _require(theirs, engine.asked)
        count = len(mine)
        differences = (int.from_bytes(mine) ^ int.from_bytes(theirs)).to_bytes(count)
        if tags is not None:
            differences = _with_verdicts(batch, tags, differences)
        yield Differences(bits=differences)
        mine = engine.advance(differences)


def _with_verdicts(batch: Batch, tags: Tags, differences: bytes) -> bytes:
    places = batch.engine.verdict_places()
    if not places:
        return differences
    bits = unpack_bits(differences, batch.engine.asked).copy()
    for frame, place in places:
        bits[place] = tags.differ(frame, batch.engine.corrected_frame(frame))
    return pack_bits(bits)


def _weigh_tags(batch: Batch, length: int) -> Dialogue[Tags]:
    """Compare the tag of every frame, and tell."""
    yield from batch.count_tags(length)
    message = yield from receive(Tag)
    corrected = batch.engine.corrected
    seed = yield from unpacked(message.seed, corrected.shape[1] + length - 1)
    theirs = yield from unpacked(message.tag, batch.frames * length)
    tags = Tags(seed, theirs.reshape(batch.frames, length))
    verdicts = pack_bits(np.array([tags.differ(f, bits) for f, bits in enumerate(corrected)], np.uint8))
    yield Differences(bits=verdicts)
    batch.engine.await_verdicts(verdicts)
    return tags


def _require(data: bytes, count: int) -> Dialogue[None]:
    """Refuse a field that does not hold ``count`` bits, the rest of its last byte zero."""
    if len(data) != (count + 7) >> 3 or (count & 7 and data[-1] & (0xFF >> (count & 7))):
        yield from refuse(f"{count} bits expected, not {len(data)} bytes, or padding bits are set")
