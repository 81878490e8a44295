"""Finite key of MDI-QKD with decoy states.

Source: Curty, Xu, Cui, Lim, Tamaki and Lo, Nat. Commun. 5, 3732 (2014):

    length = n11 (1 - h(e11)) - leak - log2(8/eps_cor) - 2 log2(2/(eps' eps^)) - 2 log2(1/(2 eps_pa))
    eps_sec = 2 (eps' + 2 eps_e + eps^) + eps_b + eps_1 + eps_pa

n11 bounds from below how many key bits came from two single photons, e11 from above their phase errors. Both follow
from the counts of every pair of intensities by linear programming over photon numbers: given how many photons a pair of
pulses held, its intensities are a matter of chance that no eavesdropper knows, so each count is a sum of independent
choices around a mean that is linear in the unknown numbers.

What is ours, and why it is safe:

* The paper brackets each mean with closed forms of the multiplicative Chernoff bound that hold under conditions. We
  solve that bound itself, e^(x - mu) (mu/x)^x = eps, which is tighter and has no condition.
* The paper adds rounds in which Alice sent nothing; we leave these out.
* Phase errors may fail with probability eps_e^2, not eps_e, so that the smoothing of the entropy by eps_e holds
  whichever of the two is meant. The rest of the formula is as remembered and checked by its limits, not against the
  paper's figures: it could not be read in full.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from bellweave.distill.finite_key import bases
from bellweave.distill.finite_key.mdi import Setting, gains
from bellweave.distill.theory import binary_entropy, entropy_bound

METHOD = "Curty et al. 2014 (MDI-QKD, decoy states)"

PHOTONS = 10
"""Photon numbers below this are unknowns of the linear programme; more are bounded by how rarely they are sent."""

EPSILONS = 11.0
"""Equal parts of eps_sec: 2 eps' + 4 eps_e + 2 eps^ + eps_b + eps_1 + eps_pa."""

Pairing = tuple[int, int]
"""Indices of Alice's and Bob's intensity."""

Counts = Mapping[Pairing, float]


def mean_interval(count: float, failure: float) -> tuple[float, float]:
    """Return bounds on the mean of a sum of independent 0/1 choices that came out as ``count``.

    Each fails with probability ``failure`` at most; Chernoff's multiplicative bound, solved for the mean.

    >>> low, high = mean_interval(1000, 1e-10)
    >>> round(low), round(high)
    (800, 1230)
    """
    return _solve(count, failure, below=True), _solve(count, failure, below=False)


HALVINGS = 200
"""Steps of a bisection; a mean can lie e^-70 below its count, and 80 steps end there."""


def _solve(count: float, failure: float, *, below: bool) -> float:
    """Return the mean mu on one side of ``count`` at which count ln(count/mu) - count + mu = ln(1/failure)."""
    wanted = math.log(1.0 / failure)
    if count <= 0.0:
        return 0.0 if below else wanted
    low, high = (0.0, count) if below else (count, count + 2.0 * wanted + 2.0 * math.sqrt(2.0 * count * wanted))
    for _ in range(HALVINGS):
        mean = (low + high) / 2.0
        surprise = count * math.log(count / mean) - count + mean if mean > 0.0 else math.inf
        if (surprise > wanted) == below:
            low = mean
        else:
            high = mean
    return low if below else high


def count_at_least(mean: float, failure: float) -> float:
    """Return what a sum of independent 0/1 choices of that mean falls below with probability ``failure`` at most."""
    wanted = math.log(1.0 / failure)
    low, high = 0.0, mean
    for _ in range(80):
        count = (low + high) / 2.0
        surprise = count * math.log(count / mean) - count + mean if count > 0.0 else mean
        low, high = (count, high) if surprise > wanted else (low, count)
    return low if mean > wanted else 0.0


class Sent:
    """How many pairs of pulses were sent in one basis, and how.

    Args:
        pulses: Pairs of pulses in which both chose this basis.
        intensities: Mean photon numbers, the same for both senders; the first is the signal.
        shares: How often each is sent.
    """

    def __init__(self, pulses: float, intensities: Sequence[float], shares: Sequence[float]) -> None:
        self.pulses = pulses
        self.intensities = tuple(intensities)
        self.shares = tuple(shares)
        self.pairings: list[Pairing] = [(a, b) for a in range(len(shares)) for b in range(len(shares))]
        n = np.arange(PHOTONS)
        factorial = np.array([math.factorial(each) for each in n], float)
        self._poisson = [math.exp(-mean) * mean**n / factorial for mean in self.intensities]

    def weight(self, pairing: Pairing) -> float:
        """Return how many pairs of pulses have these intensities, on average."""
        return self.pulses * self.shares[pairing[0]] * self.shares[pairing[1]]

    def row(self, pairing: Pairing) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """Return the mean count of this pairing per unit of each photon-number yield, flat over (n, m)."""
        photons = np.outer(self._poisson[pairing[0]], self._poisson[pairing[1]])
        flat: np.ndarray[tuple[int], np.dtype[np.float64]] = self.weight(pairing) * photons.ravel()
        return flat

    def beyond(self, pairing: Pairing) -> float:
        """Return how many pairs of pulses of this pairing hold more photons than the programme knows, on average."""
        known = self._poisson[pairing[0]].sum() * self._poisson[pairing[1]].sum()
        return self.weight(pairing) * max(0.0, 1.0 - float(known))


ONE_ONE = PHOTONS + 1
"""Place of one photon from each sender."""


def single_photon_yield(sent: Sent, counts: Counts, failure: float, *, highest: bool = False) -> float:
    """Return a bound on the mean share of single-photon pairs that were counted, by linear programming.

    Args:
        sent: What was sent.
        counts: How many rounds of each pairing were counted (heralded, or wrong).
        failure: Chance that any of the counts lies outside its interval, together.
        highest: Bound it from above, not from below.
    """
    from scipy.optimize import linprog  # noqa: PLC0415 (a second of import that only this needs)

    each = failure / (3.0 * len(sent.pairings))
    rows, limits = [], []
    for pairing in sent.pairings:
        low, high = mean_interval(counts[pairing], each)
        row = sent.row(pairing)
        scale = 1.0 / max(high, 1.0)
        rows += [row * scale, -row * scale]
        limits += [high * scale, -(low - _solve(sent.beyond(pairing), each, below=False)) * scale]
    cost = np.zeros(PHOTONS**2)
    cost[ONE_ONE] = -1.0 if highest else 1.0
    found = linprog(cost, A_ub=np.array(rows), b_ub=np.array(limits), bounds=(0.0, 1.0), method="highs")
    if not found.success or found.x is None:
        return 1.0 if highest else 0.0
    return float(found.x[ONE_ONE])


def key_length(
    z: Sent,
    x: Sent,
    heralded_z: Counts,
    heralded_x: Counts,
    wrong_x: Counts,
    leak: float,
    secrecy: float = 1e-10,
    correctness: float = 1e-15,
    *,
    kept: float = 1.0,
) -> float:
    """Return the key length in bits, of either sign, for one of Charlie's outcomes; the key is of signal pulses in Z.

    Args:
        z: What was sent in basis Z.
        x: What was sent in basis X.
        heralded_z: Heralded rounds in Z by pairing.
        heralded_x: Heralded rounds in X by pairing.
        wrong_x: Of these, with unequal bits.
        leak: Every disclosed bit but the verification tag.
        secrecy: eps_sec.
        correctness: eps_cor.
        kept: Share of the signal rounds in Z that is left when a random sample of them has been given up.
    """
    unit = secrecy / EPSILONS
    cost = leak + math.log2(8.0 / correctness) + 2.0 * math.log2(2.0 / unit**2) + 2.0 * math.log2(1.0 / (2.0 * unit))
    phase = unit**2 / 4.0  # three estimates and one sample share eps_e^2
    in_z = kept * z.row((0, 0))[ONE_ONE] * single_photon_yield(z, heralded_z, unit / 2.0)
    key = math.floor(count_at_least(in_z, unit / 2.0))
    singles = sum(x.row(pairing)[ONE_ONE] for pairing in x.pairings)
    sample = math.floor(count_at_least(singles * single_photon_yield(x, heralded_x, phase), phase))
    if key < 1 or sample < 1:
        return -cost
    wrong = _solve_count_above(singles * single_photon_yield(x, wrong_x, phase, highest=True), phase)
    error = wrong / sample + bases.allowance(key, sample, unit / 2.0)
    return key * (1.0 - entropy_bound(min(0.5, error))) - cost


def _solve_count_above(mean: float, failure: float) -> float:
    """Return what a sum of independent 0/1 choices of that mean exceeds with probability ``failure`` at most."""
    wanted = math.log(1.0 / failure)
    low, high = mean, mean + 2.0 * wanted + math.sqrt(2.0 * mean * wanted) * 2.0
    for _ in range(80):
        count = (low + high) / 2.0
        surprise = count * math.log(count / mean) - count + mean if mean > 0.0 else math.inf
        low, high = (count, high) if surprise < wanted else (low, count)
    return high


def expected_rate(
    link: Setting,
    pulses: float,
    shares: Sequence[float] = (0.5, 0.3, 0.2),
    z_probability: float = 0.5,
    secrecy: float = 1e-10,
) -> float:
    """Return the finite key per pair of signal pulses in Z that mean counts give, of either sign.

    Args:
        link: The link; both of Charlie's outcomes are taken together.
        pulses: Pairs of pulses sent in all.
        shares: How often signal, decoy and weakest are sent.
        z_probability: How often each sender chooses basis Z.
        secrecy: eps_sec.
    """
    z = Sent(pulses * z_probability**2, link.intensities, shares)
    x = Sent(pulses * (1.0 - z_probability) ** 2, link.intensities, shares)
    seen = {(a, b): gains(link.intensities[a], link.intensities[b], link) for a, b in z.pairings}
    signal = seen[0, 0]
    leak = z.weight((0, 0)) * signal.z * link.correction * binary_entropy(signal.z_wrong / signal.z)
    length = key_length(
        z,
        x,
        {pairing: z.weight(pairing) * each.z for pairing, each in seen.items()},
        {pairing: x.weight(pairing) * each.x for pairing, each in seen.items()},
        {pairing: x.weight(pairing) * each.x_wrong for pairing, each in seen.items()},
        leak,
        secrecy,
    )
    return length / z.weight((0, 0))
