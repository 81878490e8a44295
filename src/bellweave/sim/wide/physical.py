"""From pairs to blocks in ``physical`` mode: Ekert91 on what swapping delivered, distilled with finite key.

Both slaves measure every pair with random settings, announce them, test the CHSH inequality and distil the rest. So
many pairs make a block; at the end of a run what is left makes a smaller one.
"""

import numpy as np
from numpy.typing import NDArray

from bellweave.distill.chsh import ChshTest
from bellweave.distill.params import Distillation
from bellweave.network.wide.params import Ekert91
from bellweave.sim.cluster import distil_pairs
from bellweave.sim.cluster.ends import Distilled
from bellweave.sim.wide.keys import Made

LEAST_PAIRS = 1000
"""Fewer are not worth a session at the end of a run."""

OTHER_MESSAGES = 12
"""One-way messages of a session besides its parity rounds, as in a data centre."""


class PhysicalKeys:
    """Collects the pairs of one demand."""

    def __init__(self, name: str, how: Ekert91, params: Distillation, seed: int, block_pairs: int) -> None:
        self._name, self._how, self._params, self._seed = name, how, params, seed
        self._most = block_pairs
        self._held: list[NDArray[np.float64]] = []
        self._count = self._blocks = 0
        self._began_s = 0.0

    def add(self, correlation: NDArray[np.float64], began_s: float, now_s: float) -> list[Made]:
        """Take the pairs of an interval; return the blocks that are complete with them."""
        if not self._count:
            self._began_s = began_s
        self._held.append(correlation)
        self._count += len(correlation)
        made = []
        while self._count >= self._most:
            made.append(self._distil(self._most, now_s))
        return made

    def finish(self, now_s: float) -> list[Made]:
        """Return the block that what is left makes, if it is worth one."""
        return [self._distil(self._count, now_s)] if self._count >= LEAST_PAIRS else []

    def _distil(self, count: int, now_s: float) -> Made:
        pairs = np.concatenate(self._held)
        block, rest = pairs[:count], pairs[count:]
        self._held, self._count = [rest], len(rest)
        done = distil_pairs(
            self._name,
            block,
            self._how,
            self._params,
            seed=self._seed,
            block=self._blocks,
            start_s=self._began_s,
            end_s=now_s,
        )
        self._blocks += 1
        self._began_s = now_s
        return made_of(done, "backbone")


def made_of(done: Distilled, method: str) -> Made:
    """Return a distilled block as what a demand's slaves made."""
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
