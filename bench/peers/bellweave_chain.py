"""The chain through Bellweave. Argument: the chain as JSON."""

import json
import sys
import time
from typing import Any

from bellweave import rng
from bellweave.network.wide import theory
from bellweave.network.wide.chains.run import Chain
from bellweave.network.wide.topology import chain as line


def main(chain: dict[str, Any]) -> dict[str, Any]:
    success = theory.success_probability(chain["length_km"], chain["loss_db_per_km"])
    topology = line(
        chain["hops"],
        success=success,
        units=chain["units"],
        fidelity=chain["fidelity"],
        coherence_s=chain["coherence_s"],
        attempt_s=chain["attempt_s"],
        length_km=chain["length_km"],
    )
    made = Chain(
        topology, range(chain["hops"] + 1), rng.stream(chain["seed"], "peer"), order="hop-by-hop", mode="physical"
    )
    made.advance(0.1)
    begin_s = time.process_time()
    delivered = made.advance(0.1 + chain["seconds"])
    spent_s = time.process_time() - begin_s
    return {"pairs": len(delivered), "fidelity": float(delivered.fidelity.mean()), "cpu_s": spent_s}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
