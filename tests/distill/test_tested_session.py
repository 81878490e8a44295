import numpy as np
import pytest

from bellweave.blocks import Rounds
from bellweave.dialogue import Codec, Dialogue
from bellweave.distill.chsh import ChshTest
from bellweave.distill.messages import KINDS
from bellweave.distill.outcome import Context, Outcome
from bellweave.distill.params import Distillation
from bellweave.distill.tested_session import distilled
from bellweave.errors import ProtocolError
from bellweave.rng import stream
from bellweave.sim.classical import converse

CONTEXT = Context(link="a-b", block_id="1", start_s=0.0, end_s=1.0, provenance="test")
CODEC = Codec(*KINDS)
RNG = stream(1, "tested")
ALICE = Rounds(np.arange(20_000), RNG.integers(0, 2, 20_000, np.uint8), RNG.integers(0, 2, 20_000, np.uint8))
BOB = Rounds(ALICE.id, ALICE.basis, ALICE.bit ^ (RNG.random(20_000) < 0.01).astype(np.uint8))


def shown(won: int, epsilon: float = 1e-6) -> ChshTest:
    return ChshTest(rounds=(9_000,) * 4, equal=(won, 9_000 - won, won, won), signs=(1, -1, 1, 1), epsilon=epsilon)


def role(name: str, rounds: Rounds, evidence: ChshTest | None) -> Dialogue[tuple[Outcome, ChshTest | None]]:
    def testing() -> Dialogue[tuple[Rounds, ChshTest | None]]:
        yield from ()
        return rounds, evidence

    params = Distillation(qber_threshold=0.03)
    return distilled(name, testing(), params, CONTEXT, stream(1, name))  # type: ignore[arg-type]


def test_a_test_that_passes_says_how_long_the_key_is() -> None:
    (hers, _), (his, _) = converse(role("alice", ALICE, shown(7_650)), role("bob", BOB, shown(7_650)), CODEC)

    assert hers.block is not None
    assert his.block is not None
    assert hers.block.agrees_with(his.block)
    assert set(hers.accountings) >= {"chsh", "provable"}


def test_a_test_that_fails_ends_both_ends_with_the_same_reason() -> None:
    (hers, seen), (his, _) = converse(role("alice", ALICE, shown(6_700)), role("bob", BOB, shown(6_700)), CODEC)

    assert hers.rejection == his.rejection == "chsh not above 2"
    assert hers.block is his.block is None
    assert hers.ledger.closes()
    assert seen is not None
    assert seen.bound < 2.0


def test_without_evidence_the_session_is_any_other() -> None:
    (hers, _), _ = converse(role("alice", ALICE, None), role("bob", BOB, None), CODEC)

    assert "chsh" not in hers.accountings
    assert hers.block is not None
    assert hers.block.bit_count > 0


def test_ends_that_saw_different_tests_refuse_each_other() -> None:
    with pytest.raises(ProtocolError, match="differ"):
        converse(role("alice", ALICE, shown(7_650)), role("bob", BOB, shown(7_651)), CODEC)
