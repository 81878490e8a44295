"""The modes of the analysers; the interferometer's against its own amplitudes."""

import cmath
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bellweave import bell
from bellweave.photonics.modes import modes
from bellweave.photonics.outcomes import categories
from bellweave.photonics.params import Arm, Detector, Node, Polarisation, TimeBin

STEP = 1000


def arm(analyser: Polarisation | TimeBin, **detector: object) -> Arm:
    return Arm(node=Node(analyser=analyser, detector=Detector(**detector)), loss_db={})  # type: ignore[arg-type]


def amplitude(bin_: int, slot: int, port: int, phase: float) -> complex:
    """Of a photon in that time bin to leave in that slot at that port: two beam splitters, long arm with a phase."""
    total = 0j
    for long in (0, 1):
        if bin_ + long == slot:
            first = 1j if long else 1.0  # reflected into the long arm
            second = (1j if port == 0 else 1.0) if long == 0 else (1.0 if port == 0 else 1j)
            total += first * second * (cmath.exp(1j * phase) if long else 1.0) / 2.0
    return total


@given(st.floats(-4.0, 4.0), st.floats(-4.0, 4.0), st.sampled_from(["phi+", "psi-"]))
def test_two_interferometers_give_the_modes_table_in_all_36_outcomes(a: float, b: float, name: bell.BellName) -> None:
    """The explicit two-photon amplitudes, port by port and slot by slot, with lossless beam splitters."""
    rho = bell.bell_state(name).reshape(2, 2, 2, 2)
    table = bell.joint_table(rho.reshape(4, 4), bell.effects(a), bell.effects(b))
    here = modes(arm(TimeBin(bin_separation_ps=STEP)))
    joint = categories(table[np.newaxis], here, here, 1.0, 1.0)[0, 0, 0]

    for i in range(6):
        for j in range(6):
            slot_a, slot_b = int(here.offset_ps[i]) // STEP, int(here.offset_ps[j]) // STEP
            ways_a = np.array([amplitude(bin_, slot_a, int(here.channel[i]), a) for bin_ in (0, 1)])
            ways_b = np.array([amplitude(bin_, slot_b, int(here.channel[j]), b) for bin_ in (0, 1)])
            explicit = np.einsum("i,j,ijkl,k,l", ways_a, ways_b, rho, ways_a.conj(), ways_b.conj()).real
            assert math.isclose(joint[i, j], explicit, abs_tol=1e-12)
    assert math.isclose(joint[:6, :6].sum(), 1.0)


def test_half_of_the_photons_measure_z_and_half_x() -> None:
    table = modes(arm(TimeBin(bin_separation_ps=STEP)))

    for basis in (0, 1):
        for bit in (0, 1):
            assert table.weight[0, (table.basis == basis) & (table.bit == bit)].sum() == 0.5


def test_the_direct_detector_adds_z() -> None:
    table = modes(arm(TimeBin(bin_separation_ps=STEP, direct_z_probability=0.4)))

    assert math.isclose(table.weight[0, (table.basis == 0) & (table.bit == 1)].sum(), 0.7)
    assert math.isclose(table.weight[0, (table.basis == 1) & (table.bit == 1)].sum(), 0.3)
    assert table.offset_ps[table.channel == 2].tolist() == [0, STEP]


def test_a_modulator_has_two_detectors_and_two_settings() -> None:
    table = modes(arm(Polarisation(basis_choice="active"), efficiencies=(0.5, 0.25)))

    assert table.channel.tolist() == [0, 1, 0, 1]
    assert table.weight.tolist() == [[0.5, 0.25, 0.0, 0.0], [0.0, 0.0, 0.5, 0.25]]
    assert table.ceiling == 0.5


def test_passive_modes_carry_the_bias_and_the_efficiencies() -> None:
    table = modes(arm(Polarisation(z_probability=0.8), efficiencies=(1.0, 0.5, 1.0, 0.5)))

    assert np.allclose(table.weight, [[0.8, 0.4, 0.2, 0.1]])
