"""One block of Ekert91 or MDI-QKD between two slaves, distilled at both ends."""

import numpy as np

from bellweave import bell
from bellweave.bell import Reals, Settings
from bellweave.blocks import Role, Rounds
from bellweave.dialogue import Dialogue
from bellweave.distill import chsh, decoys
from bellweave.distill.chsh import ChshTest, Measured
from bellweave.distill.decoys import DecoyTest, Sending
from bellweave.distill.params import Distillation
from bellweave.network.wide.params import Ekert91
from bellweave.photonics import coincidence, ekert, mdi, security
from bellweave.photonics.ekert import SettingClicks
from bellweave.photonics.mdi_params import MdiLink
from bellweave.sim.cluster.ends import Block, Distilled, Level, Singles, Testing, both_ends
from bellweave.sim.cluster.optics import Pair, ekert_link, mdi_link, settings

UNBIASED = "The pairs' state is unknown, but each node's key bases are mutually unbiased and its laboratory is closed."
CLOSED = "The pairs' state is unknown; each slave measures what it set, in a closed laboratory."
OVERLAPPING = "The key bases are 45 degrees apart: no proof of two mutually unbiased bases holds."
SINGLE = (
    "Each sender emits exactly one photon a pulse, in one of two mutually unbiased bases, from a closed laboratory."
)
BY_CHSH = (
    "The key's length is asymptotic, from the bound on the CHSH value, against collective attacks; on coincidences "
    "that were selected after the fact it proves nothing device-independent."
)


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
    link, chosen = ekert_link(pair, block_s), settings(pair)
    own = Block(pair.name, "ekert", seed, block, block * block_s, (block + 1) * block_s)
    singles: Singles = (None, None)
    if level == "photons":
        seen = ekert.tags(link, chosen, seed, block)
        singles = len(seen[0]), len(seen[1])
        hers, his = (
            ekert.clicks(each, arm, link.window_ps, own.stream(role, "clicks"))
            for each, arm, role in zip(seen, (link.alice, link.bob), ("alice", "bob"), strict=True)
        )
        measured = _alice_measured(hers, link.window_ps), _bob_measured(his)
    else:
        ids, setting, bit = ekert.coincidences(link, chosen, seed, block)
        measured = _known(Measured(ids, setting[0], bit[0])), _known(Measured(ids, setting[1], bit[1]))
    return _ekert(own, measured, chosen, pair.master.ekert.epsilon, params, security.assumptions(link), singles)


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
    chosen = bell.ekert_settings(how.settings, how.test_share)
    own = Block(name, "pairs", seed, block, start_s, end_s)
    setting, bit = ekert.measured_pairs(correlations, chosen, own.stream("outcomes"))
    ids = np.arange(correlations.shape[0])
    measured = _known(Measured(ids, setting[0], bit[0])), _known(Measured(ids, setting[1], bit[1]))
    return _ekert(own, measured, chosen, how.epsilon, params, (UNBIASED,), (None, None))


def distil_mdi(
    pair: Pair, params: Distillation, *, seed: int, block: int, block_s: float = 1.0, level: Level = "photons"
) -> Distilled:
    """Run one block of MDI-QKD through the master's measurement and distil it at both ends.

    Coherent pulses: key from signal pulses in basis Z, its length from the counts of all intensities. Single photons:
    key from both bases by the session's own proof. Arguments and errors are those of :func:`distil_ekert`.
    """
    link = mdi_link(pair, block_s)
    own = Block(pair.name, "mdi", seed, block, block * block_s, (block + 1) * block_s)
    hers, his = (mdi.pulses if level == "photons" else mdi.heralds)(link, seed, block)
    context = own.context(() if link.light == "coherent" else (SINGLE,))
    return both_ends(own, context, params, _decoys_tested("alice", hers, link), _decoys_tested("bob", his, link))


def _ekert(
    own: Block,
    measured: tuple[Dialogue[Measured], Dialogue[Measured]],
    chosen: Settings,
    epsilon: float,
    params: Distillation,
    assumptions: tuple[str, ...],
    singles: Singles,
) -> Distilled:
    context = own.context(assumptions)
    if not chosen.unbiased:
        context = own.context((OVERLAPPING, CLOSED, *assumptions[1:], BY_CHSH), "chsh")
    alice = _chsh_tested("alice", measured[0], chosen, epsilon)
    bob = _chsh_tested("bob", measured[1], chosen, epsilon)
    return both_ends(own, context, params, alice, bob, singles)


def _alice_measured(clicks: SettingClicks, window_ps: int) -> Dialogue[Measured]:
    own, ids = yield from coincidence.alice_matches(clicks.time_ps, window_ps)
    return Measured(ids, clicks.setting[own], clicks.bit[own])


def _bob_measured(clicks: SettingClicks) -> Dialogue[Measured]:
    own = yield from coincidence.bob_matches(clicks.time_ps)
    return Measured(own, clicks.setting[own], clicks.bit[own])


def _known(measured: Measured) -> Dialogue[Measured]:
    yield from ()
    return measured


def _chsh_tested(role: Role, measuring: Dialogue[Measured], chosen: Settings, epsilon: float) -> Testing[ChshTest]:
    measured = yield from measuring
    rounds, shown = yield from chsh.announced(role, measured, chosen, epsilon)
    return len(measured), rounds, shown


def _decoys_tested(role: Role, heralded: Rounds, link: MdiLink) -> Testing[DecoyTest | None]:
    if link.light == "single-photon":
        return len(heralded), heralded, None
    sending = Sending(link.pulses, link.intensities, link.shares, link.z_probability)
    rounds, shown = yield from decoys.announced(role, heralded, sending)
    return len(heralded), rounds, shown
