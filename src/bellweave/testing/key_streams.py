"""Two KMEs in memory, with key between them, and applications that call their streams."""

from typing import Any

from bellweave.errors import PeerUnreachable
from bellweave.kms.driver import Network
from bellweave.kms.key_streams import Opened
from bellweave.kms.params import Kms
from bellweave.kms.stream_chunks import Chunk
from bellweave.kms.stream_terms import Terms
from bellweave.testing.key_servers import SAES, feed, network

KSID = bytes(range(1, 17))
TERMS = Terms(chunk_bytes=32, timeout_ms=1000, ttl_s=600)
PEER = {"alice": "bob", "bob": "alice", "anna": "bert", "bert": "anna"}


def fed(params: Kms | None = None, size_bytes: int = 4096, **more: Any) -> Network:
    """Return two KMEs with key between them."""
    net = network(params, **more)
    feed(net, "kme-a", "kme-b", "block-1", size_bytes)
    return net


def opens(net: Network, sae: str, ksid: bytes = KSID, terms: Terms = TERMS, other: str | None = None) -> Opened:
    """OPEN_CONNECT at the SAE's KME."""
    kme = SAES[sae]
    return net.run(kme, net.kme(kme).streams.open(sae, other or PEER[sae], terms, ksid, net.now_s))


def gets(net: Network, sae: str, index: int, ksid: bytes = KSID) -> Chunk:
    """GET_KEY at the SAE's KME."""
    kme = SAES[sae]
    return net.run(kme, net.kme(kme).streams.get(sae, ksid, index, net.now_s))


def closes(net: Network, sae: str, ksid: bytes = KSID) -> bool:
    """CLOSE at the SAE's KME."""
    kme = SAES[sae]
    return net.run(kme, net.kme(kme).streams.close(sae, ksid, net.now_s))


def bits(chunk: Chunk) -> bytes:
    """Return the bytes of a chunk that was delivered."""
    if chunk.material is None:
        raise AssertionError(f"the chunk is {chunk.state}, not delivered")
    return chunk.material.bits


def cut_off(net: Network, ksid: bytes, index: int) -> None:
    """Draw a chunk at the master's KME so that the answer to its announcement is lost."""
    for sae in ("alice", "bob"):  # what follows comes from what is claimed already
        bits(gets(net, sae, 1000, ksid))
    net.lose_answers("kme-a", "kme-b")
    try:
        gets(net, "alice", index, ksid)
    except PeerUnreachable:
        return
    raise AssertionError("the announcement was answered")


def joined(net: Network, first: str = "alice") -> bytes:
    """Have both open a stream, and return its KSID."""
    ksid = opens(net, first, bytes(16)).ksid
    if opens(net, PEER[first], ksid).state != "open":
        raise AssertionError("the stream is not open")
    return ksid
