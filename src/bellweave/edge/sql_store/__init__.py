"""The durable key store, on SQLite or PostgreSQL."""

from bellweave.edge.sql_store.store import SqlStore

__all__ = ["SqlStore"]
