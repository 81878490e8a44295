"""What can be set about MDI-QKD: two senders, and a third party whose beam splitter and four detectors herald."""

from typing import Annotated, Literal

import msgspec

from bellweave.errors import ScenarioError
from bellweave.params import NonNegative, Params, Positive, PositiveInt
from bellweave.photonics.params import Detector, Visibility

CHANNELS = 4
"""Detectors: output 1 H and V, output 2 H and V."""

SHARES_TOLERANCE = 1e-9

Light = Literal["coherent", "single-photon"]


class Sender(Params, frozen=True, kw_only=True):
    """One sender and its way to the measurement.

    Attributes:
        loss_db: Of the way, detectors not included.
        misalignment_rad: Fixed rotation of its states about Y of the Bloch sphere.
    """

    loss_db: NonNegative = 0.0
    misalignment_rad: float = 0.0


class MdiLink(Params, frozen=True, kw_only=True):
    """Everything that the pulses of two senders meet.

    Attributes:
        name: The link's name, part of the names of its random streams.
        alice, bob: The senders.
        light: ``coherent``: phase-randomised weak pulses with decoys; ``single-photon``: one photon a pulse, for sure.
        intensities: Mean photon numbers of coherent pulses, the signal first; both senders use the same.
        shares: How often each is sent; they add up to 1.
        z_probability: How often a sender chooses basis Z.
        pulse_rate_hz: Pairs of pulses per second.
        gate_ps: How long the detectors are open for a pulse.
        detector: The four detectors.
        visibility: Of two single photons' interference at the beam splitter (the depth of the Hong-Ou-Mandel dip).
        block_s: Length of a block.
    """

    name: str
    alice: Sender = msgspec.field(default_factory=Sender)
    bob: Sender = msgspec.field(default_factory=Sender)
    light: Light = "coherent"
    intensities: tuple[NonNegative, ...] = (0.4, 0.1, 0.0)
    shares: tuple[NonNegative, ...] = (0.5, 0.3, 0.2)
    z_probability: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.5
    pulse_rate_hz: Positive = 1.0e8
    gate_ps: PositiveInt = 1_000
    detector: Detector = msgspec.field(default_factory=Detector)
    visibility: Visibility = 1.0
    block_s: Positive = 1.0

    @property
    def pulses(self) -> int:
        """Pairs of pulses in a block."""
        return max(1, int(self.block_s * self.pulse_rate_hz))


def check(link: MdiLink) -> None:
    """Do nothing if the link is possible.

    Raises:
        ScenarioError: With the path ``mdi.<name>...``, the value and the limit.
    """
    path = f"mdi.{link.name}"
    if link.light == "coherent" and not 1 <= len(link.intensities) == len(link.shares):
        problem = f"{len(link.shares)} shares for {len(link.intensities)} intensities"
        raise ScenarioError(problem, path=f"{path}.shares")
    if link.light == "coherent" and abs(sum(link.shares) - 1.0) > SHARES_TOLERANCE:
        raise ScenarioError(f"add up to {sum(link.shares):.6g}, not to 1", path=f"{path}.shares")
    each = link.detector.efficiencies
    if each is not None and len(each) != CHANNELS:
        raise ScenarioError(f"has {len(each)} entries for {CHANNELS} detectors", path=f"{path}.detector.efficiencies")
    period_ps = 1e12 / link.pulse_rate_hz
    if link.gate_ps > period_ps:
        problem = f"is {link.gate_ps}, the limit is the pulse period of {period_ps:.6g} ps"
        raise ScenarioError(problem, path=f"{path}.gate_ps")
    if link.detector.dead_time_ps > period_ps or link.detector.afterpulse_probability > 0.0:
        problem = f"a dead time beyond the pulse period of {period_ps:.6g} ps, or afterpulses, are not modelled here"
        raise ScenarioError(problem, path=f"{path}.detector")
