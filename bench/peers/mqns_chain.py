"""The chain through MQNS (usnistgov/mqns, commit 278041c); run by its own Python. Argument: the chain as JSON.

Its proactive forwarding on a line with Werner pairs, swaps from left to right, perfect sources and detectors. Links are
made by its own model of a Bell measurement in the middle (that after SeQUeNCe), which succeeds half the time at best.
"""

import importlib
import json
import sys
import time
from typing import Any


def main(chain: dict[str, Any]) -> dict[str, Any]:
    builder: Any = importlib.import_module("mqns.network.builder")
    counters: Any = importlib.import_module("mqns.network.fw")
    simulator: Any = importlib.import_module("mqns.simulator")
    utils: Any = importlib.import_module("mqns.utils")
    utils.log.set_default_level("CRITICAL")
    utils.rng.reseed(chain["seed"])
    begin_s = time.process_time()
    net = (
        builder.NetworkBuilder()
        .topo_linear(
            nodes=chain["hops"] + 1,
            channels=[chain["length_km"]] * chain["hops"],
            ch_capacity=chain["units"],
            link_arch="DIM-BK-SeQUeNCe",
            fiber_alpha=chain["loss_db_per_km"],
            fiber_error="PERFECT",
            init_fidelity=chain["fidelity"],
            t_cohere=chain["coherence_s"],
            eta_d=1.0,
            eta_s=1.0,
        )
        .proactive_centralized(p_swap=1.0)
        .request("S-D", swap=_left_to_right(chain["hops"] - 1))
        .make_network()
    )
    simulator.Simulator(0, chain["seconds"] + builder.CTRL_DELAY, accuracy=1_000_000, install_to=(utils.log, net)).run()
    consumed = counters.ForwarderConsumeCounters.of_path(net, "S", "D")
    return {
        "pairs": consumed.n_consumed,
        "fidelity": consumed.consumed_avg_fidelity,
        "cpu_s": time.process_time() - begin_s,
    }


def _left_to_right(repeaters: int) -> list[int]:
    """Return the ranks of the nodes: a lower one swaps first, the ends last."""
    return [repeaters, *range(repeaters), repeaters]


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
