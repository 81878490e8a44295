"""What a slave does with what it measured: one end's way from its own outcomes to its own secret block.

A slave knows the scenario and, of each block, what is public: number, begin and end. It tests (the CHSH inequality, or
the decoys) and distils with the other slave in one dialogue, and learns of the other's outcomes what that announces.

=============  ============  =================================================
method         in block ids  what is distilled
=============  ============  =================================================
``backbone``   ``pairs``     Ekert91 on pairs that swapping delivered
``ekert91``    ``ekert``     Ekert91 on pairs of the two slaves' own master
``mdi``        ``mdi``       MDI-QKD through their master's measurement
=============  ============  =================================================
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from bellweave import bell
from bellweave.bell import Settings
from bellweave.blocks import Role, Rounds
from bellweave.dialogue import Codec, Dialogue
from bellweave.distill import announcing, chsh, decoys
from bellweave.distill.chsh import Measured
from bellweave.distill.decoys import Sending
from bellweave.distill.evidence import Evidence
from bellweave.distill.messages import KINDS as DISTILL_KINDS
from bellweave.distill.outcome import Context, Outcome
from bellweave.distill.params import Distillation
from bellweave.distill.tested_session import distilled
from bellweave.network.wide.params import Ekert91
from bellweave.photonics import security
from bellweave.photonics.mdi_params import MdiLink
from bellweave.photonics.messages import KINDS as PHOTONICS_KINDS
from bellweave.roles.node import authentication_keys
from bellweave.roles.randomness import Randomness
from bellweave.scenario.cluster_optics import Pair, ekert_link, mdi_link, settings
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import backbone_of

Method = Literal["backbone", "ekert91", "mdi"]

PROTOCOLS: dict[Method, str] = {"backbone": "pairs", "ekert91": "ekert", "mdi": "mdi"}
"""What makes the rounds of each method, as block ids name it."""

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

CODEC = Codec(*PHOTONICS_KINDS, *announcing.KINDS, *DISTILL_KINDS)
"""Everything that two slaves say to each other to distil."""

Outcomes = Measured | Rounds
"""What one slave has of a block: settings and outcomes of Ekert91, or heralded rounds of MDI-QKD."""


class Tested(NamedTuple):
    """How a slave ends: its outcome, and what the test before it showed; no detection is given up for clocks."""

    outcome: Outcome
    evidence: Evidence | None
    sacrificed: int = 0


Testing = Dialogue[tuple[Rounds, Evidence | None]]
"""A stage that returns the rounds that become key, and what the others showed."""


@dataclass(frozen=True)
class Block:
    """Which block this is; public.

    Attributes:
        link: Name of the link.
        protocol: Name of what makes its rounds.
        run: What the run is called in its blocks' ids.
        number: Counts the blocks of link and protocol.
        start_s, end_s: When its photons are detected.
    """

    link: str
    protocol: str
    run: str
    number: int
    start_s: float
    end_s: float

    @property
    def block_id(self) -> str:
        """The same at both ends, unique on the link."""
        return f"{self.link}/{self.protocol}/{self.run}/{self.number}"


@dataclass(frozen=True)
class Ekert:
    """How two slaves run Ekert91; both know it.

    Attributes:
        settings: Of their analysers.
        epsilon: Of the bound on the CHSH value.
        assumptions: Of the proof.
    """

    settings: Settings
    epsilon: float
    assumptions: tuple[str, ...]

    def context(self, block: Block) -> Context:
        """Return what a session needs to know; with overlapping key bases nothing of the key is called proven."""
        if self.settings.unbiased:
            return _context(block, self.assumptions)
        return _context(block, (OVERLAPPING, CLOSED, *self.assumptions[1:], BY_CHSH), by_chsh=True)

    def testing(self, role: Role, held: Outcomes) -> Testing:
        """Announce settings, and test the CHSH inequality.

        Raises:
            TypeError: These are no outcomes of Ekert91.
        """
        if not isinstance(held, Measured):
            raise TypeError("Ekert91 has measured pairs")
        return (yield from chsh.announced(role, held, self.settings, self.epsilon))


@dataclass(frozen=True)
class Mdi:
    """How two slaves run MDI-QKD; ``link`` has both ways to the measurement."""

    link: MdiLink

    def context(self, block: Block) -> Context:
        """Return what a session needs to know."""
        return _context(block, () if self.link.light == "coherent" else (SINGLE,))

    def testing(self, role: Role, held: Outcomes) -> Testing:
        """Announce intensities and count; single photons need no test but the session's own.

        Raises:
            TypeError: These are no rounds of MDI-QKD.
        """
        if not isinstance(held, Rounds):
            raise TypeError("MDI-QKD has heralded rounds")
        own = self.link
        if own.light == "single-photon":
            return held, None
        sending = Sending(own.pulses, own.intensities, own.shares, own.z_probability)
        return (yield from decoys.announced(role, held, sending))


def ekert_of_pairs(how: Ekert91) -> Ekert:
    """Return how two slaves run Ekert91 on pairs that they share already."""
    return Ekert(bell.ekert_settings(how.settings, how.test_share), how.epsilon, (UNBIASED,))


def ekert_in_cluster(pair: Pair, block_s: float) -> Ekert:
    """Return how two slaves run Ekert91 on their master's pairs."""
    return Ekert(settings(pair), pair.master.ekert.epsilon, security.assumptions(ekert_link(pair, block_s)))


def session(
    role: Role,
    testing: Testing,
    params: Distillation,
    context: Context,
    randomness: Randomness,
    shared: str,
) -> Dialogue[tuple[Outcome, Evidence | None]]:
    """Test and distil; return one's outcome, and what the test showed.

    Args:
        role: One's own.
        testing: The test, and what comes before.
        params: How to distil; the same at both ends.
        context: Which block this is.
        randomness: What this end may draw from.
        shared: What the two ends' secret for authentication is filed under.

    Raises:
        ProtocolError: The peer or the line broke the protocol.
    """
    keys = authentication_keys(role, params.authentication, context, randomness, shared)
    return distilled(role, testing, params, context, randomness.protocol(context.block_id, role), keys=keys)


class Slave:
    """One end of one method of a demand, in ``physical`` mode.

    Args:
        scenario: With clusters.
        demand: Which.
        method: Of its methods.
        role: Which end.
        randomness: What this end may draw from.

    Attributes:
        demand, method, role: Which.
        link: Demand and method: each method counts its blocks on its own.
        calibrates: Never: which outcomes belong together is known from what stored and swapped the pairs.
        codec: For all that the two ends say to each other.
    """

    calibrates: ClassVar[bool] = False
    codec: ClassVar[Codec] = CODEC

    def __init__(self, scenario: Scenario, demand: str, method: Method, role: Role, randomness: Randomness) -> None:
        self.link, self.role, self.demand, self.method = f"{demand}/{method}", role, demand, method
        self._params, self._randomness = scenario.distill, randomness
        self._how = _how(scenario, demand, method)
        self._name = demand if method == "backbone" else slaves_of(scenario, demand).name

    def block(self, number: int, start_s: float, end_s: float) -> Block:
        """Return which block this is."""
        return Block(self._name, PROTOCOLS[self.method], self._randomness.run, number, start_s, end_s)

    def distil(self, blocks: Sequence[tuple[Block, Outcomes]]) -> Dialogue[Tested]:
        """Go from what this slave has of one block to its secret block; just one is distilled at a time.

        Raises:
            ProtocolError: The peer or the line broke the protocol.
        """
        ((block, held),) = blocks
        testing, context = self._how.testing(self.role, held), self._how.context(block)
        outcome, evidence = yield from session(self.role, testing, self._params, context, self._randomness, self.demand)
        return Tested(outcome, evidence)


def methods_of(scenario: Scenario, demand: str) -> tuple[Method, ...]:
    """Return how the slaves of a demand get their key."""
    ends, slaves = scenario.demand[demand], scenario.slave
    return ("ekert91", "mdi") if slaves[ends.a].master == slaves[ends.b].master else ("backbone",)


def slaves_of(scenario: Scenario, demand: str) -> Pair:
    """Return the two slaves of a demand in one cluster, Alice first."""
    ends, slaves = scenario.demand[demand], scenario.slave
    return Pair(scenario.master[slaves[ends.a].master], ends.a, slaves[ends.a], ends.b, slaves[ends.b])


def _how(scenario: Scenario, demand: str, method: Method) -> Ekert | Mdi:
    backbone = backbone_of(scenario)
    if method == "mdi":
        return Mdi(mdi_link(slaves_of(scenario, demand), backbone.mdi_block_s))
    if method == "ekert91":
        return ekert_in_cluster(slaves_of(scenario, demand), backbone.block_s)
    return ekert_of_pairs(scenario.master[scenario.slave[scenario.demand[demand].a].master].ekert)


def _context(block: Block, assumptions: tuple[str, ...], *, by_chsh: bool = False) -> Context:
    return Context(
        link=block.link,
        block_id=block.block_id,
        start_s=block.start_s,
        end_s=block.end_s,
        provenance="simulated",
        mint="chsh" if by_chsh else "provable",
        assumptions=assumptions,
    )
