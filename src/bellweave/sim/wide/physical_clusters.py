"""Key within clusters in ``physical`` mode: blocks of Ekert91 and of MDI-QKD, by the master's turns.

Time is cut into blocks of ``backbone.block_s``, in which disjoint pairs of slaves run Ekert91, and of
``backbone.mdi_block_s``, which the master's measurement gives to one pair. Those demands whose slaves took part in the
whole block, and that lack key, have their turns. Photons are simulated where both slaves, or the master, saw something.
"""

import math
from collections.abc import Callable

from bellweave.network.wide.cluster.turns import Turns
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import backbone_of
from bellweave.sim.cluster import Pair, distil_ekert, distil_mdi
from bellweave.sim.wide.keys import Made
from bellweave.sim.wide.physical import made_of

ROUNDING = 1e-9
"""Part of a block: one that ends so soon after a moment has ended."""


class PhysicalCluster:
    """One master and the demands that it serves.

    Args:
        scenario: The scenario.
        name: The master's.
        lacks: Whether a demand wants more key at a moment.
    """

    def __init__(self, scenario: Scenario, name: str, lacks: Callable[[str, float], bool]) -> None:
        self._scenario, self._master, self._lacks = scenario, scenario.master[name], lacks
        backbone = backbone_of(scenario)
        self._block_s = {"ekert91": backbone.block_s, "mdi": backbone.mdi_block_s}
        self._blocks = {"ekert91": 0, "mdi": 0}
        self._since_s: dict[str, float] = {}
        self._turns = {"ekert91": Turns({}), "mdi": Turns({})}

    def start(self, demand: str, now_s: float) -> None:
        """Serve a demand from now on."""
        self._since_s[demand] = now_s
        self._reset()

    def stop(self, demand: str) -> None:
        """Serve it no more; blocks that are under way are lost."""
        del self._since_s[demand]
        self._reset()

    def advance(self, now_s: float) -> list[tuple[str, Made]]:
        """Return what the blocks gave that have ended by now, by demand."""
        made: list[tuple[str, Made]] = []
        for method, block_s in self._block_s.items():
            while self._blocks[method] < math.floor(now_s / block_s + ROUNDING):
                made += self._block(method, self._blocks[method], block_s)
                self._blocks[method] += 1
        return made

    def _block(self, method: str, number: int, block_s: float) -> list[tuple[str, Made]]:
        """Return what a block gives to the demands that ran throughout."""
        start_s = number * block_s
        turn = self._turns[method].following()
        served = turn.ekert if method == "ekert91" else (turn.mdi,)
        distil = distil_ekert if method == "ekert91" else distil_mdi
        seed, params = self._scenario.run.seed, self._scenario.distill
        made = []
        for name in served:
            if name is None or self._since_s[name] > start_s + ROUNDING or not self._lacks(name, start_s + block_s):
                continue
            done = distil(self._pair(name), params, seed=seed, block=number, block_s=block_s, level="rounds")
            made.append((name, made_of(done, method)))
        return made

    def _pair(self, demand: str) -> Pair:
        ends, slaves = self._scenario.demand[demand], self._scenario.slave
        return Pair(self._master, ends.a, slaves[ends.a], ends.b, slaves[ends.b])

    def _reset(self) -> None:
        demands = self._scenario.demand
        pairs = {name: (demands[name].a, demands[name].b) for name in self._since_s}
        weights = {name: demands[name].weight for name in self._since_s}
        self._turns = {method: Turns(pairs, weights) for method in self._block_s}
