"""Planning a finite key: the best sample, the shortest block, what accumulation gives. Closed forms, nothing random.

The number of errors is taken at its mean, or ``sigmas`` above it. The threshold is what the proof asks to be fixed
beforehand; a threshold at the expected error rate itself passes about half of all blocks, one two standard deviations
above it nearly all. The tables of the facts page are for ``sigmas`` 0 and 2.
"""

import math
from dataclasses import dataclass

from bellweave.distill.finite_key import bases, proofs
from bellweave.distill.finite_key.proofs import ProofName, tag_bits_for
from bellweave.distill.theory import binary_entropy, shor_preskill

LONGEST = 1 << 40
"""Where the search for a block that is long enough gives up."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a plan is made for.

    Attributes:
        qber: Expected error rate.
        efficiency: Disclosed parities over the Shannon minimum.
        epsilon: Total failure probability.
        proof: Which proof.
        sigmas: How many standard deviations of the sample's error rate the threshold lies above ``qber``.
        threshold: The threshold itself, where one is set; ``sigmas`` then has no effect.
        sample_fraction: Share of the sifted bits that is compared; None: the best one for each length.
        tag_bits: Length of the tag; None: the shortest that epsilon allows comfortably.
    """

    qber: float
    efficiency: float = 1.05
    epsilon: float = 1e-10
    proof: ProofName = "tl17"
    sigmas: float = 0.0
    threshold: float | None = None
    sample_fraction: float | None = None
    tag_bits: int | None = None

    def limit(self, sample: int) -> float:
        """Return the threshold for a sample of that many bits."""
        if self.threshold is not None:
            return self.threshold
        return self.qber + self.sigmas * math.sqrt(self.qber * (1.0 - self.qber) / max(sample, 1))


@dataclass(frozen=True)
class Split:
    """A key length in bits, of either sign, and the sample that gives it."""

    length: float
    sample: int


def length_at(total: int, sample: int, given: Conditions) -> float:
    """Return the key length of ``total`` sifted bits of which ``sample`` are compared."""
    key = total - sample
    leak = given.efficiency * key * binary_entropy(given.qber)
    tag = given.tag_bits or tag_bits_for(given.epsilon)
    return proofs.key_length(key, sample, given.limit(sample), leak, tag, given.epsilon, given.proof)


LEAST_SAMPLE = 5
"""Smallest sample that is tried."""


def best_split(total: int, given: Conditions) -> Split:
    """Return the longest key of ``total`` sifted bits, over the size of the sample where none is set."""
    if given.sample_fraction is not None:
        sample = max(1, int(total * given.sample_fraction))
        return Split(length_at(total, sample, given), sample)
    if total <= LEAST_SAMPLE:
        return Split(-math.inf, 0)  # too few to take a sample and keep anything
    best = Split(-math.inf, 0)
    low, high = 0.04 * total, 0.7 * total
    for steps in (12, 8, 8, 8):
        tried = sorted({max(LEAST_SAMPLE, int(low + (high - low) * i / steps)) for i in range(steps + 1)})
        split = max((Split(length_at(total, k, given), k) for k in tried if k < total), key=lambda s: s.length)
        best = max(best, split, key=lambda s: s.length)
        half = (high - low) / steps
        low, high = max(float(LEAST_SAMPLE), best.sample - half), min(0.9 * total, best.sample + half)
    if given.proof == "exact" and given.qber > 0.0:  # it counts whole errors: samples just long enough for one more
        limit = given.limit(best.sample)
        shown = round(best.sample * limit)
        tried = [math.ceil(errors / limit) for errors in range(max(1, shown - 4), shown + 5)]
        best = max([best, *(Split(length_at(total, k, given), k) for k in tried if k < total)], key=lambda s: s.length)
    return best


def needed_bits(given: Conditions, least: int = 1) -> int | None:
    """Return the fewest sifted bits that give a key of ``least`` bits; None if no number does.

    >>> needed_bits(Conditions(qber=0.03, efficiency=1.045)) in range(3100, 3160)
    True
    """
    limit = given.qber if given.threshold is None else given.threshold
    if shor_preskill(limit, given.qber, given.efficiency) <= 0.0:
        return None
    low, high = 16, 1024
    while best_split(high, given).length < least:
        low, high = high, 2 * high
        if high > LONGEST:
            return None
    while high - low > max(1, high // 4096):
        middle = (low + high) // 2
        if best_split(middle, given).length >= least:
            high = middle
        else:
            low = middle
    return high


def time_to_key_s(sifted_hz: float, given: Conditions, least: int = 1) -> float | None:
    """Return how long the sifted bits of a key of ``least`` bits take at that rate, seconds; None: for ever."""
    bits = needed_bits(given, least)
    return None if bits is None or sifted_hz <= 0.0 else bits / sifted_hz


def accumulated(per_block: float, blocks: int, given: Conditions) -> float:
    """Return the provable key that ``blocks`` blocks distilled as one give, in bits, >= 0; over all of them."""
    return max(0.0, best_split(round(per_block * blocks), given).length)


def accumulated_sampling_free(per_block: float, blocks: int, given: Conditions) -> float:
    """Return the same where corrected errors replace the sample; not peer reviewed."""
    total = round(per_block * blocks)
    leak = given.efficiency * total * binary_entropy(given.qber)
    tag = given.tag_bits or tag_bits_for(given.epsilon)
    limit = given.limit(total // 2)
    return max(0.0, bases.sampling_free(total, limit, leak, tag, given.epsilon, given.proof))
