"""Memories with a lifetime in a cluster: how many stored qubits are measured before they are too old.

A time slot begins with one attempt of every free unit; what arrived is stored. Then qubits are brought out and measured
one after the other, oldest first, which takes ``service_s`` each (1.04 ms + 0.1 ms in the cluster paper). A qubit whose
measurement would end after its lifetime is dropped. What is neither measured nor too old at the end of the slot waits
for the next one; its unit is not free.

Every qubit is accounted for: stored = measured + expired + held.
"""

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.random import Generator
from scipy.stats import binom

from bellweave.network.wide.params import Memory

_ROUNDING = 1e-9
"""Part of a service time: times that are equal on paper may differ by rounding."""


@dataclass(frozen=True)
class Filling:
    """How the memory of one slave, or of the master, is filled and emptied.

    Attributes:
        units: Memory units.
        success: Chance that one attempt of one unit stores something: of a pair, that both halves arrive.
        service_s: Time to bring one qubit out and measure it.
        lifetime_s: A stored qubit is dropped at this age; inf: never.
        slot_s: Length of a time slot.
    """

    units: int
    success: float
    service_s: float
    lifetime_s: float = math.inf
    slot_s: float = math.inf

    @property
    def in_time(self) -> int:
        """Most qubits that are measured in one slot, of those that were stored at its beginning."""
        longest_s = min(self.lifetime_s, self.slot_s)
        if self.service_s <= 0.0 or math.isinf(longest_s):
            return self.units
        return min(self.units, math.floor(longest_s / self.service_s + _ROUNDING))


@dataclass(frozen=True)
class Emptied:
    """Counts over all slots.

    Attributes:
        attempts: Of all units.
        stored: Attempts that succeeded.
        measured, expired, held: What became of what was stored; held: it still waits.
    """

    attempts: int
    stored: int
    measured: int
    expired: int
    held: int


def filling(units: int, success: float, memory: Memory, measurement_s: float, slot_s: float) -> Filling:
    """Return the filling of so many units of a memory; a cutoff earlier than its lifetime counts as one."""
    ends = [each for each in (memory.lifetime_s, memory.cutoff_s) if each is not None]
    return Filling(units, success, memory.retrieval_s + measurement_s, min(ends, default=math.inf), slot_s)


def measured_per_slot(given: Filling) -> float:
    """Return the mean number of qubits that are measured in a slot: E[min(B, c)], B binomial, c what is in time.

    Exact where nothing is left for the next slot: the lifetime is not longer than the slot, or all are measured in it.

    >>> measured_per_slot(Filling(units=10, success=1.0, service_s=1.0, lifetime_s=4.5))
    4.0
    """
    most = given.in_time
    # the sum of P(B > k) over k < c
    return float(binom.sf(np.arange(most), given.units, given.success).sum())


def simulate(given: Filling, slots: int, rng: Generator) -> Emptied:
    """Return what becomes of the qubits of so many slots, one after the other.

    Raises:
        ValueError: If several slots of endless length are asked for.
    """
    if slots > 1 and math.isinf(given.slot_s):
        raise ValueError("a slot of endless length has none after it")
    counts = _slots(given.units, given.success, given.service_s, given.lifetime_s, given.slot_s, slots, rng, _ROUNDING)
    return Emptied(*(int(count) for count in counts))


@numba.njit(cache=True)
def _slots(units, success, service_s, lifetime_s, slot_s, slots, rng, rounding):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return (attempts, stored, measured, expired, held).

    Qubits of one slot are of one age, so the queue holds (slot, how many) in a ring: at most one entry a unit.
    """
    born, number = np.zeros(units + 1), np.zeros(units + 1, np.int64)
    head = size = held = 0
    attempts = stored = measured = expired = 0
    slack = rounding * service_s
    for slot in range(slots):
        start_s = slot * slot_s if slot else 0.0
        end_s = start_s + slot_s
        free = units - held
        came = rng.binomial(free, success) if free and success > 0.0 else 0
        attempts += free
        stored += came
        if came:
            place = (head + size) % (units + 1)
            born[place], number[place] = start_s, came
            size += 1
            held += came
        now_s = start_s
        while size:
            dies_s = born[head] + lifetime_s
            if now_s + service_s > dies_s + slack:  # none of this age can be measured any more
                if dies_s > end_s:
                    break
                expired += number[head]
                held -= number[head]
                head, size = (head + 1) % (units + 1), size - 1
                continue
            if now_s + service_s > end_s + slack:
                break
            now_s += service_s
            measured += 1
            held -= 1
            number[head] -= 1
            if number[head] == 0:
                head, size = (head + 1) % (units + 1), size - 1
    return attempts, stored, measured, expired, held
