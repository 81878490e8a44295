"""The store that a configuration asks for, opened."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from bellweave.edge import kme_config
from bellweave.edge.entropy import SystemEntropy
from bellweave.edge.sql_store import SqlStore
from bellweave.kms.config import KmeConfig
from bellweave.kms.operations import Store
from bellweave.kms.store import MemoryStore

IN_MEMORY = "memory:"

_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Opened:
    """An open store.

    Attributes:
        store: The store.
        name: Its random name, drawn when it was made.
        in_memory: Whether it answers at once and is gone with the process.
        shared: Whether other servers may use it, too.
    """

    store: Store
    name: str
    in_memory: bool
    shared: bool


def opened(config: KmeConfig, base: Path, master_key: bytes | None = None) -> Opened:
    """Return the configured store; relative paths start from ``base``.

    Args:
        config: Says which.
        base: Folder.
        master_key: What wraps its data keys, 32 bytes; None: what the configuration names.

    Raises:
        ScenarioError: The master key can't be had.
        StoreFailed: The store can't be opened.
    """
    if config.store == IN_MEMORY:
        return Opened(MemoryStore(), SystemEntropy().bytes(8).hex(), in_memory=True, shared=False)
    if master_key is None:
        file = config.master_key and str(base / config.master_key)
        master_key = kme_config.master_key(msgspec.structs.replace(config, master_key=file))
    url = config.store
    if url.startswith(_SQLITE):
        url = _SQLITE + str(base / url.removeprefix(_SQLITE))
    store = SqlStore(url, master_key, server=config.server, kme=config.directory.kme)
    return Opened(store, store.store_name, in_memory=False, shared=store.shared)
