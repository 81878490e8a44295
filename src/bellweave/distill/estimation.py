"""Estimation: a sample is disclosed, compared and thrown away.

Alice announces the seed of the sample only after both have announced their bases, when no photon is under way any more.

===============  ======================================================================================================
``pooled``       a random sample of fixed size, of both bases together; it speaks for both
``per-basis``    every round of the rarer basis; it speaks for the phase errors of the other basis, which holds the key
``cross-basis``  drawn as ``pooled``; the part in each basis speaks for the phase errors of the other basis
===============  ======================================================================================================

Which basis is rarer is public once both have announced theirs. Given how many rounds are in each, *which* they are is
uniformly random, since bases are chosen independently of all else: so the rarer basis is a random sample, too.
"""

import numpy as np

from bellweave.blocks import Basis, Bytes, Ints, pack_bits
from bellweave.dialogue import Dialogue, receive, refuse, reject
from bellweave.distill import shuffle
from bellweave.distill.ledger import Book, Estimate, per_basis
from bellweave.distill.messages import SEED_BYTES, Sample, SampleReply, unpacked
from bellweave.distill.params import Distillation
from bellweave.distill.sifting import Sifted
from bellweave.rng import Entropy


def alice(sifted: Sifted, params: Distillation, entropy: Entropy, book: Book) -> Dialogue[Sifted]:
    """Draw the sample, compare, and return the rounds outside it.

    Raises:
        BlockRejected: The share of errors is above ``params.qber_limit``.
    """
    if params.estimation == "per-basis":
        yield from _require_both_bases(sifted)
    seed = entropy.bytes(SEED_BYTES)
    sample = places(sifted, seed, params)
    yield Sample(seed=seed, bits=pack_bits(sifted.bit[sample]))
    theirs = yield from unpacked((yield from receive(SampleReply)).bits, sample.size)
    return (yield from _compare(sifted, sample, theirs, params.qber_limit, book))


def bob(sifted: Sifted, params: Distillation, book: Book) -> Dialogue[Sifted]:
    """Answer with the bits of Alice's sample; otherwise as :func:`alice`."""
    if params.estimation == "per-basis":
        yield from _require_both_bases(sifted)
    message = yield from receive(Sample)
    if len(message.seed) != SEED_BYTES:
        yield from refuse(f"a seed has {SEED_BYTES} bytes, not {len(message.seed)}")
    sample = places(sifted, message.seed, params)
    theirs = yield from unpacked(message.bits, sample.size)
    yield SampleReply(bits=pack_bits(sifted.bit[sample]))
    return (yield from _compare(sifted, sample, theirs, params.qber_limit, book))


def places(sifted: Sifted, seed: bytes, params: Distillation) -> Ints:
    """Return the places of the sample, increasing; a seed draws it unless a whole basis is disclosed."""
    if params.estimation != "per-basis":
        return draw(seed, len(sifted), params.sample_fraction)
    z, x = per_basis(sifted.basis)
    return np.flatnonzero(sifted.basis == (Basis.X if x <= z else Basis.Z))


def draw(seed: bytes, sifted: int, fraction: float) -> Ints:
    """Return the places of the sample, increasing: ``fraction`` of all, rounded down; at least one in and one out."""
    size = min(max(int(sifted * fraction), 1), sifted - 1)
    return shuffle.subset(seed, "sample", sifted, size)


def _require_both_bases(sifted: Sifted) -> Dialogue[None]:
    """Stop at both ends, with equal counts, where one basis can't speak for the other."""
    z, x = per_basis(sifted.basis)
    if not (z and x):
        yield from reject("too few sifted bits", f"{z} in basis Z, {x} in basis X: both are needed")


def _compare(sifted: Sifted, sample: Ints, theirs: Bytes, limit: float, book: Book) -> Dialogue[Sifted]:
    basis = sifted.basis[sample]
    sample_z, sample_x = per_basis(basis)
    errors_z, errors_x = per_basis(basis[sifted.bit[sample] != theirs])
    book.estimate = Estimate(sample_z=sample_z, sample_x=sample_x, errors_z=errors_z, errors_x=errors_x)
    book.add(sample=book.estimate.sample)
    qber = book.estimate.errors / book.estimate.sample
    if qber > limit:
        yield from reject("qber above limit", f"{qber:.4f}, the limit is {limit}")
    return Sifted(basis=np.delete(sifted.basis, sample), bit=np.delete(sifted.bit, sample))
