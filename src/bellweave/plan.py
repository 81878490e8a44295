"""Plan: the closed forms of all packages, put together. What to expect before anything is simulated."""

from collections.abc import Mapping

import msgspec

from bellweave.distill import finite_key
from bellweave.distill import theory as distillation
from bellweave.distill.params import Distillation
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


class ExpectedBlock(msgspec.Struct, frozen=True):
    """What theory expects of one block: means by quantity (as in ``report.json``), and key bits by accounting."""

    quantities: Mapping[str, float]
    accountings: Mapping[str, float]


def expected_block(scenario: Scenario, link: str) -> ExpectedBlock:
    """Return what theory expects of one block of a link; key lengths are those of the mean block, >= 0."""
    optical = optical_link(scenario, link)
    rates = photons.expect(optical)
    sifted = rates.sifted_hz * optical.block_s
    return _distilled(sifted, rates.qber, scenario, optical.block_s)


def _distilled(sifted: float, qber: float, scenario: Scenario, block_s: float) -> ExpectedBlock:
    params = scenario.distill
    sample = params.sample_fraction * sifted
    bits = sifted - sample
    disclosed = distillation.cascade_top(round(bits), qber) + distillation.cascade_bisection(round(bits), qber)
    disclosed += params.verification_bits
    left = bits - disclosed
    lengths = {
        "paper": left - distillation.bbbss92(round(bits), qber) - params.margin_bits,
        "shor-preskill": left - distillation.shannon_minimum(round(bits), qber),
        "individual": left - distillation.individual_attacks(round(bits), qber),
        "provable": _provable(bits, sample, disclosed, params),
    }
    if params.printed_removal_bits is not None:
        lengths["as-printed"] = left - params.printed_removal_bits
    accountings = {name: max(0.0, length) for name, length in lengths.items()}
    final = accountings[scenario.kms.mint]
    quantities = {
        "sifted_bits": sifted,
        "sample_bits": sample,
        "qber": qber,
        "disclosed_bits": disclosed,
        "removed_bits": left - final if final > 0.0 else 0.0,
        "final_bits": final,
        "rate_bps": final / block_s,
    }
    return ExpectedBlock(quantities=quantities, accountings=accountings)


def _provable(bits: float, sample: float, disclosed: float, params: Distillation) -> float:
    limit = params.qber_limit if params.qber_threshold is None else min(params.qber_threshold, params.qber_limit)
    tag = params.verification_bits
    return finite_key.key_length(round(bits), round(sample), limit, round(disclosed) - tag, tag, params.epsilon)


def plan_link(scenario: Scenario, link: str) -> LinkPlan:
    """Return what theory expects of one link: losses, rates, errors, and key per block by accounting."""
    optical = optical_link(scenario, link)
    rates = photons.expect(optical)
    block = expected_block(scenario, link)
    lines = [
        Line("loss on Alice's arm, detectors included", _loss_db(optical.alice), "dB"),
        Line("loss on Bob's arm, detectors included", _loss_db(optical.bob), "dB"),
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
    lines += [Line(f"per block of {optical.block_s} s: {name}", value) for name, value in block.quantities.items()]
    lines += [Line(f"per block: key by {name}", value, "bit") for name, value in block.accountings.items()]
    return LinkPlan(link=link, lines=tuple(lines), accountings=dict(block.accountings))


def _loss_db(arm: Arm) -> float:
    return sum(arm.loss_db.values()) + to_db(arm.node.detector.efficiency)
