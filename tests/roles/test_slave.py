"""A slave's end by itself: two of them, each with its own outcomes only, make the simulation's key."""

import numpy as np
import pytest

from bellweave.blocks import Rounds
from bellweave.roles.randomness import Secret, Seeded
from bellweave.roles.slave import CODEC, Method, Slave, methods_of, slaves_of
from bellweave.scenario.changes import changed
from bellweave.scenario.load import load
from bellweave.scenario.schema import Scenario
from bellweave.sim.classical import converse
from bellweave.sim.cluster import Sampled, distilled, sampled_ekert, sampled_mdi, sampled_pairs

SEED = 5


def scenario() -> Scenario:
    values = {"backbone.mode": "physical", "backbone.block_s": 0.3, "backbone.mdi_block_s": 0.02, "run.seed": SEED}
    return changed(load("backbone"), {**values, "master.*.mdi.light": "single-photon", "master.*.visibility": 0.998})


def measured(given: Scenario, method: Method, randomness: Seeded | Secret) -> tuple[str, Sampled]:
    """Return a demand, and what its slaves measure."""
    if method == "backbone":
        pairs, how = np.full((30_000, 3), 0.985), given.master["west"].ekert
        return "alice-bob", sampled_pairs("alice-bob", pairs, how, randomness, block=3, start_s=0.1, end_s=0.7)
    pair = slaves_of(given, "alice-anna")
    if method == "ekert91":
        return "alice-anna", sampled_ekert(pair, randomness, block=3, block_s=0.3)
    return "alice-anna", sampled_mdi(pair, randomness, block=3, block_s=0.02)


@pytest.mark.parametrize("method", ["backbone", "ekert91", "mdi"])
def test_two_slaves_make_the_simulations_key(method: Method) -> None:
    given = scenario()
    demand, block = measured(given, method, Seeded(SEED))
    alice, bob = (Slave(given, demand, method, role, Seeded(SEED)) for role in ("alice", "bob"))
    public = block.block.number, block.block.start_s, block.block.end_s

    hers, his = converse(
        alice.distil([(alice.block(*public), block.alice)]), bob.distil([(bob.block(*public), block.bob)]), CODEC
    )

    simulated = distilled(block, given.distill, SEED)
    assert simulated.alice is not None
    assert (hers.outcome.block, his.outcome.block) == (simulated.alice, simulated.bob)
    assert hers.evidence == his.evidence == simulated.evidence
    assert alice.link == bob.link == f"{demand}/{method}"


def test_with_secrets_instead_of_a_seed_both_slaves_agree_and_name_the_run() -> None:
    given = scenario()
    links = {"alice-bob": bytes(32)}
    demand, block = measured(given, "backbone", Secret("a1b2", b"s" * 32))
    alice, bob = (
        Slave(given, demand, "backbone", role, Secret("a1b2", role[:1].encode() * 32, links))
        for role in ("alice", "bob")
    )
    public = block.block.number, block.block.start_s, block.block.end_s

    hers, his = converse(
        alice.distil([(alice.block(*public), block.alice)]), bob.distil([(bob.block(*public), block.bob)]), CODEC
    )

    assert hers.outcome.block is not None
    assert his.outcome.block is not None
    assert hers.outcome.block.agrees_with(his.outcome.block)
    assert hers.outcome.block.block_id == "alice-bob/pairs/a1b2/3"
    _, seeded = measured(given, "backbone", Seeded(SEED))
    assert block.alice.bit.tobytes() != seeded.alice.bit.tobytes()


def test_outcomes_of_another_protocol_are_refused() -> None:
    slave = Slave(scenario(), "alice-bob", "backbone", "alice", Seeded(SEED))
    none = np.zeros(0, np.uint8)

    with pytest.raises(TypeError, match="measured pairs"):
        next(slave.distil([(slave.block(0, 0.0, 1.0), Rounds(np.arange(0), none, none))]))


def test_slaves_of_one_cluster_have_two_methods_and_others_one() -> None:
    assert methods_of(scenario(), "alice-anna") == ("ekert91", "mdi")
    assert methods_of(scenario(), "alice-bob") == ("backbone",)
