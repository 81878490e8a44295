"""The accountings side by side, by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.distill import accounting, theory
from bellweave.distill.finite_key import bases
from bellweave.distill.ledger import Estimate, Ledger
from bellweave.distill.params import Distillation

P2P = Ledger(matched=2441, sifted_z=1221, sifted_x=1220, sample=609, top=297, bisection=399, tag=0)
P2P_SAMPLE = Estimate(sample_z=305, sample_x=304, errors_z=20, errors_x=19)
LONG = Ledger(matched=100_000, sifted_z=50_000, sifted_x=50_000, sample=30_000, top=15_000, tag=50)
LONG_SAMPLE = Estimate(sample_z=15_000, sample_x=15_000, errors_z=300, errors_x=300)


def test_the_printed_removal_of_the_papers_row_closes_with_both_kinds_of_parities() -> None:
    """Facts page, section 8, reading A: 1832 - 399 - 297 - 340 = 796."""
    lengths = accounting.lengths(P2P, P2P_SAMPLE, Distillation(printed_removal_bits=340))

    assert lengths["as-printed"] == 796
    qber = 39 / 609
    assert lengths["paper"] == 1832 - 696 - math.ceil(2 * math.sqrt(2) * qber * 1832) - 8
    assert lengths["individual"] == 1832 - 696 - math.ceil(theory.individual_attacks(1832, qber))
    assert lengths["provable"] < 0


def test_no_printed_removal_no_such_accounting() -> None:
    assert list(accounting.lengths(P2P, P2P_SAMPLE, Distillation())) == [
        "paper",
        "shor-preskill",
        "individual",
        "provable",
    ]


def test_shor_preskill_bounds_each_basis_by_the_errors_of_the_other() -> None:
    sample = Estimate(sample_z=300, sample_x=309, errors_z=30, errors_x=0)
    lengths = accounting.lengths(P2P, sample, Distillation())

    assert lengths["shor-preskill"] == 1832 - 696 - math.ceil((1220 - 309) * theory.binary_entropy(0.1))


def test_a_basis_whose_phase_errors_were_never_seen_gives_nothing() -> None:
    lone = Ledger(matched=1000, sifted_z=1000, sample=250, top=100)
    lengths = accounting.lengths(lone, Estimate(sample_z=250), Distillation())

    assert lengths["shor-preskill"] == -100
    assert lengths["provable"] <= 0


def test_the_default_threshold_is_the_limit_and_a_lower_one_gives_more() -> None:
    at_limit = accounting.lengths(LONG, LONG_SAMPLE, Distillation())["provable"]
    preset = accounting.lengths(LONG, LONG_SAMPLE, Distillation(qber_threshold=0.03))["provable"]

    assert at_limit < preset
    assert 70_000 * (1 - theory.binary_entropy(0.03)) - 15_050 > preset > 30_000
    assert (
        preset
        == accounting.lengths(LONG, Estimate(sample_z=15_000, sample_x=15_000), Distillation(qber_threshold=0.03))[
            "provable"
        ]
    )


def test_a_sample_above_the_threshold_proves_nothing() -> None:
    assert accounting.lengths(LONG, LONG_SAMPLE, Distillation(qber_threshold=0.019))["provable"] <= 0


def test_a_threshold_above_the_limit_is_the_limit() -> None:
    params = Distillation(qber_limit=0.03, qber_threshold=0.1)

    assert accounting.lengths(LONG, LONG_SAMPLE, params) == accounting.lengths(
        LONG, LONG_SAMPLE, Distillation(qber_limit=0.03)
    )


def test_bases_far_from_even_contradict_the_proof() -> None:
    """5 sigma of 100 000 fair choices is 1581 in the difference."""
    params = Distillation(qber_threshold=0.03)
    even = Ledger(matched=100_000, sifted_z=50_700, sifted_x=49_300, sample=30_000, top=15_000, tag=50)
    uneven = Ledger(matched=100_000, sifted_z=51_000, sifted_x=49_000, sample=30_000, top=15_000, tag=50)

    assert accounting.lengths(even, LONG_SAMPLE, params)["provable"] > 0
    assert accounting.lengths(uneven, LONG_SAMPLE, params)["provable"] <= 0


BIASED = Ledger(matched=100_000, sifted_z=80_000, sifted_x=20_000, sample=20_000, top=12_000, tag=50)
BIASED_SAMPLE = Estimate(sample_x=20_000, errors_x=400)


def test_biased_bases_are_proven_by_the_rarer_one() -> None:
    per_basis = Distillation(estimation="per-basis", qber_threshold=0.03)
    lengths = accounting.lengths(BIASED, BIASED_SAMPLE, per_basis)

    assert lengths["provable"] == math.floor(bases.key_length([(80_000, 20_000)], 0.03, 12_000, 50, 1e-10))
    assert 0.9 * lengths["shor-preskill"] > lengths["provable"] > 30_000
    assert accounting.lengths(BIASED, BIASED_SAMPLE, Distillation(qber_threshold=0.03))["provable"] <= 0


def test_each_basis_is_judged_by_the_errors_of_the_other() -> None:
    """Z : X = 7 : 3 and a pooled sample: a bad X sample condemns the key in Z, and the whole with it."""
    cross = Distillation(estimation="cross-basis", qber_threshold=0.03)
    uneven = Ledger(matched=100_000, sifted_z=70_000, sifted_x=30_000, sample=30_000, top=12_000, tag=50)
    good = Estimate(sample_z=21_000, sample_x=9_000, errors_z=420, errors_x=180)
    bad = Estimate(sample_z=21_000, sample_x=9_000, errors_z=420, errors_x=280)

    length = accounting.lengths(uneven, good, cross)["provable"]

    assert length == math.floor(bases.key_length([(49_000, 9_000), (21_000, 21_000)], 0.03, 12_000, 50, 1e-10))
    assert length > 20_000
    assert accounting.lengths(uneven, bad, cross)["provable"] == -12_050


def test_all_proofs_stand_side_by_side_and_each_says_what_it_is() -> None:
    params = Distillation(qber_threshold=0.03)
    found = accounting.by_proof(LONG, LONG_SAMPLE, params)

    assert found["tl17"] == accounting.lengths(LONG, LONG_SAMPLE, params)["provable"]
    assert found["tl17"] < found["lim21"] < found["exact"]
    assert accounting.method(params) == "Tomamichel-Leverrier 2017"
    assert "each basis" in accounting.method(Distillation(estimation="cross-basis"))
    assert not any("SHAKE" in each for each in accounting.assumptions(Distillation(estimation="per-basis")))
    assert any("fixed probability" in each for each in accounting.assumptions(Distillation(estimation="per-basis")))
    assert all(
        any("2307.00576" in each for each in accounting.assumptions(Distillation(estimation=kind)))
        for kind in ("pooled", "per-basis", "cross-basis")
    )


def test_longer_tags_for_many_frames_are_disclosed_but_prove_no_more_than_was_asked() -> None:
    params = Distillation(qber_threshold=0.03)
    one = accounting.lengths(LONG, LONG_SAMPLE, params)["provable"]
    many = Ledger(matched=100_000, sifted_z=50_000, sifted_x=50_000, sample=30_000, top=15_000, tag=3 * 58)

    assert accounting.tag_strength(many, params) == accounting.tag_strength(LONG, params) == 50
    assert accounting.lengths(many, LONG_SAMPLE, params)["provable"] == one - (3 * 58 - 50)


def test_what_a_block_needs_is_found_by_growing_it() -> None:
    """Facts page, section 7: 6.4 % errors, the threshold there, f = 1.053: 11 737 bits with the best sample."""
    short = Ledger(sifted_z=3_000, sifted_x=3_000, sample=2_500, top=round(1.053 * 3_500 * 0.343123), tag=40)
    even = Estimate(sample_z=1_250, sample_x=1_250)
    params = Distillation(qber_threshold=0.064, verification_bits=40)
    needed = accounting.needed_bits(short, even, params)

    assert needed is not None
    assert needed == pytest.approx(11_737, rel=0.02)
    assert accounting.needed_bits(short, even, Distillation(qber_threshold=0.3, qber_limit=0.4)) is None
    assert accounting.needed_bits(Ledger(sifted_z=10), Estimate(), params) is None


@given(
    sample=st.integers(1, 500), errors=st.integers(0, 500), rest=st.integers(1, 3000), disclosed=st.integers(0, 3000)
)
def test_every_accounting_is_finite_and_below_what_is_left(sample: int, errors: int, rest: int, disclosed: int) -> None:
    ledger = Ledger(matched=sample + rest, sifted_z=sample + rest, sample=sample, top=min(disclosed, rest))
    lengths = accounting.lengths(ledger, Estimate(sample_z=sample, errors_z=min(errors, sample)), Distillation())

    assert max(lengths.values()) <= ledger.left


@pytest.mark.parametrize("bits", [0, 49])
def test_a_tag_too_short_for_epsilon_proves_nothing(bits: int) -> None:
    short = Ledger(matched=100_000, sifted_z=50_000, sifted_x=50_000, sample=30_000, top=15_000, tag=min(bits, 33))

    assert accounting.lengths(short, LONG_SAMPLE, Distillation(qber_threshold=0.03))["provable"] <= 0
