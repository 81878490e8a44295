"""Public pseudo-random numbers, and the random subsets of a frame that they pick.

Word w of subset number s is ``mix(s, w)``; bit j of a frame is in the subset if bit j mod 64 of word j // 64 is set.
The subsets are the same for all frames, and fixed before anybody has seen a bit.
"""

import numpy as np

from bellweave.distill.reconciliation.compiling import inlined
from bellweave.distill.reconciliation.layout import Int, Words

ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@inlined
def mix(seed: Int, number: Int) -> np.uint64:
    """Return word ``number`` of a public pseudo-random sequence: SplitMix64 (Steele, Lea, Flood 2014)."""
    z = np.uint64(seed) + np.uint64(number + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@inlined
def parity(word: np.uint64) -> Int:
    """Return whether a word has an odd number of ones."""
    word ^= word >> np.uint64(32)
    word ^= word >> np.uint64(16)
    word ^= word >> np.uint64(8)
    word ^= word >> np.uint64(4)
    return (np.int64(0x6996) >> np.int64(word & np.uint64(15))) & 1


@inlined
def subset_parity(words: Words, number: Int, low: Int, high: Int) -> Int:
    """Return the parity of the places [low, high) that belong to the subset of that number."""
    if low >= high:
        return 0
    first, last = low >> 6, (high - 1) >> 6
    begin = ALL << np.uint64(low & 63)
    end = ALL >> np.uint64(63 - ((high - 1) & 63))
    if first == last:
        return parity(words[first] & mix(number, first) & begin & end)
    total = (words[first] & mix(number, first) & begin) ^ (words[last] & mix(number, last) & end)
    for w in range(first + 1, last):  # no branches: LLVM makes vectors of it
        total ^= words[w] & mix(number, w)
    return parity(total)
