"""MDI-QKD: closed forms = every pulse = heralded rounds, within 4 sigma on counts. Seeds are fixed."""

import math
from typing import Any

import numpy as np
import pytest

from bellweave.blocks import Basis, Rounds
from bellweave.photonics import mdi, mdi_theory
from bellweave.photonics.mdi_params import MdiLink, Sender
from bellweave.photonics.params import Detector

pytestmark = pytest.mark.agreement

SIGMAS = 4.0


def link(**keys: Any) -> MdiLink:
    every: dict[str, Any] = {
        "name": "m",
        "alice": Sender(loss_db=1.0),
        "bob": Sender(loss_db=1.0),
        "detector": Detector(efficiency=0.8, dark_rate_hz=1e5),
        "visibility": 0.95,
        "pulse_rate_hz": 3.0e6,
        "block_s": 1.0,
        "gate_ps": 1_000,
    }
    return MdiLink(**(every | keys))


GRID = {
    "coherent": link(),
    "bright": link(intensities=(2.0, 0.7, 0.2)),
    "no interference": link(visibility=0.0),
    "unequal arms": link(alice=Sender(loss_db=0.5), bob=Sender(loss_db=5.0)),
    "misaligned": link(alice=Sender(loss_db=1.0, misalignment_rad=0.5)),
    "noisy": link(detector=Detector(efficiency=0.4, dark_rate_hz=2e7)),
    "unequal detectors": link(detector=Detector(efficiencies=(0.9, 0.4, 0.7, 0.6))),
    "jitter": link(detector=Detector(efficiency=0.8, jitter_ps=400)),
    "biased": link(z_probability=0.8),
    "single photons": link(light="single-photon"),
    "single photons, lossy, noisy": link(
        light="single-photon", visibility=0.7, bob=Sender(loss_db=4.0), detector=Detector(dark_rate_hz=2e7)
    ),
}


def counted(alice: Rounds, bob: Rounds, shape: tuple[int, ...]) -> Any:
    assert alice.announcement is not None
    intensities = [np.zeros(len(each), np.uint8) if each.intensity is None else each.intensity for each in (alice, bob)]
    counts = np.zeros(shape)
    where = (alice.basis, bob.basis, *intensities, alice.bit, bob.bit, alice.announcement)
    np.add.at(counts, where, 1.0)
    return counts


@pytest.mark.parametrize("level", ["pulses", "heralds"])
@pytest.mark.parametrize("name", GRID)
def test_gains_and_error_rates_of_every_pair_of_intensities_are_as_expected(name: str, level: str) -> None:
    setup = GRID[name]
    expected = mdi_theory.expect(setup)

    alice, bob = getattr(mdi, level)(setup, 5, 0)

    counts = counted(alice, bob, expected.cells.shape)
    cells = expected.cells * setup.pulses
    assert counts.sum() == pytest.approx(cells.sum(), abs=SIGMAS * math.sqrt(cells.sum()))
    for basis in Basis:
        seen, meant = counts[basis, basis].sum(axis=-1), cells[basis, basis].sum(axis=-1)
        heralded = meant.sum(axis=(-1, -2))
        assert np.all(np.abs(seen.sum(axis=(-1, -2)) - heralded) <= SIGMAS * np.sqrt(heralded) + 1.0)
        wrong, expected_wrong = (each[..., 0, 1] + each[..., 1, 0] for each in (seen, meant))
        assert np.all(np.abs(wrong - expected_wrong) <= SIGMAS * np.sqrt(expected_wrong) + 1.0)
    announced = counts.sum(axis=tuple(range(6))), cells.sum(axis=tuple(range(6)))
    assert np.all(np.abs(announced[0] - announced[1]) <= SIGMAS * np.sqrt(announced[1]))
