"""What one party alone knows of its frames: bits as words, and their running parities in each pass's order."""

import numpy as np

from bellweave.blocks import Bytes
from bellweave.distill.reconciliation.compiling import compiled, inlined
from bellweave.distill.reconciliation.layout import BLOCKS, PLAIN, PREFIX, TOP, Indices, Int, Own, Plan, Words

ZERO = np.uint64(0)
ONE = np.uint64(1)


def new_own(plan: Plan, frames: Bytes) -> Own:
    """Return what a party knows whose bits these are, shape (frames, bits)."""
    count, bits = frames.shape
    packed = np.zeros((count, 8 * ((bits + 63) >> 6)), np.uint8)
    packed[:, : (bits + 7) >> 3] = np.packbits(frames, axis=1, bitorder="little")
    last = plan.geometry[-1]
    length = int(last[PREFIX]) + (int(last[BLOCKS] << last[TOP]) >> 6) + 1
    own = Own(packed.view("<u8").astype(np.uint64, copy=False), np.empty((count, length), np.uint64))
    _prepare(plan, own)
    return own


@compiled
def _prepare(plan: Plan, own: Own) -> None:
    for f in range(own.words.shape[0]):
        for p in range(plan.geometry.shape[0]):
            _prefixes(own.words[f], plan, p, own.prefix[f])


@inlined
def _prefixes(words: Words, plan: Plan, p: Int, prefix: Words) -> None:
    slots = plan.geometry[p, BLOCKS] << plan.geometry[p, TOP]
    begin = plan.geometry[p, PREFIX]
    plain = plan.geometry[p, PLAIN] == 1
    carry = ZERO
    for w in range((slots >> 6) + 1):
        count = min(64, slots - (w << 6))
        if plain and p == 0:
            word = words[w] if count > 0 else ZERO
        elif plain and count == 64:
            word = _gathered(words, plan.order[p], w << 6)
        else:
            word = _gathered_with_gaps(words, plan.order[p], w << 6, count)
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


@inlined
def _gathered(words: Words, order: Indices, begin: Int) -> np.uint64:
    word = ZERO
    for j in range(64):  # a known length: LLVM unrolls it
        bit = np.uint32(order[begin + j])
        word |= ((words[bit >> np.uint32(6)] >> np.uint64(bit & np.uint32(63))) & ONE) << np.uint64(j)
    return word


@inlined
def _gathered_with_gaps(words: Words, order: Indices, begin: Int, count: Int) -> np.uint64:
    word = ZERO
    for j in range(count):
        bit = order[begin + j]
        if bit >= 0:
            word |= ((words[bit >> 6] >> np.uint64(bit & 63)) & ONE) << np.uint64(j)
    return word
