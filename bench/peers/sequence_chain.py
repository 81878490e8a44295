"""The chain through SeQUeNCe 1.3.1; run by the Python of its own environment. Argument: the chain as JSON.

Its whole stack: reservation, resource rules, generation, swapping; with Bell-diagonal states and single-heralded
generation where asked (``bds``), with state vectors and Barrett-Kok generation else. Memories and detectors are as
perfect as they can be set; links are made by its own model of a Bell measurement in the middle. Time in which nodes
agree on the request is not counted. It has no order of swaps to choose.
"""

import importlib
import json
import sys
import time
from itertools import pairwise
from typing import Any

AGREED_PS = 10**11
LIGHT_KM_PER_PS = 2.0e-7


def main(chain: dict[str, Any]) -> dict[str, Any]:
    topologies: Any = importlib.import_module("sequence.topology.router_net_topo")
    app: Any = importlib.import_module("sequence.app.request_app")
    if chain["bds"]:
        _bell_diagonal()
    begin_s = time.process_time()
    made = topologies.RouterNetTopo(_config(chain))
    routers = {each.name: each for each in made.get_nodes_by_type("QuantumRouter")}
    for router in routers.values():
        memories = router.get_components_by_type("MemoryArray")[0]
        memories.update_memory_params("raw_fidelity", chain["fidelity"])
        memories.update_memory_params("coherence_time", chain["coherence_s"])
        memories.update_memory_params("efficiency", 1.0)
    for node in made.get_nodes_by_type("BSMNode"):
        measurement = node.get_components_by_type("SingleHeraldedBSM" if chain["bds"] else "SingleAtomBSM")[0]
        measurement.update_detectors_params("efficiency", 1.0)
    stop_ps = AGREED_PS + int(chain["seconds"] * 1e12)
    timeline = made.get_timeline()
    timeline.stop_time = stop_ps
    timeline.init()
    fidelities: list[float] = []

    class Asking(app.RequestApp):  # type: ignore[misc]
        def get_memory(self, info: Any) -> None:
            before = self.memory_counter
            fidelity = info.fidelity
            super().get_memory(info)
            if self.memory_counter > before:
                fidelities.append(float(fidelity))

    last = f"n{chain['hops']}"
    asking, _answering = Asking(routers["n0"]), app.RequestApp(routers[last])
    asking.start(last, AGREED_PS, stop_ps, chain["units"], 0.1)
    timeline.run()
    return {
        "pairs": asking.memory_counter,
        "fidelity": sum(fidelities) / len(fidelities) if fidelities else None,
        "cpu_s": time.process_time() - begin_s,
    }


def _bell_diagonal() -> None:
    """Set what has to be set for the whole program, before a network is built."""
    generation: Any = importlib.import_module("sequence.entanglement_management.generation")
    swapping: Any = importlib.import_module("sequence.entanglement_management.swapping")
    for each in (generation.EntanglementGenerationA, generation.EntanglementGenerationB):
        each.set_global_type("single_heralded")
    for each in (swapping.EntanglementSwappingA, swapping.EntanglementSwappingB):
        each.set_formalism("bell_diagonal")


def _config(chain: dict[str, Any]) -> dict[str, Any]:
    names = [f"n{number}" for number in range(chain["hops"] + 1)]
    metres = 1000.0 * chain["length_km"]
    config: dict[str, Any] = {
        "stop_time": 10**13,
        "is_parallel": False,
        "templates": {"router": {}, "middle": {"encoding_type": "single_heralded"} if chain["bds"] else {}},
        "nodes": [
            {"name": name, "type": "QuantumRouter", "seed": chain["seed"] + number, "memo_size": 2 * chain["units"]}
            for number, name in enumerate(names)
        ],
        "qconnections": [
            {
                "node1": a,
                "node2": b,
                "attenuation": chain["loss_db_per_km"] / 1000.0,
                "distance": metres,
                "type": "meet_in_the_middle",
                "seed": chain["seed"] + 100 + number,
                **({"template": "middle"} if chain["bds"] else {}),
            }
            for number, (a, b) in enumerate(pairwise(names))
        ],
        "cchannels": [
            {
                "source": a,
                "destination": b,
                "distance": abs(i - j) * metres,
                "delay": abs(i - j) * chain["length_km"] / LIGHT_KM_PER_PS,
            }
            for i, a in enumerate(names)
            for j, b in enumerate(names)
            if i != j
        ],
    }
    return config | ({"formalism": "bell_diagonal"} if chain["bds"] else {})


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
