"""Helpers for tests, ours and yours."""
