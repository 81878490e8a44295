"""How long the key is: the accountings, side by side.

=================  ====================================================================================================
``paper``          n - disclosed - ceil(2 sqrt(2) Q n) - margin: the BBBSS92 estimate, as the data-centre paper removes
``as-printed``     n - disclosed - what a paper prints as removed; if a scenario gives it; never minted
``shor-preskill``  n_z (1 - h(e_x)) + n_x (1 - h(e_z)) - disclosed: asymptotic, each basis by the errors of the other
``individual``     n - n log2(1 + 4Q - 4Q^2) - disclosed: asymptotic, attacks on single ideal signals
``provable``       finite key at ``epsilon`` (:mod:`bellweave.distill.finite_key`)
=================  ====================================================================================================

n counts the corrected bits, "disclosed" all that the ledger holds about them, the tag included. Q is of the sample; if
that is the other basis, it is where knowledge of the key shows.
"""

import math

from bellweave.distill import finite_key, theory
from bellweave.distill.finite_key import bases, proofs
from bellweave.distill.ledger import Estimate, Ledger
from bellweave.distill.params import Distillation

BASIS_SIGMAS = 5.0
"""Bases further from even than this many standard deviations contradict the proof's uniform choice (chance 6e-7)."""

LARGEST_SCALE = 1e6
"""Blocks so many times as long are not looked for."""


def lengths(ledger: Ledger, estimate: Estimate, params: Distillation) -> dict[str, int]:
    """Return the key length in bits by each accounting; negative: so many bits are missing.

    Args:
        ledger: A block that has been verified: sifted, sample and disclosed bits are booked.
        estimate: Its sample, of at least one bit.
        params: Margins, thresholds and epsilon.
    """
    n = ledger.sifted - ledger.sample
    left = n - ledger.disclosed
    qber = estimate.errors / estimate.sample
    result = {"paper": left - math.ceil(theory.bbbss92(n, qber)) - params.margin_bits}
    if params.printed_removal_bits is not None:
        result["as-printed"] = left - math.ceil(params.printed_removal_bits)
    result["shor-preskill"] = left - math.ceil(_phase_errors(ledger, estimate))
    result["individual"] = left - math.ceil(theory.individual_attacks(n, qber))
    result["provable"] = _provable(ledger, estimate, params)
    return result


def _phase_errors(ledger: Ledger, estimate: Estimate) -> float:
    """Return the bits to remove against phase errors; all of a basis's where the other was never sampled."""
    key_z = ledger.sifted_z - estimate.sample_z
    key_x = ledger.sifted_x - estimate.sample_x
    phase_z = 0.5 if estimate.qber_x is None else estimate.qber_x
    phase_x = 0.5 if estimate.qber_z is None else estimate.qber_z
    return key_z * theory.entropy_bound(phase_z) + key_x * theory.entropy_bound(phase_x)


def threshold(params: Distillation) -> float:
    """Return the error rate of the sample up to which the finite-key proofs give key; fixed before it is drawn."""
    return params.qber_limit if params.qber_threshold is None else min(params.qber_threshold, params.qber_limit)


def by_proof(ledger: Ledger, estimate: Estimate, params: Distillation) -> dict[proofs.ProofName, int]:
    """Return the key length in bits by every finite-key proof for pooled bases; negative: so many bits are missing.

    They are shown beside each other. ``exact`` is not peer reviewed, and only what :func:`lengths` says is minted.
    """
    return {name: _pooled(ledger, estimate, params, name) for name in proofs.PROOFS}


def method(params: Distillation) -> str:
    """Return the name of the proof behind accounting ``provable``."""
    return finite_key.METHOD if params.estimation == "pooled" else bases.METHOD


def assumptions(params: Distillation) -> tuple[str, ...]:
    """Return what that proof is conditional on, one sentence each.

    Among them, since the length is computed here from ``ledger.disclosed``, Alice's parities and the tag: Bob's answers
    (which parities differ, which bits of the sample) cross the line as well and are not subtracted. In symmetric qubit
    models that is justified; in general they may cost as much again (Tupkary and Lütkenhaus, arXiv:2307.00576).
    """
    if params.estimation == "pooled":
        return finite_key.ASSUMPTIONS
    return bases.ASSUMPTIONS[:-1] if params.estimation == "per-basis" else bases.ASSUMPTIONS  # no seed draws a basis


def _provable(ledger: Ledger, estimate: Estimate, params: Distillation) -> int:
    return _pooled(ledger, estimate, params) if params.estimation == "pooled" else _crossed(ledger, estimate, params)


def _pooled(ledger: Ledger, estimate: Estimate, params: Distillation, proof: proofs.ProofName = "tl17") -> int:
    limit = threshold(params)
    n = ledger.sifted - ledger.sample
    if estimate.errors > limit * estimate.sample or not bases_are_even(ledger):
        return -ledger.disclosed  # outside the proof's conditions: nothing is known to be secret
    tag = tag_strength(ledger, params)
    leak = ledger.disclosed - tag
    return math.floor(proofs.key_length(n, estimate.sample, limit, leak, tag, params.epsilon, proof))


def _crossed(ledger: Ledger, estimate: Estimate, params: Distillation) -> int:
    """Return the length if the key bits of each basis are proven by what was disclosed of the other."""
    limit = threshold(params)
    key_z = ledger.sifted_z - estimate.sample_z
    key_x = ledger.sifted_x - estimate.sample_x
    judged = ((key_z, estimate.sample_x, estimate.errors_x), (key_x, estimate.sample_z, estimate.errors_z))
    if any(key and errors > limit * sample for key, sample, errors in judged):
        return -ledger.disclosed
    pairs = [(key, sample) for key, sample, _ in judged]
    tag = tag_strength(ledger, params)
    return math.floor(bases.key_length(pairs, limit, ledger.disclosed - tag, tag, params.epsilon))


def needed_bits(ledger: Ledger, estimate: Estimate, params: Distillation) -> int | None:
    """Return how many sifted bits like these the first bit of key takes, by the proof that is minted; None: never.

    Bases, sample and disclosure keep their proportions, and the threshold is the one that is set.
    """
    tag, left = tag_strength(ledger, params), estimate.sample_z + estimate.sample_x
    leak = ledger.disclosed - ledger.tag
    key = (ledger.sifted_z - estimate.sample_z, ledger.sifted_x - estimate.sample_x)
    if not left or not tag:
        return None

    def enough(scale: float) -> bool:
        z, x, sample_z, sample_x = (round(scale * n) for n in (*key, estimate.sample_z, estimate.sample_x))
        shared = (threshold(params), scale * leak + ledger.tag - tag, tag, params.epsilon)
        if params.estimation == "pooled":
            return finite_key.key_length(z + x, sample_z + sample_x, *shared) >= 1.0
        return bases.key_length([(z, sample_x), (x, sample_z)], *shared) >= 1.0

    low, high = 0.0, 1.0
    while not enough(high):
        low, high = high, 2.0 * high
        if high > LARGEST_SCALE:
            return None
    while high - low > high / 4096:
        middle = (low + high) / 2.0
        low, high = (low, middle) if enough(middle) else (middle, high)
    return math.ceil(high * ledger.sifted)


def tag_strength(ledger: Ledger, params: Distillation) -> int:
    """Return t such that unequal bits pass verification with probability 2^-t at most.

    A long block is verified frame by frame and after every repair, by tags that are lengthened for it, so that the
    whole fails no more often than one tag of ``verification_bits`` would (rule 3 of the reconcilers' interface). All
    their bits are disclosed, and counted as such; this is only what they prove.
    """
    return min(ledger.tag, params.verification_bits)


def bases_are_even(ledger: Ledger) -> bool:
    """Return whether the sifted bits are as evenly spread over the bases as the pooled proof asks."""
    return evenly_spread(ledger.sifted_z, ledger.sifted_x)


def evenly_spread(z: int, x: int) -> bool:
    """Return whether so many rounds in each basis may come from even choices.

    >>> evenly_spread(480, 520), evenly_spread(400, 600)
    (True, False)
    """
    return abs(z - x) <= BASIS_SIGMAS * math.sqrt(z + x)
