"""What can be set about distillation."""

from typing import Annotated, Literal

import msgspec

from bellweave.params import NonNegative, NonNegativeInt, Params, PositiveInt

Accounting = Literal["paper", "as-printed", "shor-preskill", "individual", "provable"]
"""Ways to count how many bits of a corrected block are key; see :mod:`bellweave.distill.accounting`."""

Mint = Literal["provable", "paper"]
"""The accountings that may fix a key's length."""

ErrorRate = Annotated[float, msgspec.Meta(ge=0.0, lt=0.5)]


Reconciliation = Literal[
    "original", "paper-dc", "biconf", "yanetal", "opt3", "opt4", "opt7", "opt8", "low-leak", "low-latency", "ldpc"
]
"""How errors are corrected; see :mod:`bellweave.distill.reconciliation`."""

Estimation = Literal["pooled", "per-basis", "cross-basis"]
"""Which rounds are disclosed to estimate errors, and what they speak for; see :mod:`bellweave.distill.estimation`."""


class Authentication(Params, frozen=True, kw_only=True):
    """How the classical messages of a link are authenticated; the same at both ends.

    Attributes:
        scheme: ``recycled`` hashes with one secret key and hides each tag with 128 fresh bits; ``one-time`` takes 256
            fresh bits a tag, for Poly1305. Tags are exchanged once per released block, one each way.
        reserve_bits: Key that the pool is filled up to from released blocks, before applications get any.
        failures: Sessions in a row that may spend key and fail; then an operator must look.
        backoff_s: Pause after the first such session; it doubles with every further one.
        hash_key_slots: Blocks after which the recycled hash key is replaced. It wears out, slowly: for what an enemy
            may learn of a key from pads that are not perfect see Abidin and Larsson, arXiv:1109.5168.
    """

    scheme: Literal["recycled", "one-time"] = "recycled"
    reserve_bits: Annotated[int, msgspec.Meta(ge=0, multiple_of=8)] = 4096
    failures: Annotated[int, msgspec.Meta(ge=1, le=64)] = 7
    backoff_s: NonNegative = 1.0
    hash_key_slots: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000


class Distillation(Params, frozen=True, kw_only=True):
    """How sifted bits become key.

    Attributes:
        sample_fraction: Share of the sifted bits that is disclosed to estimate the QBER.
        qber_limit: A block is rejected when the estimate is above it.
        qber_threshold: The estimate up to which accounting ``provable`` gives key, at most ``qber_limit``; fixed before
            the sample is seen, as the proof asks. A lower one gives longer keys, and more blocks without any.
            Absent: ``qber_limit``.
        reconciliation: Variant of Cascade; :mod:`bellweave.distill.reconciliation.presets` has their block sizes.
            ``original`` and ``paper-dc`` are Brassard and Salvail's of 1993, for comparison. ``ldpc`` takes one message
            each way and a few more where decoding fails, and discloses a fifth more.
        verification_bits: Length of the tag that verifies the corrected bits; two unequal blocks pass with
            probability 2^-bits.
        margin_bits: What accounting ``paper`` removes beyond the BBBSS92 estimate.
        printed_removal_bits: What a paper prints as removed by privacy amplification; feeds accounting ``as-printed``.
        minimum_sifted_bits: Blocks with fewer sifted bits are rejected unopened.
        epsilon: Total failure probability of the accounting ``provable``.
        estimation: ``pooled``: a random sample of both bases, the proof for bases that are chosen evenly.
            ``per-basis``: the rarer basis is disclosed whole and proves the key of the other, for biased bases.
            ``cross-basis``: a random sample of both, each basis proven by the errors of the other, for uneven ones.
        accumulate_blocks: Blocks whose rounds are held, with nothing but times announced, until the last photon was
            detected, and are then distilled as one.
        authentication: How the classical messages are authenticated, one pair of tags for each distilled block; absent:
            both ends compare digests, which proves nothing against an enemy in the middle.
    """

    sample_fraction: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.25
    qber_limit: ErrorRate = 0.11
    qber_threshold: ErrorRate | None = None
    reconciliation: Reconciliation = "low-latency"
    verification_bits: Annotated[int, msgspec.Meta(ge=16, le=128)] = 50
    margin_bits: NonNegativeInt = 8
    printed_removal_bits: NonNegative | None = None
    minimum_sifted_bits: Annotated[int, msgspec.Meta(ge=8)] = 64
    epsilon: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 1e-10
    estimation: Estimation = "pooled"
    accumulate_blocks: PositiveInt = 1
    authentication: Authentication | None = None
