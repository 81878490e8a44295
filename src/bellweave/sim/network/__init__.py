"""A whole network in virtual time: slots, blocks, KMEs, gateways and tunnels of a scenario with a ``[schedule]``."""

from bellweave.roles.run import NetworkRun
from bellweave.sim.network.run import simulate_network

__all__ = ["NetworkRun", "simulate_network"]
