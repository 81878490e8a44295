"""Reconciliation in one message: Alice sends the tag and a syndrome, Bob decodes.

Where Bob's decoder fails on a frame, or the tag shows that it found other bits, he asks for more and Alice discloses a
few per cent more rows: "blind" reconciliation, which needs no exact estimate of the error rate (Martinez-Mateo,
Elkouss, Martin, Quantum Inf. Comput. 12, 791 (2012)). Each increment costs one message each way.

What it costs, measured: f is 1.44 at 1 %, 1.21 at 3 %, 1.20 at 6.4 % and 1.23 at 10 % on frames of 64 kbit, 1.2 to 1.3
from 3 % on 1832 bits, in 1 to 3 messages each way, against 1.03 to 1.06 of Cascade in hundreds; decoding runs at 0.3 to
1 Mbit/s. It pays where a round trip takes longer than that key is worth. What Bob corrected is never announced, so
``Corrections`` holds no errors. The tag may be compared again for the reason that Cascade's may: Bob's candidates
follow from both parties' bits and public rules alone.
"""

import math

import numpy as np

from bellweave.blocks import Bytes, pack_bits
from bellweave.dialogue import Dialogue, receive, reject
from bellweave.distill import theory, verification
from bellweave.distill.hashing import same, seed_bits
from bellweave.distill.ldpc import code
from bellweave.distill.ldpc.code import Mother
from bellweave.distill.ledger import Book, Corrections
from bellweave.distill.messages import Differences, Parities, Tag, unpacked
from bellweave.distill.reconciliation.batch import tag_length
from bellweave.distill.reconciliation.engine import cut
from bellweave.distill.reconciliation.layout import Ints
from bellweave.distill.reconciliation.presets import error_rate
from bellweave.distill.sifting import Sifted
from bellweave.rng import Entropy

FIRST = 1.2
"""Rows of the first syndrome over n h(Q), from an error rate of 3 % on; below, it grows to :data:`FIRST_RARE`."""

FIRST_RARE = 1.5
"""The same for very rare errors, where merged rows are long and decode worse."""

RARE = 0.03
"""Error rate below which errors are rare."""

MORE = 0.03
"""Share of rows that an increment adds."""

ATTEMPTS = 64
"""Decodings of a frame before the block is given up."""

ITERATIONS = 60
"""Iterations of a decoding; those that succeed take 10 to 30."""


class Ldpc:
    """A reconciler (:class:`bellweave.distill.reconciliation.interface.Reconciler`)."""

    def alice(self, sifted: Sifted, tag_bits: int, entropy: Entropy, book: Book) -> Dialogue[Bytes]:
        """Send tags and syndromes, then what Bob still needs; return the bits as they were, shape (n,)."""
        frames = cut(sifted.bit)
        length = tag_length(tag_bits, len(frames), ATTEMPTS)
        rows = _first_rows(book, frames.shape[1])
        yield from _book_first(book, len(frames), length, rows)
        seed = seed_bits(entropy, frames.shape[1] + length - 1)
        tags = np.concatenate([verification.tag(frame, seed, length) for frame in frames])
        yield Tag(seed=pack_bits(seed), tag=pack_bits(tags))
        sender = [_Rows(frame, rows) for frame in frames]
        yield Parities(bits=pack_bits(np.concatenate([each.parities(each.ends) for each in sender])))
        for _ in range(ATTEMPTS):
            verdicts = yield from unpacked((yield from receive(Differences)).bits, len(sender))
            sender = [each for each, wanted in zip(sender, verdicts, strict=True) if wanted]
            if not sender:
                return sifted.bit
            new = [each.refine() for each in sender]
            yield from _book_more(book, len(sender), sum(part.size for part in new))
            yield Parities(
                bits=pack_bits(np.concatenate([s.parities(part) for s, part in zip(sender, new, strict=True)]))
            )
        return (yield from reject("verification failed", f"{ATTEMPTS} decodings failed"))

    def bob(self, sifted: Sifted, tag_bits: int, book: Book) -> Dialogue[Bytes]:
        """Decode and ask for more; return the corrected bits, shape (n,).

        Raises:
            BlockRejected: Nothing helps, or no bits are left to disclose.
        """
        frames = cut(sifted.bit)
        count, bits = frames.shape
        length = tag_length(tag_bits, count, ATTEMPTS)
        rows = _first_rows(book, bits)
        yield from _book_first(book, count, length, rows)
        message = yield from receive(Tag)
        seed = yield from unpacked(message.seed, bits + length - 1)
        tags = (yield from unpacked(message.tag, count * length)).reshape(count, length)
        decoders = [_Decoder(_Rows(frame, rows), tag, error_rate(book.estimate.errors, book.estimate.sample))
                    for frame, tag in zip(frames, tags, strict=True)]  # fmt: skip
        waiting, new = decoders, [each.rows.ends for each in decoders]
        for _ in range(ATTEMPTS):
            theirs = yield from unpacked((yield from receive(Parities)).bits, sum(part.size for part in new))
            for each, part, values in zip(
                waiting, new, np.split(theirs, np.cumsum([p.size for p in new])[:-1]), strict=True
            ):
                each.learn(part, values)
            waiting_still = [not each.decode(seed) for each in waiting]
            yield Differences(bits=pack_bits(np.array(waiting_still, np.uint8)))
            waiting = [each for each, still in zip(waiting, waiting_still, strict=True) if still]
            if not waiting:
                corrected: Bytes = np.concatenate([each.corrected for each in decoders])[: len(sifted)]
                return corrected
            new = [each.rows.refine() for each in waiting]
            yield from _book_more(book, len(waiting), sum(part.size for part in new))
        return (yield from reject("verification failed", f"{ATTEMPTS} decodings failed"))


class _Rows:
    """One party's parities of a frame, and the groups of rows disclosed so far."""

    def __init__(self, bits: Bytes, rows: int) -> None:
        self.bits = bits
        self.code: Mother = code.mother(bits.size)
        self.prefix: Bytes = np.zeros(bits.size + 1, np.uint8)
        self.ends: Ints = code.groups(bits.size, rows)
        code.prefix_syndrome(bits, self.code, self.prefix)

    def parities(self, ends: Ints) -> Bytes:
        """Return the parity of all rows before each end; a group's is that of its two ends together."""
        return self.prefix[ends]

    def refine(self) -> Ints:
        """Cut more groups in two and return the new ends."""
        self.ends, new = code.refined(self.ends, math.ceil(MORE * self.ends.size))
        return new


class _Decoder:
    def __init__(self, rows: _Rows, tag: Bytes, qber: float) -> None:
        self.rows = rows
        self.tag = tag
        self.corrected = rows.bits
        self._odd: Bytes = np.zeros(rows.bits.size + 1, np.uint8)
        self._prior = math.log((1.0 - qber) / qber) if qber < 0.5 else 0.1

    def learn(self, ends: Ints, theirs: Bytes) -> None:
        """Take Alice's parities of these ends."""
        self._odd[ends] = theirs ^ self.rows.prefix[ends]

    def decode(self, seed: Bytes) -> bool:
        """Return whether the frame has Alice's tag now."""
        odd = self._odd[self.rows.ends]
        odd[1:] ^= odd[:-1].copy()
        bits, edges = self.rows.bits.size, self.rows.code.column.size
        wrong = np.zeros(bits, np.uint8)
        belief = np.zeros(bits + edges, np.float32)
        marks = np.zeros(edges, np.uint8)
        if not code.decode(self.rows.code, self.rows.ends, odd, self._prior, wrong, marks, belief, ITERATIONS):
            return False
        self.corrected = self.rows.bits ^ wrong
        return same(verification.tag(self.corrected, seed, self.tag.size), self.tag)


def _first_rows(book: Book, bits: int) -> int:
    qber = error_rate(book.estimate.errors, book.estimate.sample)
    factor = FIRST + (FIRST_RARE - FIRST) * max(0.0, 1.0 - qber / RARE)
    return min(bits, max(1, math.ceil(factor * theory.shannon_minimum(bits, qber))))


def _book_first(book: Book, frames: int, tag: int, rows: int) -> Dialogue[None]:
    yield from book.disclose("tag", frames * tag)
    yield from book.disclose("check", frames * rows)
    book.corrections += Corrections(parity_rounds=1, frames=frames, answered=frames)


def _book_more(book: Book, frames: int, rows: int) -> Dialogue[None]:
    if not rows:
        yield from reject("verification failed", "all rows of the code are disclosed")
    yield from book.disclose("repair", rows)
    book.corrections += Corrections(parity_rounds=1, answered=frames, repairs=frames)
