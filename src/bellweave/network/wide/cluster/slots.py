"""Key of a cluster, slot by slot, in ``paper`` mode: turns, memories that fill and empty, a rate per measured qubit.

In a slot every pair whose turn it is fills its memories with one attempt a unit, then measures what it can before it is
too old (:mod:`bellweave.network.wide.cluster.memories`); a measured pair gives a key bit with probability R_ekr, and a
pair of qubits that the master measures with probability R_mdi. What is left at the end of the slot is dropped, since
the memories go to whose turn is next. With sure attempts and lifetimes that are long enough this is Eq. 6.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from bellweave.network.scheduling import Link
from bellweave.network.wide.cluster.memories import Filling, filling, measured_per_slot
from bellweave.network.wide.cluster.turns import Turns
from bellweave.network.wide.params import Master, Slave
from bellweave.network.wide.theory import success_probability


@dataclass(frozen=True)
class Protocol:
    """What one pair of slaves has of one protocol in its slots.

    Attributes:
        filling: How memory units fill and empty.
        rate: Key bits per measured qubit, in [0, 1].
    """

    filling: Filling
    rate: float

    @property
    def bits_per_slot(self) -> float:
        """Mean key bits in a slot of this pair's."""
        return self.rate * measured_per_slot(self.filling)


@dataclass(frozen=True)
class Served:
    """Counts of one pair and one protocol.

    Attributes:
        slots: How often it was its turn.
        stored, measured: Qubits, or pairs of them.
        bits: Of key.
    """

    slots: int
    stored: int
    measured: int
    bits: int

    @property
    def dropped(self) -> int:
        """What was stored and too old, or left at the end of its slot."""
        return self.stored - self.measured


class Cluster:
    """A master, its slaves, and the pairs of them that want key.

    Args:
        master: Its rates are those of ``paper`` mode.
        slaves: By name.
        pairs: Who wants key, by name.
        slot_s: Length of a slot.
        weights: As for :class:`~bellweave.network.wide.cluster.turns.Turns`.
    """

    def __init__(
        self,
        master: Master,
        slaves: Mapping[str, Slave],
        pairs: Mapping[str, Link],
        *,
        slot_s: float,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self._pairs, self._weights = dict(pairs), weights
        self.ekert = {name: _ekert(master, slaves[a], slaves[b], slot_s) for name, (a, b) in pairs.items()}
        self.mdi = {name: _mdi(master, slaves[a], slaves[b], slot_s) for name, (a, b) in pairs.items()}

    def simulate(self, slots: int, rng: Generator) -> dict[str, tuple[Served, Served]]:
        """Return what each pair got by Ekert91 and by MDI-QKD in so many slots."""
        ekert, mdi = self.turns(slots)
        return {
            name: (_serve(self.ekert[name], ekert[name], rng), _serve(self.mdi[name], mdi[name], rng))
            for name in self._pairs
        }

    def expected_bits(self, slots: int) -> dict[str, float]:
        """Return the mean key bits of each pair in so many slots, by both protocols together."""
        ekert, mdi = self.turns(slots)
        return {
            name: ekert[name] * self.ekert[name].bits_per_slot + mdi[name] * self.mdi[name].bits_per_slot
            for name in self._pairs
        }

    def turns(self, slots: int) -> tuple[Counter[str], Counter[str]]:
        """Return how often it is each pair's turn in so many slots, by Ekert91 and by MDI-QKD."""
        schedule = Turns(self._pairs, self._weights)
        ekert: Counter[str] = Counter()
        mdi: Counter[str] = Counter()
        for _ in range(slots):
            turn = schedule.following()
            ekert.update(turn.ekert)
            if turn.mdi is not None:
                mdi[turn.mdi] += 1
        return ekert, mdi


def _ekert(master: Master, a: Slave, b: Slave, slot_s: float) -> Protocol:
    """Both halves of a pair are measured at the same time, at the slower slave's pace, before either is too old."""
    both = [
        filling(min(a.units, b.units), _arrives(a) * _arrives(b), own.memory, master.repeater.measurement_s, slot_s)
        for own in (a, b)
    ]
    service_s, lifetime_s = max(own.service_s for own in both), min(own.lifetime_s for own in both)
    return Protocol(Filling(both[0].units, both[0].success, service_s, lifetime_s, slot_s), master.ekert_rate)


def _mdi(master: Master, a: Slave, b: Slave, slot_s: float) -> Protocol:
    """A unit of the master's holds both slaves' qubits of an attempt, or is empty."""
    own = master.repeater
    both = _arrives(a) * _arrives(b)
    return Protocol(filling(master.units, both, own.memory, own.measurement_s, slot_s), master.mdi_rate)


def _arrives(slave: Slave) -> float:
    return success_probability(slave.length_km, slave.loss_db_per_km)


def _serve(protocol: Protocol, slots: int, rng: Generator) -> Served:
    own = protocol.filling
    stored = rng.binomial(own.units, own.success, slots)
    measured = np.minimum(stored, own.in_time)
    bits = rng.binomial(int(measured.sum()), protocol.rate)
    return Served(slots, int(stored.sum()), int(measured.sum()), int(bits))
