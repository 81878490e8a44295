"""What one party alone knows of its frames: bits as words, and their running parities in each pass's order."""

import numpy as np

from bellweave.distill.reconciliation.compiling import compiled, inlined
from bellweave.distill.reconciliation.layout import BLOCKS, PLAIN, PREFIX, TOP, Bytes, Own, Plan, Words

ZERO = np.uint64(0)
ONE = np.uint64(1)


@compiled
def prepare(bits: Bytes, plan: Plan, own: Own) -> None:
    """Fill a party's words and prefixes; ``bits`` has shape (frames, bits)."""
    size = bits.shape[1]
    for f in range(bits.shape[0]):
        for w in range(own.words.shape[1]):
            word = ZERO
            for j in range(min(64, size - (w << 6))):
                word |= np.uint64(bits[f, (w << 6) + j]) << np.uint64(j)
            own.words[f, w] = word
        for p in range(plan.geometry.shape[0]):
            _prefixes(bits[f], own.words[f], plan, p, own.prefix[f])


@inlined
def _prefixes(bits: Bytes, words: Words, plan: Plan, p: int, prefix: Words) -> None:
    slots = plan.geometry[p, BLOCKS] << plan.geometry[p, TOP]
    at = plan.geometry[p, PREFIX]
    order = plan.order[p]
    plain = plan.geometry[p, PLAIN] == 1
    carry = ZERO
    for w in range((slots >> 6) + 1):
        word = ZERO
        here = w << 6
        count = min(64, slots - here)
        if plain and p == 0:
            if count > 0:
                word = words[w]
        elif plain:
            for j in range(count):
                word |= np.uint64(bits[order[here + j]]) << np.uint64(j)
        else:
            for j in range(count):
                bit = order[here + j]
                if bit >= 0:
                    word |= np.uint64(bits[bit]) << np.uint64(j)
        word ^= word << np.uint64(1)
        word ^= word << np.uint64(2)
        word ^= word << np.uint64(4)
        word ^= word << np.uint64(8)
        word ^= word << np.uint64(16)
        word ^= word << np.uint64(32)
        if carry:
            word = ~word
        prefix[at + w] = (word << ONE) | carry
        carry = word >> np.uint64(63)
