import numpy as np
import pytest

from bellweave.blocks import Rounds
from bellweave.dialogue import Codec
from bellweave.distill import announcing, decoys
from bellweave.distill.decoys import DecoyTest, Sending
from bellweave.distill.finite_key import mdi_finite
from bellweave.distill.finite_key.mdi import Setting, gains
from bellweave.distill.ledger import Estimate, Ledger
from bellweave.distill.params import Distillation
from bellweave.rng import stream
from bellweave.sim.classical import converse

CODEC = Codec(*announcing.KINDS)
SENDING = Sending(pulses=10_000, intensities=(0.4, 0.1, 0.0), shares=(0.5, 0.3, 0.2), z_probability=0.6)


def heralded(count: int) -> tuple[Rounds, Rounds]:
    rng = stream(2, "decoys")

    def column(options: int) -> np.ndarray:
        return rng.integers(0, options, count, np.uint8)

    bit, ids = column(2), np.arange(count) * 7
    wrong = (rng.random(count) < 0.1).astype(np.uint8)
    return Rounds(ids, column(2), bit, column(3)), Rounds(ids, column(2), bit ^ wrong, column(3))


def test_both_ends_count_alike_and_keep_signal_rounds_of_z() -> None:
    hers, his = heralded(20_000)

    (alice, seen), (bob, same) = converse(
        decoys.announced("alice", hers, SENDING), decoys.announced("bob", his, SENDING), CODEC
    )

    assert seen == same
    assert np.array_equal(alice.id, bob.id)
    assert hers.intensity is not None
    assert his.intensity is not None
    kept = (hers.basis == 0) & (his.basis == 0) & (hers.intensity == 0) & (his.intensity == 0)
    assert np.array_equal(alice.id, hers.id[kept])
    assert not alice.basis.any()
    in_x = (hers.basis == 1) & (his.basis == 1)
    assert sum(seen.heralded_x) == int(in_x.sum())
    assert sum(seen.wrong_x) == int((hers.bit != his.bit)[in_x].sum())
    alone = in_x & (hers.intensity == 1) & (his.intensity == 2)
    assert seen.heralded_x[1 * 3 + 2] == int(alone.sum())
    assert seen.pulses_z == pytest.approx(3_600)


def test_rounds_without_intensities_are_no_decoy_rounds() -> None:
    ids = np.arange(3)
    plain = Rounds(ids, np.zeros(3, np.uint8), np.zeros(3, np.uint8))

    with pytest.raises(ValueError, match="intensities"):
        next(decoys.announced("alice", plain, SENDING))


def test_a_sample_takes_its_share_of_the_key_and_no_more() -> None:
    link, pulses = Setting(length_km=0.0, efficiency=0.6), 4e9
    sent = mdi_finite.Sent(pulses, link.intensities, SENDING.shares)
    seen = [gains(link.intensities[a], link.intensities[b], link) for a, b in sent.pairings]

    def counts(which: int) -> tuple[int, ...]:
        return tuple(round(sent.weight(pair) * each[which]) for pair, each in zip(sent.pairings, seen, strict=True))

    test = DecoyTest(
        pulses_z=pulses,
        pulses_x=pulses,
        intensities=link.intensities,
        shares=SENDING.shares,
        heralded_z=counts(0),
        heralded_x=counts(2),
        wrong_x=counts(3),
    )
    ledger = Ledger(matched=3_000_000, sifted_z=3_000_000, tag=50)

    whole = test.lengths(ledger, Estimate(sample_z=1), Distillation())["provable"]
    part = test.lengths(ledger, Estimate(sample_z=300_000), Distillation())["provable"]

    assert whole > 0
    assert part == pytest.approx(0.9 * whole, rel=0.02)
