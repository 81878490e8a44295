"""One party's engine: frames of equal length, advanced together, one message a round for all of them.

The public orders of the passes depend on the length of the frame and the number of the pass, on nothing else, so that
they are made once and kept. Any implementation finds the same: Fisher-Yates, from the last place down to the second,
place i swapped with place ``mix(seed, n - 1 - i) mod (i + 1)``; seed = 2^32 times the pass plus the frame's length n.
"""

from functools import lru_cache

import numpy as np

from bellweave.blocks import Bytes
from bellweave.distill.reconciliation import kernel, layout
from bellweave.distill.reconciliation.compiling import compiled
from bellweave.distill.reconciliation.layout import Indices, Ints, Plan, State
from bellweave.distill.reconciliation.own import new_own
from bellweave.distill.reconciliation.presets import PRESETS, block_sizes
from bellweave.distill.reconciliation.subsets import mix

FRAME_BITS = 1 << 16
"""Frames have this many bits at least where there are as many, and less than twice as many."""


def frames_of(bits: int) -> int:
    """Return into how many frames a key is cut."""
    return max(1, bits // FRAME_BITS)


def cut(bits: Bytes) -> Bytes:
    """Return a key as frames, shape (frames, bits of a frame); the last one is filled up with zeros.

    >>> cut(np.ones(3, np.uint8)).tolist()
    [[1, 1, 1]]
    """
    count = frames_of(bits.size)
    size = -(-bits.size // count)
    frames = np.zeros((count, size), np.uint8)
    frames.reshape(-1)[: bits.size] = bits
    return frames


@lru_cache(maxsize=64)
def order_of(bits: int, number: int) -> Indices:
    """Return the public order of a pass, shape (bits,); the first pass keeps the natural one."""
    order = np.arange(bits, dtype=np.int32)
    if number:
        _shuffle(order, (number << 32) + bits)
    return order


@compiled
def _shuffle(order: Indices, seed: int) -> None:
    for i in range(order.size - 1, 0, -1):
        j = np.int64(mix(seed, order.size - 1 - i) % np.uint64(i + 1))
        order[i], order[j] = order[j], order[i]


@compiled
def _lay_out(sequence: Indices, block: int, height: int, order: Indices, place: Indices) -> None:
    """Put the bits of each block into its slots; a node's left half takes the odd bit, so the right is empty first."""
    for start in range(0, sequence.size, block):
        count = min(block, sequence.size - start)
        first = (start // block) << height
        for offset in range(count):
            slot, left, size = 0, offset, count
            for up in range(height - 1, -1, -1):
                half = (size + 1) >> 1
                if left < half:
                    size = half
                else:
                    slot |= 1 << up
                    left -= half
                    size -= half
            order[first + slot] = sequence[start + offset]
            place[sequence[start + offset]] = first + slot


@lru_cache(maxsize=32)
def make_plan(name: str, bits: int, sizes: tuple[int, ...]) -> Plan:
    """Return the plan of a preset for frames of that many bits and passes with blocks of these sizes."""
    preset = PRESETS[name]
    heights = [(size - 1).bit_length() for size in sizes]
    blocks = [-(-bits // size) for size in sizes]
    slots = [count << height for count, height in zip(blocks, heights, strict=True)]
    geometry = np.zeros((len(sizes), layout.GEOMETRY), np.int64)
    order = np.full((len(sizes), max(slots)), -1, np.int32)
    place = np.zeros((len(sizes), bits), np.int32)
    prefix = node = work = 0
    for p, (size, height) in enumerate(zip(sizes, heights, strict=True)):
        _lay_out(order_of(bits, p), size, height, order[p], place[p])
        tiers = height // 6 + 1
        geometry[p, : layout.TREE] = height, blocks[p], prefix, work, slots[p] == bits, tiers
        for tier in range(tiers):
            geometry[p, layout.TREE + tier] = node
            node += (slots[p] >> (6 * tier + 5)) + 1
        prefix += (slots[p] >> 6) + 1
        work += blocks[p] + bits + 1
    rules = np.array([bits, preset.reuse, preset.infer, preset.checks, preset.in_a_row, preset.repairs], np.int64)
    return Plan(geometry, rules, order, place)


def new_state(plan: Plan, frames: int) -> State:
    """Return the state of frames of which nothing is known yet."""
    passes, bits = plan.place.shape
    last = plan.geometry[-1]
    nodes = int(last[layout.TREE + last[layout.TIERS] - 1]) + (
        plan.order.shape[1] >> 5
    )  # an upper bound for the last tier
    control = np.zeros((frames, layout.CONTROL + passes), np.int64)
    return State(
        control=control,
        tree=np.zeros((frames, 4 * (nodes + 2)), np.uint64),
        work=np.empty((frames, int(last[layout.WORK] + last[layout.BLOCKS]) + bits + 1), np.int32),
        active=np.empty((frames, bits + 1), np.int32),
        wrong=np.zeros((frames, (bits + 63) >> 6), np.uint64),
    )


class Engine:
    """One party's side of Cascade on a batch of frames.

    Args:
        name: One of the presets.
        qber: The estimate that block sizes follow, in (0, 0.5].
        frames: Shape (frames, bits), bits >= 1, this party's own.

    Attributes:
        frames: As given.
        asked: How many questions the last call of :meth:`advance` asked; 0 once all frames rest.
        counts: Shape (KINDS,), how many of these are of each kind.
        answers: What the next call of :meth:`advance` takes when it does not go on from the last: nothing, or verdicts.
    """

    def __init__(self, name: str, qber: float, frames: Bytes) -> None:
        bits = frames.shape[1]
        self.plan = make_plan(name, bits, tuple(block_sizes(name, qber, bits)))
        self.state = new_state(self.plan, len(frames))
        self.own = new_own(self.plan, frames)
        self.frames = frames
        self.asked = 0
        self.counts: Ints = np.zeros(layout.KINDS, np.int64)
        self.answers = bytes(1)
        # a round asks for blocks, or for halves of disjoint nodes, which hold two slots at least
        most = (
            max(int(self.plan.geometry[:, layout.BLOCKS].max()), self.plan.order.shape[1] // 2)
            + layout.MAX_CLEAN_SUBSETS
        )
        self.out: Bytes = np.zeros(most * len(frames) // 8 + 1, np.uint8)

    def advance(self, differences: bytes) -> bytes:
        """Take the packed answers to the last questions, and return this party's parities to the next ones, packed."""
        answers = np.frombuffer(bytearray(differences), np.uint8)  # writable, or numba compiles all once more
        self.asked = int(kernel.advance(self.plan, self.state, self.own, answers, self.out, self.counts))
        return self.out[: (self.asked + 7) >> 3].tobytes()

    def await_verdicts(self, verdicts: bytes) -> None:
        """Begin the repair: bit f of ``verdicts``, packed, tells whether the tag of frame f differs."""
        kernel.await_verdicts(self.state)
        self.answers = verdicts

    def verdict_places(self) -> list[tuple[int, int]]:
        """Return (frame, place among the questions) of each verdict that is being asked for."""
        if not self.counts[layout.IS_VERDICT]:
            return []
        control = self.state.control
        frames = np.flatnonzero(control[:, layout.PHASE] == layout.VERDICT)
        return [(int(frame), int(control[frame, layout.START])) for frame in frames]

    @property
    def wrong(self) -> Bytes:
        """Which bits were corrected, shape (frames, bits)."""
        packed = self.state.wrong.astype("<u8", copy=False).view(np.uint8)
        return np.unpackbits(packed, axis=1, count=self.frames.shape[1], bitorder="little")

    @property
    def corrected(self) -> Bytes:
        """The frames with their corrections, shape (frames, bits)."""
        return self.frames ^ self.wrong

    def corrected_frame(self, frame: int) -> Bytes:
        """Return one frame with its corrections, shape (bits,)."""
        packed = self.state.wrong[frame].astype("<u8", copy=False).view(np.uint8)
        corrected: Bytes = self.frames[frame] ^ np.unpackbits(packed, count=self.frames.shape[1], bitorder="little")
        return corrected

    @property
    def flips(self) -> int:
        """Corrections made."""
        return int(self.state.control[:, layout.FLIPS].sum())

    @property
    def repairs(self) -> Ints:
        """Repairs of each frame, shape (frames,)."""
        repairs: Ints = self.state.control[:, layout.REPAIRS]
        return repairs

    @property
    def phases(self) -> Ints:
        """Phase of each frame, shape (frames,)."""
        phases: Ints = self.state.control[:, layout.PHASE]
        return phases
