"""Networks of KMEs in one process, and blocks for them, as the tests of key management need them."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import msgspec

from bellweave.blocks import Origin, SecretBlock
from bellweave.kms.driver import Network
from bellweave.kms.params import Directory, Kms
from bellweave.kms.service import Kme
from bellweave.kms.store import MemoryStore
from bellweave.rng import stream

SAES = {"alice": "kme-a", "anna": "kme-a", "bob": "kme-b", "bert": "kme-b"}


def directory(kme: str, saes: dict[str, str] | None = None, **more: Any) -> Directory:
    """Return what a KME knows: SAEs at theirs, and every other KME is a peer to which a link leads."""
    saes = SAES if saes is None else saes
    kmes = sorted({kme, *saes.values()})
    values = {"peers": tuple(name for name in kmes if name != kme), "links": _links(kmes), "saes": saes} | more
    return msgspec.convert({"kme": kme} | values, Directory)


def _links(kmes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((one, other) for index, one in enumerate(kmes) for other in kmes[index + 1 :])


def network(params: Kms | None = None, saes: dict[str, str] | None = None, **more: Any) -> Network:
    """Return KMEs with empty stores in memory, all in step; ``more`` goes into their directories."""
    saes = SAES if saes is None else saes
    result = Network(now_s=1000.0)
    for name in sorted(set(saes.values())):
        result.add(starter(name, params or Kms(), saes, **more), MemoryStore())
    result.connect()
    return result


def starter(
    kme: str, params: Kms, saes: dict[str, str] | None = None, *, server: str = "0", **more: Any
) -> Callable[[], Kme]:
    """Return what starts a KME, each time with other random bytes; several servers on a store lower no cursors."""
    known = directory(kme, saes, **more)
    starts = count()

    def start() -> Kme:
        entropy = stream(1, kme, server, next(starts))
        return Kme(known, params, entropy, server=server, lowers_cursors=server == "0")

    return start


def block(block_id: str, size_bytes: int, seed: int = 1, **more: Any) -> SecretBlock:
    """Return a distilled block, the same for the same arguments."""
    bits = stream(seed, "block", block_id).bytes(size_bytes)
    values: dict[str, Any] = {
        "block_id": block_id,
        "link": "a-b",
        "role": "alice",
        "bits": bits,
        "bit_count": 8 * size_bytes,
        "accountings": {"provable": 8 * size_bytes},
        "minted_by": "provable",
        "provable_bits": 8 * size_bytes,
        "epsilon": 1e-10,
        "method": "test",
        "assumptions": (),
        "authentication_bits": 0,
        "start_s": 0.0,
        "end_s": 1.0,
        "provenance": "test",
    }
    return SecretBlock(**(values | more))


def feed(net: Network, one: str, other: str, block_id: str, size_bytes: int, origin: Origin = "direct") -> None:
    """Have both ends of a link take in the same block, confirm it and fill their buffers."""
    for name, peer in ((one, other), (other, one)):
        net.run(name, net.kme(name).ingest(block(block_id, size_bytes), peer, net.now_s, origin))
    net.tick()
