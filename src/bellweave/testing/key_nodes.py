"""Configurations of whole KMEs on loopback, as the tests of live nodes need them."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from bellweave.kms.config import KmeConfig
from bellweave.testing.certificates import Pki
from bellweave.testing.key_servers import directory

PEER = {"kme-a": "kme-b", "kme-b": "kme-a"}
SAE = {"kme-a": "alice", "kme-b": "bob"}
ENDPOINTS = ("etsi014", "etsi004", "skip", "device", "admin")

ANY_PORT = {"listen": "127.0.0.1:0"}


def pair_configs(
    folder: Path, pki: Pki, ports: Mapping[str, int], store: str = "memory:", **more: object
) -> dict[str, KmeConfig]:
    """Return the configurations of two KMEs with a link, every endpoint, and a device at each end.

    Args:
        folder: Gets the master keys.
        pki: Issues the KMEs' certificates; ``device at kme-a`` is a device at kme-a.
        ports: Of the two link endpoints.
        store: ``{name}`` in it becomes the KME's name.
        more: Settings in place of those here.
    """
    return {
        name: msgspec.convert(_settings(folder, pki, ports, name, store) | more, KmeConfig) for name in PEER
    }  # fmt: skip


def _settings(folder: Path, pki: Pki, ports: Mapping[str, int], name: str, store: str) -> dict[str, object]:
    peer = PEER[name]
    key = folder / f"{name}.master"
    key.write_text("5a" * 32)
    key.chmod(0o600)
    return {
        "directory": msgspec.to_builtins(directory(name)),
        "tls": msgspec.to_builtins(pki.kme(name).tls()),
        "store": store.format(name=name),
        "master_key": str(key),
        "link": {"listen": f"127.0.0.1:{ports[name]}"},
        "peers": {peer: {"address": f"127.0.0.1:{ports[peer]}"}},
        "devices": {f"device at {name}": peer},
        "kms": {"high_keys": 1000, "low_keys": 500},
        **dict.fromkeys(ENDPOINTS, ANY_PORT),
        "skip": ANY_PORT | {"system": SAE[name]},
    }
