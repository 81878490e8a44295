"""A wide-area network in virtual time: agreements, lanes, key, key servers, hosts and tunnels of a scenario."""

from bellweave.sim.wide.run import WideRun, lasted_s, simulate_wide

__all__ = ["WideRun", "lasted_s", "simulate_wide"]
