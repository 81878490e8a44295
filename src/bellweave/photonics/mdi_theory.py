"""What to expect of MDI-QKD: how often each pair of states is heralded, in closed form, from interference.

A pulse of Alice's and one of Bob's meet at a beam splitter, a polarising one follows at each output. With Jones vectors
u and w, arriving intensities A and B and relative phase phi, detector d = (output, polarisation s) gets

    I_d = e_d (A u_s^2 + B w_s^2 +- 2 V sqrt(A B) u_s w_s cos phi) / 2,        + at output 1, - at output 2,

V^2 being the visibility. The chance that no detector of a set S clicks, averaged over phi, is

    coherent:       (1 - p_d)^|S| exp(-A x - B y) I0(k sqrt(A B))
    single photons: (1 - p_d)^|S| ((1 - x)(1 - y) + k^2 / 4)

with x, y the shares of the light that S sees and ``k = V |sum over S of +- e_d u_s w_s|``, transmittances included. The
second is the coefficient of A B in the first times e^(A + B): phase-randomised light is a mixture of photon numbers.

psi-: H and V at different outputs. psi+: H and V at the same one. That is half of all Bell states: 1/2 is the most that
linear optics heralds. Bob inverts his bit in Z, and in X after psi-.

Source: Ma and Razavi, Phys. Rev. A 86, 062319 (2012), for V = 1 and equal detectors.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import numpy as np
from scipy.special import i0e

from bellweave.bell import Reals
from bellweave.photonics.mdi_params import CHANNELS, MdiLink, Sender, check
from bellweave.photonics.params import Detector
from bellweave.photonics.theory import entropy
from bellweave.photonics.theory_arms import within
from bellweave.units import transmission

PSI_MINUS, PSI_PLUS = 0, 1
"""What is announced."""

PATTERNS = {PSI_MINUS: (0b1001, 0b0110), PSI_PLUS: (0b0011, 0b1100)}
"""Which detectors click, bit d for detector d: 1H, 1V, 2H, 2V."""

SUBSETS = ((np.arange(1 << CHANNELS)[:, np.newaxis] >> np.arange(CHANNELS)) & 1).astype(np.float64)
"""SUBSETS[s, d] is 1 where detector d is in subset s."""

SIGN = np.array([1.0, 1.0, -1.0, -1.0])
POLARISATION = np.array([0, 1, 0, 1])


@dataclass(frozen=True, eq=False)
class Expected:
    """How often what is heralded.

    Attributes:
        heralded: Shape (2, 2, k, k, 2, 2, 2): the chance of an announcement (last axis) given basis_a, basis_b,
            intensity_a, intensity_b, bit_a, bit_b; Bob's bit inverted already. k = 1 for single photons.
        chosen: Same shape without the last axis: how often the rest is chosen.
    """

    heralded: Reals
    chosen: Reals

    @property
    def cells(self) -> Reals:
        """Chance of each heralded round per pair of pulses, shaped as ``heralded``."""
        return self.heralded * self.chosen[..., np.newaxis]

    def gain(self, basis: int, alice: int = 0, bob: int = 0) -> float:
        """Return Q: the chance of a heralded round when both send in this basis with these intensities."""
        return float(self.heralded[basis, basis, alice, bob].sum()) / 4.0

    def error(self, basis: int, alice: int = 0, bob: int = 0) -> float:
        """Return E: the share of those whose bits differ."""
        cell = self.heralded[basis, basis, alice, bob].sum(axis=-1)
        total = float(cell.sum())
        return float(cell[0, 1] + cell[1, 0]) / total if total else 0.0


def expect(link: MdiLink) -> Expected:
    """Return what to expect of every pair of pulses.

    Raises:
        ScenarioError: If the link is impossible.
    """
    return _expect(msgspec.msgpack.encode(link))


@lru_cache(maxsize=64)
def _expect(encoded: bytes) -> Expected:
    link = msgspec.msgpack.decode(encoded, type=MdiLink)
    check(link)
    means = link.intensities if link.light == "coherent" else (None,)
    shares = np.array(link.shares if link.light == "coherent" else (1.0,))
    heralded = np.zeros((2, 2, len(means), len(means), 2, 2, 2))
    for basis_a, basis_b, a, b, bit_a, bit_b in np.ndindex(*heralded.shape[:-1]):
        clicks = patterns(link, (basis_a, bit_a), (basis_b, bit_b), means[a], means[b])
        for announced, which in PATTERNS.items():
            told = bit_b ^ int(bob_inverts(basis_b, announced))
            heralded[basis_a, basis_b, a, b, bit_a, told, announced] = sum(clicks[pattern] for pattern in which)
    bases = np.array([link.z_probability, 1.0 - link.z_probability])
    chosen = np.einsum("x,y,a,b->xyab", bases, bases, shares, shares)[..., None, None] / 4.0
    return Expected(heralded, np.broadcast_to(chosen, heralded.shape[:-1]))


def bob_inverts(basis: int, announced: int) -> bool:
    """Return whether Bob inverts his bit: both Bell states differ in Z, psi- in X too."""
    return basis == 0 or announced == PSI_MINUS


def patterns(
    link: MdiLink, alice: tuple[int, int], bob: tuple[int, int], mean_a: float | None, mean_b: float | None
) -> Reals:
    """Return the chance that exactly the detectors of each subset click, shape (16,).

    Args:
        link: The link.
        alice: Alice's (basis, bit).
        bob: Bob's.
        mean_a: Mean photon number of Alice's coherent pulse; None: one photon for sure.
        mean_b: The same of Bob's; both are None or neither.
    """
    eta_a, eta_b = transmission(link.alice.loss_db), transmission(link.bob.loss_db)
    seen = efficiencies(link)
    u, w = jones(alice, link.alice)[POLARISATION], jones(bob, link.bob)[POLARISATION]
    x, y = SUBSETS @ (seen * u * u) * eta_a / 2.0, SUBSETS @ (seen * w * w) * eta_b / 2.0
    k = math.sqrt(link.visibility * eta_a * eta_b) * np.abs(SUBSETS @ (seen * SIGN * u * w))
    if mean_a is None or mean_b is None:
        quiet = np.log1p(np.maximum(-x - y + x * y + k * k / 4.0, -1.0 + 1e-15))
    else:
        argument = k * math.sqrt(mean_a * mean_b)
        quiet = -mean_a * x - mean_b * y + np.log(i0e(argument)) + argument
    quiet = quiet + SUBSETS.sum(axis=1) * math.log1p(-dark_probability(link))
    exactly: Reals = np.maximum(_MOEBIUS @ np.expm1(quiet) + _MOEBIUS.sum(axis=1), 0.0)
    return exactly


def efficiencies(link: MdiLink) -> Reals:
    """Return how likely a photon makes each detector click within its gate, shape (4,)."""
    own: Detector = link.detector
    each = np.full(CHANNELS, own.efficiency) if own.efficiencies is None else np.array(own.efficiencies)
    return each * within(link.gate_ps, own.jitter_ps)


def dark_probability(link: MdiLink) -> float:
    """Return the chance of a dark count per detector and gate."""
    return -math.expm1(-link.detector.dark_rate_hz * link.gate_ps * 1e-12)


def jones(state: tuple[int, int], sender: Sender) -> Reals:
    """Return the real Jones vector (H, V) of a (basis, bit): H, V; +, -; turned by the sender's misalignment."""
    basis, bit = state
    angle = (math.pi / 4.0) * basis + (math.pi / 2.0) * bit + sender.misalignment_rad / 2.0
    return np.array([math.cos(angle), math.sin(angle)])


def single_photons(link: MdiLink) -> Expected:
    """Return what the same link would do with one photon from each sender."""
    return expect(msgspec.structs.replace(link, light="single-photon"))


def key_share(link: MdiLink, efficiency: float = 1.16) -> float:
    """Return the asymptotic key per pair of pulses, all choices counted; 0 where there is none.

    Coherent pulses: infinitely many decoys, key from signal pulses in Z. Single photons: key from both bases, each
    proven by the other.

    Args:
        link: The link.
        efficiency: Disclosed bits over the Shannon minimum, >= 1.

    Source: Lo, Curty and Qi, Phys. Rev. Lett. 108, 130503 (2012).
    """
    seen, single = expect(link), single_photons(link)
    z, x = link.z_probability, 1.0 - link.z_probability
    if link.light == "single-photon":
        error_z, error_x = seen.error(0), seen.error(1)
        cost_z, cost_x = entropy(min(error_z, 0.5)), entropy(min(error_x, 0.5))
        in_z = z * z * seen.gain(0) * (1.0 - cost_x - efficiency * cost_z)
        return max(0.0, in_z) + max(0.0, x * x * seen.gain(1) * (1.0 - cost_z - efficiency * cost_x))
    mean, share = link.intensities[0], link.shares[0]
    alone = (mean * math.exp(-mean)) ** 2 * single.gain(0) * (1.0 - entropy(min(single.error(1), 0.5)))
    rate = alone - seen.gain(0) * efficiency * entropy(seen.error(0))
    return max(0.0, z * z * share * share * rate)


def _moebius() -> Reals:
    """Return M[clicked, none] = (-1)^|none & clicked| where ``none`` holds all that did not click, else 0."""
    size = 1 << CHANNELS
    matrix = np.zeros((size, size))
    for clicked in range(size):
        for none in range(size):
            if none | clicked == size - 1:
                matrix[clicked, none] = (-1.0) ** (none & clicked).bit_count()
    return matrix


_MOEBIUS = _moebius()
