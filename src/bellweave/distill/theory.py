"""Closed forms of distillation: what to expect, and what asymptotic key is left."""

import math

from bellweave.distill.reconciliation.presets import block_sizes


def binary_entropy(p: float) -> float:
    """Return h(p) in bits, for p in [0, 1].

    >>> round(binary_entropy(0.064), 6)
    0.343123
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"a probability lies in [0, 1], not {p}")
    return 0.0 if p in {0.0, 1.0} else -p * math.log2(p) - (1.0 - p) * math.log2(1.0 - p)


def entropy_bound(error_rate: float) -> float:
    """Return h, but 1 from one half on: what an upper bound on an error rate leaves unknown.

    >>> entropy_bound(0.7)
    1.0
    """
    return 1.0 if error_rate >= 0.5 else binary_entropy(error_rate)


def shannon_minimum(bits: int, qber: float) -> float:
    """Return the fewest bits that any reconciliation of ``bits`` discloses on average: n h(Q).

    >>> round(shannon_minimum(1832, 0.064), 1)
    628.6
    """
    return bits * binary_entropy(qber)


def counting_bound(bits: int, errors: int) -> float:
    """Return log2 of how many patterns of ``errors`` errors there are: fewer disclosed bits can't tell them apart.

    >>> round(counting_bound(1832, 117), 1)
    622.9
    """
    nats = math.lgamma(bits + 1) - math.lgamma(errors + 1) - math.lgamma(bits - errors + 1)
    return nats / math.log(2.0)


def bbbss92(bits: int, qber: float) -> float:
    """Return the bits that intercept-resend tells an eavesdropper: 2 sqrt(2) Q n. No proof against general attacks.

    Source: Bennett, Bessette, Brassard, Salvail, Smolin, J. Cryptology 5, 3 (1992).

    >>> round(bbbss92(1832, 0.064), 1)
    331.6
    """
    return 2.0 * math.sqrt(2.0) * qber * bits


def individual_attacks(bits: int, qber: float) -> float:
    """Return the bits that attacks on single, ideal signals yield: n log2(1 + 4Q - 4Q^2), and n from Q = 1/2 on.

    Source: Lütkenhaus, Phys. Rev. A 59, 3301 (1999).

    >>> round(individual_attacks(1832, 0.064), 1)
    567.7
    """
    q = min(qber, 0.5)
    return bits * math.log2(1.0 + 4.0 * q - 4.0 * q * q)


def shor_preskill(qber_x: float, qber_z: float, efficiency: float = 1.0) -> float:
    """Return the asymptotic key per sifted bit, below 0 where there is none: 1 - h(e_x) - f h(e_z).

    Args:
        qber_x: Error rate in the basis that bounds the phase errors.
        qber_z: Error rate in the basis of the key.
        efficiency: Disclosed bits over the Shannon minimum, >= 1.

    Source: Shor and Preskill, Phys. Rev. Lett. 85, 441 (2000).

    >>> round(shor_preskill(0.05, 0.05, 1.1), 6)
    0.398566
    """
    return 1.0 - entropy_bound(qber_x) - efficiency * binary_entropy(qber_z)


def chsh_asymptotic(s: float, qber: float, efficiency: float = 1.0) -> float:
    """Return the asymptotic key per sifted bit by the CHSH value: 1 - f h(Q) - h((1 + sqrt((S/2)^2 - 1))/2).

    Device-independent, against collective attacks, if *every* round counts. On coincidences that were selected after
    the fact (efficiency below 82.8 %) it proves nothing device-independent: tables call it ``CHSH asymptotic (not
    device-independent on post-selected data)``. S <= 2 proves nothing anywhere.

    Source: Acín, Brunner, Gisin, Massar, Pironio and Scarani, Phys. Rev. Lett. 98, 230501 (2007).

    >>> round(chsh_asymptotic(2 * math.sqrt(2) * 0.96, 0.02), 6)
    0.612291
    """
    if s <= 2.0:
        return -efficiency * binary_entropy(qber)
    violation = min(1.0, math.sqrt((s / 2.0) ** 2 - 1.0))
    return 1.0 - efficiency * binary_entropy(qber) - binary_entropy((1.0 + violation) / 2.0)


CHSH_LABEL = "CHSH asymptotic (not device-independent on post-selected data)"
"""What tables call :func:`chsh_asymptotic`."""


def cascade_top(bits: int, qber: float) -> int:
    """Return the block parities that original Cascade discloses in four passes, block sizes fit for ``qber``."""
    return sum(-(-bits // block) for block in _sizes(bits, qber))


def cascade_bisection(bits: int, qber: float) -> float:
    """Return the expected parities of original Cascade's searches.

    Pass 1 finds one error in every odd block. The errors that it leaves come in pairs, and each pair falls to one
    search in a later pass and one in pass 1. Measured: within 3 % from 0.5 to 10 %, n from 918 to 10^4.
    """
    first, second = _sizes(bits, qber)[:2]
    odd = (1.0 - (1.0 - 2.0 * qber) ** first) / 2.0
    found = bits / first * odd
    return found * _depth(first) + (bits * qber - found) * (_depth(first) + _depth(second)) / 2.0


def _sizes(bits: int, qber: float) -> list[int]:
    return block_sizes("original", max(qber, 5e-7), bits)


def _depth(block: int) -> float:
    """Return the mean number of halvings that single out one of ``block`` places."""
    whole = block.bit_length() - 1
    return whole + 2.0 * (block - (1 << whole)) / block
