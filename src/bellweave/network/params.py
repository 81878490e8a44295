"""What can be set about the network around the links."""

from typing import Annotated, Literal

import msgspec

from bellweave.params import NonNegative, Params, Positive, PositiveInt

SchedulerName = Literal["round-robin", "table", "deficit", "optimum"]

Correction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class Schedule(Params, frozen=True, kw_only=True):
    """How the sources' time is shared out among the links (TDM). A user is in one session at a time.

    Attributes:
        scheduler: ``round-robin`` (every link in turn, as the paper), ``table`` (the slots of ``table``, repeated),
            ``deficit`` (deficit-weighted matching on key levels and demand), or ``optimum`` (slot counts by integer
            program, decomposed into matchings).
        slot_s: Length of a slot, what is lost at its start included.
        slots: Number of slots; None: as many as ``run.blocks`` blocks take.
        sources: Disjoint pairs of users that are served at once: sources, or wavelength channels of one.
        table: Links of each slot, for ``table``.
        frame_slots: Slots that ``optimum`` plans ahead.
        speed: How many times faster than their photons slots go by: ``slot_s``, drift and faults are photon time, and
            so long a piece of it passes in a second. Key servers and tunnels live in seconds.
    """

    scheduler: SchedulerName = "round-robin"
    slot_s: Positive = 10.5
    slots: PositiveInt | None = None
    sources: PositiveInt = 1
    table: tuple[tuple[str, ...], ...] = ()
    frame_slots: PositiveInt = 60
    speed: Positive = 1.0

    @property
    def wall_slot_s(self) -> float:
        """Seconds that a slot takes on the clock of key servers and tunnels."""
        return self.slot_s / self.speed


class Drift(Params, frozen=True, kw_only=True):
    """Drift of the polarisation (or phase) at every node, and the feedback that corrects it.

    Attributes:
        rad_per_sqrt_hour: Standard deviation of the misalignment angle after an hour without correction (random walk).
        feedback_s: A correction is made so often.
        correction: Share of the angle that a correction takes away.
    """

    rad_per_sqrt_hour: NonNegative
    feedback_s: Positive = 300.0
    correction: Correction = 0.95


class DataNetwork(Params, frozen=True, kw_only=True):
    """The classical network between nodes.

    Attributes:
        latency_s: One way, from node to node: post-processing, KMEs, gateways.
        local_latency_s: One way, between a gateway and the KME of its own node.
        bandwidth_bits_per_s: Of each gateway's line, when it is emulated; None: as much as the machine can.
    """

    latency_s: NonNegative = 0.000_5
    local_latency_s: NonNegative = 0.000_1
    bandwidth_bits_per_s: Positive | None = None


class Monitor(Params, frozen=True, kw_only=True):
    """Watches the error rate of every link.

    Attributes:
        qber_alarm: A block whose estimate lies above raises an alarm.
        blocks_without_key: So many rejected blocks in a row raise one too.
    """

    qber_alarm: Annotated[float, msgspec.Meta(ge=0.0, le=0.5)] = 0.11
    blocks_without_key: PositiveInt = 3


class Fault(Params, frozen=True, kw_only=True):
    """Something that changes for a while.

    Attributes:
        at_s: From when on.
        until_s: Until when; None: for good.
        set: Scenario paths to the values that they have meanwhile, such as ``source.eps.local_pair_rate_hz = 4000.0``,
            ``link.alice-bob.fibre.length_km = 2.0`` or ``link.alice-bob.eavesdropper = { fraction = 1.0 }``; ``*``
            stands for every name.
        down: A node that fails: its detectors, KME and gateway; or a master, slave or repeater: its memories too.
        cut: A link whose quantum channel is cut; or a hop, or a slave's fibre to its master by the slave's name.
        partition: Two nodes whose KMEs can't reach each other. This and the next ones need an emulation.
        store: A node whose KME's store can't be written.
        charon: A gateway, ``TUNNEL.client`` or ``TUNNEL.server``, whose IKE daemon is killed; it is started again.
        clock: A node whose clock is wrong, by ``clock_step_s``.
        clock_step_s: By how much, seconds.
    """

    at_s: NonNegative
    until_s: NonNegative | None = None
    set: dict[str, object] = {}
    down: str | None = None
    cut: str | None = None
    partition: tuple[str, str] | None = None
    store: str | None = None
    charon: str | None = None
    clock: str | None = None
    clock_step_s: float = 0.0
