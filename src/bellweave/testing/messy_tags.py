"""Simulated tags with planted faults: clock offset and drift, channel delays, echoes. What was planted is known."""

from dataclasses import dataclass

import numpy as np

from bellweave import rng
from bellweave.blocks import Detections

DELAYS_PS = ((0, 3_000, -5_000, 12_000), (7_000, -2_000, 0, 20_000))
"""Delays of Alice's and Bob's channels, as long as some metres of cable make them."""


@dataclass(frozen=True)
class Messy:
    """What to plant.

    Attributes:
        pairs: Pairs that both parties detect, over ``duration_s``.
        duration_s: Length of the record.
        dark_rate_hz: Clicks of nothing, per second and party.
        qber: Error rate in (Z, X).
        jitter_ps: Standard deviation of every time.
        offset_ps, drift: Of Bob's clock.
        delays_ps: Of Alice's and of Bob's channels.
        echo_delay_ps: Echoes follow half of the clicks of Alice's channel 0 after so long; 0: none.
        order: Bob's channels of H, V, D, A.
    """

    pairs: int = 20_000
    duration_s: float = 1.0
    dark_rate_hz: float = 20_000.0
    qber: tuple[float, float] = (0.04, 0.02)
    jitter_ps: int = 300
    offset_ps: int = 0
    drift: float = 0.0
    delays_ps: tuple[tuple[int, ...], tuple[int, ...]] = DELAYS_PS
    echo_delay_ps: int = 0
    order: tuple[int, int, int, int] = (0, 1, 2, 3)


def record(messy: Messy, seed: int = 1) -> tuple[Detections, Detections]:
    """Return Alice's and Bob's tags."""
    g = rng.stream(seed, "messy")
    span = int(messy.duration_s * 1e12)
    emitted = np.sort(g.integers(0, span, messy.pairs))
    basis = g.integers(0, 2, (2, messy.pairs))
    bit = g.integers(0, 2, (2, messy.pairs))
    wrong = g.random(messy.pairs) < np.array(messy.qber)[basis[0]]
    same = basis[0] == basis[1]
    bit[1][same] = (bit[0] ^ wrong)[same]
    ends = []
    for end, (offset, drift) in enumerate(((0, 0.0), (messy.offset_ps, messy.drift))):
        dark = int(g.poisson(messy.dark_rate_hz * messy.duration_s))
        jitter = np.rint(g.normal(0.0, messy.jitter_ps, messy.pairs)).astype(np.int64)
        time_ps = np.concatenate([emitted + jitter, g.integers(0, span, dark)])
        channel = np.concatenate([2 * basis[end] + bit[end], g.integers(0, 4, dark)])
        if end == 1:
            channel = np.array(messy.order)[channel]
        time_ps = np.rint(time_ps * (1.0 + drift)).astype(np.int64) + offset + np.array(messy.delays_ps[end])[channel]
        if end == 0 and messy.echo_delay_ps:
            echoed = time_ps[(channel == 0) & (g.random(channel.size) < 0.5)] + messy.echo_delay_ps
            echoed += np.rint(g.normal(0.0, messy.jitter_ps, echoed.size)).astype(np.int64)
            time_ps, channel = np.concatenate([time_ps, echoed]), np.concatenate([channel, np.zeros_like(echoed)])
        order = np.argsort(time_ps, kind="stable")
        ends.append(Detections(time_ps[order], channel[order].astype(np.uint8), span))
    return ends[0], ends[1]
