"""Every flag, and none without a reason; the paper's rows by the same rules as ours."""

import pytest

from bellweave.distill import accounting
from bellweave.distill import flags as module
from bellweave.distill.flags import Figures, flags, of_block
from bellweave.distill.ledger import Corrections, Estimate, Ledger
from bellweave.distill.params import Distillation
from bellweave.sim.classical import converse
from bellweave.testing.pairs import DISTILLATION, Block

P2P = Figures(
    sifted=2441, sample=609, qber=0.064, disclosed=399, removed=340, final=796, duration_s=10.5, provable=-600,
    authentication_bits=0,
)  # fmt: skip
DC = Figures(sifted=1224, sample=306, qber=0.058, disclosed=352, removed=13, final=554, authentication_bits=0)


def heads(sentences: list[str]) -> list[str]:
    return [sentence.partition(":")[0] for sentence in sentences]


def test_the_papers_first_row() -> None:
    """Facts page, section 8."""
    found = flags(P2P, Distillation())

    assert heads(found) == ["leak", "sum", "amplification", "too short", "authentication"]
    assert "n h(Q) is 629 (f = 0.635), and 117 errors lie in 2^623 patterns" in found[0]
    assert "2441 - 609 - 399 - 340 = 1093, not 796: 297 bits are missing" in found[1]
    assert "340 bits removed are below n h(Q) = 629" in found[2]
    assert "not below BBBSS92's 332" in found[2]
    assert "s at this rate" in found[3]
    assert "32% of these 796" in found[4]


def test_the_papers_second_row() -> None:
    found = flags(DC, Distillation())

    assert heads(found) == ["amplification", "authentication"]
    assert "13 bits removed are below n h(Q) = 293" in found[0]
    assert "and below BBBSS92's 151" in found[0]


def test_how_much_a_short_block_lacks_is_said_in_bits_and_seconds() -> None:
    """Facts page: 13 275 bits at 6.4 %, f = 1.053, with the threshold 2 sigma above and a 40-bit tag."""
    disclosed = 1.053 * 1832 * 0.343123
    short = Figures(sifted=2441, sample=609, qber=0.064, disclosed=disclosed, tag=40, duration_s=10.5, provable=-500)
    (sentence,) = flags(short, Distillation(qber_threshold=0.075))

    needed = int(sentence.partition("takes ")[2].split()[0])
    assert 0.98 * 13_275 < needed <= 13_275
    assert f"({needed - 2441} more, {(needed - 2441) / 2441 * 10.5:.0f} s at this rate)" in sentence


def test_where_no_length_helps_that_is_said() -> None:
    hopeless = Figures(sifted=2000, sample=500, qber=0.14, disclosed=1000, provable=-500)

    assert "no length gives provable key" in flags(hopeless, Distillation())[0]


def test_estimation_per_basis_is_judged_by_the_other_basis() -> None:
    """5 % errors in the key, 1.5 % in the basis that judges it: what is needed scales these very counts."""
    params = Distillation(estimation="per-basis", qber_threshold=0.035)
    ledger = Ledger(matched=4251, sifted_z=3435, sifted_x=816, sample=816, top=500, bisection=540, tag=50, final=2194)
    ledger += Ledger(removed=ledger.left)
    estimate = Estimate(sample_x=816, errors_x=12)
    found = of_block(ledger, estimate, Corrections(errors_z=173), params, 1.0)

    assert heads(found) == ["amplification", "too short", "authentication"]
    assert "below n h(Q) = 380" in found[0]
    needed = int(found[1].partition("takes ")[2].split()[0])
    assert needed == accounting.needed_bits(ledger, estimate, params)
    assert 4251 < needed < 20_000

    def provable(scale: float) -> int:
        grown = Ledger(
            sifted_z=round(3435 * scale), sifted_x=round(816 * scale), sample=round(816 * scale),
            top=round(1040 * scale), tag=50,
        )  # fmt: skip
        return accounting.lengths(grown, Estimate(sample_x=round(816 * scale)), params)["provable"]

    assert provable(1.01 * needed / 4251) > 0 >= provable(0.99 * needed / 4251)


def test_an_assumed_efficiency_of_one_is_flagged() -> None:
    assert heads(flags(Figures(sifted=100, sample=0, qber=0.05, efficiency_assumed=1.0), Distillation())) == ["f = 1"]
    assert flags(Figures(sifted=100, sample=0, qber=0.05, efficiency_assumed=1.05), Distillation()) == []


def test_too_many_bits_are_as_bad_as_too_few() -> None:
    found = flags(Figures(sifted=1000, sample=200, disclosed=300, removed=400, final=200), Distillation())

    assert found == ["sum: 1000 - 200 - 300 - 400 = 100, not 200: 100 bits are too many"]


def test_what_authentication_took_is_not_missing_and_counts_as_paid() -> None:
    paid = Ledger(sifted_z=500, sifted_x=500, sample=200, top=90, tag=10, removed=300, authentication=256, final=144)
    estimate = Estimate(sample_z=100, sample_x=100)
    plain = of_block(paid, estimate, Corrections(), Distillation(), 1.0)

    assert paid.left == 0
    assert not {"sum", "authentication"} & set(heads(plain))
    mean = module.of_mean([(paid, Corrections(errors_z=40), {"provable": 5})] * 2, Distillation(), 1.0)
    assert heads(mean) == ["leak"]
    assert module.of_mean([], Distillation(), 1.0) == []


def test_our_own_blocks_close_and_are_flagged_for_what_they_lack() -> None:
    block = Block(1, 2441, 0.064)
    alice, _ = converse(*block.roles(), DISTILLATION)
    found = of_block(alice.ledger, alice.estimate, alice.corrections, block.params, 10.5)

    assert heads(found) == ["amplification", "too short", "authentication"]


def test_a_long_provable_block_that_pays_for_its_tags_has_no_flag() -> None:
    block = Block(1, 40_000, 0.02, Distillation(qber_threshold=0.025), mint="provable")
    alice, _ = converse(*block.roles(), DISTILLATION)
    paid = module.AUTHENTICATION_BITS

    assert of_block(alice.ledger, alice.estimate, alice.corrections, block.params, 10.5, paid) == []


@pytest.mark.parametrize("count", [0, 40])
def test_a_block_rejected_before_it_was_corrected_has_nothing_to_flag(count: int) -> None:
    alice, _ = converse(*Block(1, count, 0.02).roles(), DISTILLATION)

    assert of_block(alice.ledger, alice.estimate, alice.corrections, Distillation(), 10.5) == []


def test_a_block_with_too_many_errors_has_only_its_error_rate() -> None:
    ledger = Ledger(matched=2000, sifted_z=1000, sifted_x=1000, sample=500, rejected=1500)
    estimate = Estimate(sample_z=250, sample_x=250, errors_z=60, errors_x=60)

    assert of_block(ledger, estimate, Corrections(), Distillation(), 10.5) == []
