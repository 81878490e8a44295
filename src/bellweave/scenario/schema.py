"""The scenario file: one TOML file of named tables, in the order of the data flow.

A path such as ``node.alice.detector.efficiency`` means the same in the file, in error messages, in sweeps and in
faults.
"""

from typing import Literal

import msgspec

from bellweave.distill.params import Distillation
from bellweave.kms.params import Kms
from bellweave.network.params import DataNetwork, Drift, Fault, Monitor, Schedule
from bellweave.network.wide.params import Backbone, Demand, Hop, Master, Repeater, Slave
from bellweave.params import NonNegativeInt, Params, Positive, PositiveInt, Probability
from bellweave.photonics.params import (
    Calibration,
    Cut,
    Eavesdropper,
    Fibre,
    Node,
    Source,
    Switch,
)
from bellweave.tunnel.params import Tunnel

FORMAT = 1
"""Version of the scenario format."""


class Link(Params, frozen=True, kw_only=True):
    """A link: two nodes that share the pairs of a source.

    Attributes:
        source, alice, bob: Names of the source and of the two nodes.
        fibre: Fibre between the two nodes, on top of the nodes' own.
        source_position: Where on that fibre the source sits: 0 beside Alice, 1 beside Bob.
        via_switch: Whether both photons pass the switch.
        window_ps: Full width of the coincidence window.
        block_s: Length of a block.
        eavesdropper: Intercepts and resends photons of one arm.
        cut: The quantum channel of one arm is cut for a while.
        calibration: How the clocks are brought together; absent: offset, drift and delays are known.
    """

    source: str
    alice: str
    bob: str
    fibre: Fibre | None = None
    source_position: Probability = 0.5
    via_switch: bool = False
    window_ps: PositiveInt = 10_000
    block_s: Positive = 10.5
    eavesdropper: Eavesdropper | None = None
    cut: Cut | None = None
    calibration: Calibration | None = None


class Recorded(Params, frozen=True, kw_only=True):
    """Recorded detections that replace the simulated photons of the link of the same name.

    Attributes:
        alice, bob: Files (NPZ, Parquet or CSV, gzip or not), relative to the scenario file.
        tick_ps: Length of one tick; absent if the files hold picoseconds.
        channels_alice, channels_bob: What each channel measures, such as ``0=H,1=V,2=D,3=A``; found from the data if
            absent.
    """

    alice: str
    bob: str
    tick_ps: Positive | None = None
    channels_alice: str | None = None
    channels_bob: str | None = None


class Run(Params, frozen=True, kw_only=True):
    """How much is simulated, and how.

    Attributes:
        seed: Fixes every random stream.
        blocks: Number of blocks on each link.
        level: ``tags`` (every detector event; accidentals arise by themselves) or ``coincidences`` (only what
            survives; fast).
        duration_s: Virtual time of a wide-area run; None: 10 s.
    """

    seed: NonNegativeInt = 1
    blocks: PositiveInt = 100
    level: Literal["tags", "coincidences"] = "tags"
    duration_s: Positive | None = None


class Scenario(Params, frozen=True, kw_only=True):
    """A whole scenario.

    Attributes:
        format: Version of the format, 1.
        name: Short name, used in file names and reports.
        description: One paragraph: what it is and where its values come from.
        source: Sources of entangled pairs, by name.
        node: Nodes, by name: each one's path, analyser, detectors and clock.
        switch: The optical switch, where there is one.
        link: Links, by name: which nodes share which source's pairs.
        master: Masters of clusters, by name; with clusters, the scenario is a wide-area network.
        slave: Slaves, by name: each one's cluster, fibre, memories and hosts.
        repeater: Repeaters of the backbone, by name.
        hop: Edges of the backbone, by name.
        backbone: How the backbone works; None: as its defaults say.
        demand: Key that pairs of slaves want, by name.
        recorded: Recorded detections, by the name of the link whose photons they replace.
        distill: How sifted bits become key.
        schedule: How the sources' time is shared out; with it, the scenario is a network in virtual time.
        drift: Drift of the polarisation and its correction.
        kms: Which accounting mints keys, and how they are kept.
        tunnel: Tunnels that use keys, by name.
        data_network: The classical network.
        monitor: When the error rate raises an alarm.
        fault: What changes for a while, by name.
        run: How much is simulated, and how.
    """

    format: Literal[1]
    name: str
    description: str = ""
    source: dict[str, Source] = {}
    node: dict[str, Node] = {}
    switch: Switch | None = None
    link: dict[str, Link] = {}
    master: dict[str, Master] = {}
    slave: dict[str, Slave] = {}
    repeater: dict[str, Repeater] = {}
    hop: dict[str, Hop] = {}
    backbone: Backbone | None = None
    demand: dict[str, Demand] = {}
    recorded: dict[str, Recorded] = {}
    distill: Distillation = msgspec.field(default_factory=Distillation)
    schedule: Schedule | None = None
    drift: Drift | None = None
    kms: Kms = msgspec.field(default_factory=Kms)
    tunnel: dict[str, Tunnel] = {}
    data_network: DataNetwork = msgspec.field(default_factory=DataNetwork)
    monitor: Monitor = msgspec.field(default_factory=Monitor)
    fault: dict[str, Fault] = {}
    run: Run = msgspec.field(default_factory=Run)
