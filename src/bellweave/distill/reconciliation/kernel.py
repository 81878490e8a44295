"""The engine of Cascade, compiled: what is public of a frame, and one party's own parities of it.

Theory of operation. Both parties run this code on the same public state; they differ in :class:`Own` alone, which is
read for nothing but a party's own answers. Everything rests on one decision: **a parity is always that of the bits as
they were before any correction.** Alice's never change; what Bob has corrected since is public, for every correction
follows from parities that both have seen. So each round is the same on both sides: ask, learn whether the two parities
differ, and add the corrections made inside the range to know whether they differ *now*.

1. A pass cuts the frame into blocks of 2^b slots, a binary tree each. A slot holds a bit or, at the end of a block that
   is shorter, nothing; what is empty lies on the right of every node.
2. A node is (height, index): it covers the slots [index << height, index + 1 << height). Six heights of a tree share a
   64-bit word in heap order, so one XOR notes a correction in six nodes. Four words stand side by side: KNOWN (both
   parties know whether their parities differ), ODD (they do, now), FLIPPED (parity of the corrections inside), MARK.
3. Schedule: serve one pass at a time, the smallest blocks first. Its smallest odd known nodes are disjoint: all are
   searched in lock step, one bit each way a search and round, and no two chase one error. Right halves are inferred.
4. A correction may turn known nodes of other passes odd; the smallest one of each pass goes to that pass's work list.
5. Random subsets of the frame replace passes with blocks of half the frame, and repair what the tag shows to be wrong.
6. The frame breaks off when it has corrected more bits than it has: honest answers never do that.

Numba's cache notices changes of this file, not of those it imports: touch it after changes of ``subsets``, ``layout``.
"""

import numpy as np

from bellweave.distill.reconciliation import layout as at
from bellweave.distill.reconciliation.compiling import compiled, inlined
from bellweave.distill.reconciliation.layout import Bytes, Frame, Indices, Int, Ints, Own, Plan, Private, State, Words
from bellweave.distill.reconciliation.subsets import subset_parity

ZERO = np.uint64(0)
ONE = np.uint64(1)
PATH = np.array([sum(1 << ((32 | x) >> up) for up in range(6)) for x in range(32)], np.uint64)
"""The nodes above each of the 32 lowest ones in a word of six heights, itself included."""
DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
BIT_NUMBER = np.zeros(64, np.int64)
"""Which bit of a word is set alone, found at the top six bits of that word times DE_BRUIJN."""
for _bit in range(64):
    BIT_NUMBER[(int(DE_BRUIJN) << _bit & 0xFFFF_FFFF_FFFF_FFFF) >> 58] = _bit


@inlined
def _range_parity(prefix: Words, begin: Int, start: Int, end: Int) -> Int:
    one = prefix[begin + (start >> 6)] >> np.uint64(start & 63)
    other = prefix[begin + (end >> 6)] >> np.uint64(end & 63)
    return np.int64((one ^ other) & ONE)


# ----------------------------------------------------------------------------------------------------------------- bits
@inlined
def _get(data: Bytes, place: Int) -> Int:
    return (np.int64(data[place >> 3]) >> (7 - (place & 7))) & 1


@inlined
def _put(data: Bytes, place: Int, bit: Int) -> None:
    old = 0 if place & 7 == 0 else np.int64(data[place >> 3])
    data[place >> 3] = np.uint8(old | (bit << (7 - (place & 7))))


# ---------------------------------------------------------------------------------------------------------------- trees
@inlined
def _address(g: Ints, p: Int, height: Int, index: Int) -> Int:
    """Return where a node's four words begin."""
    tier = (height * 43) >> 8  # height // 6, for heights up to 17
    address: Int = 4 * (g[p, at.TREE + tier] + (index >> (5 - height + 6 * tier)))
    return address


@inlined
def _heap(height: Int, index: Int) -> np.uint64:
    """Return a node's place in its words."""
    first = 1 << (5 - height + 6 * ((height * 43) >> 8))
    return np.uint64(first | (index & (first - 1)))


@inlined
def _learn(g: Ints, tree: Words, p: Int, height: Int, index: Int, odd: Int) -> None:
    """Note that both halves of a node are known now, the left one, of that index, odd or else the right one."""
    a = _address(g, p, height, index)
    left = ONE << _heap(height, index)
    b = _address(g, p, height, index + 1)
    right = ONE << _heap(height, index + 1)
    tree[a] |= left
    tree[b] |= right
    if odd:
        tree[a + 1] |= left
    else:
        tree[b + 1] |= right


@inlined
def _flip(bit: Int, plan: Plan, frame: Frame) -> None:
    """Correct a bit: note it in every pass, and queue what has become odd in those that are not being served."""
    control, tree, work, wrong = frame.control, frame.tree, frame.work, frame.wrong
    if control[at.FLIPS] == plan.rules[at.SIZE]:
        control[at.PHASE] = at.BROKEN
        return
    control[at.FLIPS] += 1
    served = control[at.SERVED]
    wrong[bit >> 6] ^= ONE << np.uint64(bit & 63)
    g = plan.geometry
    for p in range(control[at.OPENED]):
        slot = np.int64(plan.place[p, bit])
        found = p == served
        for tier in range(g[p, at.TIERS]):
            x = (slot >> (6 * tier)) & 31
            a = 4 * (g[p, at.TREE + tier] + (slot >> (6 * tier + 5)))
            path = PATH[x]
            tree[a + 2] ^= path
            known = tree[a] & path
            odd = tree[a + 1] ^ known
            tree[a + 1] = odd
            if known and not found:
                found = True
                up = 0  # height of the smallest known node above the tier's lowest
                for k in range(5):
                    up += known < (ONE << np.uint64(32 >> k))
                if (odd >> np.uint64((32 | x) >> up)) & ONE:
                    height = 6 * tier + up
                    work[g[p, at.WORK] + control[at.CONTROL + p]] = ((slot >> height) << 5) | height
                    control[at.CONTROL + p] += 1


# --------------------------------------------------------------------------------------------------------------- passes
@inlined
def _ask_tops(plan: Plan, frame: Frame, own: Private, out: Bytes, place: Int) -> Int:
    control = frame.control
    g = plan.geometry
    p = control[at.OPENED]
    height = g[p, at.TOP]
    asked: Int = g[p, at.BLOCKS]
    if plan.rules[at.INFER] and p > 0:
        asked -= 1
    begin = g[p, at.PREFIX]
    for j in range(asked):
        _put(out, place + j, _range_parity(own.prefix, begin, j << height, (j + 1) << height))
    return asked


@inlined
def _take_tops(plan: Plan, frame: Frame, differences: Bytes) -> None:
    """Open a pass: note the corrections made before it, and learn its blocks."""
    control, tree, work, wrong = frame.control, frame.tree, frame.work, frame.wrong
    g = plan.geometry
    p = control[at.OPENED]
    height = g[p, at.TOP]
    _replay(g, p, plan.place[p], tree, wrong)
    seen: Int = 0
    for j in range(g[p, at.BLOCKS]):
        if j < control[at.ASKED]:
            e = _get(differences, control[at.START] + j)
            seen ^= e
        else:
            e = control[at.STATIC] ^ seen  # all blocks together are the frame, whose parity the first pass gave
        a = _address(g, p, height, j)
        heap = _heap(height, j)
        tree[a] |= ONE << heap
        if e ^ np.int64((tree[a + 2] >> heap) & ONE):
            tree[a + 1] |= ONE << heap
            work[g[p, at.WORK] + control[at.CONTROL + p]] = (j << 5) | height
            control[at.CONTROL + p] += 1
    if p == 0:
        control[at.STATIC] = seen
    control[at.OPENED] += 1


@inlined
def _replay(g: Ints, p: Int, place: Indices, tree: Words, wrong: Words) -> None:
    for w in range(wrong.size):
        word = wrong[w]
        while word:
            lowest = word & (~word + ONE)
            word ^= lowest
            slot = np.int64(place[(w << 6) + BIT_NUMBER[(lowest * DE_BRUIJN) >> np.uint64(58)]])
            for tier in range(g[p, at.TIERS]):
                a = 4 * (g[p, at.TREE + tier] + (slot >> (6 * tier + 5)))
                tree[a + 2] ^= PATH[(slot >> (6 * tier)) & 31]


@inlined
def _gather(g: Ints, frame: Frame) -> bool:
    """Make the smallest odd known nodes of the pass to be served active; return whether any pass has work."""
    control, tree, work, active = frame.control, frame.tree, frame.work, frame.active
    served = -1
    for p in range(control[at.OPENED]):
        if control[at.CONTROL + p] and (served < 0 or g[p, at.TOP] < g[served, at.TOP]):
            served = p
    control[at.SERVED] = served
    if served < 0:
        return False
    count = 0
    for c in range(control[at.CONTROL + served]):
        code = np.int64(work[g[served, at.WORK] + c])
        height, index = code & 31, code >> 5
        a = _address(g, served, height, index)
        heap = _heap(height, index)
        if not (tree[a + 1] >> heap) & ONE:
            continue  # another search has corrected it
        while height > 0:
            b = _address(g, served, height - 1, 2 * index)
            left = _heap(height - 1, 2 * index)
            if not (tree[b] >> left) & ONE:
                break
            height -= 1
            index = 2 * index + 1 - np.int64((tree[b + 1] >> left) & ONE)
        a = _address(g, served, height, index)
        bit = ONE << _heap(height, index)
        if not tree[a + 3] & bit:  # two entries may lead to one node
            tree[a + 3] |= bit
            active[count] = (index << 5) | height
            count += 1
    for c in range(count):
        tree[_address(g, served, active[c] & 31, active[c] >> 5) + 3] = ZERO
    control[at.CONTROL + served] = 0
    control[at.ACTIVE] = count
    return True


@inlined
def _ask_halves(plan: Plan, frame: Frame, own: Private, out: Bytes, place: Int) -> Int:
    """Correct what is single, ask for the left half of the other active nodes, and return how many there are."""
    control, tree, active = frame.control, frame.tree, frame.active
    g = plan.geometry
    p = control[at.SERVED]
    begin = g[p, at.PREFIX]
    order = plan.order[p]
    plain = g[p, at.PLAIN] == 1
    count = 0
    for c in range(control[at.ACTIVE]):
        height, index = np.int64(active[c]) & 31, np.int64(active[c]) >> 5
        if not plain:
            while height > 0 and order[(index << height) + (1 << (height - 1))] < 0:  # nothing on the right
                height -= 1
                index *= 2
                if plan.rules[at.REUSE]:
                    _learn(g, tree, p, height, index, 1)
        if height == 0:
            _flip(order[index], plan, frame)
        else:
            start = index << height
            _put(out, place + count, _range_parity(own.prefix, begin, start, start + (1 << (height - 1))))
            active[count] = (index << 5) | height
            count += 1
    control[at.ACTIVE] = count
    return count


@inlined
def _take_halves(plan: Plan, frame: Frame, differences: Bytes) -> None:
    control, tree, active = frame.control, frame.tree, frame.active
    g = plan.geometry
    p = control[at.SERVED]
    reuse = plan.rules[at.REUSE]
    start = control[at.START]
    tree0, tree1, tree2 = g[p, at.TREE], g[p, at.TREE + 1], g[p, at.TREE + 2]
    for c in range(control[at.ACTIVE]):
        code = np.int64(active[c])
        height, index = (code & 31) - 1, (code >> 5) << 1
        base = tree0 if height < 6 else (tree1 if height < 12 else tree2)
        shift = 5 - height if height < 6 else (11 - height if height < 12 else 17 - height)
        a = 4 * (base + (index >> shift))
        first = 1 << shift
        heap = np.uint64(first | (index & (first - 1)))
        odd = _get(differences, start + c) ^ np.int64((tree[a + 2] >> heap) & ONE)
        if reuse:
            if shift:  # both halves lie in one word, the left one at an even place
                tree[a] |= np.uint64(3) << heap
                tree[a + 1] |= np.uint64(2 - odd) << heap
            else:
                _learn(g, tree, p, height, index, odd)
        active[c] = ((index + 1 - odd) << 5) | height


# -------------------------------------------------------------------------------------------------------------- subsets
@inlined
def _ask_subsets(plan: Plan, frame: Frame, own: Private, out: Bytes, place: Int) -> Int:
    """Ask for the parities of the next random subsets: one to repair, or as many as are still to be clean."""
    control = frame.control
    count = 1
    if control[at.WAITING] == 0:
        count = plan.rules[at.CHECKS] - (control[at.CLEAN] if plan.rules[at.IN_A_ROW] else control[at.SUBSET])
    for j in range(count):
        _put(out, place + j, subset_parity(own.words, control[at.SUBSET] + j + 1, 0, plan.rules[at.SIZE]))
    return count


@inlined
def _take_subsets(frame: Frame, differences: Bytes) -> None:
    control = frame.control
    answers: Int = 0
    for j in range(control[at.ASKED]):
        answers |= _get(differences, control[at.START] + j) << j
    control[at.PENDING] = control[at.ASKED]
    control[at.ANSWERS] = answers


@inlined
def _weigh_subset(plan: Plan, frame: Frame) -> None:
    """Look at the next subset whose difference is there: search it if it is odd now."""
    control, wrong = frame.control, frame.wrong
    control[at.SUBSET] += 1
    e = control[at.ANSWERS] & 1
    control[at.ANSWERS] >>= 1
    control[at.PENDING] -= 1
    size = plan.rules[at.SIZE]
    if e ^ subset_parity(wrong, control[at.SUBSET], 0, size):
        control[at.CLEAN] = 0
        control[at.LOW] = 0
        control[at.HIGH] = size
        control[at.PHASE] = at.HALVE
    else:
        control[at.CLEAN] += 1


@inlined
def _ask_half_subset(plan: Plan, frame: Frame, own: Private, out: Bytes, place: Int) -> bool:
    """Ask for the left half of an odd subset, or correct the single bit that it has come down to."""
    control = frame.control
    low, high = control[at.LOW], control[at.HIGH]
    if high - low > 1:
        _put(out, place, subset_parity(own.words, control[at.SUBSET], low, (low + high) >> 1))
        return True
    control[at.SERVED] = -1
    control[at.ACTIVE] = 0
    control[at.PHASE] = at.SEARCH
    if control[at.WAITING]:
        control[at.WAITING] = 2
    _flip(low, plan, frame)
    return False


@inlined
def _take_half_subset(frame: Frame, differences: Bytes) -> None:
    control, wrong = frame.control, frame.wrong
    low, middle = control[at.LOW], (control[at.LOW] + control[at.HIGH]) >> 1
    if _get(differences, control[at.START]) ^ subset_parity(wrong, control[at.SUBSET], low, middle):
        control[at.HIGH] = middle
    else:
        control[at.LOW] = middle


@inlined
def _take_verdict(plan: Plan, frame: Frame, differences: Bytes) -> None:
    control = frame.control
    control[at.PHASE] = at.NEXT
    control[at.WAITING] = 1
    if not _get(differences, control[at.START]):
        control[at.PHASE] = at.FINISHED
    elif control[at.REPAIRS] == plan.rules[at.MAX_REPAIRS]:
        control[at.PHASE] = at.FAILED
    else:
        control[at.REPAIRS] += 1
        control[at.CLEAN] = 0


# ------------------------------------------------------------------------------------------------------------ one round
@inlined
def _take(plan: Plan, frame: Frame, differences: Bytes) -> None:
    control = frame.control
    phase = control[at.PHASE]
    if phase == at.TOPS:
        _take_tops(plan, frame, differences)
        control[at.ACTIVE] = 0
        control[at.PHASE] = at.SEARCH
    elif phase == at.SEARCH:
        _take_halves(plan, frame, differences)
    elif phase == at.SUBSETS:
        _take_subsets(frame, differences)
        control[at.PHASE] = at.NEXT
    elif phase == at.HALVE:
        _take_half_subset(frame, differences)
    elif phase == at.VERDICT:
        _take_verdict(plan, frame, differences)


@inlined
def _ask(plan: Plan, frame: Frame, own: Private, out: Bytes, place: Int, counts: Ints) -> Int:
    """Go on with a frame until there is something to ask or it is done; return how many bits were asked for."""
    control = frame.control
    while True:
        phase = control[at.PHASE]
        if phase == at.SEARCH:
            asked = _ask_halves(plan, frame, own, out, place)
            if asked and control[at.PHASE] != at.BROKEN:
                counts[at.IS_BISECTION] += asked
                return asked
            if control[at.PHASE] != at.BROKEN and not _gather(plan.geometry, frame):
                control[at.PHASE] = at.NEXT
        elif phase == at.HALVE:
            if _ask_half_subset(plan, frame, own, out, place):
                counts[at.IS_REPAIR if control[at.WAITING] else at.IS_CHECK] += 1
                return 1
        elif phase == at.NEXT:
            asked = _ask_next(plan, frame, own, out, place, counts)
            if asked >= 0:
                return asked
        else:
            return 0


@inlined
def _ask_next(plan: Plan, frame: Frame, own: Private, out: Bytes, place: Int, counts: Ints) -> Int:
    """Begin the next step of a frame whose passes are at rest; -1: it asks for nothing."""
    control = frame.control
    rules = plan.rules
    if control[at.OPENED] < plan.geometry.shape[0]:
        asked = _ask_tops(plan, frame, own, out, place)
        counts[at.IS_TOP] += asked
        control[at.ASKED] = asked
        control[at.PHASE] = at.TOPS
        if asked:
            return asked
        _take(plan, frame, out)  # a single block, and it is inferred: nothing to wait for
        return -1
    if control[at.PENDING]:
        _weigh_subset(plan, frame)
        return -1
    if control[at.WAITING] == 2:  # something was repaired: ask Bob to compare again; the bit sent to him means nothing
        _put(out, place, 0)
        counts[at.IS_VERDICT] += 1
        control[at.PHASE] = at.VERDICT
        control[at.WAITING] = 1
        return 1
    if control[at.WAITING] == 1 and control[at.CLEAN] >= at.MAX_CLEAN_SUBSETS:
        control[at.PHASE] = at.FAILED
        return 0
    done = control[at.CLEAN] if rules[at.IN_A_ROW] else control[at.SUBSET]
    if control[at.WAITING] == 0 and done >= rules[at.CHECKS]:
        control[at.PHASE] = at.FINISHED
        return 0
    asked = _ask_subsets(plan, frame, own, out, place)
    counts[at.IS_REPAIR if control[at.WAITING] else at.IS_CHECK] += asked
    control[at.PHASE] = at.SUBSETS
    return asked


@compiled
def advance(plan: Plan, state: State, own: Own, differences: Bytes, out: Bytes, counts: Ints) -> Int:
    """Take the answers of a round and ask the next questions of all frames.

    Args:
        plan: Public.
        state: Public; changed.
        own: This party's bits.
        differences: Packed answers to the questions of the call before.
        out: Takes this party's own parities of the next questions, packed.
        counts: Shape (KINDS,), takes how many questions of each kind these are.

    Returns:
        The number of questions, 0 when all frames are done.
    """
    place: Int = 0
    counts[:] = 0
    for f in range(state.control.shape[0]):
        frame = Frame(state.control[f], state.tree[f], state.work[f], state.active[f], state.wrong[f])
        control = frame.control
        if control[at.PHASE] >= at.FINISHED:
            continue
        if control[at.ASKED]:
            _take(plan, frame, differences)
        asked = _ask(plan, frame, Private(own.words[f], own.prefix[f]), out, place, counts)
        control[at.START] = place
        control[at.ASKED] = asked
        place += asked
    return place


@compiled
def await_verdicts(state: State) -> None:
    """Make every frame wait for Bob's verdict on its tag, bit f of the next answers for frame f."""
    for f in range(state.control.shape[0]):
        control = state.control[f]
        control[at.PHASE] = at.VERDICT
        control[at.START] = f
        control[at.ASKED] = 1
        control[at.WAITING] = 1
        control[at.CLEAN] = 0
