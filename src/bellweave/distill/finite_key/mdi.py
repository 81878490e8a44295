"""Measurement-device-independent QKD with phase-randomised pulses: asymptotic, two decoys, finite key.

Two senders, Charlie in the middle. What they send and what his interference gives is the model of Ma and Razavi,
Phys. Rev. A 86, 062319 (2012); the rate is that of Lo, Curty and Qi, Phys. Rev. Lett. 108, 130503 (2012). Rates are key
bits per pair of signal pulses in basis Z, before the shares of pulses and bases.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from bellweave.distill.theory import binary_entropy, entropy_bound
from bellweave.units import transmission

E0 = 0.5
"""Error rate of a click that no photon caused."""


class Gains(NamedTuple):
    """Per pair of pulses: chance of a heralded round and of a wrong one, in basis Z and in basis X."""

    z: float
    z_wrong: float
    x: float
    x_wrong: float


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A symmetric MDI-QKD link.

    Attributes:
        length_km: Fibre between the two senders, Charlie half-way.
        loss_db_per_km: Of the fibre.
        efficiency: Of Charlie's detectors.
        dark_probability: A dark count per detector and pulse.
        misalignment: Chance that an aligned pair gives a wrong outcome.
        signal, decoy, weakest: Mean photon numbers of the three intensities, falling.
        correction: Disclosed bits over the Shannon minimum.
    """

    length_km: float
    loss_db_per_km: float = 0.2
    efficiency: float = 0.145
    dark_probability: float = 6.02e-6
    misalignment: float = 0.015
    signal: float = 0.4
    decoy: float = 0.1
    weakest: float = 0.0
    correction: float = 1.16

    @property
    def transmittance(self) -> float:
        """From either sender to a click at Charlie's."""
        return self.efficiency * transmission(self.loss_db_per_km * self.length_km / 2.0)

    @property
    def intensities(self) -> tuple[float, float, float]:
        """Signal, decoy, weakest."""
        return self.signal, self.decoy, self.weakest


def gains(alice: float, bob: float, link: Setting) -> Gains:
    """Return what pulses of these mean photon numbers give."""
    eta, pd, ed = link.transmittance, link.dark_probability, link.misalignment
    arriving = eta * (alice + bob)
    x = eta * math.sqrt(alice * bob) / 2.0
    dark_free = (1.0 - pd) * math.exp(-arriving / 4.0)
    correct = 2.0 * (1.0 - pd) ** 2 * math.exp(-arriving / 2.0)
    correct *= (1.0 - (1.0 - pd) * math.exp(-eta * alice / 2.0)) * (1.0 - (1.0 - pd) * math.exp(-eta * bob / 2.0))
    wrong = 2.0 * pd * (1.0 - pd) ** 2 * math.exp(-arriving / 2.0)
    wrong *= _bessel_i0(2.0 * x) - (1.0 - pd) * math.exp(-arriving / 2.0)
    square = dark_free * dark_free
    both = 2.0 * square * (1.0 + 2.0 * square - 4.0 * dark_free * _bessel_i0(x) + _bessel_i0(2.0 * x))
    return Gains(
        z=correct + wrong,
        z_wrong=ed * correct + (1.0 - ed) * wrong,
        x=both,
        x_wrong=E0 * both - 2.0 * (E0 - ed) * square * (_bessel_i0(2.0 * x) - 1.0),
    )


class SinglePhotons(NamedTuple):
    """Pairs of single photons: chance of a heralded round, and their error rate in basis X."""

    gain: float
    error: float


def single_photons(link: Setting) -> SinglePhotons:
    """Return what infinitely many decoys would tell: Y11 and e11."""
    eta, pd = link.transmittance, link.dark_probability
    pairs = (1.0 - pd) ** 2 * eta * eta / 2.0
    gain = pairs + (1.0 - pd) ** 2 * ((4.0 * eta - 3.0 * eta**2) * pd + 4.0 * (1.0 - eta) ** 2 * pd**2)
    return SinglePhotons(gain, (E0 * gain - (E0 - link.misalignment) * pairs) / gain)


def two_decoys(link: Setting) -> SinglePhotons:
    """Return the bounds Y11 (from below) and e11 (from above) that two decoys give, asymptotically.

    Source: Xu, Curty, Qi and Lo, New J. Phys. 15, 113007 (2013).
    """
    signal, decoy, weakest = link.intensities

    def combined(intensity: float, which: int) -> float:
        def weighted(a: float, b: float) -> float:
            return gains(a, b, link)[which] * math.exp(a + b)

        return (
            weighted(intensity, intensity)
            + weighted(weakest, weakest)
            - weighted(intensity, weakest)
            - weighted(weakest, intensity)
        )

    def lower(which: int) -> float:
        first = (signal**2 - weakest**2) * (signal - weakest) * combined(decoy, which)
        second = (decoy**2 - weakest**2) * (decoy - weakest) * combined(signal, which)
        return (first - second) / ((signal - weakest) ** 2 * (decoy - weakest) ** 2 * (signal - decoy))

    gain_x = lower(2)
    return SinglePhotons(lower(0), combined(decoy, 3) / ((decoy - weakest) ** 2 * gain_x))


def rate(link: Setting, singles: SinglePhotons) -> float:
    """Return mu^2 e^(-2 mu) Y11 (1 - h(e11)) - Q f h(E): asymptotic key per pair of signal pulses, of either sign."""
    seen = gains(link.signal, link.signal, link)
    share = link.signal**2 * math.exp(-2.0 * link.signal)
    cost = seen.z * link.correction * binary_entropy(seen.z_wrong / seen.z)
    return share * singles.gain * (1.0 - entropy_bound(singles.error)) - cost


def single_photon_rate(efficiency: float, error: float, correction: float) -> float:
    """Return the rate of ideal single-photon senders: eta^2/2 (1 - h(e) - f h(e)).

    >>> round(single_photon_rate(0.5, 0.01, 1.05), 8)
    0.10429676
    """
    return efficiency**2 / 2.0 * (1.0 - (1.0 + correction) * binary_entropy(error))


def _bessel_i0(x: float) -> float:
    term = total = 1.0
    order = 1
    while term > 1e-17 * total:
        term *= (x / (2.0 * order)) ** 2
        total += term
        order += 1
    return total
