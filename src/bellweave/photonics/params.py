"""What can be set about photons: sources, fibres, noise, analysers, detectors, links. Every limit stands here."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from bellweave.params import NonNegative, NonNegativeInt, Params, Positive, PositiveInt, Probability

BellState = Literal["phi+", "phi-", "psi+", "psi-"]
Visibility = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Fraction = Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]
ComplexRow = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]


class _Pairs(Params, frozen=True, kw_only=True):
    """What every source of entangled pairs has.

    Attributes:
        state: The Bell state that the source emits.
        visibility: Weight of the Bell state; the rest is white noise (a Werner state).
        density_matrix: Replaces ``state`` and ``visibility``: 4 x 4 entries [real, imaginary] in the order HH, HV, VH,
            VV (time-bin: early-early, early-late, late-early, late-late); Hermitian, positive, trace 1.
        local_efficiency: Detection probability per photon of the detectors beside the source that measured
            ``local_pair_rate_hz``; 1 takes that rate for the emitted one, as both papers do.
    """

    state: BellState = "phi+"
    visibility: Visibility = 1.0
    density_matrix: tuple[ComplexRow, ComplexRow, ComplexRow, ComplexRow] | None = None
    local_efficiency: Fraction = 1.0


class CwSource(_Pairs, frozen=True, kw_only=True, tag_field="kind", tag="cw"):
    """A continuous-wave pumped source: pairs come as a Poisson process. Give exactly one of the two rates.

    Attributes:
        pair_rate_hz: Pairs emitted per second.
        local_pair_rate_hz: Pairs per second *detected* beside the source (the papers' R_loc).
    """

    pair_rate_hz: Positive | None = None
    local_pair_rate_hz: Positive | None = None

    def __post_init__(self) -> None:
        _exactly_one(pair_rate_hz=self.pair_rate_hz, local_pair_rate_hz=self.local_pair_rate_hz)

    @property
    def emitted_pair_rate_hz(self) -> float:
        """Pairs emitted per second."""
        if self.pair_rate_hz is not None:
            return self.pair_rate_hz
        return (self.local_pair_rate_hz or 0.0) / self.local_efficiency**2


class PulsedSource(_Pairs, frozen=True, kw_only=True, tag_field="kind", tag="pulsed"):
    """A pulsed source: each pulse emits 0, 1, 2, ... pairs. Give exactly one of the two brightnesses.

    Attributes:
        repetition_rate_hz: Pulses per second.
        mean_pairs_per_pulse: Mean number of pairs in a pulse.
        local_pair_rate_hz: Pairs per second *detected* beside the source (the papers' R_loc).
        statistics: ``poisson`` (many modes) or ``thermal`` (one mode per polarisation, the two-mode squeezed state of
            Ma, Fung, Lo, PRA 76, 012307).
    """

    repetition_rate_hz: Positive
    mean_pairs_per_pulse: Positive | None = None
    local_pair_rate_hz: Positive | None = None
    statistics: Literal["poisson", "thermal"] = "poisson"

    def __post_init__(self) -> None:
        _exactly_one(mean_pairs_per_pulse=self.mean_pairs_per_pulse, local_pair_rate_hz=self.local_pair_rate_hz)

    @property
    def mean_pairs(self) -> float:
        """Mean number of pairs in a pulse."""
        if self.mean_pairs_per_pulse is not None:
            return self.mean_pairs_per_pulse
        return (self.local_pair_rate_hz or 0.0) / self.local_efficiency**2 / self.repetition_rate_hz

    @property
    def emitted_pair_rate_hz(self) -> float:
        """Pairs emitted per second."""
        return self.mean_pairs * self.repetition_rate_hz


Source = CwSource | PulsedSource


class Fibre(Params, frozen=True, kw_only=True):
    """A fibre.

    Attributes:
        length_km: Length.
        loss_db_per_km: Attenuation.
        group_index: Group index; delay = length x index / c.
    """

    length_km: NonNegative
    loss_db_per_km: NonNegative = 0.2
    group_index: Annotated[float, msgspec.Meta(ge=1.0)] = 1.468

    @property
    def loss_db(self) -> float:
        """Loss of the whole length."""
        return self.length_km * self.loss_db_per_km

    @property
    def delay_ps(self) -> int:
        """Time of flight."""
        return round(self.length_km * self.group_index / 299_792.458 * 1e12)


class Noise(Params, frozen=True, kw_only=True):
    """Noise on the photons of one arm.

    Attributes:
        rotation_sigma_rad: Standard deviation of the two Gaussian angles by which each photon is rotated, about X and
            then about Z of the Bloch sphere (SQUANCH's RandomUnitaryError): QBER (1 - exp(-sigma^2/2))/2 from one arm,
            (1 - exp(-sigma^2))/2 from two equal ones.
        depolarising_probability: Probability that the photon's state is replaced by white noise.
        dephasing_probability: Probability of a phase flip (errors in X only).
        misalignment_rad: Fixed rotation about Y of the Bloch sphere: QBER sin^2(angle/2) in both bases; a polariser
            turned by half that angle does it.
    """

    rotation_sigma_rad: NonNegative = 0.0
    depolarising_probability: Probability = 0.0
    dephasing_probability: Probability = 0.0
    misalignment_rad: float = 0.0


class Detector(Params, frozen=True, kw_only=True):
    """A node's single-photon detectors, alike unless ``efficiencies`` says otherwise.

    Attributes:
        efficiency: Detection probability.
        efficiencies: One for each channel, replaces ``efficiency`` where detectors differ.
        dark_rate_hz: Dark counts per second and detector.
        jitter_ps: Standard deviation of a click's time.
        dead_time_ps: After a click the detector is blind for so long.
        afterpulse_probability: Probability that a click causes another one.
        afterpulse_delay_ps: Mean of the exponential delay of an afterpulse, counted from the end of the dead time.
    """

    efficiency: Probability = 1.0
    efficiencies: tuple[Probability, ...] | None = None
    dark_rate_hz: NonNegative = 0.0
    jitter_ps: NonNegativeInt = 0
    dead_time_ps: NonNegativeInt = 0
    afterpulse_probability: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    afterpulse_delay_ps: PositiveInt = 50_000


class Polarisation(Params, frozen=True, kw_only=True, tag_field="encoding", tag="polarisation"):
    """A polarisation analyser. Channels: passive 0 = H, 1 = V, 2 = D, 3 = A; active and keyed 0 = bit 0, 1 = bit 1.

    Attributes:
        basis_choice: ``passive`` (a beam splitter and four detectors), ``active`` (a modulator driven by the node's own
            random numbers, two detectors) or ``keyed`` (a modulator driven by a pseudo-random generator whose key both
            ends share: every slot's bases match; security is computational only).
        z_probability: Probability of basis Z.
        slot_ps: How long a modulator holds a setting; ``active`` and ``keyed`` only.
        double_click: Two clicks of one basis at once: a ``random`` bit, or ``discard``. Random keeps the bound on Eve
            valid.
        cross_basis: Clicks of both bases at once: ``random`` (keep one of the two at random) or ``discard``.
    """

    basis_choice: Literal["passive", "active", "keyed"] = "passive"
    z_probability: Probability = 0.5
    slot_ps: PositiveInt = 1_000_000
    double_click: Literal["random", "discard"] = "random"
    cross_basis: Literal["random", "discard"] = "discard"

    @property
    def channels(self) -> int:
        """Number of detectors."""
        return 4 if self.basis_choice == "passive" else 2


class TimeBin(Params, frozen=True, kw_only=True, tag_field="encoding", tag="time-bin"):
    """A time-bin analyser: an unbalanced interferometer with a detector at each output. Needs a pulsed source.

    A photon arrives in one of three slots, ``bin_separation_ps`` apart: the outer ones tell its time bin (basis Z,
    either detector), the middle one its phase (basis X, the detector is the bit). The chance of the middle slot is 1/2.
    Channels: 0 and 1 are the interferometer's outputs; 2 is the direct detector, where there is one.

    Attributes:
        bin_separation_ps: Delay between the early and the late bin, and of the interferometer's long arm.
        phase_rad: Phase of the interferometer at the start of the run, relative to the source.
        phase_drift_rad_per_s: How fast it drifts.
        visibility: Interference visibility of this interferometer.
        direct_z_probability: Share of the photons that a beam splitter sends to a third detector which only tells the
            time (more Z); the interferometer's outer slots still count as Z. 0: two detectors only.
        double_click, cross_basis: As for :class:`Polarisation`.
    """

    bin_separation_ps: PositiveInt
    phase_rad: float = 0.0
    phase_drift_rad_per_s: float = 0.0
    visibility: Visibility = 1.0
    direct_z_probability: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    double_click: Literal["random", "discard"] = "random"
    cross_basis: Literal["random", "discard"] = "discard"

    @property
    def channels(self) -> int:
        """Number of detectors."""
        return 3 if self.direct_z_probability > 0.0 else 2


Analyser = Polarisation | TimeBin


class Clock(Params, frozen=True, kw_only=True):
    """A node's clock, relative to the source's.

    Attributes:
        offset_ps: What it shows at the source's zero.
        drift: Relative frequency error, such as 1e-9.
        channel_delay_ps: Delay of each detector channel (cables, electronics); empty means none.
    """

    offset_ps: int = 0
    drift: Annotated[float, msgspec.Meta(ge=-1e-3, le=1e-3)] = 0.0
    channel_delay_ps: tuple[int, ...] = ()


class Node(Params, frozen=True, kw_only=True):
    """A node: its path from the source (or switch), its analyser, its detectors, its clock.

    Attributes:
        analyser: What it measures with.
        detector: Its detectors.
        loss_db: Named losses on its path, without fibre, switch and detectors.
        fibre: Fibre from the source or switch to the node.
        noise: Noise on its path.
        clock: Its clock, relative to the source's.
    """

    analyser: Analyser = msgspec.field(default_factory=Polarisation)
    detector: Detector = msgspec.field(default_factory=Detector)
    loss_db: dict[str, NonNegative] = {}
    fibre: Fibre | None = None
    noise: Noise = msgspec.field(default_factory=Noise)
    clock: Clock = msgspec.field(default_factory=Clock)


class Switch(Params, frozen=True, kw_only=True):
    """An N-port optical switch between the source and the nodes.

    Attributes:
        ports: Number of ports.
        insertion_loss_db: Loss of one pass.
        crosstalk_db: How far below the signal a photon of one arm comes out at the other arm; none if absent.
        reconfiguration_s: How long it takes to connect other ports, at the start of a slot that needs it.
        synchronisation_s: What two users then need to find each other's time and basis again.
    """

    ports: Annotated[int, msgspec.Meta(ge=2)]
    insertion_loss_db: NonNegative = 0.0
    crosstalk_db: NonNegative | None = None
    reconfiguration_s: NonNegative = 0.0
    synchronisation_s: NonNegative = 0.0


class Eavesdropper(Params, frozen=True, kw_only=True):
    """Intercept-resend: Eve measures photons of one arm and sends what she saw.

    Attributes:
        fraction: Share of the pairs that she attacks.
        arm: Whose photons.
        basis: The basis she measures in; ``random`` takes Z or X with probability 1/2 each.
    """

    fraction: Probability = 1.0
    arm: Literal["alice", "bob"] = "bob"
    basis: Literal["random", "z", "x"] = "random"


class Cut(Params, frozen=True, kw_only=True):
    """The quantum channel of one arm is cut from ``start_s`` to ``end_s``, seconds since the start of the run."""

    start_s: NonNegative
    end_s: NonNegative
    arm: Literal["alice", "bob"] = "bob"

    def __post_init__(self) -> None:
        if self.end_s <= self.start_s:
            raise ValueError(f"end_s must be later than start_s = {self.start_s}, not {self.end_s}")


class Calibration(Params, frozen=True, kw_only=True):
    """How the two clocks are brought together. Without it, offset, drift and delays are taken as known.

    Attributes:
        slice_s: Length of the slices at the start and at the end of the block whose times and channels are disclosed;
            their detections never enter the key.
        search_ps: Largest clock offset that is looked for, either way.
        choose_window: Whether the coincidence window is chosen on the slices too; else the link's ``window_ps`` stays.
    """

    slice_s: Positive = 0.1
    search_ps: PositiveInt = 1_000_000_000
    choose_window: bool = False


class Arm(Params, frozen=True, kw_only=True):
    """One photon's way from the source to a node, put together: a node and all losses in the order of the path.

    Attributes:
        node: The node at its end.
        loss_db: Named losses in dB, fibre and switch among them, detectors not.
        delay_ps: Time of flight.
    """

    node: Node
    loss_db: dict[str, float]
    delay_ps: int = 0

    @property
    def transmission(self) -> float:
        """Probability that a photon reaches the detectors."""
        return float(10.0 ** (-sum(self.loss_db.values()) / 10.0))


class OpticalLink(Params, frozen=True, kw_only=True):
    """Everything that the photons of one link meet: what :mod:`bellweave.photonics.link` simulates and theory predicts.

    Attributes:
        name: The link's name, part of the names of its random streams.
        source, alice, bob: The source and the two arms.
        window_ps: Full width of the coincidence window: two clicks match if they are at most half of it apart.
        block_s: Length of a block.
        crosstalk: Probability that a photon of one arm comes out at the other.
        eavesdropper, cut, calibration: See there.
    """

    name: str
    source: Source
    alice: Arm
    bob: Arm
    window_ps: PositiveInt
    block_s: Positive
    crosstalk: Probability = 0.0
    eavesdropper: Eavesdropper | None = None
    cut: Cut | None = None
    calibration: Calibration | None = None


def _exactly_one(**brightness: float | None) -> None:
    given: Mapping[str, float] = {name: value for name, value in brightness.items() if value is not None}
    if len(given) != 1:
        raise ValueError(f"give exactly one of {' and '.join(brightness)}, not {' and '.join(given) or 'none'}")
