"""The same block through Bellweave, at both sampling levels; run by this project's Python. Argument: the block as JSON.

Unlike the peers it also has the detectors' dark counts, jitter and a coincidence window; ``tags_no_dark_counts`` leaves
the dark counts out, which are three quarters of all detections. The number of pairs of a block is Poisson, as a
continuous-wave source has it; the peers take its mean. A few blocks go first, for compilation.
"""

import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bellweave.blocks import Rounds
from bellweave.photonics import analyser, coincidence, link
from bellweave.photonics.params import Arm, CwSource, Detector, Node, Noise, OpticalLink
from bellweave.rng import stream

EFFICIENCY = 0.5
WARM_UP = 3

Counted = tuple[int, int]
"""Sifted bits and errors among them."""


def optical_link(block: dict[str, Any]) -> OpticalLink:
    node = Node(
        detector=Detector(efficiency=EFFICIENCY, dark_rate_hz=block["dark_rate_hz"], jitter_ps=block["jitter_ps"]),
        noise=Noise(rotation_sigma_rad=block["sigma_rad"]),
    )
    arm = Arm(node=node, loss_db={"path": block["loss_db"] + 10.0 * math.log10(EFFICIENCY)})
    return OpticalLink(
        name="block",
        source=CwSource(local_pair_rate_hz=block["pair_rate_hz"]),
        alice=arm,
        bob=arm,
        window_ps=block["window_ps"],
        block_s=block["pairs"] / block["pair_rate_hz"],
    )


def tags(optical: OpticalLink, seed: int, block: int) -> Counted:
    """Every detector event, clicks, one-to-one matching, sifting."""
    arms = (optical.alice, optical.bob)
    flips = ((False, False), link.bob_flips(optical))
    alice, bob = (
        analyser.clicks(
            seen, arm, optical.source, optical.window_ps, stream(seed, "block", block, "clicks", role), flips=flip
        )
        for seen, arm, role, flip in zip(link.tags(optical, seed, block), arms, ("alice", "bob"), flips, strict=True)
    )
    own, his = coincidence.match(alice.time_ps, bob.time_ps, optical.window_ps)
    return _sift(alice.basis[own], bob.basis[his], alice.bit[own], bob.bit[his])


def coincidences(optical: OpticalLink, seed: int, block: int) -> Counted:
    """Only what survives, sifting."""
    rounds: tuple[Rounds, Rounds] = link.coincidences(optical, seed, block)
    alice, bob = rounds
    return _sift(alice.basis, bob.basis, alice.bit, bob.bit)


def _sift(alice_basis: Any, bob_basis: Any, alice_bit: Any, bob_bit: Any) -> Counted:
    equal = alice_basis == bob_basis
    return int(np.count_nonzero(equal)), int(np.count_nonzero(equal & (alice_bit != bob_bit)))


def measured(level: Callable[[OpticalLink, int, int], Counted], block: dict[str, Any]) -> dict[str, Any]:
    optical = optical_link(block)
    cpu_s: list[float] = []
    sifted = errors = 0
    for number in range(WARM_UP + block["blocks"]):
        begin_s = time.process_time()
        counted = level(optical, block["seed"], number)
        spent_s = time.process_time() - begin_s
        if number >= WARM_UP:
            cpu_s.append(spent_s)
            sifted += counted[0]
            errors += counted[1]
    median_s = statistics.median(cpu_s)
    return {"pairs": block["pairs"], "blocks": len(cpu_s), "sifted": sifted, "errors": errors, "cpu_s": median_s}


def main(block: dict[str, Any]) -> dict[str, Any]:
    return {
        "tags": measured(tags, block),
        "tags_no_dark_counts": measured(tags, block | {"dark_rate_hz": 0.0}),
        "coincidences": measured(coincidences, block),
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
