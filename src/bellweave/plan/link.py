"""What closed forms expect of one link: losses, rates, errors, key by accounting, the first proven key."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import msgspec

from bellweave.distill import accounting, finite_key, flags
from bellweave.distill import theory as distillation
from bellweave.distill.authentication import PAD_BYTES
from bellweave.distill.finite_key import bases, planning
from bellweave.distill.finite_key.planning import Conditions
from bellweave.distill.finite_key.proofs import ProofName
from bellweave.distill.params import Distillation
from bellweave.distill.theory import entropy_bound
from bellweave.photonics import theory as photons
from bellweave.photonics.params import Arm
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.schema import Scenario
from bellweave.units import to_db


class Line(msgspec.Struct, frozen=True):
    """One expected number."""

    quantity: str
    value: float
    unit: str = ""


class LinkPlan(msgspec.Struct, frozen=True):
    """What theory expects of one link."""

    link: str
    lines: tuple[Line, ...]
    accountings: dict[str, float]
    flags: tuple[str, ...] = ()


class ExpectedBlock(msgspec.Struct, frozen=True):
    """What theory expects of one block: means by quantity (as in ``report.json``), and key bits by accounting."""

    quantities: Mapping[str, float]
    accountings: Mapping[str, float]


def expected_block(scenario: Scenario, link: str) -> ExpectedBlock:
    """Return what theory expects of one block of a link; key lengths are those of the mean block, >= 0.

    Blocks that the scenario distils as one (``distill.accumulate_blocks``) count as one.
    """
    optical = optical_link(scenario, link)
    rates = photons.expect(optical)
    duration_s = optical.block_s * scenario.distill.accumulate_blocks
    z, x = rates.sifted_z_hz * duration_s, rates.sifted_x_hz * duration_s
    block = mean_block(z, x, (rates.qber_z, rates.qber_x), scenario.distill)
    return _distilled(block, scenario, duration_s)


class MeanBlock(msgspec.Struct, frozen=True, kw_only=True):
    """The mean block after its sample was disclosed: bits and error rates in (Z, X)."""

    key: tuple[float, float]
    sample: tuple[float, float]
    qber: tuple[float, float]

    @property
    def bits(self) -> float:
        """Bits to correct."""
        return sum(self.key)

    @property
    def error_rate(self) -> float:
        """Of the bits to correct."""
        return sum(n * q for n, q in zip(self.key, self.qber, strict=True)) / self.bits if self.bits else 0.0

    @property
    def sample_error_rate(self) -> float:
        """Of the sample."""
        whole = sum(self.sample)
        return sum(k * q for k, q in zip(self.sample, self.qber, strict=True)) / whole if whole else 0.0


def mean_block(z: float, x: float, qber: tuple[float, float], params: Distillation) -> MeanBlock:
    """Return the mean block with so many sifted bits in Z and in X, and these error rates, after its sample."""
    if params.estimation == "per-basis":
        key, sample = ((z, 0.0), (0.0, x)) if x <= z else ((0.0, x), (z, 0.0))
    else:
        share = params.sample_fraction
        key, sample = ((1.0 - share) * z, (1.0 - share) * x), (share * z, share * x)
    return MeanBlock(key=key, sample=sample, qber=qber)


def disclosed_bits(block: MeanBlock, params: Distillation) -> float:
    """Return how many bits reconciliation and verification are expected to disclose."""
    return _parities(round(block.bits), block.error_rate, params) + params.verification_bits


def provable_bits(block: MeanBlock, params: Distillation) -> float:
    """Return the provable key of the mean block in bits, >= 0: none where its error rate is above the threshold."""
    limit, sifted = accounting.threshold(params), block.bits + sum(block.sample)
    judged = [block.sample_error_rate]
    if params.estimation != "pooled":
        judged = [rate for rate, count in zip(block.qber, block.sample, strict=True) if count]
    if sifted < params.minimum_sifted_bits or max(judged, default=1.0) > limit:
        return 0.0
    return max(0.0, _provable(block, disclosed_bits(block, params) - params.verification_bits, params))


def authenticated(bits: float, params: Distillation) -> float:
    """Return what is left of a block's key when its authentication is paid."""
    return bits - min(bits, _AUTHENTICATION_BITS[params.authentication.scheme]) if params.authentication else bits


def _distilled(block: MeanBlock, scenario: Scenario, duration_s: float) -> ExpectedBlock:
    params = scenario.distill
    bits, sample = block.bits, sum(block.sample)
    tag = params.verification_bits
    disclosed = disclosed_bits(block, params)
    left = bits - disclosed
    phases = block.key[0] * entropy_bound(block.qber[1]) + block.key[1] * entropy_bound(block.qber[0])
    lengths = {
        "paper": left - distillation.bbbss92(round(bits), block.sample_error_rate) - params.margin_bits,
        "shor-preskill": left - phases,
        "individual": left - distillation.individual_attacks(round(bits), block.sample_error_rate),
        "provable": _provable(block, disclosed - tag, params),
    }
    if params.printed_removal_bits is not None:
        lengths["as-printed"] = left - params.printed_removal_bits
    accountings = {name: max(0.0, length) for name, length in lengths.items()}
    distilled = accountings[scenario.kms.mint]
    final = authenticated(distilled, params)
    paid = distilled - final
    quantities = {
        "sifted_bits": bits + sample,
        "sample_bits": sample,
        "qber": block.sample_error_rate,
        "disclosed_bits": disclosed,
        "removed_bits": left - distilled if distilled > 0.0 else 0.0,
        "authentication_bits": paid,
        "final_bits": final,
        "rate_bps": final / duration_s,
    }
    return ExpectedBlock(quantities=quantities, accountings=accountings)


_AUTHENTICATION_BITS = {scheme: 16.0 * size for scheme, size in PAD_BYTES.items()}
"""Key that one pair of tags takes."""

LONG_FRAME = 10_000
"""From so many bits on, Cascade's variants of today disclose at most ``EFFICIENCY`` times the Shannon minimum."""

FEWEST_BITS = 8
"""Least of all values that ``distill.minimum_sifted_bits`` may have."""

EFFICIENCY = 1.05
SHORT_EFFICIENCY = 1.07
"""The same for shorter frames; measured from 918 bits on, 1 to 8 % errors."""


def _parities(bits: int, qber: float, params: Distillation) -> float:
    """Return how many parities reconciliation is expected to disclose; none of a block too short to be opened."""
    if bits < FEWEST_BITS:
        return 0.0
    if params.reconciliation in {"original", "paper-dc"}:
        return distillation.cascade_top(bits, qber) + distillation.cascade_bisection(bits, qber)
    efficiency = EFFICIENCY if bits >= LONG_FRAME else SHORT_EFFICIENCY
    return efficiency * distillation.shannon_minimum(bits, qber)


def _provable(block: MeanBlock, leak: float, params: Distillation) -> float:
    limit, tag = accounting.threshold(params), params.verification_bits
    if params.estimation == "pooled":
        return finite_key.key_length(round(block.bits), round(sum(block.sample)), limit, leak, tag, params.epsilon)
    (key_z, key_x), (sample_z, sample_x) = block.key, block.sample
    pairs = [(round(key_z), round(sample_x)), (round(key_x), round(sample_z))]
    return bases.key_length(pairs, limit, leak, tag, params.epsilon)


def plan_link(scenario: Scenario, link: str) -> LinkPlan:
    """Return what theory expects of one link: losses, rates, errors, key by accounting, the first proven key."""
    optical = optical_link(scenario, link)
    rates = photons.expect(optical)
    block = expected_block(scenario, link)
    together = scenario.distill.accumulate_blocks
    lines = [
        Line("loss on Alice's arm, detectors included", loss_db(optical.alice), "dB"),
        Line("loss on Bob's arm, detectors included", loss_db(optical.bob), "dB"),
        Line("pairs emitted", optical.source.emitted_pair_rate_hz, "1/s"),
        Line("singles at Alice", rates.singles_alice_hz, "1/s"),
        Line("singles at Bob", rates.singles_bob_hz, "1/s"),
        Line("coincidences", rates.coincidences_hz, "1/s"),
        Line("of these accidental", float(rates.accidental_hz.sum()), "1/s"),
        Line("sifted, basis Z", rates.sifted_z_hz, "bit/s"),
        Line("sifted, basis X", rates.sifted_x_hz, "bit/s"),
        Line("QBER, basis Z", rates.qber_z),
        Line("QBER, basis X", rates.qber_x),
        Line("asymptotic key rate (Shor-Preskill, f = 1)", rates.key_rate_bps, "bit/s"),
    ]
    what = f"block of {optical.block_s} s" if together == 1 else f"{together} blocks of {optical.block_s} s"
    lines += [Line(f"per {what}: {name}", value) for name, value in block.quantities.items()]
    lines += [
        Line(f"per {'block' if together == 1 else what}: key by {name}", value, "bit")
        for name, value in block.accountings.items()
    ]
    lines += _first_key(scenario, block, rates.sifted_hz, optical.block_s)
    return LinkPlan(
        link=link,
        lines=tuple(lines),
        accountings=dict(block.accountings),
        flags=tuple(_flags(scenario, block, optical.block_s * together)),
    )


def plan_links(scenario: Scenario, names: Iterable[str]) -> list[LinkPlan]:
    """Return the plans of several links; links that are alike are worked out once."""
    known: dict[bytes, LinkPlan] = {}
    plans = []
    for name in names:
        alike = msgspec.msgpack.encode(msgspec.structs.replace(optical_link(scenario, name), name=""))
        if alike not in known:
            known[alike] = plan_link(scenario, name)
        plans.append(msgspec.structs.replace(known[alike], link=name))
    return plans


def _first_key(scenario: Scenario, block: ExpectedBlock, sifted_hz: float, block_s: float) -> list[Line]:
    """Return when the first provable key comes, for pooled bases; no line where it never does.

    By TL17, and by the exact tail, which is not peer reviewed; Lim21 lies between them.
    """
    params, expected = scenario.distill, block.quantities
    names: tuple[tuple[ProofName, str], ...] = (("tl17", "TL17"), ("exact", "exact tail, not peer reviewed"))
    bits = expected["sifted_bits"] - expected["sample_bits"]
    shannon = distillation.shannon_minimum(1, expected["qber"]) * bits
    measured = (expected["disclosed_bits"] - params.verification_bits) / shannon if shannon else EFFICIENCY
    lines = []
    for name, label in names:
        best = Conditions(
            qber=expected["qber"], efficiency=EFFICIENCY, epsilon=params.epsilon, sigmas=flags.SAFE_SIGMAS, proof=name
        )
        fixed = replace(
            best,
            efficiency=max(1.0, measured),
            threshold=accounting.threshold(params),
            sample_fraction=params.sample_fraction,
            tag_bits=params.verification_bits,
        )
        for how, given in (("as set", fixed), ("at best", best)):
            seconds = planning.time_to_key_s(sifted_hz, given)
            if seconds is not None:
                blocks = float(math.ceil(seconds / block_s))
                lines.append(Line(f"first provable key, {how} ({label})", seconds, "s"))
                lines.append(Line(f"first provable key, {how} ({label})", blocks, "blocks"))
    return lines


def _flags(scenario: Scenario, block: ExpectedBlock, duration_s: float) -> list[str]:
    """Return what the mean block lacks, and what the asymptotic rate above it assumes."""
    expected, params = block.quantities, scenario.distill
    figures = flags.Figures(
        sifted=expected["sifted_bits"],
        sample=expected["sample_bits"],
        qber=expected["qber"],
        disclosed=expected["disclosed_bits"] - params.verification_bits,
        tag=params.verification_bits,
        removed=expected["removed_bits"] if expected["final_bits"] else None,
        final=expected["final_bits"] or None,
        duration_s=duration_s,
        provable=block.accountings["provable"],
        taken=expected["authentication_bits"],
        authentication_bits=round(expected["authentication_bits"]),
    )
    assumed = flags.Figures(sifted=0.0, sample=0.0, efficiency_assumed=1.0)
    return [*flags.flags(figures, params), *flags.flags(assumed, params)]


def loss_db(arm: Arm) -> float:
    """Return the loss from the source to a click, the detectors' efficiency included."""
    return sum(arm.loss_db.values()) + to_db(arm.node.detector.efficiency)
