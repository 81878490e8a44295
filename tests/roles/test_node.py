"""What a node makes of what its detectors saw; both parties run in memory."""

from itertools import pairwise

import msgspec
import pytest

from bellweave.photonics.params import Eavesdropper
from bellweave.roles.node import CODEC, Ended, Facts, Party, clicked
from bellweave.roles.randomness import Randomness, Secret, Seeded
from bellweave.roles.source import RawBlock, sampled
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.sim.block import distil_blocks
from bellweave.sim.classical import converse

LINK = "alice-bob"


def scenario(level: str, **distill: object) -> Scenario:
    loaded = load("vienna2004")
    return msgspec.structs.replace(
        loaded,
        run=msgspec.structs.replace(loaded.run, level=level),
        distill=msgspec.structs.replace(loaded.distill, **distill),
    )


def blocks(given: Scenario, count: int = 1) -> list[RawBlock]:
    optical = optical_link(given, LINK)
    return [RawBlock(optical, number, number * optical.block_s) for number in range(count)]


def both(given: Scenario, raw: list[RawBlock], alices: Randomness, bobs: Randomness) -> tuple[Ended, Ended]:
    seen = [sampled(given, block, Seeded(1)) for block in raw]
    alice, bob = Party(given, LINK, "alice", alices), Party(given, LINK, "bob", bobs)
    return converse(
        alice.distil([(block.facts, own) for block, (own, _) in zip(raw, seen, strict=True)]),
        bob.distil([(block.facts, own) for block, (_, own) in zip(raw, seen, strict=True)]),
        CODEC,
    )


@pytest.mark.parametrize("level", ["tags", "coincidences"])
def test_the_simulation_is_these_two_parties(level: str) -> None:
    given = scenario(level, accumulate_blocks=2)
    raw = blocks(given, 2)
    alice, bob = both(given, raw, Seeded(1), Seeded(1))
    done = distil_blocks(given, raw)

    assert alice.outcome.block is not None
    assert (alice.outcome.block, bob.outcome.block) == (done.alice, done.bob)
    assert alice.outcome.ledger == done.record.ledger


def test_with_secrets_instead_of_a_seed_both_ends_agree_and_name_the_run() -> None:
    given = scenario("tags")
    shared = {LINK: bytes(range(32))}
    alice, bob = both(given, blocks(given), Secret("r7", b"a" * 32, shared), Secret("r7", b"b" * 32, shared))

    assert alice.outcome.block is not None
    assert bob.outcome.block is not None
    assert alice.outcome.block.agrees_with(bob.outcome.block)
    assert alice.outcome.block.block_id == "alice-bob/r7/0"


def test_no_party_can_see_an_eavesdropper_but_by_her_errors() -> None:
    given = scenario("tags")
    raw = blocks(given)
    tapped = [
        RawBlock(msgspec.structs.replace(each.optical, eavesdropper=Eavesdropper()), each.number, each.start_s)
        for each in raw
    ]
    quiet, spied = (both(given, each, Seeded(1), Seeded(1))[0].outcome for each in (raw, tapped))
    parties = [Party(given, LINK, "alice", Seeded(1)).context([each.facts]) for each in (raw[0], tapped[0])]

    assert parties[0] == parties[1]
    assert (quiet.estimate.qber or 0.0) < 0.11 < (spied.estimate.qber or 0.0)
    assert spied.rejection == "qber above limit"


def test_a_record_counts_what_both_ends_saw() -> None:
    given = scenario("tags")
    raw = blocks(given)
    alice, _ = both(given, raw, Seeded(1), Seeded(1))
    party = Party(given, LINK, "alice", Seeded(1))
    record = party.record([raw[0].facts], (10, None), 3, alice.outcome)

    assert (record.singles_alice, record.singles_bob, record.sacrificed) == (10, None, 3)
    assert (record.link, record.block, record.start_s, record.end_s) == (LINK, 0, 0.0, raw[0].optical.block_s)


def test_rounds_are_no_clicks() -> None:
    given = {level: scenario(level) for level in ("tags", "coincidences")}
    hers = {level: sampled(each, blocks(each)[0], Seeded(1))[0] for level, each in given.items()}

    assert clicked([hers["tags"]]) == len(hers["tags"])
    assert clicked([hers["coincidences"]]) is None


def test_blocks_one_right_after_the_other_are_joined_although_sums_of_times_are_rounded() -> None:
    given = scenario("coincidences", accumulate_blocks=40)
    party, seen = Party(given, LINK, "alice", Seeded(1)), sampled(given, blocks(given)[0], Seeded(1))[0]
    facts = [Facts(number, number * 1.1, 1.1) for number in range(40)]

    assert any(one.start_s + one.block_s > other.start_s for one, other in pairwise(facts))
    assert next(party.distil([(each, seen) for each in facts])) is not None
