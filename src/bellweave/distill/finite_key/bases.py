"""Each basis proven by the errors of the other: for bases that are unequal in use, in error rate, or both.

A key bit of basis Z is secret as far as the same round, measured in X, would have had few errors. Where each party
chooses its basis independently of everything else, with any fixed probability, the rounds in which both chose X are a
uniformly random subset of given size among those and the key rounds of Z. So they are a fair sample of what the key
rounds would have shown in X: the same random sampling as in the pooled proof, with n = key bits of Z and k = compared
bits of X. No evenness of the bases is asked, unlike in the pooled proof, which takes each key round's two complementary
errors for one another on average.

:func:`key_length` takes one such pair, the protocol of Tomamichel, Lim, Gisin and Renner (Nat. Commun. 3, 634) with the
epsilons of Tomamichel and Leverrier; or two, when both bases hold key and both were sampled. Two pairs fail
independently in name only, so their failures add up; joining two is our use of the theorem.
"""

import math
from collections.abc import Sequence

from bellweave.distill.finite_key import proofs, tl17
from bellweave.distill.finite_key.search import highest
from bellweave.distill.theory import entropy_bound

METHOD = f"{tl17.METHOD}, each basis proven by the other"

ASSUMPTIONS = (
    "Signals are qubits; each party chooses its basis in each round independently, with a fixed probability.",
    *tl17.ASSUMPTIONS[1:],
)

Pair = tuple[int, int]
"""(key bits of a basis, compared bits of the other)."""


def key_length(pairs: Sequence[Pair], threshold: float, leak: float, tag_bits: float, epsilon: float) -> float:
    """Return the length of key that is secret and correct up to ``epsilon``, in bits; negative: so many are missing.

    Args:
        pairs: Key bits of a basis, each with the compared bits of the other basis.
        threshold: Largest error rate of either sample that is accepted, fixed beforehand.
        leak: Disclosed bits, without the tag.
        tag_bits: Length of the tag.
        epsilon: Total failure probability: 2^-t + 2 (eps_pe of every pair) + eps_pa.
    """
    used = [pair for pair in pairs if pair[0] > 0]
    rest = epsilon - 2.0**-tag_bits
    if rest <= 0.0 or not used or any(sample < 1 for _, sample in used):
        return -float(leak + tag_bits)

    def length(share: float) -> float:
        failure = share * rest / (2.0 * len(used))
        secret = sum(key * (1.0 - entropy_bound(threshold + allowance(key, sample, failure))) for key, sample in used)
        return secret - leak - tag_bits + 2.0 * math.log2(2.0 * (1.0 - share) * rest)

    return highest(length, 0.0, 1.0, 36)[1]


def allowance(key: int, sample: int, failure: float) -> float:
    """Return nu, by how much the key bits may be worse than the sample, for a given eps_pe (Serfling's tail)."""
    return math.sqrt(math.log(1.0 / failure) * (key + sample) * (sample + 1) / (key * sample**2))


def sampling_free(
    total: int, threshold: float, leak: float, tag_bits: float, epsilon: float, proof: proofs.ProofName = "tl17"
) -> float:
    """Return the key length if nothing is sampled: the errors corrected in one basis speak for the other's phases.

    Args:
        total: Sifted bits, evenly spread over the bases; all are corrected.
        threshold: Largest error rate of either basis that is accepted, fixed beforehand.
        leak: Disclosed bits, without the tag.
        tag_bits: Length of the tag.
        epsilon: Total failure probability.
        proof: Which tail.

    Source: the idea is that of Fung, Ma and Chau, Phys. Rev. A 81, 012318 (2010). Our split of epsilon over two tests,
    and the use of errors that are known only because reconciliation succeeded, are **not peer reviewed**.
    """
    tail = proofs.PROOFS[proof].tail
    half = total // 2

    def halves(_key: int, _sample: int, limit: float, nu: float) -> float:
        return tail(half, half, limit, nu)

    return proofs.length_with(halves, total, total, threshold, leak, tag_bits, epsilon, tests=2)
