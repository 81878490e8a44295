"""Where a photon can be seen: the modes of an analyser, with everything that weights them.

A *mode* is a detector and, for time-bin, an arrival slot; it stands for one outcome (basis, bit). Encoding (what a
photon does), decoding and theory all read the same table.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellweave.bell import Reals
from bellweave.blocks import Basis
from bellweave.photonics.params import Arm, Detector, Polarisation, TimeBin


@dataclass(frozen=True, eq=False)
class Modes:
    """The M modes of one arm's analyser.

    Attributes:
        basis, bit, channel: Shape (M,), what a click in the mode means and which detector clicks.
        offset_ps: Shape (M,), arrival time relative to the nominal time of the pulse.
        weight: Shape (settings, M): the chance that a photon that would give ``bit`` in ``basis`` is seen in this mode,
            efficiency included. One setting for passive analysers; two (Z, X) for modulators.
        dark_rate_hz: Shape (M,), dark counts of the mode's detector.
    """

    basis: NDArray[np.int64]
    bit: NDArray[np.int64]
    channel: NDArray[np.int64]
    offset_ps: NDArray[np.int64]
    weight: Reals
    dark_rate_hz: Reals

    @property
    def ceiling(self) -> float:
        """Upper bound of the detection probability over all states of the photon and all settings."""
        best = 0.0
        for weight in self.weight:
            by_outcome = np.zeros((2, 2))
            np.add.at(by_outcome, (self.basis, self.bit), weight)
            best = max(best, float(by_outcome.max(axis=1).sum()))
        return min(best, 1.0)


def modes(arm: Arm) -> Modes:
    """Return the modes of the arm's analyser, in the order of its channels and slots."""
    analyser, detector = arm.node.analyser, arm.node.detector
    rows = _time_bin(analyser) if isinstance(analyser, TimeBin) else _polarisation(analyser)
    basis, bit, channel, offset_ps = (np.array([row[column] for row in rows], np.int64) for column in range(4))
    share = np.array([row[4] for row in rows]).T
    return Modes(
        basis=basis,
        bit=bit,
        channel=channel,
        offset_ps=offset_ps,
        weight=share * efficiencies(detector, analyser.channels)[channel],
        dark_rate_hz=np.full(channel.size, detector.dark_rate_hz),
    )


def efficiencies(detector: Detector, channels: int) -> Reals:
    """Return the detection probability of each channel, shape (channels,)."""
    if detector.efficiencies is not None:
        return np.array(detector.efficiencies, np.float64)
    return np.full(channels, detector.efficiency)


_Row = tuple[int, int, int, int, tuple[float, ...]]
"""basis, bit, channel, offset_ps, share of the photons at each setting."""


def _polarisation(analyser: Polarisation) -> list[_Row]:
    z_share = analyser.z_probability
    if analyser.basis_choice == "passive":
        shares = {Basis.Z: z_share, Basis.X: 1.0 - z_share}
        return [(basis, bit, 2 * basis + bit, 0, (shares[basis],)) for basis in Basis for bit in (0, 1)]
    on = {Basis.Z: (1.0, 0.0), Basis.X: (0.0, 1.0)}
    return [(basis, bit, bit, 0, on[basis]) for basis in Basis for bit in (0, 1)]


def _time_bin(analyser: TimeBin) -> list[_Row]:
    """Return the interferometer's modes: a passive choice of Z and X, 1/2 each.

    A photon |b> (early 0, late 1) takes the short or the long arm (delay one bin, phase phi) and leaves at port p. The
    amplitudes 1/2 give slot b (short) and slot b + 1 (long). In slots 0 and 2 only one way leads: |<b|psi>|^2 / 4 at
    either port, a Z outcome. In slot 1 early-long and late-short interfere: (e^(i phi) <0|psi> + (-1)^p <1|psi>) / 2,
    which is half the projection on (|0> + (-1)^p e^(i phi) |1>) / sqrt 2: X turned by the phase, with probability 1/2.

    The direct detector sees a photon without the interferometer, in slot b.
    """
    step = analyser.bin_separation_ps
    direct = analyser.direct_z_probability
    through = 1.0 - direct
    rows: list[_Row] = []
    for port in (0, 1):
        rows += [(Basis.Z, bit, port, 2 * bit * step, (0.25 * through,)) for bit in (0, 1)]
        rows.append((Basis.X, port, port, step, (0.5 * through,)))
    if direct > 0.0:
        rows += [(Basis.Z, bit, 2, bit * step, (direct,)) for bit in (0, 1)]
    return rows
