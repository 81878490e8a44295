"""The chain through SimQN (``qns`` 0.2.3); run by the Python of its own environment. Argument: the chain as JSON.

Its own hop-by-hop distribution application on a line. Lossless (``drop_rate`` 0) unless asked: with loss its
application never frees the memory of a pair that was lost, and stops when all memories are taken.
"""

import importlib
import json
import sys
import time
from typing import Any

LIGHT_KM_PER_S = 2.0e5
SEND_RATE_HZ = 1_000


def main(chain: dict[str, Any]) -> dict[str, Any]:
    simulator: Any = importlib.import_module("qns.simulator.simulator")
    network: Any = importlib.import_module("qns.network")
    topologies: Any = importlib.import_module("qns.network.topology")
    classical: Any = importlib.import_module("qns.network.topology.topo")
    routes: Any = importlib.import_module("qns.network.route")
    apps: Any = importlib.import_module("qns.network.protocol.entanglement_distribution")
    rnd: Any = importlib.import_module("qns.utils.rnd")
    rnd.set_seed(chain["seed"])
    begin_s = time.process_time()
    run = simulator.Simulator(0, chain["seconds"])
    delay_s = chain["length_km"] / LIGHT_KM_PER_S
    line = topologies.LineTopology(
        nodes_number=chain["hops"] + 1,
        qchannel_args={"delay": delay_s, "drop_rate": chain["drop_rate"], "bandwidth": 0},
        cchannel_args={"delay": delay_s},
        memory_args=[{"capacity": 2 * chain["units"]}],
        nodes_apps=[apps.EntanglementDistributionApp(init_fidelity=chain["fidelity"])],
    )
    made = network.QuantumNetwork(
        topo=line, classic_topo=classical.ClassicTopology.All, route=routes.DijkstraRouteAlgorithm()
    )
    made.build_route()
    target = made.get_node(f"n{chain['hops'] + 1}")
    made.add_request(src=made.get_node("n1"), dest=target, attr={"send_rate": SEND_RATE_HZ})
    made.install(run)
    run.run()
    pairs = target.apps[-1].success
    return {
        "pairs": len(pairs),
        "fidelity": sum(pair.fidelity for pair in pairs) / len(pairs) if pairs else None,
        "cpu_s": time.process_time() - begin_s,
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
