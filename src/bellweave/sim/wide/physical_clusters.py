"""Clusters in ``physical`` mode: what slaves measure in blocks of Ekert91 and of MDI-QKD, by the master's turns.

Time is cut into blocks of ``backbone.block_s``, in which disjoint pairs of slaves run Ekert91, and of
``backbone.mdi_block_s``, which the master's measurement gives to one pair. Those demands whose slaves took part in the
whole block, and that lack key, have their turns. Photons are simulated where both slaves, or the master, saw something.
"""

import math
from collections.abc import Callable

from bellweave.network.wide.cluster.turns import Turns
from bellweave.roles.randomness import Randomness
from bellweave.roles.slave import Method, slaves_of
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import backbone_of
from bellweave.sim.cluster import Sampled, sampled_ekert, sampled_mdi

ROUNDING = 1e-9
"""Part of a block: one that ends so soon after a moment has ended."""


class PhysicalCluster:
    """One master and the demands that it serves.

    Args:
        scenario: The scenario.
        lacks: Whether a demand wants more key at a moment.
        randomness: What the physics is drawn from.
    """

    def __init__(self, scenario: Scenario, lacks: Callable[[str, float], bool], randomness: Randomness) -> None:
        self._scenario, self._lacks, self._randomness = scenario, lacks, randomness
        backbone = backbone_of(scenario)
        self._block_s: dict[Method, float] = {"ekert91": backbone.block_s, "mdi": backbone.mdi_block_s}
        self._blocks = dict.fromkeys(self._block_s, 0)
        self._since_s: dict[str, float] = {}
        self._turns = {method: Turns({}) for method in self._block_s}

    def start(self, demand: str, now_s: float) -> None:
        """Serve a demand from now on."""
        self._since_s[demand] = now_s
        self._reset()

    def stop(self, demand: str) -> None:
        """Serve it no more; blocks that are under way are lost."""
        del self._since_s[demand]
        self._reset()

    def advance(self, now_s: float) -> list[tuple[str, Method, Sampled]]:
        """Return what was measured in the blocks that have ended by now, by demand and method."""
        measured: list[tuple[str, Method, Sampled]] = []
        for method, block_s in self._block_s.items():
            while self._blocks[method] < math.floor(now_s / block_s + ROUNDING):
                measured += self._block(method, self._blocks[method], block_s)
                self._blocks[method] += 1
        return measured

    def _block(self, method: Method, number: int, block_s: float) -> list[tuple[str, Method, Sampled]]:
        """Return what a block gives to the demands that ran throughout."""
        start_s = number * block_s
        turn = self._turns[method].following()
        served = turn.ekert if method == "ekert91" else (turn.mdi,)
        measured: list[tuple[str, Method, Sampled]] = []
        for name in served:
            if name is None or self._since_s[name] > start_s + ROUNDING or not self._lacks(name, start_s + block_s):
                continue
            sampled = sampled_ekert if method == "ekert91" else sampled_mdi
            pair = slaves_of(self._scenario, name)
            measured.append((name, method, sampled(pair, self._randomness, block=number, block_s=block_s)))
        return measured

    def _reset(self) -> None:
        demands = self._scenario.demand
        pairs = {name: (demands[name].a, demands[name].b) for name in self._since_s}
        weights = {name: demands[name].weight for name in self._since_s}
        self._turns = {method: Turns(pairs, weights) for method in self._block_s}
