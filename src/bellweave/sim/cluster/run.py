"""One block of Ekert91 or MDI-QKD between two slaves, distilled at both ends.

This driver knows both ends and may compare them; the roles do not. Random streams are named after the link, the
protocol and the block: equal arguments give equal bytes.
"""

from dataclasses import dataclass
from typing import Literal

from numpy.random import Generator

from bellweave import rng
from bellweave.blocks import Role, Rounds, SecretBlock
from bellweave.dialogue import Codec, Dialogue
from bellweave.distill import announcing, chsh, decoys, gf128
from bellweave.distill.authentication_keys import AuthenticationKeys
from bellweave.distill.chsh import ChshTest, Measured
from bellweave.distill.decoys import DecoyTest, Sending
from bellweave.distill.evidence import Evidence
from bellweave.distill.messages import KINDS as DISTILL_KINDS
from bellweave.distill.outcome import Context, Minted, Outcome
from bellweave.distill.params import Distillation
from bellweave.distill.tested_session import distilled
from bellweave.errors import ProtocolError
from bellweave.photonics import coincidence, ekert, mdi, security
from bellweave.photonics.ekert import SettingClicks
from bellweave.photonics.mdi_params import MdiLink
from bellweave.photonics.messages import KINDS as PHOTONICS_KINDS
from bellweave.photonics.params import OpticalLink
from bellweave.results.records import BlockRecord
from bellweave.sim.block import LEAST_POOL_BYTES
from bellweave.sim.classical import converse
from bellweave.sim.cluster.optics import Pair, ekert_link, mdi_link, settings

Level = Literal["photons", "rounds"]
"""``photons``: every click, every pulse. ``rounds``: only matched or heralded ones, from closed forms."""

CODEC = Codec(*PHOTONICS_KINDS, *announcing.KINDS, *DISTILL_KINDS)
"""Everything that two slaves of a cluster say to each other."""

OVERLAPPING = "The key bases are 45 degrees apart: no proof of two mutually unbiased bases holds."
SINGLE = (
    "Each sender emits exactly one photon a pulse, in one of two mutually unbiased bases, from a closed laboratory."
)


@dataclass(frozen=True)
class Distilled:
    """What a block gave.

    Attributes:
        record: Its public counts.
        evidence: What its test showed; None with single photons, whose session tests enough.
        rounds: Matched or heralded rounds before the test.
        alice, bob: Each end's secret block; None if it was rejected.
    """

    record: BlockRecord
    evidence: Evidence | None
    rounds: int
    alice: SecretBlock | None
    bob: SecretBlock | None


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
    assumptions = security.assumptions(link)
    if not chosen.unbiased:
        assumptions = (OVERLAPPING, *assumptions[1:], chsh_label())
    context = _context(pair, "ekert", seed, block, block_s, assumptions, "provable" if chosen.unbiased else "chsh")
    singles: tuple[int | None, int | None] = (None, None)
    if level == "photons":
        seen = ekert.tags(link, chosen, seed, block)
        singles = len(seen[0]), len(seen[1])
        own = [
            ekert.clicks(each, arm, link.window_ps, _stream(seed, context, role, "clicks"))
            for each, arm, role in zip(seen, (link.alice, link.bob), ("alice", "bob"), strict=True)
        ]
        hers, his = _alice_measured(own[0], link), _bob_measured(own[1])
    else:
        ids, setting, bit = ekert.coincidences(link, chosen, seed, block)
        hers, his = (_known(Measured(ids, setting[end], bit[end])) for end in (0, 1))
    counted: list[int] = []

    def testing(role: Role, measured: Dialogue[Measured]) -> Dialogue[tuple[Rounds, ChshTest]]:
        own_rounds = yield from measured
        counted.append(len(own_rounds))
        return (yield from chsh.announced(role, own_rounds, chosen, pair.master.ekert.epsilon))

    alice, bob = converse(
        _session("alice", testing("alice", hers), params, context, seed),
        _session("bob", testing("bob", his), params, context, seed),
        CODEC,
    )
    return _distilled(context, seed, block, singles, counted[0], alice, bob)


def distil_mdi(
    pair: Pair, params: Distillation, *, seed: int, block: int, block_s: float = 1.0, level: Level = "photons"
) -> Distilled:
    """Run one block of MDI-QKD through the master's measurement and distil it at both ends.

    Coherent pulses: key from signal pulses in basis Z, its length from the counts of all intensities. Single photons:
    key from both bases by the session's own proof. Arguments and errors are those of :func:`distil_ekert`.
    """
    link = mdi_link(pair, block_s)
    coherent = link.light == "coherent"
    context = _context(pair, "mdi", seed, block, block_s, () if coherent else (SINGLE,), "provable")
    hers, his = (mdi.pulses if level == "photons" else mdi.heralds)(link, seed, block)
    alice, bob = converse(
        _session("alice", _mdi_tested("alice", hers, link), params, context, seed),
        _session("bob", _mdi_tested("bob", his, link), params, context, seed),
        CODEC,
    )
    return _distilled(context, seed, block, (None, None), len(hers), alice, bob)


def chsh_label() -> str:
    """Return what the key length by the CHSH value is conditional on."""
    return (
        "The key's length is asymptotic, from the bound on the CHSH value, against collective attacks; on coincidences "
        "that were selected after the fact it proves nothing device-independent."
    )


def _alice_measured(clicks: SettingClicks, link: OpticalLink) -> Dialogue[Measured]:
    own, ids = yield from coincidence.alice_matches(clicks.time_ps, link.window_ps)
    return Measured(ids, clicks.setting[own], clicks.bit[own])


def _bob_measured(clicks: SettingClicks) -> Dialogue[Measured]:
    own = yield from coincidence.bob_matches(clicks.time_ps)
    return Measured(own, clicks.setting[own], clicks.bit[own])


def _known(measured: Measured) -> Dialogue[Measured]:
    yield from ()
    return measured


def _mdi_tested(role: Role, rounds: Rounds, link: MdiLink) -> Dialogue[tuple[Rounds, DecoyTest | None]]:
    if link.light == "single-photon":
        return rounds, None
    sending = Sending(link.pulses, link.intensities, link.shares, link.z_probability)
    return (yield from decoys.announced(role, rounds, sending))


Ended = tuple[Outcome, Evidence | None]


def _session(
    role: Role,
    testing: Dialogue[tuple[Rounds, ChshTest]] | Dialogue[tuple[Rounds, DecoyTest | None]],
    params: Distillation,
    context: Context,
    seed: int,
) -> Dialogue[Ended]:
    keys = None
    if params.authentication is not None:
        length = gf128.KEY_BYTES + max(params.authentication.reserve_bits // 8, LEAST_POOL_BYTES)
        secret = _stream(seed, context, "authentication").bytes(length)
        keys = AuthenticationKeys.started(role, secret, params.authentication)
        keys.admit(context.start_s)
    entropy = _stream(seed, context, role, "protocol")
    return distilled(role, testing, params, context, entropy, keys=keys)


def _context(
    pair: Pair, protocol: str, seed: int, block: int, block_s: float, assumptions: tuple[str, ...], mint: Minted
) -> Context:
    return Context(
        link=pair.name,
        block_id=f"{pair.name}/{protocol}/{seed}/{block}",
        start_s=block * block_s,
        end_s=(block + 1) * block_s,
        provenance="simulated",
        mint=mint,
        assumptions=assumptions,
    )


def _stream(seed: int, context: Context, *name: str) -> Generator:
    return rng.stream(seed, context.block_id, *name)


def _distilled(
    context: Context,
    seed: int,
    block: int,
    singles: tuple[int | None, int | None],
    rounds: int,
    alice: Ended,
    bob: Ended,
) -> Distilled:
    (hers, evidence), (his, _) = alice, bob
    if hers.block is not None and (his.block is None or not hers.block.agrees_with(his.block)):
        raise ProtocolError(f"{context.block_id}: the two ends hold different keys")
    record = BlockRecord(
        link=context.link,
        block=block,
        block_id=context.block_id,
        seed=seed,
        start_s=context.start_s,
        end_s=context.end_s,
        singles_alice=singles[0],
        singles_bob=singles[1],
        sacrificed=0,
        ledger=hers.ledger,
        estimate=hers.estimate,
        corrections=hers.corrections,
        accountings=hers.accountings,
        provable_bits=hers.block.provable_bits if hers.block else 0,
        rejection=hers.rejection,
    )
    return Distilled(record, evidence, rounds, hers.block, his.block)
