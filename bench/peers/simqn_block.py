"""One block through SimQN (``qns`` 0.2.3); run by the Python of its own environment. Argument: the block as JSON.

Its BB84, since it has no entangled QKD: one qubit stands for a pair, the loss of both arms is the channel's drop rate,
and its noise (a real rotation by an angle uniform in [0, pi/4 x length / 50 km]) gets the length that gives the block's
QBER. Its Cascade and privacy amplification are left out, as everybody's are here.
"""

import importlib
import json
import math
import sys
import time
from typing import Any


def main(block: dict[str, Any]) -> dict[str, Any]:
    node: Any = importlib.import_module("qns.entity.node.node")
    classical: Any = importlib.import_module("qns.entity.cchannel.cchannel")
    quantum: Any = importlib.import_module("qns.entity.qchannel.qchannel")
    simulator: Any = importlib.import_module("qns.simulator.simulator")
    bb84: Any = importlib.import_module("qns.network.protocol.bb84")
    rnd: Any = importlib.import_module("qns.utils.rnd")
    rnd.set_seed(block["seed"])
    pairs, rate_hz = block["pairs"], block["pair_rate_hz"]
    begin_s = time.process_time()
    # A picosecond clock; the half period lets the last qubit arrive.
    run = simulator.Simulator(0.0, (pairs - 0.5) / rate_hz, accuracy=1_000_000_000_000)
    alice, bob = node.QNode(name="alice"), node.QNode(name="bob")
    light = quantum.QuantumChannel(
        name="light",
        node_list=[alice, bob],
        bandwidth=0,
        drop_rate=1.0 - 10.0 ** (-2.0 * block["loss_db"] / 10.0),
        length=50_000.0 * _largest_angle(block["qber"]) / (math.pi / 4),
    )
    words = classical.ClassicChannel(name="words", node_list=[alice, bob])
    sender = bb84.BB84SendApp(bob, light, words, send_rate=rate_hz, length_for_post_processing=2 * pairs)
    receiver = bb84.BB84RecvApp(alice, light, words, length_for_post_processing=2 * pairs)
    for party, app in ((alice, sender), (bob, receiver)):
        party.add_qchannel(light)
        party.add_cchannel(words)
        party.add_apps(app)
        party.install(run)
    run.run()
    wrong = sum(bit != receiver.raw_key_pool[number] for number, bit in sender.raw_key_pool.items())
    cpu_s = time.process_time() - begin_s
    return {
        "pairs": sender.count,
        "sifted": len(sender.raw_key_pool),
        "errors": int(wrong),
        "cpu_s": cpu_s,
        "numpy": importlib.import_module("numpy").__version__,
    }


def _largest_angle(qber: float) -> float:
    """Return T such that sin^2 of an angle uniform in [0, T] averages ``qber``: 1/2 - sin(2T)/(4T)."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if 0.5 - math.sin(2 * middle) / (4 * middle) < qber:
            low = middle
        else:
            high = middle
    return low


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
