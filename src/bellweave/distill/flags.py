"""Flags: what is suspicious, or missing, in the accounting of a block; one sentence each.

They are a pure function of counts, so that they judge our own blocks, theory's mean block and the numbers that a paper
prints by the same rules.
"""

from collections.abc import Mapping, Sequence

import msgspec

from bellweave.distill import accounting, theory
from bellweave.distill.finite_key import planning
from bellweave.distill.finite_key.planning import Conditions
from bellweave.distill.finite_key.proofs import tag_bits_for
from bellweave.distill.ledger import Corrections, Estimate, Ledger
from bellweave.distill.params import Distillation

ROUNDING_BITS = 2.0
"""A sum of means that were rounded for print may miss by this much."""

AUTHENTICATION_BITS = 256
"""Key that one pair of tags takes: a 128-bit pad each way, the hash key recycled (Portmann, IEEE TIT 60, 4383)."""

PLANNED_EFFICIENCY = 1.05
"""Disclosed bits over the Shannon minimum, to plan with where the figures give none that is possible."""

SAFE_SIGMAS = 2.0
"""A threshold so many standard deviations above the error rate passes nearly every block."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a block; None where it is not, and then nothing is said about it.

    Attributes:
        sifted: Sifted bits.
        sample: Of them, disclosed to estimate the error rate.
        qber: Error rate; of all corrected bits where these are known, else of the sample.
        phase_qber: Error rate that bounds the phase errors of the key, where it is another basis's.
        needed: Sifted bits that the first key takes as set, where that is known better than from the numbers here.
        errors: Errors among the corrected bits.
        disclosed: Bits disclosed by reconciliation, the verification tag not among them.
        tag: Bits of the verification tag.
        removed: Bits that privacy amplification removed beyond the disclosed ones.
        final: Key bits claimed.
        taken: Bits of it that went to keys of authentication.
        duration_s: How long the block took.
        provable: Bits proven, of either sign.
        authentication_bits: Key spent to authenticate the classical messages; None: nobody says.
        efficiency_assumed: Efficiency of reconciliation, where it was assumed and not measured.
    """

    sifted: float
    sample: float
    qber: float | None = None
    phase_qber: float | None = None
    needed: int | None = None
    errors: int | None = None
    disclosed: float | None = None
    tag: float = 0.0
    removed: float | None = None
    final: float | None = None
    taken: float = 0.0
    duration_s: float | None = None
    provable: float | None = None
    authentication_bits: int | None = None
    efficiency_assumed: float | None = None

    @property
    def key_bits(self) -> float:
        """Bits that were corrected."""
        return self.sifted - self.sample

    @property
    def efficiency(self) -> float | None:
        """Disclosed bits over the Shannon minimum, where both are known."""
        if self.efficiency_assumed is not None:
            return self.efficiency_assumed
        if self.disclosed is None or not self.qber or self.key_bits <= 0:
            return None
        return self.disclosed / theory.shannon_minimum(1, self.qber) / self.key_bits


def of_block(
    ledger: Ledger,
    estimate: Estimate,
    corrections: Corrections,
    params: Distillation,
    duration_s: float,
    authentication_bits: int = 0,
) -> list[str]:
    """Return the flags of a block that was distilled here."""
    if not ledger.sifted or not estimate.sample:
        return []
    corrected = ledger.sifted - ledger.sample
    lengths = accounting.lengths(ledger, estimate, params) if ledger.tag else {}
    figures = Figures(
        sifted=ledger.sifted,
        sample=ledger.sample,
        qber=corrections.errors / corrected if ledger.tag and corrected else estimate.qber,
        phase_qber=estimate.qber if params.estimation == "per-basis" else None,
        needed=accounting.needed_bits(ledger, estimate, params) if lengths.get("provable", 1) < 1 else None,
        errors=corrections.errors if ledger.tag else None,
        disclosed=ledger.disclosed - ledger.tag if ledger.tag else None,
        tag=ledger.tag,
        removed=ledger.removed if ledger.final else None,
        final=ledger.final or None,
        taken=ledger.authentication,
        duration_s=duration_s,
        provable=lengths.get("provable"),
        authentication_bits=max(authentication_bits, ledger.authentication),
    )
    return flags(figures, params)


def of_mean(
    blocks: Sequence[tuple[Ledger, Corrections, Mapping[str, int]]],
    params: Distillation,
    duration_s: float,
    authentication_bits: int = 0,
) -> list[str]:
    """Return the flags of the mean of several blocks that gave key: (ledger, corrections, key length by accounting)."""
    if not blocks:
        return []
    count = len(blocks)
    total = sum((ledger for ledger, _, _ in blocks), Ledger())
    corrected = total.sifted - total.sample
    figures = Figures(
        sifted=total.sifted / count,
        sample=total.sample / count,
        qber=sum(corrections.errors for _, corrections, _ in blocks) / max(corrected, 1),
        disclosed=(total.disclosed - total.tag) / count,
        tag=total.tag / count,
        removed=total.removed / count,
        final=total.final / count,
        taken=total.authentication / count,
        duration_s=duration_s,
        provable=sum(max(0, lengths.get("provable", 0)) for _, _, lengths in blocks) / count,
        authentication_bits=max(authentication_bits, total.authentication // count),
    )
    return flags(figures, params)


def flags(figures: Figures, params: Distillation) -> list[str]:
    """Return one sentence for everything that does not hold, most serious first; none for a sound block."""
    found = [_leak(figures), _sum(figures), _amplification(figures), _too_short(figures, params)]
    found += [_authentication(figures), _assumed(figures)]
    return [sentence for sentence in found if sentence]


def _leak(figures: Figures) -> str:
    """The Shannon minimum is a mean; one block can't go below the counting bound of its own errors by much."""
    if figures.disclosed is None or not figures.qber or figures.efficiency is None:
        return ""
    bits = round(figures.key_bits)
    shannon = theory.shannon_minimum(bits, figures.qber)
    errors = round(bits * figures.qber) if figures.errors is None else figures.errors
    counting = theory.counting_bound(bits, errors)
    if figures.disclosed >= (shannon if figures.errors is None else counting):
        return ""
    return (
        f"leak: {figures.disclosed:.0f} disclosed bits can't correct {bits} bits at a QBER of {figures.qber:.2%}: "
        f"Shannon's minimum n h(Q) is {shannon:.0f} (f = {figures.disclosed / shannon:.3f}), and {errors} errors lie "
        f"in 2^{counting:.0f} patterns"
    )


def _sum(figures: Figures) -> str:
    if figures.disclosed is None or figures.removed is None or figures.final is None:
        return ""
    left = figures.key_bits - figures.disclosed - figures.tag - figures.removed - figures.taken
    missing = left - figures.final
    if abs(missing) <= ROUNDING_BITS:
        return ""
    tag = f" - {figures.tag:.0f}" if figures.tag else ""
    terms = f"{figures.sifted:.0f} - {figures.sample:.0f} - {figures.disclosed:.0f}{tag} - {figures.removed:.0f}"
    return (
        f"sum: {terms} = {left:.0f}, not {figures.final:.0f}: "
        f"{abs(missing):.0f} bits are {'missing' if missing > 0 else 'too many'}"
    )


def _amplification(figures: Figures) -> str:
    qber = figures.qber if figures.phase_qber is None else figures.phase_qber
    if figures.removed is None or not qber:
        return ""
    phase = theory.shannon_minimum(round(figures.key_bits), qber)
    if figures.removed >= phase:
        return ""
    estimate = theory.bbbss92(round(figures.key_bits), qber)
    below = "and below" if figures.removed < estimate else "not below"
    return (
        f"amplification: {figures.removed:.0f} bits removed are below n h(Q) = {phase:.0f}, what general attacks may "
        f"know asymptotically, {below} BBBSS92's {estimate:.0f}, which is no proof"
    )


def _too_short(figures: Figures, params: Distillation) -> str:
    if figures.provable is None or figures.provable >= 1 or figures.qber is None:
        return ""
    parts = []
    given = conditions(figures, params)
    best = planning.needed_bits(freed(given)) if params.estimation == "pooled" else None
    if best is not None:
        parts.append(f"{best} with the best sample and threshold{_more(best, figures)}")
    set_up = (
        figures.needed if figures.needed is not None or params.estimation != "pooled" else planning.needed_bits(given)
    )
    if set_up is not None:
        parts.append(f"{set_up} with the sample and threshold as set{'' if parts else _more(set_up, figures)}")
    if not parts:
        return f"too short: no length gives provable key at a QBER of {figures.qber:.2%} with this disclosure"
    return (
        f"too short: {figures.sifted:.0f} sifted bits prove nothing at epsilon {params.epsilon:g}; first key takes "
        + ", ".join(parts)
    )


def _more(needed: int, figures: Figures) -> str:
    more = needed - figures.sifted
    if more <= 0:
        return ""
    if not figures.duration_s or not figures.sifted:
        return f" ({more:.0f} more)"
    seconds = more * figures.duration_s / figures.sifted
    return f" ({more:.0f} more, {seconds:.{0 if seconds >= 10.0 else 1}f} s at this rate)"


def _authentication(figures: Figures) -> str:
    if not figures.final or figures.authentication_bits is None or figures.authentication_bits > 0:
        return ""
    share = AUTHENTICATION_BITS / figures.final
    return (
        f"authentication: no key is booked for it; a pair of tags takes {AUTHENTICATION_BITS} bits, "
        f"{share:.0%} of these {figures.final:.0f}"
    )


def _assumed(figures: Figures) -> str:
    if figures.efficiency_assumed is None or figures.efficiency_assumed > 1.0:
        return ""
    return "f = 1: reconciliation at the Shannon minimum is assumed, which no real code reaches"


def conditions(figures: Figures, params: Distillation) -> Conditions:
    """Return what a finite-key plan for such blocks is made for, with the sample and threshold that are set."""
    efficiency = figures.efficiency or 0.0
    return Conditions(
        qber=figures.qber or 0.0,
        efficiency=efficiency if efficiency >= 1.0 else PLANNED_EFFICIENCY,
        epsilon=params.epsilon,
        threshold=accounting.threshold(params),
        sample_fraction=params.sample_fraction,
        tag_bits=round(figures.tag) or tag_bits_for(params.epsilon),
    )


def freed(given: Conditions) -> Conditions:
    """Return the same with the best sample, and a threshold just above the error rate."""
    return Conditions(
        qber=given.qber,
        efficiency=given.efficiency,
        epsilon=given.epsilon,
        proof=given.proof,
        sigmas=SAFE_SIGMAS,
        tag_bits=given.tag_bits,
    )
