"""Ekert91: theory = tags = coincidences, within 4 sigma on counts. Seeds are fixed."""

import math
from typing import Any

import numpy as np
import pytest

from bellweave import bell
from bellweave.bell import Reals, Settings
from bellweave.photonics import coincidence, ekert, ekert_theory
from bellweave.photonics.params import (
    Arm,
    Clock,
    CwSource,
    Detector,
    Eavesdropper,
    Node,
    Noise,
    OpticalLink,
    Polarisation,
)
from bellweave.rng import stream

pytestmark = pytest.mark.agreement

SIGMAS = 4.0
ACTIVE = Polarisation(basis_choice="active")


def arm(loss_db: float, noise: Noise | None = None, **detector: Any) -> Arm:
    node = Node(
        analyser=ACTIVE,
        detector=Detector(**({"jitter_ps": 100, "efficiency": 0.8} | detector)),
        noise=noise or Noise(),
        clock=Clock(offset_ps=54_321),
    )
    return Arm(node=node, loss_db={"path": loss_db}, delay_ps=7_000)


def optical(alice: Arm, bob: Arm, rate_hz: float = 1e6, state: Any = "phi+", **keys: Any) -> OpticalLink:
    source = CwSource(pair_rate_hz=rate_hz, state=state, visibility=0.95)
    every: dict[str, Any] = {"name": "e", "source": source, "alice": alice, "bob": bob, "window_ps": 1_000} | keys
    return OpticalLink(**every)


GRID = {
    "lossy": (optical(arm(2.0), arm(4.0), block_s=0.5), "unbiased"),
    "ekert's settings": (optical(arm(2.0), arm(4.0), block_s=0.5), "ekert"),
    "singlet": (optical(arm(2.0), arm(4.0), state="psi-", block_s=0.5), "unbiased"),
    "phi-, ekert": (optical(arm(2.0), arm(4.0), state="phi-", block_s=0.5), "ekert"),
    "misaligned": (optical(arm(2.0, Noise(misalignment_rad=0.4)), arm(3.0), block_s=0.5), "unbiased"),
    "dephased": (optical(arm(2.0, Noise(dephasing_probability=0.1)), arm(3.0), block_s=0.5), "ekert"),
    "eavesdropper": (optical(arm(2.0), arm(2.0), block_s=0.3, eavesdropper=Eavesdropper()), "unbiased"),
    "dark counts": (
        optical(arm(8.0, dark_rate_hz=5e4), arm(8.0, dark_rate_hz=5e4), window_ps=8_000, block_s=1.0),
        "unbiased",
    ),
    "unequal detectors": (optical(arm(2.0, efficiencies=(0.9, 0.5)), arm(4.0), block_s=0.5), "unbiased"),
    "dead time": (
        optical(arm(2.0, dead_time_ps=300_000), arm(2.0, dead_time_ps=300_000), block_s=0.5),
        "unbiased",
    ),
}


def sampled(link: OpticalLink, settings: Settings, level: str) -> Reals:
    """Return the counts by settings and bits."""
    counts = np.zeros((len(settings.alice_rad), len(settings.bob_rad), 2, 2))
    if level == "coincidences":
        _, setting, bit = ekert.coincidences(link, settings, 11, 0)
        np.add.at(counts, (*setting, *bit), 1.0)
        return counts
    seen = ekert.tags(link, settings, 11, 0)
    own = [
        ekert.clicks(each, side, link.window_ps, stream(11, "clicks", role))
        for each, side, role in zip(seen, (link.alice, link.bob), ("a", "b"), strict=True)
    ]
    a, b = coincidence.match(own[0].time_ps, own[1].time_ps, link.window_ps)
    np.add.at(counts, (own[0].setting[a], own[1].setting[b], own[0].bit[a], own[1].bit[b]), 1.0)
    return counts


@pytest.mark.parametrize("level", ["tags", "coincidences"])
@pytest.mark.parametrize("name", GRID)
def test_rates_error_rates_and_chsh_are_as_expected(name: str, level: str) -> None:
    link, which = GRID[name]
    settings = bell.ekert_settings(which)  # type: ignore[arg-type]
    expected = ekert_theory.expect(link, settings)

    counts = sampled(link, settings, level)

    cells = expected.cells_hz * link.block_s
    assert counts.sum() == pytest.approx(cells.sum(), abs=SIGMAS * math.sqrt(cells.sum()))
    assert np.all(np.abs(counts - cells) <= 4.5 * np.sqrt(cells) + 1.0)  # 48 cells
    total = counts.sum(axis=(2, 3))
    correlation = bell.correlation(counts) / total
    spread = math.sqrt(sum((1.0 - correlation[a, b] ** 2) / total[a, b] for a, b, _ in settings.test))
    assert bell.chsh_value(settings, correlation) == pytest.approx(expected.chsh, abs=SIGMAS * spread)
    for basis, pair in enumerate(settings.key):
        rate = expected.qber(basis)
        seen = (counts[pair][0, 1] + counts[pair][1, 0]) / total[pair]
        assert seen == pytest.approx(rate, abs=SIGMAS * math.sqrt(rate * (1.0 - rate) / total[pair]))


def test_without_noise_and_accidentals_theory_is_the_closed_form_of_a_werner_pair() -> None:
    link = optical(arm(2.0), arm(4.0), window_ps=0, block_s=1.0)

    for which in ("unbiased", "ekert"):
        expected = ekert_theory.expect(link, bell.ekert_settings(which))

        assert expected.chsh == pytest.approx(ekert_theory.chsh(0.95), rel=1e-3)
        assert expected.qber(0) == pytest.approx(ekert_theory.qber(0.95), rel=2e-2)
        assert expected.key_share == pytest.approx(expected.settings.key_share)


def test_an_eavesdropper_who_attacks_all_leaves_no_violation() -> None:
    link, which = GRID["eavesdropper"]

    expected = ekert_theory.expect(link, bell.ekert_settings(which))  # type: ignore[arg-type]

    assert expected.chsh < 2.0
    assert expected.qber(0) > 0.2
