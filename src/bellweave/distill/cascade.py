"""Cascade of Brassard and Salvail (Eurocrypt 1993): four passes, blocks of ceil(0.73/Q) bits, doubling.

Theory of operation. In each pass Alice's bits, in the public order of that pass, are cut into blocks. She sends their
parities; Bob answers which differ from his. An odd block is searched by halves: Alice sends the parity of the left
half, Bob answers whether it differs, the right half is inferred. An error found makes the block of every earlier pass
that holds it change sides, and the odd ones are searched again: the cascade.

1. Everything but the bits is public: who asks what follows from the answers alone, so both ends run the same
   :func:`_cascade` and a round costs one bit a search each way, no indices.
2. The schedule is free of collisions: one pass at a time, the smallest blocks first. Its odd blocks are disjoint, so
   that all their searches run in lock step and no two chase one error.
3. The original re-uses blocks, not the halves that earlier searches disclosed. (The next reconcilers will.)
4. Every parity is booked before it is disclosed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bellweave.blocks import Bytes, Ints, pack_bits
from bellweave.dialogue import Dialogue, receive, refuse
from bellweave.distill import shuffle
from bellweave.distill.ledger import Book, Corrections, per_basis
from bellweave.distill.messages import SEED_BYTES, Differences, Parities, Shuffle, unpacked
from bellweave.distill.sifting import Sifted
from bellweave.rng import Entropy

PASSES = 4
"""Passes of the original."""

FIRST_BLOCK = 0.73
"""Expected errors in a block of the first pass; the original's choice."""

Compare = Callable[[int, Ints, Ints], Dialogue[Bytes]]
"""(pass, starts, ends) to whether Alice's and Bob's parities of each range differ: the step that takes two parties."""


def alice(sifted: Sifted, entropy: Entropy, book: Book) -> Dialogue[Bytes]:
    """Answer with parities; return the bits as they were, shape (n,)."""
    seed = entropy.bytes(SEED_BYTES)
    yield Shuffle(seed=seed)
    passes = plan(len(sifted), seed, book)
    mine = Prefixes(sifted.bit, passes)

    def compare(number: int, start: Ints, end: Ints) -> Dialogue[Bytes]:
        yield Parities(bits=pack_bits(mine.parities(number, start, end)))
        reply = yield from receive(Differences)
        return (yield from unpacked(reply.bits, start.size))

    yield from _cascade(passes, compare, lambda _: None, sifted.basis, book)
    return sifted.bit


def bob(sifted: Sifted, book: Book) -> Dialogue[Bytes]:
    """Compare and correct; return the corrected bits, shape (n,)."""
    message = yield from receive(Shuffle)
    if len(message.seed) != SEED_BYTES:
        yield from refuse(f"a seed has {SEED_BYTES} bytes, not {len(message.seed)}")
    passes = plan(len(sifted), message.seed, book)
    mine = Prefixes(sifted.bit, passes)

    def compare(number: int, start: Ints, end: Ints) -> Dialogue[Bytes]:
        theirs = yield from unpacked((yield from receive(Parities)).bits, start.size)
        differs = mine.parities(number, start, end) ^ theirs
        yield Differences(bits=pack_bits(differs))
        return differs

    yield from _cascade(passes, compare, mine.flip, sifted.basis, book)
    return mine.bits


@dataclass(frozen=True, eq=False)
class Pass:
    """One pass; public.

    Attributes:
        order: Shape (n,), which bit stands at each place.
        place: Shape (n,), at which place each bit stands.
        block: Places in a block; the last one may be shorter.
        odd: Shape (blocks,), uint8, 1 where the two parities differ.
    """

    order: Ints
    place: Ints
    block: int
    odd: Bytes


def block_sizes(count: int, errors: int, sample: int) -> list[int]:
    """Return the block size of each pass.

    Args:
        count: Bits to correct, >= 1.
        errors: Errors in the sample; none count as half a one, for a sample can't show less.
        sample: Bits of the sample, >= 1.

    A block holds at most half of the bits, or a pass would have nothing to compare.

    >>> block_sizes(1832, 64, 1000)
    [12, 24, 48, 96]
    """
    first = math.ceil(FIRST_BLOCK * sample / max(errors, 0.5))
    return [min(first << number, (count + 1) // 2) for number in range(PASSES)]


def plan(count: int, seed: bytes, book: Book) -> list[Pass]:
    """Return the passes: the first in natural order, the later ones in orders that the seed fixes."""
    passes = []
    for number, block in enumerate(block_sizes(count, book.estimate.errors, book.estimate.sample)):
        order = shuffle.order(seed, f"pass {number + 1}", count) if number else np.arange(count)
        place = np.empty_like(order)
        place[order] = np.arange(count)
        passes.append(Pass(order, place, block, np.zeros(-(-count // block), np.uint8)))
    return passes


class Prefixes:
    """One party's own bits, and their running parities in the order of each pass.

    Args:
        bits: Shape (n,), uint8; copied.
        passes: The passes.
    """

    def __init__(self, bits: Bytes, passes: list[Pass]) -> None:
        self.bits = bits.copy()
        self._passes = passes
        self._prefix: dict[int, Bytes] = {}

    def parities(self, number: int, start: Ints, end: Ints) -> Bytes:
        """Return the parity of the places [start, end) of a pass, for each pair; uint8."""
        prefix = self._prefix.get(number)
        if prefix is None:
            ordered = self.bits[self._passes[number].order]
            prefix = np.concatenate([np.zeros(1, np.uint8), np.bitwise_xor.accumulate(ordered)])
            self._prefix[number] = prefix
        parities: Bytes = prefix[start] ^ prefix[end]
        return parities

    def flip(self, where: Ints) -> None:
        """Flip these bits."""
        self.bits[where] ^= 1
        self._prefix.clear()


def _cascade(
    passes: list[Pass], compare: Compare, correct: Callable[[Ints], None], basis: Bytes, book: Book
) -> Dialogue[None]:
    """Run the schedule; the same at both ends but for what ``compare`` and ``correct`` do."""
    count = basis.size
    for number, new in enumerate(passes):
        start = np.arange(0, count, new.block)
        end = np.minimum(start + new.block, count)
        yield from book.disclose("top", start.size)
        new.odd[:] = yield from compare(number, start, end)
        book.corrections += Corrections(parity_rounds=1)
        known = passes[: number + 1]
        while (smallest := next((i for i, each in enumerate(known) if each.odd.any()), None)) is not None:
            where = yield from _search(smallest, passes[smallest], compare, count, book)
            correct(where)
            errors_z, errors_x = per_basis(basis[where])
            book.corrections += Corrections(errors_z=errors_z, errors_x=errors_x)
            for each in known:
                np.bitwise_xor.at(each.odd, each.place[where] // each.block, 1)


def _search(number: int, searched: Pass, compare: Compare, count: int, book: Book) -> Dialogue[Ints]:
    """Search all odd blocks of a pass in lock step and return the bit that differs in each, shape (odd blocks,)."""
    start = np.flatnonzero(searched.odd) * searched.block
    end = np.minimum(start + searched.block, count)
    while (active := np.flatnonzero(end - start > 1)).size:
        low, high = start[active], end[active]
        middle = (low + high) // 2
        yield from book.disclose("bisection", active.size)
        left = (yield from compare(number, low, middle)).astype(bool)
        book.corrections += Corrections(parity_rounds=1)
        start[active] = np.where(left, low, middle)
        end[active] = np.where(left, middle, high)
    return searched.order[start]
