"""What a node makes of its own detections; above all, what its public times tell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.blocks import Detections
from bellweave.errors import ScenarioError
from bellweave.photonics import link
from bellweave.photonics.analyser import ChannelMap, Clicks, Timing, clicks, known_timing
from bellweave.photonics.params import (
    Arm,
    Clock,
    CwSource,
    Detector,
    Node,
    OpticalLink,
    Polarisation,
    PulsedSource,
    TimeBin,
)
from bellweave.rng import stream

CW = CwSource(pair_rate_hz=1000.0)
PULSES = PulsedSource(repetition_rate_hz=10_000_000.0, mean_pairs_per_pulse=0.1)  # one each 100,000 ps
BIN = TimeBin(bin_separation_ps=20_000)


def arm(analyser: Polarisation | TimeBin | None = None, **clock: object) -> Arm:
    return Arm(node=Node(analyser=analyser or Polarisation(), clock=Clock(**clock)), loss_db={}, delay_ps=0)  # type: ignore[arg-type]


def seen(*events: tuple[int, int], channels: int = 4, setting: list[int] | None = None) -> Detections:
    times, which = zip(*events, strict=True)
    return Detections(
        np.array(times, np.int64),
        np.array(which, np.uint8),
        10**12,
        channels,
        None if setting is None else np.array(setting, np.uint8),
    )


def told(found: Clicks) -> list[tuple[int, int, int]]:
    return list(zip(found.time_ps.tolist(), found.basis.tolist(), found.bit.tolist(), strict=True))


def rng() -> np.random.Generator:
    return stream(1, "clicks")


def test_passive_channels_are_h_v_d_a() -> None:
    found = clicks(seen((0, 0), (10_000, 1), (20_000, 2), (30_000, 3)), arm(), CW, 1000, rng())

    assert told(found) == [(0, 0, 0), (10_000, 0, 1), (20_000, 1, 0), (30_000, 1, 1)]


def test_flips_invert_the_bit_of_one_basis() -> None:
    found = clicks(seen((0, 0), (10_000, 3)), arm(), CW, 1000, rng(), flips=(False, True))

    assert told(found) == [(0, 0, 0), (10_000, 1, 0)]


def test_a_modulators_setting_is_the_basis() -> None:
    analyser = Polarisation(basis_choice="active")
    detections = seen((0, 0), (10_000, 1), channels=2, setting=[1, 0])

    assert told(clicks(detections, arm(analyser), CW, 1000, rng())) == [(0, 1, 0), (10_000, 0, 1)]
    assert told(clicks(detections, arm(analyser), CW, 1000, rng(), flips=(False, True)))[0] == (0, 1, 1)


def test_public_times_carry_no_channel_delay() -> None:
    delays = (0, 3000, -2000, 700)
    detections = seen(*sorted((100_000 * i + 50 + delays[i % 4], i % 4) for i in range(8)))

    found = clicks(detections, arm(offset_ps=50, channel_delay_ps=delays), CW, 1000, rng())

    assert found.time_ps.tolist() == [100_000 * i for i in range(8)]


def test_channel_delays_that_change_the_order_are_put_right() -> None:
    found = clicks(seen((0, 0), (100, 1)), arm(channel_delay_ps=(0, 5000, 0, 0)), CW, 10, rng())

    assert told(found) == [(-4900, 0, 1), (0, 0, 0)]


@given(st.integers(-(10**9), 10**9), st.floats(-1e-4, 1e-4), st.integers(0, 10**8), st.integers(0, 2**31))
def test_known_timing_undoes_the_clock(offset_ps: int, drift: float, delay_ps: int, seed: int) -> None:
    delays = (0, 111, -222, 333)
    node = Node(clock=Clock(offset_ps=offset_ps, drift=drift, channel_delay_ps=delays), detector=Detector())
    far = Arm(node=node, loss_db={}, delay_ps=delay_ps)
    plain = Arm(node=Node(), loss_db={})
    source = CwSource(pair_rate_hz=20_000.0)
    optical = OpticalLink(name="a", source=source, alice=far, bob=plain, window_ps=2, block_s=0.01)

    alice, bob = link.tags(optical, seed, 0)
    found, reference = (clicks(d, a, source, 2, rng()) for d, a in ((alice, far), (bob, plain)))

    assert len(found) == len(reference)
    assert np.abs(found.time_ps - reference.time_ps).max(initial=0) <= 3


def test_calibrated_timing_and_map_replace_the_known_ones() -> None:
    timing = Timing(offset_ps=1000, channel_delay_ps=(0, 0, 0, 10))
    swapped = ChannelMap(basis=(1, 1, 0, 0), bit=(0, 1, 0, 1))

    found = clicks(seen((1000, 0), (51_010, 3)), arm(), CW, 10, rng(), timing=timing, channel_map=swapped)

    assert told(found) == [(0, 1, 0), (50_000, 0, 1)]


def test_a_map_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ScenarioError, match="names 2 channels, the detections have 4"):
        clicks(seen((0, 0)), arm(), CW, 10, rng(), channel_map=ChannelMap((0, 1), (0, 1)))


def test_time_bin_slots_tell_the_bit_and_the_public_time_does_not() -> None:
    """Early, late and middle of pulse 3: outer slots are Z by time, the middle is X by port; one public time."""
    for slot, port, basis, bit in [(0, 0, 0, 0), (0, 1, 0, 0), (2, 0, 0, 1), (2, 1, 0, 1), (1, 0, 1, 0), (1, 1, 1, 1)]:
        detections = seen((300_000 + 20_000 * slot + 137, port), channels=2)

        assert told(clicks(detections, arm(BIN), PULSES, 1000, rng())) == [(300_000, basis, bit)]


def test_time_bin_flips_apply_to_slots_and_ports() -> None:
    detections = seen((0, 0), (120_000, 1), (240_000, 0), channels=2)

    found = clicks(detections, arm(BIN), PULSES, 1000, rng(), flips=(True, True))

    assert told(found) == [(0, 0, 1), (100_000, 1, 0), (200_000, 0, 0)]


def test_the_direct_detector_tells_the_bin_only() -> None:
    direct = TimeBin(bin_separation_ps=20_000, direct_z_probability=0.5)
    detections = seen((0, 2), (120_000, 2), (240_000, 2), channels=3)

    found = clicks(detections, arm(direct), PULSES, 1000, rng())

    assert told(found) == [(0, 0, 0), (100_000, 0, 1)]  # nothing direct comes in the third slot


def test_clicks_between_the_gates_are_dropped() -> None:
    assert len(clicks(seen((300_501, 0), channels=2), arm(BIN), PULSES, 1000, rng())) == 0
    assert len(clicks(seen((300_500, 0), channels=2), arm(BIN), PULSES, 1000, rng())) == 1
    assert len(clicks(seen((340_000 + 20_000, 0), channels=2), arm(BIN), PULSES, 1000, rng())) == 0


def test_public_times_of_pulsed_links_are_pulse_times_only() -> None:
    source = PulsedSource(repetition_rate_hz=3_000_000.0, mean_pairs_per_pulse=0.2)
    node = Node(analyser=BIN, detector=Detector(jitter_ps=2000, dark_rate_hz=1e6), clock=Clock(offset_ps=99))
    both = Arm(node=node, loss_db={}, delay_ps=77)
    optical = OpticalLink(name="a", source=source, alice=both, bob=both, window_ps=8000, block_s=0.001)

    found = clicks(link.tags(optical, 1, 0)[0], both, source, 8000, rng())

    index = np.rint(found.time_ps * 3e-6)
    assert len(found) > 500
    assert np.array_equal(found.time_ps, np.rint(index * 1e6 / 3).astype(np.int64))
    assert np.all(np.diff(found.time_ps) > 0)


def repeated(*channels: int, analyser: Polarisation) -> Clicks:
    events = [(100_000 * i + 10 * k, channel) for i in range(4000) for k, channel in enumerate(channels)]
    return clicks(seen(*events), arm(analyser), CW, 1000, rng())


def test_double_clicks_become_a_random_bit_of_their_basis() -> None:
    found = repeated(0, 1, analyser=Polarisation())

    assert len(found) == 4000
    assert not found.basis.any()
    assert abs(int(found.bit.sum()) - 2000) < 4.0 * np.sqrt(1000)


def test_cross_basis_clicks_keep_one_of_the_two_at_random() -> None:
    found = repeated(1, 2, analyser=Polarisation(cross_basis="random"))

    assert len(found) == 4000
    assert abs(int(found.basis.sum()) - 2000) < 4.0 * np.sqrt(1000)
    assert np.array_equal(found.bit, 1 - found.basis)


def test_three_clicks_pass_both_rules() -> None:
    kept = repeated(0, 1, 3, analyser=Polarisation(cross_basis="random", double_click="discard"))

    assert abs(len(kept) - 2000) < 4.0 * np.sqrt(1000)  # Z fell to the double click rule
    assert set(kept.basis.tolist()) == {1}
    assert set(kept.bit.tolist()) == {1}


@pytest.mark.parametrize(
    ("channels", "rules"), [((0, 1), {"double_click": "discard"}), ((0, 2), {}), ((3, 1), {"double_click": "discard"})]
)
def test_discarded_clicks_are_gone(channels: tuple[int, ...], rules: dict[str, str]) -> None:
    assert len(repeated(*channels, analyser=Polarisation(**rules))) == 0  # type: ignore[arg-type]


def test_two_clicks_of_one_detector_are_one() -> None:
    found = repeated(3, 3, analyser=Polarisation(double_click="discard"))

    assert len(found) == 4000
    assert set(zip(found.basis.tolist(), found.bit.tolist(), strict=True)) == {(1, 1)}


def test_clicks_further_apart_than_half_a_window_stay_apart() -> None:
    assert len(clicks(seen((0, 0), (501, 1)), arm(), CW, 1000, rng())) == 2
    assert len(clicks(seen((0, 0), (500, 1)), arm(), CW, 1000, rng())) == 1


def test_no_clicks_are_no_clicks() -> None:
    empty = Detections(np.zeros(0, np.int64), np.zeros(0, np.uint8), 10**12, 4)

    assert len(clicks(empty, arm(), CW, 1000, rng())) == 0
    assert known_timing(arm()) == Timing()
