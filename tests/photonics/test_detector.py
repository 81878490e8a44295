"""Dark counts, dead time, afterpulses, clocks."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bellweave.photonics import detector
from bellweave.photonics.modes import modes
from bellweave.photonics.params import Arm, Clock, Detector, Node, Polarisation
from bellweave.rng import stream

EVENTS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 3)), max_size=60)


def packed(events: list[tuple[int, int]]) -> np.ndarray:
    times = np.array([time for time, _ in events], np.int64)
    return np.sort(detector.pack(times, np.array([channel for _, channel in events], np.int64)))


@given(EVENTS)
def test_packing_keeps_times_and_channels(events: list[tuple[int, int]]) -> None:
    times, channels = detector.unpack(packed(events))

    assert list(zip(times.tolist(), channels.tolist(), strict=True)) == sorted(events)


def test_negative_times_survive_packing() -> None:
    times, channels = detector.unpack(detector.pack(np.array([-5]), np.array([3])))

    assert (times[0], channels[0]) == (-5, 3)


@given(EVENTS, st.integers(0, 100))
def test_dead_time_blinds_only_the_detector_that_clicked_and_is_not_prolonged(
    events: list[tuple[int, int]], dead_ps: int
) -> None:
    seen = detector.clicks(packed(events), Detector(dead_time_ps=dead_ps), 4, 1000, stream(1, "x"))

    expected, live_at = [], [0] * 4
    for time, channel in sorted(events):
        if time >= live_at[channel]:
            expected.append((time, channel))
            live_at[channel] = time + dead_ps
    times, channels = detector.unpack(seen)
    assert list(zip(times.tolist(), channels.tolist(), strict=True)) == expected


def test_afterpulses_follow_their_click_on_the_same_detector_and_breed() -> None:
    """One click every microsecond on channel 1; 4 sigma of the geometric chain p / (1 - p)."""
    clicks, chance = 20_000, 0.3
    events = detector.pack(np.arange(clicks) * 1_000_000, np.ones(clicks, np.int64))
    params = Detector(dead_time_ps=10_000, afterpulse_probability=chance, afterpulse_delay_ps=5_000)

    times, channels = detector.unpack(detector.clicks(events, params, 2, clicks * 1_000_000, stream(1, "x")))

    extra = times.size - clicks
    expected = clicks * chance / (1.0 - chance)
    assert np.all(channels == 1)
    assert np.all(np.diff(times) >= 10_000)
    assert abs(extra - expected) < 4.0 * math.sqrt(clicks * chance) / (1.0 - chance)
    first = np.diff(times)[np.diff(times) < 500_000] - 10_000
    assert abs(first.mean() - 5_000) < 4.0 * 5_000 / math.sqrt(first.size)


def test_no_afterpulse_comes_after_the_block() -> None:
    params = Detector(afterpulse_probability=0.9, afterpulse_delay_ps=1_000_000)
    times, _ = detector.unpack(detector.clicks(packed([(0, 0)]), params, 1, 2_000_000, stream(3, "x")))

    assert times.max() <= 2_000_000


def test_dark_counts_are_poisson_uniform_and_even_over_three_channels() -> None:
    params, block_ps = Detector(dark_rate_hz=100_000.0), 10**12
    times, channels = detector.unpack(
        detector.with_dark_counts(np.zeros(0, np.int64), params, 3, block_ps, stream(1, "dark"))
    )

    assert abs(times.size - 300_000) < 4.0 * math.sqrt(300_000)
    assert np.all(np.diff(times) >= 0)
    assert 0 <= times.min() <= times.max() < block_ps
    assert np.all(np.abs(np.bincount(channels) - times.size / 3) < 4.0 * math.sqrt(times.size * 2 / 9))
    quarters = np.bincount(times * 4 // block_ps)
    assert np.all(np.abs(quarters - times.size / 4) < 4.0 * math.sqrt(times.size * 3 / 16))


@given(EVENTS)
def test_dark_counts_lose_no_event_and_keep_the_order(events: list[tuple[int, int]]) -> None:
    merged = detector.with_dark_counts(packed(events)[::-1].copy(), Detector(dark_rate_hz=1e10), 4, 500, stream(1, "d"))

    assert np.all(np.diff(merged) >= 0)
    kept = merged.tolist()
    for event in packed(events).tolist():
        kept.remove(event)


def test_photons_get_their_slot_their_channel_and_jitter() -> None:
    table = modes(Arm(node=Node(analyser=Polarisation()), loss_db={}))
    mode = np.tile(np.array([-1, 0, 1, 2, 3]), 4000)
    times, channels = detector.unpack(detector.photons(np.zeros(20_000, np.int64), mode, table, 300, stream(1, "j")))

    assert np.bincount(channels).tolist() == [4000] * 4
    assert abs(times.std() - 300) < 4.0 * 300 / math.sqrt(2 * 16_000)
    assert abs(times.mean()) < 4.0 * 300 / math.sqrt(16_000)


def test_the_clock_shows_offset_drift_path_and_channel_delay() -> None:
    node = Node(clock=Clock(offset_ps=7, drift=1e-6, channel_delay_ps=(0, 100, 200, 300)))
    shown = detector.read_clock(
        np.array([0, 10**9]), np.array([0, 3], np.uint8), Arm(node=node, loss_db={}, delay_ps=2_000_000)
    )

    assert shown.tolist() == [2_000_000 + 2 + 7, 10**9 + 2_000_000 + 1002 + 7 + 300]
