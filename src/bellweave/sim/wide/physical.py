"""Key in ``physical`` mode: what two slaves measured, block by block, and what both make of it with finite key.

Of the pairs that swapping delivered both slaves measure each with random settings, announce them, test the CHSH
inequality and distil the rest. So many pairs make a block; at the end of a run what is left makes a smaller one.
"""

import numpy as np
from numpy.typing import NDArray

from bellweave.distill.chsh import ChshTest
from bellweave.distill.params import Distillation
from bellweave.network.wide.params import Ekert91
from bellweave.roles.randomness import Randomness
from bellweave.roles.slave import Method
from bellweave.sim.cluster import Sampled, distilled, sampled_pairs
from bellweave.sim.wide.keys import Made

LEAST_PAIRS = 1000
"""Fewer are not worth a session at the end of a run."""

OTHER_MESSAGES = 12
"""One-way messages of a session besides its parity rounds, as in a data centre."""


class PhysicalKeys:
    """Collects the pairs of one demand."""

    def __init__(self, name: str, how: Ekert91, randomness: Randomness, block_pairs: int) -> None:
        self._name, self._how, self._randomness = name, how, randomness
        self._most = block_pairs
        self._held: list[NDArray[np.float64]] = []
        self._count = self._blocks = 0
        self._began_s = 0.0

    def add(self, correlation: NDArray[np.float64], began_s: float, now_s: float) -> list[Sampled]:
        """Take the pairs of an interval; return the blocks that are complete with them."""
        if not self._count:
            self._began_s = began_s
        self._held.append(correlation)
        self._count += len(correlation)
        complete = []
        while self._count >= self._most:
            complete.append(self._measured(self._most, now_s))
        return complete

    def finish(self, now_s: float) -> list[Sampled]:
        """Return the block that what is left makes, if it is worth one."""
        return [self._measured(self._count, now_s)] if self._count >= LEAST_PAIRS else []

    def _measured(self, count: int, now_s: float) -> Sampled:
        pairs = np.concatenate(self._held)
        block, rest = pairs[:count], pairs[count:]
        self._held, self._count = [rest], len(rest)
        sampled = sampled_pairs(
            self._name, block, self._how, self._randomness, block=self._blocks, start_s=self._began_s, end_s=now_s
        )
        self._blocks += 1
        self._began_s = now_s
        return sampled


def made_of(sampled: Sampled, method: Method, params: Distillation, seed: int) -> Made:
    """Return what a demand's slaves make of a block, both ends in this process: for simulations."""
    done = distilled(sampled, params, seed)
    return Made(
        alice=done.alice,
        bob=done.bob,
        method=method,
        pairs=done.rounds,
        sifted_bits=done.record.ledger.sifted,
        qber=done.record.estimate.qber,
        chsh=done.evidence.value if isinstance(done.evidence, ChshTest) else None,
        rejection=done.record.rejection,
        trips=OTHER_MESSAGES + 2 * done.record.corrections.parity_rounds,
    )
