"""What one party alone knows of its frames: bits as words, and their running parities in each pass's order."""

import numpy as np

from bellweave.distill.reconciliation.compiling import compiled, inlined
from bellweave.distill.reconciliation.layout import BLOCKS, PLAIN, PREFIX, TOP, Bytes, Indices, Int, Own, Plan, Words

ZERO = np.uint64(0)
ONE = np.uint64(1)


@compiled
def prepare(bits: Bytes, plan: Plan, own: Own) -> None:
    """Fill a party's words and prefixes; ``bits`` has shape (frames, bits)."""
    size = bits.shape[1]
    for f in range(bits.shape[0]):
        for w in range(own.words.shape[1]):
            own.words[f, w] = _packed(bits[f], w << 6, min(64, size - (w << 6)))
        for p in range(plan.geometry.shape[0]):
            _prefixes(bits[f], own.words[f], plan, p, own.prefix[f])


@inlined
def _prefixes(bits: Bytes, words: Words, plan: Plan, p: int, prefix: Words) -> None:
    slots = plan.geometry[p, BLOCKS] << plan.geometry[p, TOP]
    begin = plan.geometry[p, PREFIX]
    plain = plan.geometry[p, PLAIN] == 1
    carry = ZERO
    for w in range((slots >> 6) + 1):
        count = min(64, slots - (w << 6))
        if plain and p == 0:
            word = words[w] if count > 0 else ZERO
        elif plain:
            word = _gathered(bits, plan.order[p], w << 6, count)
        else:
            word = _gathered_with_gaps(bits, plan.order[p], w << 6, count)
        word ^= word << np.uint64(1)
        word ^= word << np.uint64(2)
        word ^= word << np.uint64(4)
        word ^= word << np.uint64(8)
        word ^= word << np.uint64(16)
        word ^= word << np.uint64(32)
        if carry:
            word = ~word
        prefix[begin + w] = (word << ONE) | carry
        carry = word >> np.uint64(63)


# A count of 64 stands by itself below: LLVM unrolls a loop of known length.
@inlined
def _packed(bits: Bytes, begin: Int, count: Int) -> np.uint64:
    word = ZERO
    if count == 64:
        for j in range(64):
            word |= np.uint64(bits[begin + j]) << np.uint64(j)
    else:
        for j in range(count):
            word |= np.uint64(bits[begin + j]) << np.uint64(j)
    return word


@inlined
def _gathered(bits: Bytes, order: Indices, begin: Int, count: Int) -> np.uint64:
    word = ZERO
    if count == 64:
        for j in range(64):
            word |= np.uint64(bits[np.uint32(order[begin + j])]) << np.uint64(j)
    else:
        for j in range(count):
            word |= np.uint64(bits[order[begin + j]]) << np.uint64(j)
    return word


@inlined
def _gathered_with_gaps(bits: Bytes, order: Indices, begin: Int, count: Int) -> np.uint64:
    word = ZERO
    for j in range(count):
        bit = order[begin + j]
        if bit >= 0:
            word |= np.uint64(bits[bit]) << np.uint64(j)
    return word
