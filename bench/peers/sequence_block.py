"""One block through SeQUeNCe 1.3.1; run by the Python of its own environment. Argument: the block as JSON.

BBM92 of our building (it only has BB84) from its SPDC source, two quantum channels and two polarisation analysers with
two detectors each. Its source draws a Poisson number of pairs a pulse; here a pulse is one pair. The block has no
noise: SeQUeNCe's polarisation noise forgets the partner of an entangled photon, and measuring the pair then raises.
Dark counts are off.
"""

import importlib
import json
import math
import sys
import time
from typing import Any

import numpy as np

EFFICIENCY = 0.5
DELAY_PS = 5_000  # of one metre, at its speed of light


def main(block: dict[str, Any]) -> dict[str, Any]:
    timelines: Any = importlib.import_module("sequence.kernel.timeline")
    topology: Any = importlib.import_module("sequence.topology.node")
    channels: Any = importlib.import_module("sequence.components.optical_channel")
    encoding: Any = importlib.import_module("sequence.utils.encoding")
    detectors: Any = importlib.import_module("sequence.components.detector")
    pairs, rate_hz = block["pairs"], block["pair_rate_hz"]
    begin_s = time.process_time()
    timeline = timelines.Timeline()
    middle = _fresh(topology.Node, "source", timeline, block["seed"])
    source = _one_pair_a_pulse()("spdc", timeline, frequency=rate_hz, encoding_type=encoding.polarization)
    middle.add_component(source)
    analysers, bases = [], []
    for index, name in enumerate(("alice", "bob")):
        party = _fresh(topology.Node, name, timeline, block["seed"] + 1 + index)
        loss_db = block["loss_db"] + 10.0 * math.log10(EFFICIENCY)  # the detectors do the rest
        channel = channels.QuantumChannel("to " + name, timeline, attenuation=loss_db, distance=1.0)
        channel.set_ends(middle, name)
        analyser = detectors.QSDetectorPolarization(name + ".analyser", timeline)
        party.add_component(analyser)
        party.set_first_component(analyser.name)
        for number in (0, 1):
            analyser.set_detector(number, efficiency=EFFICIENCY, time_resolution=1)
        basis = party.get_generator().integers(0, 2, pairs).tolist()
        analyser.set_basis_list(basis, DELAY_PS - round(0.5e12 / rate_hz), rate_hz)
        source.add_receiver(_gate(middle, name, timeline))
        analysers.append(analyser)
        bases.append(basis)
    timeline.init()
    source.emit([(math.sqrt(0.5), math.sqrt(0.5))] * pairs)
    timeline.run()
    clicks = [_bits(analyser.get_photon_times(), rate_hz) for analyser in analysers]
    sifted = [i for i in clicks[0].keys() & clicks[1].keys() if bases[0][i] == bases[1][i]]
    wrong = sum(clicks[0][i] != clicks[1][i] for i in sifted)
    cpu_s = time.process_time() - begin_s
    return {"pairs": pairs, "sifted": len(sifted), "errors": wrong, "cpu_s": cpu_s, "numpy": np.__version__}


def _fresh(node: Any, name: str, timeline: Any, seed: int) -> Any:
    return node(name, timeline, seed=seed)


def _one_pair_a_pulse() -> Any:
    """Return its SPDC source with the Poisson number of pairs replaced by one."""
    sources: Any = importlib.import_module("sequence.components.light_source")
    photons: Any = importlib.import_module("sequence.components.photon")

    class OnePair(sources.SPDCSource):  # type: ignore[misc]
        def emit(self, state_list: list[tuple[float, float]]) -> None:
            for number, state in enumerate(state_list):
                first, second = (
                    photons.Photon(
                        "", self.timeline, wavelength=length, location=self, encoding_type=self.encoding_type
                    )
                    for length in self.wavelengths
                )
                first.combine_state(second)
                first.set_state((complex(state[0]), 0j, 0j, complex(state[1])))
                self.send_photons(number * 1e12 / self.frequency, [first, second])

    return OnePair


def _gate(node: Any, destination: str, timeline: Any) -> Any:
    """Return what the source hands its photons to: the way into one quantum channel."""
    entity: Any = importlib.import_module("sequence.kernel.entity")

    class Gate(entity.Entity):  # type: ignore[misc]
        def init(self) -> None:
            pass

        def get(self, photon: Any, **_: Any) -> None:
            node.send_qubit(destination, photon)

    return Gate("gate to " + destination, timeline)


def _bits(times_ps: list[list[int]], rate_hz: float) -> dict[int, int]:
    """Return the bit of each pulse in which exactly one of the two detectors clicked."""
    zero, one = ({round((time_ps - DELAY_PS) * rate_hz * 1e-12) for time_ps in detector} for detector in times_ps)
    return dict.fromkeys(zero - one, 0) | dict.fromkeys(one - zero, 1)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
