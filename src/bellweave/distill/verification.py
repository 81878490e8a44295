"""Verification: a universal hash, its seed chosen when the bits are fixed, shows whether reconciliation succeeded.

Two unequal blocks pass with probability 2^-bits, whatever they are. The hash is disclosed and booked.
"""

from bellweave.blocks import Bytes, pack_bits
from bellweave.dialogue import Dialogue, receive, reject
from bellweave.distill.hashing import same, seed_bits, toeplitz
from bellweave.distill.ledger import Book
from bellweave.distill.messages import Tag, Verified, unpacked
from bellweave.rng import Entropy


def tag(bits: Bytes, seed: Bytes, length: int) -> Bytes:
    """Return the hash that is compared, shape (length,): rows of a Toeplitz matrix.

    Args:
        bits: Shape (n,), what both ends should hold.
        seed: Shape (n + length - 1,), random, and unknown to everybody until the bits are fixed.
        length: Bits of the hash; unequal bits pass with probability 2^-length.
    """
    return toeplitz(bits, seed, length)


def alice(bits: Bytes, length: int, entropy: Entropy, book: Book) -> Dialogue[None]:
    """Send a hash of ``length`` bits and wait for Bob's verdict."""
    yield from book.disclose("tag", length)
    seed = seed_bits(entropy, bits.size + length - 1)
    yield Tag(seed=pack_bits(seed), tag=pack_bits(tag(bits, seed, length)))
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
    if not same(tag(bits, seed, length), theirs):
        yield from reject("verification failed", f"hashes of {length} bits differ")
    yield Verified()
