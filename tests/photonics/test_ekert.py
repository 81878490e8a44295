from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from bellweave import bell
from bellweave.blocks import Detections
from bellweave.errors import ScenarioError
from bellweave.photonics import ekert
from bellweave.photonics.params import (
    Arm,
    Calibration,
    Clock,
    CwSource,
    Detector,
    Node,
    OpticalLink,
    Polarisation,
    PulsedSource,
)
from bellweave.rng import stream

UNBIASED = bell.ekert_settings("unbiased")


def arm(**node: Any) -> Arm:
    every: dict[str, Any] = {"analyser": Polarisation(basis_choice="active")} | node
    return Arm(node=Node(**every), loss_db={"path": 1.0}, delay_ps=5_000)


def link(**keys: Any) -> OpticalLink:
    every: dict[str, Any] = {
        "name": "e",
        "source": CwSource(pair_rate_hz=1e5),
        "alice": arm(),
        "bob": arm(),
        "window_ps": 1_000,
        "block_s": 0.1,
    }
    return OpticalLink(**(every | keys))


def test_equal_arguments_give_equal_tags_and_another_block_others() -> None:
    first, again, other = (ekert.tags(link(), UNBIASED, 1, block) for block in (0, 0, 1))

    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.time_ps, two.time_ps)
        assert np.array_equal(one.setting, two.setting)  # type: ignore[arg-type]
    assert not np.array_equal(first[0].time_ps, other[0].time_ps)


def test_each_node_uses_all_its_settings_as_often_as_they_are_chosen() -> None:
    settings = bell.ekert_settings("unbiased", test_share=0.8)

    hers, his = ekert.tags(link(block_s=0.5), settings, 1, 0)

    assert hers.setting is not None
    assert his.setting is not None
    assert np.bincount(hers.setting) / len(hers) == pytest.approx(settings.alice_share, abs=0.015)
    assert np.bincount(his.setting) / len(his) == pytest.approx(settings.bob_share, abs=0.015)


def test_a_setting_lasts_a_slot() -> None:
    node = {"analyser": Polarisation(basis_choice="active", slot_ps=1_000_000_000)}

    hers, _ = ekert.tags(link(alice=arm(**node), bob=arm(**node)), UNBIASED, 1, 0)

    assert hers.setting is not None
    slot = (hers.time_ps - 5_000) // 1_000_000_000
    inside = (hers.time_ps - 5_000) % 1_000_000_000 > 10_000  # the flight of the photons
    for each in range(100):
        assert len(set(hers.setting[inside & (slot == each)].tolist())) <= 1


def seen(*clicks: tuple[int, int, int]) -> Detections:
    """Return detections of these (time, setting, channel)."""
    time_ps, setting, channel = (np.array(column) for column in zip(*clicks, strict=True))
    return Detections(time_ps.astype(np.int64) + 5_000, channel.astype(np.uint8), 10**9, 2, setting.astype(np.uint8))


def test_two_clicks_at_once_are_one_with_a_random_bit() -> None:
    double = seen((0, 2, 0), (100, 2, 1), (5_000, 1, 1), (9_000, 0, 0), (9_300, 0, 0))

    found = [ekert.clicks(double, arm(), 1_000, stream(seed, "clicks")) for seed in range(40)]

    for each in found:
        assert each.time_ps.tolist() == [0, 5_000, 9_000]
        assert each.setting.tolist() == [2, 1, 0]
        assert each.bit[1:].tolist() == [1, 0]
    assert {int(each.bit[0]) for each in found} == {0, 1}


def test_the_clocks_offset_and_delays_are_taken_off() -> None:
    node = arm(clock=Clock(offset_ps=77, channel_delay_ps=(0, 400)))
    late = Detections(
        np.array([5_077, 25_377, 25_477], np.int64),
        np.array([0, 0, 1], np.uint8),
        10**9,
        2,
        np.array([0, 1, 1], np.uint8),
    )

    found = ekert.clicks(late, node, 100, stream(1, "clicks"))

    assert found.time_ps.tolist() == [0, 20_000, 20_300]
    assert found.bit.tolist() == [0, 1, 0]


@dataclass
class Refusal:
    keys: dict[str, Any]
    path: str


@pytest.mark.parametrize(
    "case",
    [
        Refusal({"source": PulsedSource(repetition_rate_hz=1e6, mean_pairs_per_pulse=0.1)}, "link.e.source.kind"),
        Refusal({"alice": arm(analyser=Polarisation())}, "link.e.alice.analyser"),
        Refusal({"bob": arm(detector=Detector(efficiencies=(1.0,)))}, "link.e.bob.detector.efficiencies"),
        Refusal({"crosstalk": 0.1}, "link.e.crosstalk, cut, calibration"),
        Refusal({"calibration": Calibration()}, "link.e.crosstalk, cut, calibration"),
    ],
)
def test_a_link_that_ekert91_can_not_run_over_is_refused(case: Refusal) -> None:
    with pytest.raises(ScenarioError) as refused:
        ekert.tags(link(**case.keys), UNBIASED, 1, 0)

    assert refused.value.path == case.path


@pytest.mark.parametrize("which", ["unbiased", "ekert"])
def test_pairs_that_are_there_already_have_the_correlations_of_their_state(which: Any) -> None:
    settings = bell.ekert_settings(which)
    correlations = np.tile([0.7, 0.6, 0.9], (200_000, 1))

    (a, b), (bit_a, bit_b) = ekert.measured_pairs(correlations, settings, stream(4, which))

    for one, other in np.ndindex(len(settings.alice_rad), len(settings.bob_rad)):
        here = (a == one) & (b == other)
        angles = settings.alice_rad[one], settings.bob_rad[other]
        expected = 0.9 * np.prod(np.cos(angles)) + 0.7 * np.prod(np.sin(angles))
        assert 1.0 - 2.0 * np.mean(bit_a[here] != bit_b[here]) == pytest.approx(expected, abs=4.0 / np.sqrt(here.sum()))
    assert np.mean(bit_a) == pytest.approx(0.5, abs=0.005)
