"""Finite-key length of Tomamichel and Leverrier, Quantum 1, 14 (2017), "TL17".

A random sample of k bits of n + k, both bases pooled; no key when more than ``threshold`` of it are wrong:

    epsilon = 2^-t + 2 eps_pe + eps_pa        eps_pe = exp(-n k^2 nu^2 / ((n + k)(k + 1)))
    length = n (1 - h(threshold + nu)) - leak - t + 2 log2(2 eps_pa)

The threshold must be fixed before the sample is seen. Conditions are in :data:`ASSUMPTIONS`.
"""

import math

from bellweave.distill.finite_key.search import highest
from bellweave.distill.theory import entropy_bound

METHOD = "Tomamichel-Leverrier 2017"

ASSUMPTIONS = (
    "Signals are qubits, and each round's basis is uniformly random and independent of everything else.",
    "The chance of detection does not depend on the basis or on the bit.",
    "Bob's announcements tell no more than Alice's parities (symmetric qubits; Tupkary, Lütkenhaus, arXiv:2307.00576).",
    "Disclosed bits are counted as they fell, where the proof fixes their number beforehand.",
    "Sample positions are expanded from a 256-bit random seed by SHAKE-256.",
)


def sampling_failure(key: int, sample: int, nu: float) -> float:
    """Return eps_pe: how likely the key bits are worse than the sample by more than ``nu``, as a distance.

    >>> f"{sampling_failure(10_000, 10_000, 0.05):.6e}"
    '3.731314e-06'
    """
    return math.exp(-key * sample**2 * nu**2 / ((key + sample) * (sample + 1)))


def key_length_at(key: int, leak: float, threshold: float, nu: float, tag_bits: float, amplification: float) -> float:
    """Return the length in bits, of either sign, for a given ``nu`` and eps_pa = ``amplification`` > 0."""
    return key * (1.0 - entropy_bound(threshold + nu)) - leak - tag_bits + 2.0 * math.log2(2.0 * amplification)


def key_length(key: int, sample: int, threshold: float, leak: float, tag_bits: float, epsilon: float) -> float:
    """Return the length of key that is secret and correct up to ``epsilon``, in bits; negative: so many are missing.

    Args:
        key: Bits that were corrected (n).
        sample: Bits that were disclosed to estimate the error rate (k).
        threshold: Largest error rate of the sample that is accepted, fixed beforehand (delta).
        leak: Disclosed bits, without the tag.
        tag_bits: Length of the tag (t).
        epsilon: Total failure probability.

    ``nu`` is optimised: of what 2^-t leaves of epsilon, a share goes to the sample and the rest to the hash.
    """
    rest = epsilon - 2.0**-tag_bits
    if rest <= 0.0 or key < 1 or sample < 1:
        return -float(leak + tag_bits)

    def length(share: float) -> float:
        surprise = math.log(2.0 / (share * rest))
        nu = math.sqrt(surprise * (key + sample) * (sample + 1) / (key * sample**2))
        return key_length_at(key, leak, threshold, nu, tag_bits, (1.0 - share) * rest)

    return highest(length, 0.0, 1.0, 36)[1]  # the length has one maximum in the share
