"""Exact waiting times of nested repeater chains, with cutoffs and with the states that come out: ``distribution``."""
