"""Reconciliation: errors between the two parties' bits are found and corrected, and the result is verified."""
