"""What to expect of Ekert91 over an entangled link: rates by settings and outcomes, S, error rates, in closed form.

As for a link with a continuous-wave source (:mod:`bellweave.photonics.theory_cw`): true coincidences times the share
that jitter leaves in the window, accidentals S_A S_B w of clicks that have no partner, dead time and afterpulses by
renewal, where it is short against the time between clicks. Left out, since both are of the order of 1e-4 where links
are sensible: a node's own double clicks, and jitter across the border of two modulator slots.
"""

import math
from dataclasses import dataclass

import numpy as np

from bellweave import bell
from bellweave.bell import Reals, Settings
from bellweave.photonics import outcomes, states
from bellweave.photonics.modes import Modes, efficiencies
from bellweave.photonics.params import Arm, OpticalLink
from bellweave.photonics.theory_arms import renewal, within

OUTCOMES = 2


@dataclass(frozen=True, eq=False)
class Expected:
    """The mean of one block. Rates are per second of source time.

    Attributes:
        settings: Of the analysers.
        singles_alice_hz, singles_bob_hz: Clicks of both detectors of the node.
        cells_hz: Shape (settings_a, settings_b, 2, 2): matched clicks by settings and bits.
    """

    settings: Settings
    singles_alice_hz: float
    singles_bob_hz: float
    cells_hz: Reals

    @property
    def coincidences_hz(self) -> float:
        """All matched clicks."""
        return float(self.cells_hz.sum())

    @property
    def key_hz(self) -> float:
        """Matched clicks whose settings make key bits."""
        return float(sum(self.cells_hz[a, b].sum() for a, b in self.settings.key))

    @property
    def key_share(self) -> float:
        """Share of the matched clicks that become key bits."""
        return self.key_hz / self.coincidences_hz if self.coincidences_hz else 0.0

    @property
    def chsh(self) -> float:
        """S."""
        total = np.maximum(self.cells_hz.sum(axis=(2, 3)), np.finfo(float).tiny)
        return bell.chsh_value(self.settings, bell.correlation(self.cells_hz) / total)

    def qber(self, basis: int) -> float:
        """Error rate of the key bits of basis 0 or 1."""
        cell = self.cells_hz[self.settings.key[basis]]
        total = float(cell.sum())
        return float(cell[0, 1] + cell[1, 0]) / total if total else 0.0


def expect(link: OpticalLink, settings: Settings) -> Expected:
    """Return what to expect of a block."""
    table = joint_table(link, settings)
    alice = _arm(link, link.alice, settings.alice_share, table.sum(axis=3)[:, 0])
    bob = _arm(link, link.bob, settings.bob_share, table.sum(axis=2)[0])
    shares = np.outer(settings.alice_share, settings.bob_share)[:, :, None, None]
    jitter_ps = math.hypot(link.alice.node.detector.jitter_ps, link.bob.node.detector.jitter_ps)
    seen_hz = link.source.emitted_pair_rate_hz * shares * table
    seen_hz *= alice.reach[:, None] * bob.reach[None, :]
    common_s = min(link.alice.node.detector.dead_time_ps, link.bob.node.detector.dead_time_ps) * 1e-12
    both = alice.live[:, None] * bob.live[None, :]
    both = np.minimum(both * (1.0 + seen_hz.sum(axis=(0, 1)) * common_s * both), 1.0)  # a common click blinds both
    true_hz: Reals = seen_hz * both * within(link.window_ps, jitter_ps)
    window_s = (link.window_ps + 1) * 1e-12
    lonely_a = alice.rates_hz * (1.0 - _ratio(true_hz.sum(axis=(1, 3)), alice.rates_hz))
    lonely_b = bob.rates_hz * (1.0 - _ratio(true_hz.sum(axis=(0, 2)), bob.rates_hz))
    crowd = float(lonely_a.sum() + lonely_b.sum()) * window_s
    accidental_hz = np.einsum("ia,jb->ijab", lonely_a, lonely_b) * window_s * math.exp(-0.5 * crowd)
    return Expected(settings, float(alice.rates_hz.sum()), float(bob.rates_hz.sum()), true_hz + accidental_hz)


def joint_table(link: OpticalLink, settings: Settings) -> Reals:
    """Return P[setting_a, setting_b, bit_a, bit_b] of a pair that is seen; Bob's analyser is turned for the state."""
    alice = bell.effects_at(settings.alice_rad)
    bob = bell.effects_at(bell.bob_angles(settings, link.source.state))
    return bell.joint_table(states.arriving_state(link), alice, bob)


def arm_modes(arm: Arm, settings: int) -> Modes:
    """Return the modes of an arm with a modulator of so many settings: two for each, one a detector."""
    setting, bit = np.divmod(np.arange(OUTCOMES * settings), OUTCOMES)
    on = (np.arange(settings)[:, np.newaxis] == setting).astype(np.float64)
    return Modes(
        basis=setting,
        bit=bit,
        channel=bit,
        offset_ps=np.zeros(bit.size, np.int64),
        weight=on * efficiencies(arm.node.detector, OUTCOMES)[bit],
        dark_rate_hz=np.full(bit.size, arm.node.detector.dark_rate_hz),
    )


def qber(visibility: float) -> float:
    """Return the error rate of a Werner pair in any two equal settings.

    >>> round(qber(0.98), 4)
    0.01
    """
    return (1.0 - visibility) / 2.0


def chsh(visibility: float) -> float:
    """Return S of a Werner pair at optimal settings.

    >>> round(chsh(0.98), 4)
    2.7719
    """
    return 2.0 * math.sqrt(2.0) * visibility


@dataclass(frozen=True, eq=False)
class _Rates:
    """One arm in the mean.

    Attributes:
        reach: Shape (2,), chance that a photon would click in each detector, were it live.
        live: Shape (2,), share of the time that each detector is live.
        rates_hz: Shape (settings, 2), clicks by setting and bit.
    """

    reach: Reals
    live: Reals
    rates_hz: Reals


def _arm(link: OpticalLink, arm: Arm, shares: tuple[float, ...], marginal: Reals) -> _Rates:
    reach = outcomes.reach(link, arm) * efficiencies(arm.node.detector, OUTCOMES)
    photon_hz: Reals = link.source.emitted_pair_rate_hz * np.array(shares)[:, None] * marginal * reach
    click_hz, live = renewal(link, arm, photon_hz.sum(axis=0))
    noise_hz = click_hz - photon_hz.sum(axis=0) * live
    return _Rates(reach, live, photon_hz * live + np.array(shares)[:, None] * noise_hz)


def _ratio(part: Reals, whole: Reals) -> Reals:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0.0)
