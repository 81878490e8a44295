"""Several blocks are distilled as one: what is held, what is refused, and that it yields what single blocks can't."""

import msgspec
import numpy as np
import pytest

from bellweave import rng
from bellweave.blocks import Rounds
from bellweave.distill import accumulation, flags, session
from bellweave.distill.accumulation import Accumulator
from bellweave.distill.authentication_keys import AuthenticationKeys
from bellweave.distill.finite_key import tl17
from bellweave.distill.outcome import Context
from bellweave.distill.params import Authentication, Distillation
from bellweave.sim.classical import converse
from bellweave.testing.pairs import DISTILLATION, correlated_rounds

BLOCKS = 20
SIFTED = 2400


def context(block: int, **changes: object) -> Context:
    whole = Context(
        link="alice-bob",
        block_id=f"alice-bob/1/{block}",
        start_s=10.5 * block,
        end_s=10.5 * (block + 1),
        provenance="simulated",
        mint="provable",
        assumptions=("The laboratory is closed.",),
    )
    return msgspec.structs.replace(whole, **changes)


def held(blocks: int, qber: float) -> tuple[Accumulator, Accumulator]:
    ends = Accumulator(blocks), Accumulator(blocks)
    for block in range(blocks):
        rounds = correlated_rounds(rng.stream(7, "accumulated", block), SIFTED, qber)
        for end, own in zip(ends, rounds, strict=True):
            end.hold(context(block), own)
    return ends


def distilled(params: Distillation, qber: float, blocks: int = BLOCKS) -> tuple[session.Outcome, session.Outcome]:
    alice, bob = held(blocks, qber)
    (whole, hers), (same, his) = alice.take(), bob.take()
    assert whole == same
    return converse(
        session.alice(hers, params, whole, rng.stream(1, "alice")),
        session.bob(his, params, same, rng.stream(1, "bob")),
        DISTILLATION,
    )


def test_blocks_too_short_for_a_proof_give_proven_key_together() -> None:
    params = Distillation(qber_threshold=0.025, sample_fraction=0.3)
    one, _ = distilled(params, 0.02, 1)
    alice, bob = distilled(params, 0.02)

    assert one.rejection == "too short"
    assert alice.block is not None
    assert bob.block is not None
    assert alice.block.agrees_with(bob.block)
    assert alice.block.provable_bits == alice.block.bit_count > 10_000
    assert (alice.block.method, alice.block.epsilon) == (tl17.METHOD, params.epsilon)
    assert (alice.block.start_s, alice.block.end_s) == (0.0, 10.5 * BLOCKS)
    assert alice.block.block_id == f"alice-bob/1/0+{BLOCKS - 1}"
    assert alice.block.assumptions.count("The laboratory is closed.") == 1
    assert accumulation.HELD in alice.block.assumptions
    assert any("2307.00576" in sentence for sentence in alice.block.assumptions)
    assert alice.ledger.closes()
    assert alice.ledger.sifted == BLOCKS * SIFTED
    assert alice.ledger.sample == int(0.3 * BLOCKS * SIFTED)


def test_one_pair_of_tags_pays_for_all_the_blocks() -> None:
    """Each block with tags of its own would take twenty times as much."""
    params = Distillation(qber_threshold=0.025, sample_fraction=0.3)
    how, secret = Authentication(reserve_bits=0, backoff_s=0.0), bytes(range(48))
    keys = AuthenticationKeys.started("alice", secret, how), AuthenticationKeys.started("bob", secret, how)
    for end in keys:
        end.admit(0.0)
    alice, bob = held(BLOCKS, 0.02)
    (whole, hers), (_, his) = alice.take(), bob.take()
    ends = converse(
        session.alice(hers, params, whole, rng.stream(1, "alice"), keys=keys[0]),
        session.bob(his, params, whole, rng.stream(1, "bob"), keys=keys[1]),
        DISTILLATION,
    )

    assert ends[0].block is not None
    assert ends[1].block is not None
    assert ends[0].block.agrees_with(ends[1].block)
    assert 0 < ends[0].block.authentication_bits <= 512
    assert ends[0].block.provable_bits == ends[0].block.bit_count > 10_000
    assert ends[0].ledger.closes()
    flagged = flags.of_block(ends[0].ledger, ends[0].estimate, ends[0].corrections, params, whole.end_s)
    assert not [sentence for sentence in flagged if sentence.startswith(("sum", "authentication"))]


def test_the_sample_is_one_draw_over_all_blocks_not_one_a_block() -> None:
    """Shares of single blocks scatter as a hypergeometric count does: no stratum has its fixed part."""
    from bellweave.distill import estimation

    places = estimation.draw(bytes(32), BLOCKS * SIFTED, 0.3)
    shares = np.bincount(places // SIFTED, minlength=BLOCKS)

    assert shares.sum() == int(0.3 * BLOCKS * SIFTED)
    assert 5.0 < shares.std() < 2 * (SIFTED * 0.3 * 0.7) ** 0.5


def test_a_single_block_is_left_as_it_is() -> None:
    alone = Accumulator(1)
    rounds, _ = correlated_rounds(rng.stream(1, "one"), 100, 0.0)
    alone.hold(context(0), rounds)

    whole, same = alone.take()
    assert whole == context(0)
    assert same is rounds


def test_ids_go_on_and_empty_blocks_do_no_harm() -> None:
    def rounds(*ids: int) -> Rounds:
        zeros = np.zeros(len(ids), np.uint8)
        return Rounds(np.array(ids, np.int64), zeros, zeros)

    joined = accumulation.joined_rounds([rounds(5, 9), rounds(), rounds(0), rounds(2, 3)])

    assert joined.id.tolist() == [0, 4, 5, 6, 7]
    assert joined.intensity is None


def test_optional_columns_are_joined_only_if_every_block_has_them() -> None:
    zeros = np.zeros(2, np.uint8)
    full = Rounds(np.arange(2), zeros, zeros, intensity=zeros, announcement=zeros)
    part = Rounds(np.arange(2), zeros, zeros, intensity=zeros)

    joined = accumulation.joined_rounds([full, part])

    assert joined.intensity is not None
    assert joined.intensity.size == 4
    assert joined.announcement is None


@pytest.mark.parametrize(
    "changes", [{"link": "other"}, {"provenance": "recorded"}, {"mint": "paper"}, {"start_s": 10.0}]
)
def test_what_does_not_belong_together_is_refused(changes: dict[str, object]) -> None:
    rounds, _ = correlated_rounds(rng.stream(1, "one"), 10, 0.0)
    some = Accumulator(3)
    some.hold(context(0), rounds)

    with pytest.raises(ValueError, match=r"can't be joined|before"):
        some.hold(context(1, **changes), rounds)


def test_no_more_and_no_fewer_blocks_than_were_fixed() -> None:
    rounds, _ = correlated_rounds(rng.stream(1, "one"), 10, 0.0)
    some = Accumulator(2)
    some.hold(context(0), rounds)
    with pytest.raises(ValueError, match="1 blocks are held, 2 are distilled"):
        some.take()
    some.hold(context(1), rounds)
    assert some.full
    with pytest.raises(ValueError, match="held already"):
        some.hold(context(2), rounds)
    some.take()
    assert len(some) == 0
    with pytest.raises(ValueError, match="at least one"):
        Accumulator(0)
