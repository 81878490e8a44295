"""Calibration finds what was planted, tells what it cost, and says no when there is nothing to find."""

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from bellweave.blocks import Detections
from bellweave.dialogue import Codec, Dialogue, receive
from bellweave.errors import BellweaveError, ProtocolError, ScenarioError
from bellweave.photonics import calibration, channel_map, coincidence, link
from bellweave.photonics.analyser import ChannelMap, Timing, known_timing
from bellweave.photonics.calibration import Calibrated
from bellweave.photonics.correlation import NoPeakError
from bellweave.photonics.messages import KINDS, Aligned, Slices
from bellweave.photonics.params import Calibration, Clock
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.load import load
from bellweave.sim.classical import converse, settle
from bellweave.testing.messy_tags import DELAYS_PS, Messy, record

CODEC = Codec(*KINDS)
PARAMS = Calibration(slice_s=0.1, search_ps=1_000_000_000)
WINDOW_PS = 1_500
SIGMAS = 5.0


def calibrate(
    ends: tuple[Detections, Detections], params: Calibration = PARAMS, **more: Any
) -> tuple[Calibrated, Calibrated]:
    return converse(
        calibration.alice(ends[0], params, WINDOW_PS, find_roles=True, **more), calibration.bob(ends[1], params), CODEC
    )


@pytest.mark.parametrize(
    ("offset_ps", "drift"), [(0, 0.0), (734_000_123, 1e-6), (-999_000_000, -1e-6), (12_345, 3e-6), (-70_000, 1e-9)]
)
def test_offset_drift_and_delays_are_found(offset_ps: int, drift: float) -> None:
    messy = Messy(offset_ps=offset_ps, drift=drift)

    alice, bob = calibrate(record(messy))

    # a peak's centre: sqrt(2) jitter / sqrt(about 200 coincidences of a pair), truncated tails make it no worse
    error_ps = SIGMAS * 1.5 * messy.jitter_ps / np.sqrt(200)
    found = np.array(bob.timing.channel_delay_ps) + bob.timing.offset_ps
    relative = found[None, :] - np.array(alice.timing.channel_delay_ps)[:, None]
    planted = np.array(DELAYS_PS[1])[None, :] - np.array(DELAYS_PS[0])[:, None] + offset_ps
    assert float(np.abs(relative - planted).max()) < error_ps
    assert abs(bob.timing.drift - drift) * 0.8e12 < error_ps


def test_corrected_times_match_whatever_the_channel() -> None:
    messy = Messy(offset_ps=55_555, drift=2e-7, dark_rate_hz=0.0, qber=(0.0, 0.0))
    ends = record(messy)

    both = calibrate(ends)

    times = [calibration.public(end.remainder(seen), end.timing) for end, seen in zip(both, ends, strict=True)]
    own, his = coincidence.match(times[0][0], times[1][0], 12 * messy.jitter_ps)
    assert own.size > 0.98 * min(times[0][0].size, times[1][0].size)
    for channels, index in ((times[0][1], own), (times[1][1], his)):
        matched = np.bincount(channels[index], minlength=4) / np.bincount(channels, minlength=4)
        assert float(np.ptp(matched)) < 0.02


def test_roles_are_found_whatever_bobs_channels_are_called() -> None:
    _, bob = calibrate(record(Messy(order=(2, 0, 3, 1))))

    assert bob.roles == ChannelMap(basis=(0, 1, 0, 1), bit=(1, 1, 0, 0))


def test_no_disclosed_detection_is_left_for_the_key_and_the_count_is_told() -> None:
    ends = record(Messy())

    _, bob = calibrate(ends)

    left = bob.remainder(ends[1])
    first, last = int(ends[1].time_ps[0]), int(ends[1].time_ps[-1])
    assert len(left) + bob.sacrificed == len(ends[1])
    assert int(left.time_ps[0]) > first + 0.1e12
    assert int(left.time_ps[-1]) < last - 0.1e12


def test_the_window_is_chosen_where_it_pays() -> None:
    messy = Messy(jitter_ps=300, dark_rate_hz=600_000.0, pairs=40_000)

    alice, bob = calibrate(record(messy), Calibration(slice_s=0.1, choose_window=True))

    sigma_ps = 2**0.5 * messy.jitter_ps
    assert alice.window_ps == bob.window_ps
    assert 2.5 * sigma_ps < bob.window_ps < 12 * sigma_ps
    assert bob.sifted == alice.sifted
    assert sum(bob.sifted) > 1_000


def test_alices_known_clock_defines_public_time() -> None:
    known = Timing(offset_ps=5_000_000, drift=4e-7, channel_delay_ps=(1_000, 1_000, 1_000, 1_000))
    ends = record(Messy(offset_ps=77_000, drift=1e-7))

    alice, bob = calibrate(ends, timing=known)

    times = [
        calibration.public(end.remainder(seen), end.timing)[0] for end, seen in zip((alice, bob), ends, strict=True)
    ]
    own, _ = coincidence.match(times[0], times[1], WINDOW_PS)
    assert alice.timing.offset_ps == known.offset_ps
    assert own.size > 0.85 * 0.8 * 20_000


def test_with_time_bins_delays_are_not_mistaken_for_a_bin() -> None:
    optical = optical_link(load("datacenter-link"), "alice-bob")
    clocks = Clock(channel_delay_ps=(100, -100)), Clock(offset_ps=5_000_000, drift=5e-8, channel_delay_ps=(300, -200))
    arms = [
        replace(arm, node=replace(arm.node, clock=clock))
        for arm, clock in zip((optical.alice, optical.bob), clocks, strict=True)
    ]
    seen = link.tags(replace(optical, alice=arms[0], bob=arms[1]), 1, 0)
    params = Calibration(slice_s=1.0)

    _, bob = converse(
        calibration.alice(seen[0], params, 10_000, timing=known_timing(arms[0]), delay_reach_ps=10_000),
        calibration.bob(seen[1], params),
        CODEC,
    )

    true, found = known_timing(arms[1]), bob.timing
    late = [found.offset_ps + d - true.offset_ps for d in found.channel_delay_ps]
    assert all(abs(ps - delay) < 500 for ps, delay in zip(late, true.channel_delay_ps, strict=True))
    assert abs(found.drift - true.drift) < 1e-10


def test_given_roles_that_do_not_fit_are_doubted() -> None:
    ends = record(Messy())
    standard, wrong = channel_map.parse("0=H,1=V,2=D,3=A"), channel_map.parse("0=H,1=D,2=V,3=A")

    alice, _ = converse(
        calibration.alice(ends[0], PARAMS, WINDOW_PS, standard), calibration.bob(ends[1], PARAMS, wrong), CODEC
    )

    assert alice.evidence is not None
    assert "outcomes agree only" in alice.evidence.warnings[0]


def test_unrelated_records_are_told_apart_at_both_ends() -> None:
    hers, his = record(Messy(), seed=1)[0], record(Messy(), seed=2)[1]

    alice, bob = settle(
        calibration.alice(hers, PARAMS, WINDOW_PS, find_roles=True), calibration.bob(his, PARAMS), CODEC
    )

    assert isinstance(alice, NoPeakError)
    assert "sigma" in str(alice)
    assert "1000000000 ps" in str(alice)
    assert isinstance(bob, ProtocolError)


def test_an_offset_beyond_the_search_is_not_found() -> None:
    ends = record(Messy(offset_ps=20_000_000))

    with pytest.raises(BellweaveError, match="no clock offset found within"):
        calibrate(ends, Calibration(slice_s=0.1, search_ps=5_000_000))


def test_slices_that_leave_nothing_are_refused() -> None:
    with pytest.raises(ScenarioError, match="leave nothing"):
        calibrate(record(Messy()), Calibration(slice_s=0.5))


def test_alice_refuses_slices_that_contradict_themselves() -> None:
    ends = record(Messy(pairs=100))
    good = next(calibration.bob(ends[1], PARAMS))
    assert isinstance(good, Slices)
    fields = {name: getattr(good, name) for name in good.__struct_fields__}

    for change in ({"channels": good.channels[:1]}, {"channel_count": 2}, {"times": good.times[::-1]}, {"basis": (0,)}):

        def bob(change: dict[str, Any] = change) -> Dialogue[None]:
            yield Slices(**(fields | change))
            yield from receive(Aligned)

        with pytest.raises(BellweaveError):
            converse(calibration.alice(ends[0], PARAMS, WINDOW_PS), bob(), CODEC)


@pytest.mark.parametrize(
    "change",
    [{"drift": 0.1}, {"channel_delay_ps": (0, 0)}, {"window_ps": 0}, {"basis": (0, 1)}, {"offset_ps": 1 << 62}],
)
def test_bob_refuses_an_impossible_timing(change: dict[str, Any]) -> None:
    def alice() -> Dialogue[None]:
        yield from receive(Slices)
        fields: dict[str, Any] = {"offset_ps": 0, "drift": 0.0, "channel_delay_ps": (0, 0, 0, 0), "window_ps": 1_000}
        yield Aligned(**(fields | change))
        yield from receive(Slices)

    with pytest.raises(ProtocolError):
        converse(alice(), calibration.bob(record(Messy(pairs=100))[1], PARAMS), CODEC)
