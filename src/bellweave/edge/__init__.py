"""Adapters of the outside world: every socket, database and daemon is spoken to from here."""
