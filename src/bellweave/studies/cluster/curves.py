"""The six figures' curves: theory over the whole axis, simulation at some places of it."""

from collections.abc import Callable

import numpy as np

from bellweave import rng
from bellweave.network.wide.chains.run import Chain
from bellweave.network.wide.cluster import memories
from bellweave.network.wide.cluster.memories import Filling
from bellweave.network.wide.theory import (
    MEASUREMENT_S,
    RETRIEVAL_S,
    distribution_rate,
    pair_interval_s,
    success_probability,
)
from bellweave.results.panels import Curve, Panel
from bellweave.studies.cluster.rates import ATTEMPT_S, LOSS_DB_PER_KM, equal_hops, rate, repeated, time_s

UNITS = 10
KEYS = 1000
TIMES = 12
"""Repetitions of a simulated time."""

SLOTS = 2000
TURN_S = MEASUREMENT_S + RETRIEVAL_S
"""Time to bring one qubit out and measure it."""

RATE = "key rate (bit per attempt period)"


def _success(length_km: float) -> float:
    return success_probability(length_km, LOSS_DB_PER_KM)


def fig5(seed: int) -> Panel:
    """Return the key rate against total distance, for several numbers of repeaters."""
    curves = []
    for repeaters in (1, 2, 10, 20):
        hops = repeaters + 1
        lengths_km = [0.25 * step for step in range(81)]
        simulated = (5.0, 10.0, 15.0, 20.0)
        curves.append(
            Curve(
                f"N = {repeaters}",
                [hops * length for length in lengths_km],
                [distribution_rate(hops, UNITS, _success(length), 1.0) for length in lengths_km],
                [
                    rate(seed, ("fig5", repeaters, int(length)), hops, length, UNITS, 1.0, hops * length)
                    for length in simulated
                ],
            )
        )
    return Panel(
        "fig5", "Fig. 5: key rate against total distance", "total distance (km)", RATE, tuple(curves),
        chosen=f"N, m = {UNITS}, and the unit of the key rate; q = 1, 0.4 dB/km and 0 to 20 km between neighbours are "
        "printed",
        theory="Eq. 9, m p for q = 1", log_y=True,
    )  # fmt: skip


def fig6a(seed: int) -> Panel:
    """Return the time to so many keys between two neighbours against the size of their memories."""
    sizes = [1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50]
    curves = []
    for length_km in (10.0, 20.0, 30.0, 40.0):
        success = _success(length_km)
        points = []
        for units in (1, 5, 10, 20, 50):
            mean_s = KEYS * ATTEMPT_S / (units * success)
            ends_s = [time_s([_neighbours(seed, length_km, units, again)], KEYS, mean_s) for again in range(TIMES)]
            points.append(repeated(float(units), ends_s))
        expected = [KEYS * ATTEMPT_S / (units * success) for units in sizes]
        curves.append(Curve(f"{length_km:.0f} km", [float(units) for units in sizes], expected, points))
    return Panel(
        "fig6a", f"Fig. 6a: time to {KEYS:,} keys against memory size", "memory units m", "time (s)", tuple(curves),
        chosen=f"{KEYS:,} keys, the distances and the sizes; an attempt of 145 us is printed",
        theory="n attempts / (m p)", log_y=True, log_x=True,
    )  # fmt: skip


def _neighbours(seed: int, length_km: float, units: int, again: int) -> Chain:
    generator = rng.stream(seed, "cluster", "fig6a", int(length_km), units, again)
    return Chain(equal_hops(1, length_km, units, 1.0), (0, 1), generator)


def fig6b(seed: int) -> Panel:
    """Return the keys that two slaves of one cluster make in a time slot against the lifetime of their memories."""
    units = 100
    lifetimes_s = [0.0005 * step for step in range(281)]
    simulated_s = [0.01 * step for step in range(1, 15)]
    curves = []
    for length_km in (1.0, 5.0, 10.0):
        stored = _success(length_km) ** 2  # both photons of a pair arrive, each over its own fibre
        points = []
        for lifetime_s in simulated_s:
            generator = rng.stream(seed, "cluster", "fig6b", int(length_km), round(1e4 * lifetime_s))
            keys = [
                float(memories.simulate(Filling(units, stored, TURN_S, lifetime_s), 1, generator).measured)
                for _ in range(SLOTS)
            ]
            points.append(repeated(1e3 * lifetime_s, keys))
        expected = [
            memories.measured_per_slot(Filling(units, stored, TURN_S, lifetime_s)) for lifetime_s in lifetimes_s
        ]
        curves.append(
            Curve(f"{length_km:.0f} km to the master", [1e3 * each for each in lifetimes_s], expected, points)
        )
    return Panel(
        "fig6b", "Fig. 6b: keys in a time slot against memory lifetime", "lifetime of a stored qubit (ms)",
        "keys in a time slot", tuple(curves),
        chosen=f"{units} units, filled by one attempt each at the slot's beginning, and the distances; 100 us for a "
        "measurement and 1040 us for a retrieval are printed",
        theory="E[min(S, lifetime / 1.14 ms)], S binomial",
    )  # fmt: skip


def fig6c(seed: int) -> Panel:
    """Return the rate of a chain of 21 hops against the success of a swap."""
    hops = 21
    swaps = [0.05 * step for step in range(1, 21)]
    curves = [
        Curve(
            f"l = {length_km:.0f} km",
            swaps,
            [distribution_rate(hops, UNITS, _success(length_km), swap) for swap in swaps],
            [
                rate(seed, ("fig6c", int(length_km), round(100 * swap)), hops, length_km, UNITS, swap, swap)
                for swap in (swaps[9], swaps[13], swaps[17], swaps[19])
            ],
        )
        for length_km in (5.0, 10.0, 20.0)
    ]
    return Panel(
        "fig6c", "Fig. 6c: rate of 21 hops against the success of a swap", "success of a swap q", RATE,
        tuple(curves),
        chosen=f"l and m = {UNITS}; k = 21 and 0.4 dB/km are printed", theory="Eq. 9", log_y=True,
    )  # fmt: skip


def fig7a(seed: int) -> Panel:
    """Return the rate over 200 km against the number of repeaters."""
    total_km = 200.0
    most = 160
    curves = []
    for swap in (0.9, 0.6, 0.3):
        numbers = list(range(1, most + 1))
        simulated = (3, 7, 15, 30, 63, 100) if swap > 0.5 else (3, 7, 15, 30, 63)
        points = [
            rate(seed, ("fig7a", round(10 * swap), number), number + 1, total_km / (number + 1), UNITS, swap, number)
            for number in simulated
        ]
        expected = [distribution_rate(number + 1, UNITS, _success(total_km / (number + 1)), swap) for number in numbers]
        curves.append(Curve(f"q = {swap}", [float(number) for number in numbers], expected, points))
    return Panel(
        "fig7a", "Fig. 7a: rate over 200 km against the number of repeaters", "number of repeaters N", RATE,
        tuple(curves),
        chosen=f"m = {UNITS} and where the axis ends; 200 km and q are printed", theory="Eq. 9", log_y=True,
    )  # fmt: skip


def fig7b(seed: int) -> Panel:
    """Return the time that concurrent slaves need for their keys against memory size; they share one path."""
    hops, swap, keys = 6, 0.6, 100
    sizes = [12, 16, 24, 36, 48, 60]
    curves = []
    for slaves, length_km in ((1, 10.0), (2, 10.0), (4, 10.0), (2, 20.0)):
        success = _success(length_km)
        points = []
        for units in (12, 24, 48):
            share = units // slaves
            guess_s = keys * pair_interval_s(hops, share, success, swap, ATTEMPT_S)
            ends_s = [
                time_s([_shared(seed, slaves, length_km, share, again, each) for each in range(slaves)], keys, guess_s)
                for again in range(TIMES)
            ]
            points.append(repeated(float(units), ends_s))
        expected = [slaves * keys * pair_interval_s(hops, units, success, swap, ATTEMPT_S) for units in sizes]
        label = f"{slaves} slave{'s' if slaves > 1 else ''}, {length_km:.0f} km"
        curves.append(Curve(label, [float(units) for units in sizes], expected, points))
    return Panel(
        "fig7b", f"Fig. 7b: time until each slave has {keys} keys", "memory units m of an edge, shared by all slaves",
        "time (s)", tuple(curves),
        chosen=f"{keys} keys each, sizes, distances and numbers of slaves; all use one path and each has an equal part "
        "of its units; q = 0.6 and N = 5 are printed",
        theory="slaves x keys x period / Eq. 9", log_y=True, log_x=True,
    )  # fmt: skip


def _shared(seed: int, slaves: int, length_km: float, units: int, again: int, slave: int) -> Chain:
    generator = rng.stream(seed, "cluster", "fig7b", slaves, int(length_km), units, again, slave)
    return Chain(equal_hops(6, length_km, units, 0.6), range(7), generator, order="nested")


PANELS: dict[str, Callable[[int], Panel]] = {
    "fig5": fig5,
    "fig6a": fig6a,
    "fig6b": fig6b,
    "fig6c": fig6c,
    "fig7a": fig7a,
    "fig7b": fig7b,
}


def slope(curve: Curve, begin: float, end: float) -> float:
    """Return the mean slope of ln y between two of a curve's own x."""
    return float(np.log(curve.at(end) / curve.at(begin)) / (end - begin))
