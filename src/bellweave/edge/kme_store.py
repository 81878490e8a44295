"""The store that a configuration asks for, opened."""

from dataclasses import dataclass
from pathlib import Path

from bellweave.edge.entropy import SystemEntropy
from bellweave.errors import ScenarioError
from bellweave.kms.config import KmeConfig
from bellweave.kms.operations import Store
from bellweave.kms.store import MemoryStore

IN_MEMORY = "memory:"


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


def opened(config: KmeConfig, base: Path) -> Opened:  # noqa: ARG001 for stores in files
    """Return the configured store; relative paths start from ``base``.

    Raises:
        ScenarioError: There is no such store.
    """
    if config.store == IN_MEMORY:
        return Opened(MemoryStore(), SystemEntropy().bytes(8).hex(), in_memory=True, shared=False)
    raise ScenarioError(f"expected {IN_MEMORY}, got {config.store!r}", path="store")
