import math
from itertools import pairwise

import numpy as np
import pytest

from bellweave import bell
from bellweave.blocks import Rounds
from bellweave.dialogue import Codec
from bellweave.distill import accounting, announcing, chsh, theory
from bellweave.distill.chsh import ChshTest, Measured
from bellweave.distill.ledger import Estimate, Ledger
from bellweave.distill.params import Distillation
from bellweave.errors import ProtocolError
from bellweave.rng import stream
from bellweave.sim.classical import converse

CODEC = Codec(*announcing.KINDS)
IDEAL = (2.0 + math.sqrt(2.0)) / 4.0
"""Chance to win the CHSH game with a Bell state."""


def shown(games: int, chance: float, **keys: object) -> ChshTest:
    """Return what so many games of each pair of settings show at this chance to win."""
    won = round(games * chance)
    return ChshTest(
        rounds=(games,) * 4,
        equal=(won, games - won, won, won),
        signs=(1, -1, 1, 1),
        epsilon=1e-6,
        **keys,  # type: ignore[arg-type]
    )


def measured(name: str, visibility: float, count: int) -> tuple[bell.Settings, Measured, Measured]:
    settings = bell.ekert_settings(name)  # type: ignore[arg-type]
    rng = stream(3, "chsh", name)
    table = bell.joint_table(
        bell.werner("phi+", visibility), bell.effects_at(settings.alice_rad), bell.effects_at(settings.bob_rad)
    )
    shares = np.outer(settings.alice_share, settings.bob_share)[:, :, None, None] * table
    drawn = np.unravel_index(rng.choice(shares.size, count, p=shares.ravel() / shares.sum()), shares.shape)
    a, b, bit_a, bit_b = (column.astype(np.uint8) for column in drawn)
    ids = np.arange(count) * 3
    return settings, Measured(ids, a, bit_a), Measured(ids, b, bit_b)


def play(
    settings: bell.Settings, hers: Measured, his: Measured
) -> tuple[tuple[Rounds, ChshTest], tuple[Rounds, ChshTest]]:
    return converse(chsh.announced("alice", hers, settings, 1e-6), chsh.announced("bob", his, settings, 1e-6), CODEC)


@pytest.mark.parametrize("name", ["unbiased", "ekert"])
def test_both_ends_find_the_same_s_and_the_same_key_rounds(name: str) -> None:
    settings, hers, his = measured(name, 0.9, 40_000)

    (alice, seen), (bob, same) = play(settings, hers, his)

    assert seen == same
    assert seen.value == pytest.approx(2.0 * math.sqrt(2.0) * 0.9, abs=4.0 * seen.stderr)
    assert np.array_equal(alice.id, bob.id)
    assert np.array_equal(alice.basis, bob.basis)
    assert len(alice) == pytest.approx(settings.key_share * 40_000, abs=4.0 * math.sqrt(10_000))
    assert np.mean(alice.bit != bob.bit) == pytest.approx(0.05, abs=4.0 * math.sqrt(0.05 * 0.95 / len(alice)))


def test_no_round_is_opened_that_becomes_key() -> None:
    settings, hers, his = measured("unbiased", 0.9, 4_000)

    (alice, seen), _ = play(settings, hers, his)

    pairs = {(int(a), int(b)) for a, b in zip(hers.setting, his.setting, strict=True)}
    assert len(pairs) == 8
    assert sum(seen.rounds) + len(alice) < len(hers)
    assert {(a, b) for a, b, _ in settings.test}.isdisjoint(settings.key)


def test_a_setting_that_does_not_exist_is_refused() -> None:
    settings, hers, his = measured("ekert", 0.9, 100)
    wrong = Measured(his.id, np.full(100, 3, np.uint8), his.bit)

    with pytest.raises(ProtocolError, match="number 3 is none"):
        converse(chsh.announced("alice", hers, settings, 1e-6), announcing.choices("bob", wrong.setting, (3, 4)), CODEC)


@pytest.mark.parametrize("by", ["clopper-pearson", "hoeffding"])
def test_the_bound_rises_to_the_value_as_rounds_are_added(by: str) -> None:
    bounds = [shown(games, IDEAL, bound_by=by).bound for games in (100, 1_000, 10_000, 10**6, 10**8)]

    assert all(lower < higher for lower, higher in pairwise(bounds))
    assert bounds[-1] == pytest.approx(2.0 * math.sqrt(2.0), abs=3e-3)
    assert bounds[-1] < 2.0 * math.sqrt(2.0)


@pytest.mark.parametrize("by", ["clopper-pearson", "hoeffding"])
def test_the_bound_fails_no_more_often_than_it_may(by: str) -> None:
    rng, trials, chance = stream(5, "bound", by), 20_000, IDEAL * 0.97
    won = rng.binomial(250, chance, (trials, 4))
    true = 8.0 * chance - 4.0

    failed = sum(
        ChshTest(
            rounds=(250,) * 4,
            equal=(int(a), 250 - int(b), int(c), int(d)),
            signs=(1, -1, 1, 1),
            epsilon=0.01,
            bound_by=by,  # type: ignore[arg-type]
        ).bound
        > true
        for a, b, c, d in won
    )

    assert failed <= 0.01 * trials + 4.0 * math.sqrt(0.01 * trials)


def test_a_classical_value_does_not_pass_and_a_missing_pair_of_settings_neither() -> None:
    assert not shown(10**7, 0.75).passes
    assert shown(10**7, 0.7501).value > 2.0
    missing = ChshTest(rounds=(0, 9, 9, 9), equal=(0, 0, 9, 9), signs=(1, -1, 1, 1), epsilon=1e-6)
    assert (missing.value, missing.passes) == (0.0, False)


LEDGER = Ledger(matched=40_000, sifted_z=20_000, sifted_x=20_000, sample=10_000, top=2_000, tag=50)
ESTIMATE = Estimate(sample_z=5_000, sample_x=5_000, errors_z=50, errors_x=50)


def test_ekerts_own_settings_prove_nothing_and_give_the_asymptotic_length_of_the_bound() -> None:
    test = shown(10**6, IDEAL * 0.99, unbiased=False)

    lengths = test.lengths(LEDGER, ESTIMATE, Distillation())

    assert set(lengths) == {"chsh", "provable"}
    assert lengths["provable"] < 0
    assert lengths["chsh"] == math.floor(30_000 * theory.chsh_asymptotic(test.bound, 0.0)) - 2_050


def test_unbiased_bases_keep_their_proofs_beside_the_chsh_length() -> None:
    params = Distillation(qber_threshold=0.02)

    lengths = shown(10**6, IDEAL * 0.99).lengths(LEDGER, ESTIMATE, params)

    assert lengths.pop("chsh") > 0
    assert lengths == accounting.lengths(LEDGER, ESTIMATE, params)
