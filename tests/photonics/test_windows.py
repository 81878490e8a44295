"""The window: counted as told, chosen for the most key."""

import numpy as np

from bellweave.photonics import windows
from bellweave.photonics.analyser import ChannelMap
from bellweave.photonics.windows import WindowPoint

STANDARD = ChannelMap((0, 0, 1, 1), (0, 1, 0, 1))


def test_coincidences_are_counted_by_basis_and_bit() -> None:
    channels_a, channels_b = np.array([0, 0, 1, 2, 3, 0], np.uint8), np.array([0, 1, 1, 2, 2, 3], np.uint8)
    times = np.arange(6) * 1_000_000

    point = windows.count((times, channels_a), (times + 40, channels_b), (STANDARD, STANDARD), 100)

    assert point == WindowPoint(window_ps=100, matched=6, sifted=(3, 2), errors=(1, 1))
    assert point.qber == 0.4
    assert windows.count((times, channels_a), (times + 51, channels_b), (STANDARD, STANDARD), 100).matched == 0


def test_a_clean_thousand_gives_more_than_a_dirty_two_thousand() -> None:
    clean = WindowPoint(1_000, 2_000, (500, 500), (5, 5))
    dirty = WindowPoint(2_000, 4_000, (1_000, 1_000), (80, 80))

    assert windows.best((dirty, clean)) is clean


def test_secret_bits_are_those_of_shor_and_preskill() -> None:
    point = WindowPoint(1_000, 2_000_000, (1_000_000, 0), (50_000, 0))
    h = 0.286397  # h(0.05)

    # nothing is known about X: half an error in one round that was not seen, so no key
    assert point.secret_bits < 0
    both = WindowPoint(1_000, 4_000_000, (1_000_000, 1_000_000), (50_000, 50_000))
    assert abs(both.secret_bits / 2e6 - (1 - h - windows.RECONCILIATION * h)) < 1e-4


def test_the_given_width_is_among_those_tried() -> None:
    widths = windows.widths(2_000)

    assert 2_000 in widths
    assert widths == sorted(set(widths))
    assert (widths[0], widths[-1]) == (250, 16_000)
