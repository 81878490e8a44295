"""Reconciliation by a low-density parity-check code: one message where round trips are dear."""
