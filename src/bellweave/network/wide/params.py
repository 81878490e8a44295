"""What can be set about a wide-area network: ``[memory]``, ``[master.x] [slave.x] [repeater.x] [hop.x] [demand.x]``.

Defaults are the cluster paper's where it prints a value: 100 us for a Bell measurement, 1040 us to retrieve a qubit,
145 us for an attempt, 0.4 dB/km.
"""

from typing import Annotated, Literal

import msgspec

from bellweave.params import NonNegative, NonNegativeInt, Params, Positive, PositiveInt, Probability

Fidelity = Annotated[float, msgspec.Meta(ge=0.25, le=1.0)]
"""Fidelity to the wanted Bell state; 0.25: nothing is left of it."""

SwapOrder = Literal["hop-by-hop", "nested", "asap", "optimal"]
Router = Literal["hops", "length", "reliability", "rate", "multipath", "online"]
EkertSettings = Literal["unbiased", "ekert"]
MdiLight = Literal["coherent", "single-photon"]


class Memory(Params, frozen=True, kw_only=True):
    """What a node's memories can do.

    Attributes:
        lifetime_s: A stored qubit is dropped at this age; None: never.
        cutoff_s: A pair is given up at this age, before its memory would drop it; None: it is not.
        coherence_s: Time constant of the decay of a stored qubit towards white noise (depolarising); None: none.
        retrieval_s: Time to bring a stored qubit out.
        efficiency: Probability that it comes out.
    """

    lifetime_s: Positive | None = None
    cutoff_s: Positive | None = None
    coherence_s: Positive | None = None
    retrieval_s: NonNegative = 1.04e-3
    efficiency: Probability = 1.0


class Repeater(Params, frozen=True, kw_only=True):
    """A repeater of the backbone; a master is one too, towards the backbone.

    Attributes:
        swap_probability: Success of a Bell measurement on two stored qubits, q.
        measurement_s: How long it takes.
        gate_fidelity: Of the two-qubit gate in it, as a depolarising channel.
        readout_error: Probability that one of its two outcome bits is wrong.
        memory: Its memories.
        x_km, y_km: Where it stands, for drawings and lengths; None: nowhere in particular.
    """

    swap_probability: Probability = 1.0
    measurement_s: NonNegative = 100e-6
    gate_fidelity: Fidelity = 1.0
    readout_error: Probability = 0.0
    memory: Memory = msgspec.field(default_factory=Memory)
    x_km: float | None = None
    y_km: float | None = None


class Detectors(Params, frozen=True, kw_only=True):
    """A node's single-photon detectors, all alike.

    Attributes:
        efficiency: Detection probability.
        dark_rate_hz: Dark counts per second and detector.
        jitter_ps: Standard deviation of a click's time.
    """

    efficiency: Probability = 0.85
    dark_rate_hz: NonNegative = 100.0
    jitter_ps: NonNegativeInt = 50


class Ekert91(Params, frozen=True, kw_only=True):
    """How a cluster runs Ekert91.

    Attributes:
        settings: ``unbiased``: two mutually unbiased key bases beside the CHSH settings; the usual proof holds.
            ``ekert``: his own three a side, whose matching ones are 45 degrees apart; key by the CHSH value only.
        test_share: Share of the rounds that test the CHSH inequality, with ``unbiased``.
        epsilon: Chance that the bound on the CHSH value is above the true one; no key if it does not exceed 2.
        window_ps: Full width of the coincidence window.
        setting_ps: How long a modulator holds a setting.
    """

    settings: EkertSettings = "unbiased"
    test_share: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.5
    epsilon: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 1e-10
    window_ps: PositiveInt = 1_000
    setting_ps: PositiveInt = 1_000_000


class MdiQkd(Params, frozen=True, kw_only=True):
    """How a cluster runs MDI-QKD.

    Attributes:
        light: ``coherent``: weak pulses of random phase, with decoys. ``single-photon``: one photon a pulse.
        intensities: Mean photon numbers of coherent pulses as they leave a slave, the signal first.
        shares: How often each is sent; they add up to 1.
        z_probability: How often a slave sends in basis Z.
        pulse_rate_hz: Pairs of pulses per second.
        gate_ps: How long the master's detectors are open for a pulse.
    """

    light: MdiLight = "coherent"
    intensities: tuple[NonNegative, ...] = (0.4, 0.1, 0.0)
    shares: tuple[NonNegative, ...] = (0.5, 0.3, 0.2)
    z_probability: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.5
    pulse_rate_hz: Positive = 1.0e8
    gate_ps: PositiveInt = 1_000


class Master(Params, frozen=True, kw_only=True):
    """The master of a cluster: source of entangled pairs, joint measurement, memories, and its repeater.

    Attributes:
        units: Memory units for MDI-QKD in the cluster, N_m.
        ekert_rate: Key bits that one pair of memory units gives per attempt by Ekert91, R_ekr, in ``paper`` mode; in
            ``physical`` mode it follows from the source, the slaves' fibres and the protocol.
        mdi_rate: The same for MDI-QKD, R_mdi.
        source_pair_rate_hz: Pairs/s of its source, for ``physical`` mode.
        visibility: Of its source's pairs and of its Bell measurement.
        ekert, mdi: How the two protocols run in its cluster, for ``physical`` mode.
        detectors: Of its Bell measurement.
        repeater: Its end of the backbone.
    """

    units: PositiveInt = 10
    ekert_rate: Probability = 0.25
    mdi_rate: Probability = 0.125
    source_pair_rate_hz: Positive = 1.0e6
    visibility: Probability = 0.98
    ekert: Ekert91 = msgspec.field(default_factory=Ekert91)
    mdi: MdiQkd = msgspec.field(default_factory=MdiQkd)
    detectors: Detectors = msgspec.field(default_factory=Detectors)
    repeater: Repeater = msgspec.field(default_factory=Repeater)


class SemiQuantum(Params, frozen=True, kw_only=True):
    """How a slave hands key to hosts that are not in its room: by semi-quantum key distribution.

    Attributes:
        length_km, loss_db_per_km: Of the fibre to a host.
        qubit_rate_hz: Qubits that the slave sends per second.
        efficiency: Of the host's detector, and of the slave's for what returns.
        depolarising: Probability that a qubit becomes white noise, on each of the two ways.
        z_share: How often the slave sends in Z.
        sift_share: How often the host measures, and does not reflect.
        test_share: Of the shared bits, how many are compared.
        error_limit: A higher error rate of compared or reflected rounds ends it without key.
    """

    length_km: NonNegative = 1.0
    loss_db_per_km: NonNegative = 0.2
    qubit_rate_hz: Positive = 1.0e6
    efficiency: Probability = 0.85
    depolarising: Probability = 0.0
    z_share: Probability = 0.5
    sift_share: Probability = 0.5
    test_share: Probability = 0.5
    error_limit: Probability = 0.11


class Slave(Params, frozen=True, kw_only=True):
    """A slave: an end point of entanglement, with the key pool that its hosts draw from.

    Attributes:
        master: Its cluster.
        length_km, loss_db_per_km: Of its fibre to the master.
        units: Memory units, N_s.
        memory: Its memories.
        misalignment_rad: Fixed rotation of its states about Y of the Bloch sphere, measured or sent.
        detectors: That it measures its halves of pairs with.
        hosts: Names of the classical hosts (SAEs) that it serves.
        hand_over: How its hosts get keys: None: in its room, from its KME. Else over a fibre, each key encrypted with
            as many bits from semi-quantum key distribution.
    """

    master: str
    length_km: NonNegative = 5.0
    loss_db_per_km: NonNegative = 0.4
    units: PositiveInt = 10
    memory: Memory = msgspec.field(default_factory=Memory)
    misalignment_rad: float = 0.0
    detectors: Detectors = msgspec.field(default_factory=Detectors)
    hosts: tuple[str, ...] = ()
    hand_over: SemiQuantum | None = None


class Hop(Params, frozen=True, kw_only=True):
    """An edge of the backbone: two neighbours that store halves of the same pairs.

    Slave-master edges are made from the slaves; master-repeater edges are hops like all others.

    Attributes:
        a, b: Repeaters or masters.
        length_km, loss_db_per_km: Of the fibre between them.
        units: Memory units on each side, m.
        attempt_s: Period of the attempts of one unit; None: the round trip of light in fibre, 145 us at least.
        success: Probability of one attempt; None: Eq. 7, 10^(-loss/10).
        fidelity: Of a fresh pair.
    """

    a: str
    b: str
    length_km: NonNegative
    loss_db_per_km: NonNegative = 0.4
    units: PositiveInt = 10
    attempt_s: Positive | None = None
    success: Probability | None = None
    fidelity: Fidelity = 1.0


class Purification(Params, frozen=True, kw_only=True):
    """Two pairs of a hop become one better one, or none; both ends know a light trip later. In ``physical`` mode only.

    Each end applies one two-qubit gate and reads one outcome, with its repeater's ``gate_fidelity`` and
    ``readout_error``; a slave with those of its master.

    Attributes:
        protocol: ``bbpssw`` or ``dejmps``.
        rounds: How often, on every hop of a path between clusters, before a pair is used: n rounds take 2^n links at
            least, and n + 1 memory units of every hop.
    """

    protocol: Literal["bbpssw", "dejmps"] = "dejmps"
    rounds: PositiveInt = 1


class Backbone(Params, frozen=True, kw_only=True):
    """How the backbone works.

    Attributes:
        mode: ``paper``: one end-to-end pair is one key bit, pairs are perfect, classical messages take no time.
            ``physical``: Bell-diagonal pairs that decay, imperfect swaps, classical latency, Ekert91, distillation.
        swap_order: ``hop-by-hop`` (the paper), ``nested``, ``asap``, or ``optimal`` (shares from the linear program).
        router: fewest ``hops``, shortest ``length``, most ``reliability``, highest ``rate`` (Eq. 9), ``multipath`` (the
            linear program), or ``online`` (aware of load and memories).
        candidates: Paths that are scored for a request, at most.
        fairness: What concurrent demands share by: ``max-min``, ``weighted`` or ``total``.
        light_km_per_s: Speed of classical messages and photons in fibre.
        purification: None: none.
        timeout_s: Longest a request waits for its path.
        block_pairs: End-to-end pairs that are distilled as one, in ``physical`` mode.
        block_s, mdi_block_s: Length of a block of Ekert91 and of MDI-QKD within a cluster, in ``physical`` mode; the
            second, which proves nothing of short blocks, is a whole number of the first.
    """

    mode: Literal["paper", "physical"] = "paper"
    swap_order: SwapOrder = "asap"
    router: Router = "rate"
    candidates: PositiveInt = 5
    fairness: Literal["max-min", "weighted", "total"] = "max-min"
    light_km_per_s: Positive = 2.0e5
    purification: Purification | None = None
    timeout_s: Positive = 10.0
    block_pairs: PositiveInt = 100_000
    block_s: Positive = 1.0
    mdi_block_s: Positive = 10.0


class Demand(Params, frozen=True, kw_only=True):
    """Key that two slaves want.

    Attributes:
        a, b: Slaves, of one cluster or of two.
        start_s, until_s: When; None: until the end.
        bits_per_s: Key rate that is asked for; None: whatever there is.
        weight: Share among demands that compete.
        derived_bits: The slaves' KMEs stretch some of the key: each 256 bits of it become so many bits of derived key
            for hosts (SP 800-108), a multiple of 8; the seed is never used again. None: hosts get QKD key itself.
    """

    a: str
    b: str
    start_s: NonNegative = 0.0
    until_s: NonNegative | None = None
    bits_per_s: Positive | None = None
    weight: Positive = 1.0
    derived_bits: Annotated[int, msgspec.Meta(ge=512, le=1 << 20, multiple_of=8)] | None = None
