"""Key between two slaves of one cluster: Ekert91 on the master's pairs, and MDI-QKD through its measurement."""

from bellweave.plan.cluster_rates import Rates, physical_rates
from bellweave.scenario.cluster_optics import Pair
from bellweave.sim.cluster.blocks import cluster_blocks
from bellweave.sim.cluster.ends import Distilled, Sampled, distilled
from bellweave.sim.cluster.run import distil_ekert, distil_mdi, distil_pairs, sampled_ekert, sampled_mdi, sampled_pairs

__all__ = [
    "Distilled",
    "Pair",
    "Rates",
    "Sampled",
    "cluster_blocks",
    "distil_ekert",
    "distil_mdi",
    "distil_pairs",
    "distilled",
    "physical_rates",
    "sampled_ekert",
    "sampled_mdi",
    "sampled_pairs",
]
