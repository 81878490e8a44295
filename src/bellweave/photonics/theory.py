"""What to expect of a link: singles, coincidences, error rates, key rates, in closed form."""

import math
from dataclasses import dataclass

import numpy as np

from bellweave.bell import Reals
from bellweave.photonics import states, theory_cw, theory_pulsed
from bellweave.photonics.checks import check_link
from bellweave.photonics.params import OpticalLink, Polarisation, PulsedSource
from bellweave.photonics.theory_arms import arm_rates


@dataclass(frozen=True, eq=False)
class Expected:
    """The mean of one block. Rates are per second of source time.

    Attributes:
        singles_alice_hz, singles_bob_hz: Clicks of all detectors of the node, dead time and afterpulses included.
        true_hz: Shape (2, 2, 2, 2), ``[basis_a, basis_b, bit_a, bit_b]``: matched pairs, Bob's bits already flipped.
        accidental_hz: Same shape: matched clicks that know nothing of each other.
    """

    singles_alice_hz: float
    singles_bob_hz: float
    true_hz: Reals
    accidental_hz: Reals

    @property
    def cells_hz(self) -> Reals:
        """All matched clicks, shape (2, 2, 2, 2)."""
        return np.maximum(self.true_hz + self.accidental_hz, 0.0)

    @property
    def coincidences_hz(self) -> float:
        """All matched clicks."""
        return float(self.cells_hz.sum())

    @property
    def sifted_z_hz(self) -> float:
        """Matched clicks with both bases Z."""
        return float(self.cells_hz[0, 0].sum())

    @property
    def sifted_x_hz(self) -> float:
        """Matched clicks with both bases X."""
        return float(self.cells_hz[1, 1].sum())

    @property
    def sifted_hz(self) -> float:
        """Matched clicks with equal bases."""
        return self.sifted_z_hz + self.sifted_x_hz

    @property
    def sift_factor(self) -> float:
        """Share of the matched clicks that sifting keeps."""
        return _share(self.sifted_hz, self.coincidences_hz)

    @property
    def qber_z(self) -> float:
        """Error rate in Z."""
        return _share(_errors(self.cells_hz[0, 0]), self.sifted_z_hz)

    @property
    def qber_x(self) -> float:
        """Error rate in X."""
        return _share(_errors(self.cells_hz[1, 1]), self.sifted_x_hz)

    @property
    def qber(self) -> float:
        """Error rate of the sifted bits."""
        return _share(_errors(self.cells_hz[0, 0]) + _errors(self.cells_hz[1, 1]), self.sifted_hz)

    @property
    def key_rate_bps(self) -> float:
        """Asymptotic key rate, ideal error correction: each basis corrects its own errors, the other gives Eve's bound.

        Source: Shor and Preskill, PRL 85, 441 (2000).
        """
        secret = 1.0 - entropy(self.qber_z) - entropy(self.qber_x)
        return self.sifted_hz * max(0.0, secret)


def expect(link: OpticalLink, start_s: float = 0.0) -> Expected:
    """Return what to expect of a block that starts ``start_s`` seconds after the start of the run.

    Raises:
        ScenarioError: If the link is impossible.
    """
    check_link(link)
    table = states.tables(link, start_s).mean(axis=0)
    cut = _cut_share(link, start_s)
    if cut in {0.0, 1.0}:
        return _expect(link, table, cut=bool(cut))
    whole, broken = _expect(link, table, cut=False), _expect(link, table, cut=True)
    return Expected(
        singles_alice_hz=(1.0 - cut) * whole.singles_alice_hz + cut * broken.singles_alice_hz,
        singles_bob_hz=(1.0 - cut) * whole.singles_bob_hz + cut * broken.singles_bob_hz,
        true_hz=(1.0 - cut) * whole.true_hz + cut * broken.true_hz,
        accidental_hz=(1.0 - cut) * whole.accidental_hz + cut * broken.accidental_hz,
    )


def cells_hz(link: OpticalLink, start_s: float = 0.0) -> Reals:
    """Return the rate of matched pairs by ``[basis_a, basis_b, bit_a, bit_b]``, Bob's bits flipped: [2, 2, 2, 2]."""
    return expect(link, start_s).cells_hz


def entropy(probability: float) -> float:
    """Return the binary entropy in bits.

    >>> entropy(0.5)
    1.0
    """
    if probability <= 0.0 or probability >= 1.0:
        return 0.0
    return -probability * math.log2(probability) - (1.0 - probability) * math.log2(1.0 - probability)


def ma_fung_lo(lam: float, eta_a: float, eta_b: float, y0: float, e_d: float) -> tuple[float, float]:
    """Return (gain, error rate) of BBM92 with a two-mode squeezed state, both ends measuring in the same basis.

    Args:
        lam: Half the mean pair number of a pulse, > 0.
        eta_a: Overall efficiency of Alice's end.
        eta_b: Of Bob's.
        y0: Background click probability of each end and pulse.
        e_d: Error probability of a true pair.

    Source: Ma, Fung, Lo, PRA 76, 012307 (2007), Eqs. 9 and 10. Their Eq. 9 subtracts numbers near 1; here the
    differences are taken first, so that gains of 1e-20 keep their digits.

    >>> gain, error = ma_fung_lo(0.05, 0.1, 0.1, 1e-5, 0.015)
    >>> round(gain * 1e3, 8), round(error, 8)
    (1.11853079, 0.05347617)
    """
    dark = 1.0 - y0
    a, b = eta_a * lam, eta_b * lam
    c = a + b - eta_a * b
    # Q = 1 - D/(1+a)^2 - D/(1+b)^2 + D^2/(1+c)^2 with D = 1 - Y0
    #   = P(click at A) P(click at B) + D^2 [(1+c)^-2 - (1+a)^-2 (1+b)^-2].
    click_a, click_b = (y0 + dark * x * (2.0 + x) / (1.0 + x) ** 2 for x in (a, b))
    apart, together = (1.0 + a) * (1.0 + b), 1.0 + c
    gap = eta_a * b + a * b  # apart - together
    gain = click_a * click_b + (dark / (apart * together)) ** 2 * gap * (apart + together)
    true = 2.0 * (0.5 - e_d) * eta_a * b * (1.0 + lam) / (apart * together)
    return gain, 0.5 - true / gain


def _expect(link: OpticalLink, table: Reals, *, cut: bool) -> Expected:
    severed = link.cut.arm if link.cut is not None and cut else ""
    alice = arm_rates(link, link.alice, table.sum(axis=3)[:, 0], whole=severed != "alice")
    bob = arm_rates(link, link.bob, table.sum(axis=2)[0], whole=severed != "bob")
    shares = np.outer(alice.share, bob.share)
    if isinstance(link.alice.node.analyser, Polarisation) and link.alice.node.analyser.basis_choice == "keyed":
        shares = np.diag(alice.share)
    if isinstance(link.source, PulsedSource):
        cells = theory_pulsed.cells_hz(link, link.source, table, alice, bob, shares)
    else:
        cells = theory_cw.cells_hz(link, table, alice, bob, shares)
    true_hz, accidental_hz = (
        _flipped(cell.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3), states.flips(link)) for cell in cells
    )
    return Expected(float(alice.click_hz.sum()), float(bob.click_hz.sum()), true_hz, accidental_hz)


def _flipped(cells: Reals, flips: tuple[bool, bool]) -> Reals:
    """Return the cells with Bob's bit inverted in the bases where he does so."""
    result = cells.copy()
    for basis, flip in enumerate(flips):
        if flip:
            result[:, basis] = cells[:, basis, :, ::-1]
    return result


def _cut_share(link: OpticalLink, start_s: float) -> float:
    """Return the share of the block during which the channel is cut."""
    if link.cut is None:
        return 0.0
    overlap_s = min(link.cut.end_s, start_s + link.block_s) - max(link.cut.start_s, start_s)
    return max(0.0, overlap_s) / link.block_s


def _errors(cells: Reals) -> float:
    return float(cells[0, 1] + cells[1, 0])


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else 0.0
