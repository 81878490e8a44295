"""Privacy amplification: a random hash makes the corrected bits shorter than what nobody else knows of them.

The seed is announced only after verification: earlier, it would let a meddler choose errors that survive the hash.
"""

from bellweave.blocks import Bytes, pack_bits
from bellweave.dialogue import Dialogue, receive
from bellweave.distill.hashing import seed_bits, toeplitz_identity
from bellweave.distill.messages import HashSeed, unpacked
from bellweave.rng import Entropy


def alice(bits: Bytes, length: int, entropy: Entropy) -> Dialogue[Bytes]:
    """Draw and announce the seed; return the key, shape (length,)."""
    seed = seed_bits(entropy, bits.size - 1)
    yield HashSeed(seed=pack_bits(seed))
    return toeplitz_identity(bits, seed, length)


def bob(bits: Bytes, length: int) -> Dialogue[Bytes]:
    """Wait for the seed; return the key, shape (length,)."""
    seed = yield from unpacked((yield from receive(HashSeed)).seed, bits.size - 1)
    return toeplitz_identity(bits, seed, length)
