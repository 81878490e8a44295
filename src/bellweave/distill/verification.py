"""Verification: a universal hash, its seed chosen when the bits are fixed, shows whether reconciliation succeeded.

Two unequal blocks pass with probability 2^-bits, whatever they are. The hash is disclosed and booked.
"""

from bellweave.blocks import Bytes, pack_bits
from bellweave.dialogue import Dialogue, receive, reject
from bellweave.distill.hashing import same, seed_bits, toeplitz
from bellweave.distill.ledger import Book
from bellweave.distill.messages import Tag, Verified, unpacked
from bellweave.rng import Entropy


def alice(bits: Bytes, length: int, entropy: Entropy, book: Book) -> Dialogue[None]:
    """Send a hash of ``length`` bits and wait for Bob's verdict."""
    yield from book.disclose("tag", length)
    seed = seed_bits(entropy, bits.size + length - 1)
    yield Tag(seed=pack_bits(seed), tag=pack_bits(toeplitz(bits, seed, length)))
    yield from receive(Verified)


def bob(bits: Bytes, length: int, book: Book) -> Dialogue[None]:
    """Compare.

    Raises:
        BlockRejected: The hashes differ.
    """
    yield from book.disclose("tag", length)
    message = yield from receive(Tag)
    seed = yield from unpacked(message.seed, bits.size + length - 1)
    theirs = yield from unpacked(message.tag, length)
    if not same(toeplitz(bits, seed, length), theirs):
        yield from reject("verification failed", f"hashes of {length} bits differ")
    yield Verified()
