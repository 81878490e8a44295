"""Basis choice by modulators."""

import math

import numpy as np

from bellweave.photonics import modulator
from bellweave.photonics.params import Polarisation

SLOTS = np.arange(100_000)


def test_settings_have_the_asked_share_of_z() -> None:
    for share in (0.0, 0.3, 1.0):
        x = int(modulator.settings(b"k" * 16, SLOTS, share).sum())
        assert abs(x - 100_000 * (1.0 - share)) <= 4.0 * math.sqrt(100_000 * share * (1.0 - share))


def test_a_slots_setting_depends_on_key_and_slot_only() -> None:
    some = np.array([5, 3, 5, 99_999])

    assert np.array_equal(modulator.settings(b"k" * 16, some, 0.5), modulator.settings(b"k" * 16, SLOTS, 0.5)[some])
    assert not np.array_equal(modulator.settings(b"j" * 16, SLOTS, 0.5), modulator.settings(b"k" * 16, SLOTS, 0.5))


def test_neighbouring_slots_are_uncorrelated() -> None:
    bit = modulator.settings(b"k" * 16, SLOTS, 0.5).astype(np.int64)

    assert abs(int((bit[1:] == bit[:-1]).sum()) - 50_000) < 4.0 * math.sqrt(25_000)


def test_keyed_ends_share_a_key_and_active_ones_do_not() -> None:
    keyed, active = Polarisation(basis_choice="keyed"), Polarisation(basis_choice="active")

    assert modulator.key(keyed, 1, "a-b", "alice") == modulator.key(keyed, 1, "a-b", "bob")
    assert modulator.key(active, 1, "a-b", "alice") != modulator.key(active, 1, "a-b", "bob")
    assert modulator.key(keyed, 1, "a-b", "alice") != modulator.key(keyed, 2, "a-b", "alice")
