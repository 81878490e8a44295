"""Key within clusters in ``paper`` mode: Ekert91 from the master's pairs, and MDI-QKD in turns at its measurement.

Every attempt of a pair of units gives a key bit with the master's ``ekert_rate``; every attempt of the master's units
gives one with ``mdi_rate`` to the request whose turn it is (Eq. 6). Bits are binomial draws over the attempts of an
interval: nothing is skipped.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from bellweave import rng
from bellweave.network.wide.cluster.turns import Turns
from bellweave.network.wide.params import Master
from bellweave.scenario.wide import ATTEMPT_S

ROUNDING = 1e-6
"""Attempts that end so much of their period after a moment count as ended."""


@dataclass(frozen=True)
class LocalKey:
    """Key bits of one interval, by method, and the attempts that made Ekert91's."""

    ekert_bits: int
    mdi_bits: int
    attempts: int


@dataclass
class _Request:
    """A pair of slaves that wants key."""

    pair: tuple[str, str]
    units: int
    ekert: np.random.Generator
    mdi: np.random.Generator
    made: list[int] = field(default_factory=lambda: [0, 0, 0])


class Cluster:
    """One master and the requests that it serves, from 0 s on."""

    def __init__(self, name: str, master: Master, seed: int) -> None:
        self._name, self._master, self._seed = name, master, seed
        self._requests: dict[str, _Request] = {}
        self._turns = Turns({})
        self._now_s = 0.0

    def start(self, demand: str, pair: tuple[str, str], units: int, births: int, now_s: float) -> None:
        """Serve a demand from now on with so many units of each slave; ``births``: how often it has started."""
        self._advance(now_s)
        ekert, mdi = (
            rng.stream(self._seed, "cluster", self._name, demand, births, what) for what in ("ekert91", "mdi")
        )
        self._requests[demand] = _Request(pair, units, ekert, mdi)
        self._reset()

    def stop(self, demand: str, now_s: float) -> LocalKey:
        """Serve it no more; return what it made since the last time."""
        made = self.take(demand, now_s)
        del self._requests[demand]
        self._reset()
        return made

    def take(self, demand: str, now_s: float) -> LocalKey:
        """Return what a demand's slaves made since the last time."""
        self._advance(now_s)
        request = self._requests[demand]
        made = LocalKey(*request.made)
        request.made = [0, 0, 0]
        return made

    def _reset(self) -> None:
        self._turns = Turns({name: request.pair for name, request in self._requests.items()})

    def _advance(self, now_s: float) -> None:
        """Make the attempts since the last time; they are one turn of the measurement."""
        attempts = _attempts(now_s) - _attempts(self._now_s)
        self._now_s = now_s
        if attempts == 0 or not self._requests:
            return
        turn = self._turns.following()
        for name, request in self._requests.items():
            request.made[0] += int(request.ekert.binomial(attempts * request.units, self._master.ekert_rate))
            request.made[2] += attempts * request.units
            if name == turn.mdi:
                request.made[1] += int(request.mdi.binomial(attempts * self._master.units, self._master.mdi_rate))


def _attempts(now_s: float) -> int:
    return math.floor(now_s / ATTEMPT_S + ROUNDING)
