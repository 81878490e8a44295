"""Key lengths of the finite-key proofs that pool both bases, by name.

=========  =============================  =============  ===============================================================
``tl17``   Tomamichel, Leverrier 2017     peer reviewed  the default, what keys are minted by
``lim21``  Lim, Xu, Pan, Ekert 2021       peer reviewed  a sharper tail
``exact``  hypergeometric tail            **not**        sharpest; shown beside the others, never minted
=========  =============================  =============  ===============================================================

All three are ``n (1 - h(threshold + nu)) - leak - t + 2 log2(2 eps_pa)`` where
``2^-t + 2 eps_pe(nu) + eps_pa = epsilon`` and nu is optimised; they differ in the tail
(:mod:`bellweave.distill.finite_key.tails`). :func:`tlgr` is a proof with a statement of its own.
"""

import math
from dataclasses import dataclass
from typing import Literal

from bellweave.distill.finite_key import tails, tl17
from bellweave.distill.finite_key.search import highest
from bellweave.distill.finite_key.tails import Bound
from bellweave.distill.theory import entropy_bound

ProofName = Literal["tl17", "lim21", "exact"]


@dataclass(frozen=True)
class Proof:
    """A finite-key proof.

    Attributes:
        name: Short name.
        method: As secret blocks and tables call it.
        tail: Its bound on the sample's misjudgement.
        reviewed: Whether it stands in a peer-reviewed paper as used here.
    """

    name: ProofName
    method: str
    tail: Bound
    reviewed: bool


PROOFS: dict[ProofName, Proof] = {
    "tl17": Proof("tl17", tl17.METHOD, tails.serfling, reviewed=True),
    "lim21": Proof("lim21", "Lim-Xu-Pan-Ekert 2021", tails.lim21, reviewed=True),
    "exact": Proof("exact", "exact hypergeometric tail (not peer reviewed)", tails.exact, reviewed=False),
}
"""In the order of tables; the first is the default."""


def tag_bits_for(epsilon: float) -> int:
    """Return the shortest tag that takes at most a hundredth of epsilon.

    >>> tag_bits_for(1e-10)
    40
    """
    return math.ceil(math.log2(100.0 / epsilon))


def key_length(
    key: int, sample: int, threshold: float, leak: float, tag_bits: float, epsilon: float, proof: ProofName = "tl17"
) -> float:
    """Return the length of key that is secret and correct up to ``epsilon``, in bits; negative: so many are missing.

    Args:
        key: Bits that were corrected (n).
        sample: Bits that were disclosed to estimate the error rate (k).
        threshold: Largest error rate of the sample that is accepted, fixed beforehand (delta).
        leak: Disclosed bits, without the tag.
        tag_bits: Length of the tag (t).
        epsilon: Total failure probability.
        proof: Which one.
    """
    if proof == "tl17":
        return tl17.key_length(key, sample, threshold, leak, tag_bits, epsilon)
    if proof == "exact":
        return _exact_length(key, sample, threshold, leak, tag_bits, epsilon)
    return length_with(PROOFS[proof].tail, key, sample, threshold, leak, tag_bits, epsilon)


def length_with(
    tail: Bound, key: int, sample: int, threshold: float, leak: float, tag_bits: float, epsilon: float, tests: int = 1
) -> float:
    """Return the same for any tail, ``nu`` found by search; ``tests`` such tails must hold at once."""
    rest = epsilon - 2.0**-tag_bits
    nothing = -float(leak + tag_bits)
    most = 0.5 - threshold
    if rest <= 0.0 or key < 1 or sample < 1 or most <= 0.0:
        return nothing

    def failure(nu: float) -> float:
        return 2.0 * tests * tail(key, sample, threshold, nu)

    def length(nu: float) -> float:
        left = rest - failure(nu)
        if left <= 0.0:
            return -math.inf
        return key * (1.0 - entropy_bound(threshold + nu)) - leak - tag_bits + 2.0 * math.log2(2.0 * left)

    if failure(most) >= rest:
        # What is left where nothing is known of phase errors; a number of missing bits, not a bound.
        return nothing + 2.0 * math.log2(2.0 * rest)
    low, high = 0.0, most
    for _ in range(26):
        middle = (low + high) / 2.0
        low, high = (low, middle) if failure(middle) < rest else (middle, high)
    return max(length(high), highest(length, high, min(most, 1.3 * high + 1e-6), 18)[1])


def _exact_length(key: int, sample: int, threshold: float, leak: float, tag_bits: float, epsilon: float) -> float:
    """Return the length by the exact tail, which knows whole errors only: all numbers near the best one are tried."""
    rest = epsilon - 2.0**-tag_bits
    nothing = -float(leak + tag_bits)
    low, high = math.floor(key * threshold), key // 2
    if rest <= 0.0 or key < 1 or sample < 1 or threshold >= 0.5:
        return nothing

    def failure(hidden: int) -> float:
        return 2.0 * tails.exact_beyond(key, sample, threshold, hidden)

    if failure(high) >= rest:
        return nothing + 2.0 * math.log2(2.0 * rest)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if failure(middle) < rest else (middle, high)
    best = -math.inf
    for hidden in range(high, key // 2 + 2):
        secret = key * (1.0 - entropy_bound((hidden - 1) / key))  # fewer than that many phase errors
        if secret + 2.0 * math.log2(2.0 * rest) <= best:
            break
        best = max(best, secret + 2.0 * math.log2(2.0 * max(rest - failure(hidden), 1e-300)))
    return best - leak - tag_bits


def tlgr_mu(key: int, sample: int, secrecy: float) -> float:
    """Return the allowance for the sample, mu = sqrt((n + k)/(n k) (k + 1)/k ln(4/eps_sec)).

    >>> round(tlgr_mu(10_000, 10_000, 1e-10), 6)
    0.069878
    """
    return math.sqrt((key + sample) / (key * sample) * (sample + 1) / sample * math.log(4.0 / secrecy))


def tlgr(key: int, sample: int, threshold: float, leak: float, secrecy: float, correctness: float) -> float:
    """Return n (1 - h(threshold + mu)) - leak - log2(2/(eps_sec^2 eps_cor)), in bits, of either sign.

    Args:
        key: Bits of one basis that were corrected (n).
        sample: Bits of the other basis, all disclosed (k).
        threshold: Largest error rate of the sample that is accepted.
        leak: Disclosed bits, without the tag.
        secrecy: Failure probability of secrecy, eps_sec.
        correctness: Failure probability of correctness, eps_cor; epsilon is the sum of both.

    Source: Tomamichel, Lim, Gisin and Renner, Nat. Commun. 3, 634 (2012), for ideal qubits (q = 1).

    >>> round(tlgr(10_000, 10_000, 0.01, 888.7, 1e-10, 1e-15))
    4977
    """
    mu = tlgr_mu(key, sample, secrecy)
    return key * (1.0 - entropy_bound(threshold + mu)) - leak - math.log2(2.0 / (secrecy**2 * correctness))
