"""One block, from photons to keys at both ends."""

import msgspec
import pytest

from bellweave.distill.params import Authentication, Distillation
from bellweave.photonics.params import Calibration, Clock, CwSource
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.sim.block import distil_block


def vienna(*, calibration: Calibration | None = None, clock: Clock | None = None, state: str = "phi+") -> Scenario:
    scenario = load("vienna2004")
    node = msgspec.structs.replace(scenario.node["bob"], clock=clock or Clock())
    link = msgspec.structs.replace(scenario.link["alice-bob"], calibration=calibration)
    source = CwSource(local_pair_rate_hz=8200.0, state=state)  # type: ignore[arg-type]
    return msgspec.structs.replace(
        scenario, source={"eps": source}, node=scenario.node | {"bob": node}, link={"alice-bob": link}
    )


@pytest.mark.parametrize("state", ["phi+", "phi-", "psi+", "psi-"])
@pytest.mark.parametrize("level", ["tags", "coincidences"])
def test_both_ends_hold_the_same_key_whatever_bell_state_the_source_emits(state: str, level: str) -> None:
    scenario = vienna(state=state)
    scenario = msgspec.structs.replace(scenario, run=msgspec.structs.replace(scenario.run, level=level))

    done = distil_block(scenario, optical_link(scenario, "alice-bob"), 0)

    assert done.alice is not None
    assert done.bob is not None
    assert done.alice.agrees_with(done.bob)
    assert done.alice.bits != bytes(len(done.alice.bits))
    assert done.record.ledger.closes()


@pytest.mark.parametrize("state", ["phi+", "psi-"])
def test_two_clocks_that_know_nothing_of_each_other_are_brought_together(state: str) -> None:
    """Half a millisecond apart, a drift of 1e-8 (100 ns over the block), and delays of up to 7 ns between detectors."""
    clock = Clock(offset_ps=500_000_000, drift=1e-8, channel_delay_ps=(0, 3000, 7000, 1000))
    scenario = vienna(calibration=Calibration(slice_s=0.5), clock=clock, state=state)
    known = vienna(clock=clock, state=state)

    found = distil_block(scenario, optical_link(scenario, "alice-bob"), 0).record
    best = distil_block(known, optical_link(known, "alice-bob"), 0).record

    disclosed_share = 2 * 0.5 / 10.5
    expected = best.ledger.sifted * (1.0 - disclosed_share)
    assert abs(found.ledger.sifted - expected) < 4.0 * (best.ledger.sifted * disclosed_share) ** 0.5
    assert found.sacrificed > 0
    assert found.rejection is None
    assert abs(found.corrections.errors - best.corrections.errors * (1.0 - disclosed_share)) < 4.0 * 11.0


@pytest.mark.parametrize("level", ["tags", "coincidences"])
def test_accumulated_blocks_hold_all_the_rounds_of_the_single_ones_and_give_proven_key(level: str) -> None:
    scenario = vienna()
    run = msgspec.structs.replace(scenario.run, level=level)
    scenario = msgspec.structs.replace(scenario, run=run)
    optical = optical_link(scenario, "alice-bob")
    single = [distil_block(scenario, optical, block).record for block in range(12)]
    distill = Distillation(accumulate_blocks=12, qber_threshold=0.075, sample_fraction=0.4)
    kms = msgspec.structs.replace(scenario.kms, mint="provable")
    together = distil_block(msgspec.structs.replace(scenario, distill=distill, kms=kms), optical, 0)

    assert together.record.ledger.matched == sum(each.ledger.matched for each in single)
    assert together.record.ledger.sifted == sum(each.ledger.sifted for each in single)
    assert all(each.accountings["provable"] == 0 for each in single)
    assert together.alice is not None
    assert together.bob is not None
    assert together.alice.agrees_with(together.bob)
    assert together.alice.provable_bits == together.alice.bit_count > 0
    assert together.record.end_s == 12 * 10.5
    if level == "tags":
        assert together.record.singles_alice == sum(each.singles_alice or 0 for each in single)


@pytest.mark.parametrize("scheme", ["recycled", "one-time"])
@pytest.mark.parametrize("level", ["tags", "coincidences"])
def test_authentication_is_paid_from_the_key_once_for_each_distilled_block(scheme: str, level: str) -> None:
    plain = vienna()
    plain = msgspec.structs.replace(plain, run=msgspec.structs.replace(plain.run, level=level))
    distill = msgspec.structs.replace(plain.distill, authentication=Authentication(scheme=scheme))  # type: ignore[arg-type]
    paid = msgspec.structs.replace(plain, distill=distill)

    free, done = (distil_block(each, optical_link(each, "alice-bob"), 0) for each in (plain, paid))

    cost = {"recycled": 256, "one-time": 512}[scheme]
    assert done.alice is not None
    assert done.bob is not None
    assert done.alice.agrees_with(done.bob)
    assert done.record.ledger.authentication == cost
    assert done.alice.authentication_bits == cost
    assert done.record.ledger.final == free.record.ledger.final - cost
    assert done.record.ledger.closes()
