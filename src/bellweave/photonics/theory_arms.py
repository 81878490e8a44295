"""What theory knows of one arm: its modes, how often its detectors click, how often they are blind."""

import math
from dataclasses import dataclass

import numpy as np

from bellweave.bell import Reals
from bellweave.photonics.modes import Modes, modes
from bellweave.photonics.outcomes import reach
from bellweave.photonics.params import Arm, OpticalLink, Polarisation, PulsedSource
from bellweave.photonics.source import period_ps


@dataclass(frozen=True, eq=False)
class ArmRates:
    """One arm in the mean.

    Attributes:
        modes: Its M modes.
        reach, strayed: Probability that a photon reaches the analyser on its own arm, and from the other arm.
        share: Shape (S,), share of the time at each setting.
        click_hz: Shape (channels,), clicks of each detector.
        live: Shape (channels,), share of the time that each detector is live.
        noise_hz: Shape (channels,), clicks that no photon causes: dark counts and afterpulses.
        same_time: Probability that a click falls into the gate of its pulse, given the detector's jitter.
    """

    modes: Modes
    reach: float
    strayed: float
    share: Reals
    click_hz: Reals
    live: Reals
    noise_hz: Reals
    same_time: float


def arm_rates(link: OpticalLink, arm: Arm, marginal: Reals, *, whole: bool) -> ArmRates:
    """Return one arm's rates.

    Args:
        link: The link.
        arm: One of its arms.
        marginal: Shape (2, 2): probability of [basis, bit] of this arm's photons, given the basis.
        whole: False while the arm is cut.
    """
    table, node = modes(arm), arm.node
    own = reach(link, arm) if whole else 0.0
    strayed = link.crosstalk * arm.transmission if whole else 0.0
    share = _setting_shares(arm)
    photon = share @ (table.weight * (own * marginal[table.basis, table.bit] + 0.5 * strayed))
    seen = np.bincount(table.channel, photon, node.analyser.channels)
    photon_hz: Reals = np.asarray(seen, np.float64) * link.source.emitted_pair_rate_hz
    click_hz, live = renewal(link, arm, photon_hz)
    jitter_ps = node.detector.jitter_ps
    return ArmRates(
        modes=table,
        reach=own,
        strayed=strayed,
        share=share,
        click_hz=click_hz,
        live=live,
        noise_hz=click_hz - photon_hz * live,
        same_time=within(link.window_ps, jitter_ps),
    )


def within(window_ps: int, sigma_ps: float) -> float:
    """Return the probability that a Gaussian time difference lies within half a window, either way."""
    return math.erf((window_ps / 2 + 0.5) / (math.sqrt(2.0) * sigma_ps)) if sigma_ps else 1.0


def _setting_shares(arm: Arm) -> Reals:
    analyser = arm.node.analyser
    if isinstance(analyser, Polarisation) and analyser.basis_choice != "passive":
        return np.array([analyser.z_probability, 1.0 - analyser.z_probability])
    return np.ones(1)


def renewal(link: OpticalLink, arm: Arm, photon_hz: Reals) -> tuple[Reals, Reals]:
    """Return (clicks per second, live share) of each detector; a click starts everything anew.

    After a click the detector is blind for the dead time. Then it waits for the next photon or dark count, rate r, or,
    with probability p, for an afterpulse after an exponential time of mean d, whichever comes first. The mean time
    between clicks is dead + (1 - p) / r + p / (r + 1/d).

    With a pulsed source only whole pulse periods inside the dead time cost photons.
    """
    detector = arm.node.detector
    dead_s = np.full(photon_hz.size, detector.dead_time_ps * 1e-12)
    arriving_hz = photon_hz + detector.dark_rate_hz
    if isinstance(link.source, PulsedSource):
        period_s = period_ps(link.source) * 1e-12
        pulses_s = math.floor(detector.dead_time_ps * 1e-12 / period_s) * period_s
        dead_s = np.divide(
            photon_hz * pulses_s + detector.dark_rate_hz * dead_s,
            arriving_hz,
            out=dead_s.copy(),
            where=arriving_hz > 0.0,
        )
    probability, delay_s = detector.afterpulse_probability, detector.afterpulse_delay_ps * 1e-12
    with np.errstate(divide="ignore"):
        between_s = dead_s + (1.0 - probability) / arriving_hz + probability / (arriving_hz + 1.0 / delay_s)
    click_hz = np.where(arriving_hz > 0.0, 1.0 / between_s, 0.0)
    return click_hz, 1.0 - click_hz * dead_s
