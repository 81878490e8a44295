"""A wide-area network in virtual time: agreements, lanes, key, key servers, hosts and tunnels of a scenario."""

from bellweave.sim.wide.run import WideRun, simulate_wide

__all__ = ["WideRun", "simulate_wide"]
