"""Compile once what every process of an emulated network, and every test, would otherwise compile for itself.

Run as a program before the tests: in a fresh clone nothing is compiled, and several processes at once take minutes.
"""

import numpy as np

from bellweave.emu import warm_up
from bellweave.network.wide.chains.run import Chain
from bellweave.network.wide.topology import chain
from bellweave.scenario.load import load


def main() -> None:
    """Compile the kernels of photons, of distillation and of chains of repeaters."""
    for preset in ("datacenter-modern", "datacenter"):
        scenario = load(preset)
        warm_up.photons(scenario)
        warm_up.distillation(scenario)
    Chain(chain(3), range(4), np.random.Generator(np.random.PCG64(0))).advance(0.01)


if __name__ == "__main__":
    main()
