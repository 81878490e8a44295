"""Key between two slaves of one cluster: Ekert91 on the master's pairs, and MDI-QKD through its measurement."""

from bellweave.sim.cluster.blocks import cluster_blocks
from bellweave.sim.cluster.ends import Distilled
from bellweave.sim.cluster.optics import Pair
from bellweave.sim.cluster.rates import Rates, physical_rates
from bellweave.sim.cluster.run import distil_ekert, distil_mdi, distil_pairs

__all__ = [
    "Distilled",
    "Pair",
    "Rates",
    "cluster_blocks",
    "distil_ekert",
    "distil_mdi",
    "distil_pairs",
    "physical_rates",
]
