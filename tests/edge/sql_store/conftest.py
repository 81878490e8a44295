"""The PostgreSQL server of these tests."""

from bellweave.testing.postgres import postgres

__all__ = ["postgres"]
