"""Both roles in one process, nothing encoded: for measurements, and for whoever owns both ends.

Each role runs its engine as it does in a conversation; only the messages are left out.
"""

from dataclasses import dataclass

import numpy as np

from bellweave.blocks import Bytes
from bellweave.distill import verification
from bellweave.distill.hashing import same
from bellweave.distill.reconciliation import kernel, layout
from bellweave.distill.reconciliation.compiling import compiled
from bellweave.distill.reconciliation.engine import Engine
from bellweave.distill.reconciliation.layout import Int, Ints, Own, Plan, State


@dataclass(frozen=True, eq=False)
class Together:
    """What came out.

    Attributes:
        corrected: Bob's bits, shape (frames, bits).
        counts: Shape (KINDS,), the questions of each kind, the tags apart.
        rounds: Rounds of questions, that of the tags included.
        repairs: Shape (frames,), searches after the tag.
        failed: Frames that were given up.
    """

    corrected: Bytes
    counts: Ints
    rounds: int
    repairs: Ints
    failed: int


def reconcile(name: str, qber: float, alice: Bytes, bob: Bytes, tag_seed: Bytes | None, tag_bits: int = 50) -> Together:
    """Correct Bob's frames.

    Args:
        name: One of the presets.
        qber: The estimate that block sizes follow, in (0, 0.5].
        alice: Shape (frames, bits).
        bob: Shape (frames, bits); not modified.
        tag_seed: Shape (bits + tag_bits - 1,), random; None: passes and checks only, no tag and no repair.
        tag_bits: Length of a frame's tag.
    """
    ends = Engine(name, qber, alice), Engine(name, qber, bob)
    buffers = ends[0].out, ends[1].out, np.zeros_like(ends[0].out)
    counts: Ints = np.zeros((2, layout.KINDS), np.int64)
    rounds = _run(ends, buffers, counts)
    if tag_seed is not None:
        theirs = [verification.tag(frame, tag_seed, tag_bits) for frame in alice]

        def differs(frame: int) -> bool:
            return not same(theirs[frame], verification.tag(ends[1].corrected_frame(frame), tag_seed, tag_bits))

        buffers[2][: len(alice) // 8 + 1] = 0
        places = [(frame, frame) for frame in range(len(alice))]
        for end in ends:
            kernel.await_verdicts(end.state)
        while places:
            for frame, place in places:
                buffers[2][place >> 3] |= differs(frame) << (7 - (place & 7))
            rounds += 1 + _run(ends, buffers, counts)
            places = ends[1].verdict_places()
            rounds -= bool(places)  # the round that asked for them is counted above
    failed = int((ends[1].phases >= layout.FAILED).sum())
    return Together(ends[1].corrected, counts[1], rounds, ends[1].repairs, failed)


def _run(ends: tuple[Engine, Engine], buffers: tuple[Bytes, Bytes, Bytes], counts: Ints) -> int:
    alice, bob = ends
    rounds = int(exchange(alice.plan, alice.state, alice.own, bob.state, bob.own, *buffers, counts[0], counts[1]))
    if rounds < 0:
        raise AssertionError("the two roles disagree about what is asked")
    bob.counts[:] = counts[0]
    return rounds


@compiled
def exchange(
    plan: Plan,
    alice: State,
    alice_own: Own,
    bob: State,
    bob_own: Own,
    hers: Bytes,
    his: Bytes,
    differences: Bytes,
    counts: Ints,
    total: Ints,
) -> Int:
    """Run both roles against each other until all frames rest or one wants a verdict; return the rounds, -1 on discord.

    The last round's answers stay in ``differences``, its questions by kind in ``counts``; all are added to ``total``.
    """
    rounds = 0
    while True:
        asked = kernel.advance(plan, alice, alice_own, differences, hers, counts)
        if asked != kernel.advance(plan, bob, bob_own, differences, his, counts):
            return -1
        if not asked:
            return rounds
        rounds += 1
        for kind in range(layout.KINDS):
            total[kind] += counts[kind]
        for k in range((asked + 7) >> 3):
            differences[k] = hers[k] ^ his[k]
        if counts[layout.IS_VERDICT]:
            return rounds
