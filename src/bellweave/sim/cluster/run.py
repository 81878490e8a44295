"""One block of Ekert91 or MDI-QKD between two slaves: what both measure, and what they distil of it."""

import numpy as np

from bellweave import rng
from bellweave.bell import Reals
from bellweave.blocks import Role
from bellweave.dialogue import Dialogue
from bellweave.distill.chsh import Measured
from bellweave.distill.params import Distillation
from bellweave.network.wide.params import Ekert91
from bellweave.photonics import coincidence, ekert, mdi
from bellweave.photonics.ekert import SettingClicks
from bellweave.roles.randomness import Randomness, Seeded
from bellweave.roles.slave import Block, Mdi, Outcomes, ekert_in_cluster, ekert_of_pairs
from bellweave.scenario.cluster_optics import Pair, ekert_link, mdi_link, settings
from bellweave.sim.cluster.ends import Distilled, Level, Sampled, both_ends, distilled

ROLES: tuple[Role, Role] = ("alice", "bob")


def distil_ekert(
    pair: Pair, params: Distillation, *, seed: int, block: int, block_s: float = 1.0, level: Level = "photons"
) -> Distilled:
    """Run one block of Ekert91 on the master's pairs and distil it at both ends.

    With the ``unbiased`` settings the key is proven; with ``ekert``'s own its length follows from the CHSH value,
    asymptotically, and nothing of it is called proven.

    Args:
        pair: The slaves and their master.
        params: How to distil.
        seed: The run's seed.
        block: Index of the block, >= 0.
        block_s: Length of the block.
        level: How much is simulated.

    Raises:
        ScenarioError: If the parameters make no link.
        ProtocolError: If the roles disagree, which no physics explains.
    """
    if level == "rounds":
        return distilled(sampled_ekert(pair, Seeded(seed), block=block, block_s=block_s), params, seed)
    link, randomness = ekert_link(pair, block_s), Seeded(seed)
    own = _block(pair, "ekert", randomness, block, block_s)
    seen = ekert.tags(link, settings(pair), seed, block)
    hers, his = (
        ekert.clicks(each, arm, link.window_ps, randomness.clicks(own.block_id, role))
        for each, arm, role in zip(seen, (link.alice, link.bob), ROLES, strict=True)
    )
    ends = _alice_measured(hers, link.window_ps), _bob_measured(his)
    how, singles = ekert_in_cluster(pair, block_s), (len(seen[0]), len(seen[1]))
    return both_ends(own, how, params, ends, seed, singles)


def sampled_ekert(pair: Pair, randomness: Randomness, *, block: int, block_s: float = 1.0) -> Sampled:
    """Return what two slaves measure of one block of the master's pairs: matched rounds only.

    Raises:
        ScenarioError: If the parameters make no link.
    """
    how, own = ekert_in_cluster(pair, block_s), _block(pair, "ekert", randomness, block, block_s)
    ids, setting, bit = ekert.coincidences(ekert_link(pair, block_s), how.settings, randomness.photons(), block)
    return Sampled(own, how, Measured(ids, setting[0], bit[0]), Measured(ids, setting[1], bit[1]))


def distil_pairs(
    name: str,
    correlations: Reals,
    how: Ekert91,
    params: Distillation,
    *,
    seed: int,
    block: int,
    start_s: float,
    end_s: float,
) -> Distilled:
    """Run Ekert91 on pairs that two slaves share already, such as the backbone's, and distil them at both ends.

    Args:
        name: Of the link.
        correlations: Shape (n, 3), of X, Y and Z of each pair (:mod:`bellweave.network.wide.states`).
        how: How Ekert91 runs.
        params: How to distil.
        seed: The run's seed.
        block: Index of the block, >= 0.
        start_s: When its first pair was delivered.
        end_s: When its last one was.

    Raises:
        ProtocolError: As :func:`distil_ekert`.
    """
    sampled = sampled_pairs(name, correlations, how, Seeded(seed), block=block, start_s=start_s, end_s=end_s)
    return distilled(sampled, params, seed)


def sampled_pairs(
    name: str,
    correlations: Reals,
    how: Ekert91,
    randomness: Randomness,
    *,
    block: int,
    start_s: float,
    end_s: float,
) -> Sampled:
    """Return what two slaves measure of pairs that they share already; arguments as for :func:`distil_pairs`."""
    own, run = Block(name, "pairs", randomness.run, block, start_s, end_s), ekert_of_pairs(how)
    draw = rng.stream(randomness.photons(), own.block_id, "outcomes")
    setting, bit = ekert.measured_pairs(correlations, run.settings, draw)
    ids = np.arange(correlations.shape[0])
    return Sampled(own, run, Measured(ids, setting[0], bit[0]), Measured(ids, setting[1], bit[1]))


def distil_mdi(
    pair: Pair, params: Distillation, *, seed: int, block: int, block_s: float = 1.0, level: Level = "photons"
) -> Distilled:
    """Run one block of MDI-QKD through the master's measurement and distil it at both ends.

    Coherent pulses: key from signal pulses in basis Z, its length from the counts of all intensities. Single photons:
    key from both bases by the session's own proof. Arguments and errors are those of :func:`distil_ekert`.
    """
    sampled = sampled_mdi(pair, Seeded(seed), block=block, block_s=block_s, level=level)
    return distilled(sampled, params, seed)


def sampled_mdi(
    pair: Pair, randomness: Randomness, *, block: int, block_s: float = 1.0, level: Level = "rounds"
) -> Sampled:
    """Return what two slaves have of one block of pulses after the master has announced what it heralded.

    Raises:
        ScenarioError: If the parameters make no link.
    """
    link = mdi_link(pair, block_s)
    hers, his = (mdi.pulses if level == "photons" else mdi.heralds)(link, randomness.photons(), block)
    return Sampled(_block(pair, "mdi", randomness, block, block_s), Mdi(link), hers, his)


def _block(pair: Pair, protocol: str, randomness: Randomness, number: int, block_s: float) -> Block:
    return Block(pair.name, protocol, randomness.run, number, number * block_s, (number + 1) * block_s)


def _alice_measured(clicks: SettingClicks, window_ps: int) -> Dialogue[Outcomes]:
    own, ids = yield from coincidence.alice_matches(clicks.time_ps, window_ps)
    return Measured(ids, clicks.setting[own], clicks.bit[own])


def _bob_measured(clicks: SettingClicks) -> Dialogue[Outcomes]:
    own = yield from coincidence.bob_matches(clicks.time_ps)
    return Measured(own, clicks.setting[own], clicks.bit[own])
