"""Tunnels that use keys: when a fresh one is due, how it reaches both ends, and what happens without."""
