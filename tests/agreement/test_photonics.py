"""Theory = tags = coincidences, within 4 sigma on counts, over a grid of links.

Most cases expect 1,600 or more of what they check, so that 4 sigma is a tenth: a physics error of 10 % fails.
Seeds are fixed.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from bellweave.bell import Reals
from bellweave.photonics import analyser, coincidence, link, theory
from bellweave.photonics.params import (
    Arm,
    Clock,
    Cut,
    CwSource,
    Detector,
    Eavesdropper,
    Node,
    Noise,
    OpticalLink,
    Polarisation,
    PulsedSource,
    Source,
    TimeBin,
)
from bellweave.rng import stream

pytestmark = pytest.mark.agreement

SIGMAS = 4.0
CW = CwSource(pair_rate_hz=400_000.0)
POISSON = PulsedSource(repetition_rate_hz=10_000_000.0, mean_pairs_per_pulse=0.05)
THERMAL = PulsedSource(repetition_rate_hz=10_000_000.0, mean_pairs_per_pulse=0.2, statistics="thermal")
ROTATED = Noise(rotation_sigma_rad=math.pi / (6.0 * math.sqrt(2.0)))
MISALIGNED = Noise(misalignment_rad=0.5)
MIXED = Noise(rotation_sigma_rad=0.2, depolarising_probability=0.1, dephasing_probability=0.1)
BIN = TimeBin(bin_separation_ps=10_000)


def arm(
    loss_db: float, encoding: Polarisation | TimeBin | None = None, noise: Noise | None = None, **detector: Any
) -> Arm:
    node = Node(
        analyser=encoding or Polarisation(),
        detector=Detector(**({"jitter_ps": 350, "efficiency": 0.8} | detector)),
        noise=noise or ROTATED,
        clock=Clock(offset_ps=123_456),
    )
    return Arm(node=node, loss_db={"path": loss_db}, delay_ps=5_000)


def optical(source: Source, alice: Arm, bob: Arm, **link_keys: Any) -> OpticalLink:
    return OpticalLink(
        **(
            {"name": "a-b", "source": source, "alice": alice, "bob": bob, "window_ps": 4_000, "block_s": 1.0}
            | link_keys
        )
    )


def both(**arm_keys: Any) -> tuple[Arm, Arm]:
    return arm(4.0, **arm_keys), arm(6.0, **arm_keys)


EVE_Z = Eavesdropper(fraction=0.5, arm="alice", basis="z")
UNEVEN = {"efficiencies": (0.9, 0.5, 0.8, 0.7)}

GRID = {
    "cw": optical(CW, *both()),
    "cw, narrow window": optical(CW, *both(), window_ps=600),
    "cw, dark counts": optical(CW, *both(dark_rate_hz=200_000.0), window_ps=10_000),
    "cw, dead time": optical(CW, *both(dead_time_ps=10_000_000)),
    "cw, dead time and afterpulses": optical(CW, *both(dead_time_ps=1_000_000, afterpulse_probability=0.2)),
    "cw, crosstalk": optical(CW, *both(), crosstalk=0.2, window_ps=10_000),
    "cw, biased": optical(CW, *both(encoding=Polarisation(z_probability=0.8))),
    "cw, active": optical(CW, *both(encoding=Polarisation(basis_choice="active", z_probability=0.3))),
    "cw, keyed": optical(CW, *both(encoding=Polarisation(basis_choice="keyed")), window_ps=20_000),
    "cw, unequal detectors": optical(CW, *both(**UNEVEN)),
    "cw, singlet": optical(CwSource(pair_rate_hz=4e5, state="psi-", visibility=0.9), *both()),
    "cw, eavesdropper": optical(CW, *both(), eavesdropper=Eavesdropper()),
    "cw, eavesdropper in Z on half": optical(CW, *both(noise=Noise()), eavesdropper=EVE_Z),
    "cw, all noises": optical(CW, arm(4.0, noise=MISALIGNED), arm(4.0, noise=MIXED), block_s=2.0),
    "cw, cut": optical(CW, *both(dark_rate_hz=1000.0), cut=Cut(start_s=0.4, end_s=5.0)),
    "cw, bright": optical(CwSource(pair_rate_hz=4e6), *both(), block_s=0.2),
    "pulsed, poisson": optical(POISSON, *both()),
    "pulsed, dark counts": optical(POISSON, *both(dark_rate_hz=200_000.0), window_ps=20_000),
    "pulsed, bright": optical(PulsedSource(repetition_rate_hz=1e7, mean_pairs_per_pulse=1.0), *both(), block_s=0.04),
    "pulsed, dead time": optical(POISSON, *both(dead_time_ps=2_050_000)),
    "pulsed, crosstalk": optical(POISSON, *both(), crosstalk=0.2),
    "pulsed, active": optical(POISSON, *both(encoding=Polarisation(basis_choice="active", z_probability=0.3))),
    "pulsed, random cross": optical(
        POISSON, *both(encoding=Polarisation(cross_basis="random", double_click="discard"))
    ),
    "thermal": optical(THERMAL, *both(), block_s=0.2),
    "thermal, no noise": optical(THERMAL, *both(noise=Noise()), block_s=0.2),
    "thermal, active, bright": optical(
        PulsedSource(repetition_rate_hz=1e7, mean_pairs_per_pulse=0.6, statistics="thermal"),
        *both(encoding=Polarisation(basis_choice="active"), noise=Noise()),
        block_s=0.04,
    ),
    "time-bin": optical(POISSON, *both(encoding=BIN)),
    "time-bin, narrow window": optical(POISSON, *both(encoding=BIN), window_ps=800),
    "time-bin, thermal": optical(THERMAL, *both(encoding=BIN), block_s=0.2),
    "time-bin, phase and visibility": optical(
        POISSON,
        arm(4.0, TimeBin(bin_separation_ps=10_000, phase_rad=0.5, visibility=0.9)),
        arm(6.0, TimeBin(bin_separation_ps=10_000, phase_rad=0.3, visibility=0.95)),
    ),
    "time-bin, drift": optical(
        POISSON, arm(4.0, TimeBin(bin_separation_ps=10_000, phase_drift_rad_per_s=0.3)), arm(6.0, BIN)
    ),
    "time-bin, direct detector": optical(
        POISSON,
        *both(encoding=TimeBin(bin_separation_ps=10_000, direct_z_probability=0.4), efficiencies=(0.9, 0.6, 0.7)),
    ),
    "time-bin, dark counts": optical(POISSON, *both(encoding=BIN, dark_rate_hz=100_000.0), window_ps=10_000),
}
BLOCKS = 6


@dataclass
class Counts:
    singles: Reals
    cells: Reals


def from_tags(case: OpticalLink, seed: int = 1) -> Counts:
    singles, cells = np.zeros(2), np.zeros((2, 2, 2, 2))
    for block in range(BLOCKS):
        seen = link.tags(case, seed, block)
        alice = analyser.clicks(seen[0], case.alice, case.source, case.window_ps, stream(seed, "alice", block))
        bob = analyser.clicks(
            seen[1], case.bob, case.source, case.window_ps, stream(seed, "bob", block), flips=link.bob_flips(case)
        )
        a, b = coincidence.match(alice.time_ps, bob.time_ps, case.window_ps)
        np.add.at(cells, (alice.basis[a], bob.basis[b], alice.bit[a], bob.bit[b]), 1)
        singles += [len(seen[0]), len(seen[1])]
    return Counts(singles, cells)


def from_coincidences(case: OpticalLink, seed: int = 1) -> Reals:
    cells = np.zeros((2, 2, 2, 2))
    for block in range(BLOCKS):
        alice, bob = link.coincidences(case, seed, block)
        np.add.at(cells, (alice.basis, bob.basis, alice.bit, bob.bit), 1)
    return cells


def from_theory(case: OpticalLink) -> Counts:
    singles, cells = np.zeros(2), np.zeros((2, 2, 2, 2))
    for block in range(BLOCKS):
        mean = theory.expect(case, block * case.block_s)
        singles += np.array([mean.singles_alice_hz, mean.singles_bob_hz]) * case.block_s
        cells += mean.cells_hz * case.block_s
    return Counts(singles, cells)


def figures(cells: Reals) -> dict[str, float]:
    errors = [cells[basis, basis, 0, 1] + cells[basis, basis, 1, 0] for basis in (0, 1)]
    return {
        "coincidences": cells.sum(),
        "sifted Z": cells[0, 0].sum(),
        "sifted X": cells[1, 1].sum(),
        "unequal bases": cells[0, 1].sum() + cells[1, 0].sum(),
        "errors Z": errors[0],
        "errors X": errors[1],
        "ones of Alice in Z": cells[0, 0, 1].sum(),
    }


def deviations(counted: dict[str, float], mean: dict[str, float]) -> dict[str, float]:
    return {name: (counted[name] - mean[name]) / math.sqrt(max(mean[name], 1.0)) for name in mean}


@pytest.mark.parametrize("name", GRID)
def test_tags_and_coincidences_agree_with_theory(name: str) -> None:
    case = GRID[name]
    mean, sampled = from_theory(case), from_tags(case)

    by_tags = deviations(figures(sampled.cells), figures(mean.cells))
    by_tags |= {
        f"singles {role}": (sampled.singles[i] - mean.singles[i]) / math.sqrt(mean.singles[i])
        for i, role in enumerate("AB")
    }
    by_coincidences = deviations(figures(from_coincidences(case)), figures(mean.cells))

    assert {name: round(z, 1) for name, z in by_tags.items() if abs(z) > SIGMAS} == {}
    assert {name: round(z, 1) for name, z in by_coincidences.items() if abs(z) > SIGMAS} == {}
