"""What the photons of a cluster meet, from the parameters of its master and two of its slaves."""

import math
from dataclasses import dataclass

from bellweave import bell
from bellweave.bell import Settings
from bellweave.network.wide import params as wide
from bellweave.photonics.mdi_params import MdiLink, Sender
from bellweave.photonics.params import Arm, CwSource, Detector, Fibre, Node, Noise, OpticalLink, Polarisation
from bellweave.units import to_db


@dataclass(frozen=True)
class Pair:
    """Two slaves of one cluster.

    Attributes:
        master: Of both.
        a, b: Their names; the first is Alice.
        alice, bob: What they are.
    """

    master: wide.Master
    a: str
    alice: wide.Slave
    b: str
    bob: wide.Slave

    @property
    def name(self) -> str:
        """Name of the link."""
        return f"{self.a}-{self.b}"


def settings(pair: Pair) -> Settings:
    """Return the analyser settings of Ekert91 in this cluster."""
    own = pair.master.ekert
    return bell.ekert_settings(own.settings, own.test_share)


def ekert_link(pair: Pair, block_s: float) -> OpticalLink:
    """Return the link of the master's source with both slaves.

    A half of a pair that a slave has stored is brought out after ``retrieval_s``: it comes out with the memory's
    efficiency, and depolarised by what it lost in that time.
    """
    return OpticalLink(
        name=pair.name,
        source=CwSource(pair_rate_hz=pair.master.source_pair_rate_hz, visibility=pair.master.visibility),
        alice=_arm(pair.master, pair.alice),
        bob=_arm(pair.master, pair.bob),
        window_ps=pair.master.ekert.window_ps,
        block_s=block_s,
    )


def mdi_link(pair: Pair, block_s: float) -> MdiLink:
    """Return both slaves' ways to the master's measurement; pulses are measured as they come."""
    own = pair.master.mdi
    return MdiLink(
        name=pair.name,
        alice=_sender(pair.alice),
        bob=_sender(pair.bob),
        light=own.light,
        intensities=own.intensities,
        shares=own.shares,
        z_probability=own.z_probability,
        pulse_rate_hz=own.pulse_rate_hz,
        gate_ps=own.gate_ps,
        detector=_detector(pair.master.detectors),
        visibility=pair.master.visibility,
        block_s=block_s,
    )


def _arm(master: wide.Master, slave: wide.Slave) -> Arm:
    fibre = Fibre(length_km=slave.length_km, loss_db_per_km=slave.loss_db_per_km)
    lost = 0.0
    if slave.memory.coherence_s is not None:
        lost = -math.expm1(-slave.memory.retrieval_s / slave.memory.coherence_s)
    node = Node(
        analyser=Polarisation(basis_choice="active", slot_ps=master.ekert.setting_ps),
        detector=_detector(slave.detectors),
        noise=Noise(misalignment_rad=slave.misalignment_rad, depolarising_probability=lost),
    )
    loss_db = {"fibre": fibre.loss_db, "memory": min(to_db(slave.memory.efficiency), 300.0)}
    return Arm(node=node, loss_db=loss_db, delay_ps=fibre.delay_ps)


def _sender(slave: wide.Slave) -> Sender:
    return Sender(loss_db=slave.length_km * slave.loss_db_per_km, misalignment_rad=slave.misalignment_rad)


def _detector(own: wide.Detectors) -> Detector:
    return Detector(efficiency=own.efficiency, dark_rate_hz=own.dark_rate_hz, jitter_ps=own.jitter_ps)
