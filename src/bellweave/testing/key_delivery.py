"""Two KMEs with keys in their stores, and requests to them as a server would hand them to the handlers.

Nothing here is a stand-in: the handlers of :mod:`bellweave.api` work on real :class:`~bellweave.kms.service.Kme`s in
the synchronous network, each with its own store.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import msgspec

from bellweave.api import etsi014, skip
from bellweave.api.http import Request, Response
from bellweave.errors import StoreFailed
from bellweave.kms.driver import Network
from bellweave.kms.effects import Work
from bellweave.kms.operations import Accounts, AddBlock, Cut, Operation, Settle
from bellweave.kms.params import Directory, Kms, Pair
from bellweave.kms.records import MAX_BLOCK_BYTES, Block, Buffer, Portion, Statement, pool_name
from bellweave.kms.service import Kme
from bellweave.kms.store import MemoryStore
from bellweave.rng import stream

SAES = {"alice": "kme-a", "ann": "kme-a", "bob": "kme-b", "ben": "kme-b", "kme-a": "kme-a", "kme-b": "kme-b"}
"""Two applications at each KME, and a SKIP system of the KME's name."""

KMES = ("kme-a", "kme-b")


@dataclass(frozen=True)
class Answer:
    """What came back."""

    response: Response

    @property
    def status(self) -> int:
        """The HTTP status code."""
        return self.response.status

    @property
    def body(self) -> bytes:
        """The body."""
        return self.response.body

    @cached_property
    def json(self) -> Any:
        """The body's JSON."""
        return msgspec.json.decode(self.response.body)

    @property
    def headers(self) -> dict[str, str]:
        """The headers."""
        return dict(self.response.headers)

    def error(self) -> tuple[int, str]:
        """Return code and message of an answer that has nothing but them, and details perhaps."""
        body = self.json
        if not set(body) <= {"message", "details"}:
            raise ValueError(f"no Error object: {sorted(body)}")
        return self.status, body["message"]

    def ids(self) -> list[str]:
        """Return the key IDs of a Key container."""
        return [key["key_ID"] for key in self._keys()]

    def delivered(self) -> list[tuple[str, bytes]]:
        """Return key IDs and keys of a Key container."""
        return [(key["key_ID"], base64.b64decode(key["key"], validate=True)) for key in self._keys()]

    def _keys(self) -> Any:
        if self.status != 200:
            raise ValueError(f"{self.status} {self.body!r}")
        return self.json["keys"]


@dataclass
class BrittleStore:
    """A memory store that can be told to fail."""

    inner: MemoryStore = field(default_factory=MemoryStore)
    broken: bool = False

    def apply(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Run a batch, or fail as a whole."""
        if self.broken:
            raise StoreFailed("told to fail")
        return self.inner.apply(operations)

    def close(self) -> None:
        """Let go of the inner store."""
        self.inner.close()


class Delivery:
    """KMEs ``kme-a`` and ``kme-b``, linked, with ``keys`` of the default size in each pair's buffer, each way.

    Attributes:
        now_s: The time of everything.
    """

    def __init__(
        self,
        *,
        params: Kms | None = None,
        saes: dict[str, str] | None = None,
        pairs: tuple[Pair, ...] = (),
        keys: int = 16,
        now_s: float = 1000.0,
    ) -> None:
        self.now_s = now_s
        self.saes = saes or SAES
        self._network = Network()
        self._entropy = stream(1, "entropy")
        self._stores = {kme: BrittleStore() for kme in KMES}
        params = params or Kms()
        for kme, peer in (KMES, KMES[::-1]):
            directory = Directory(kme=kme, peers=(peer,), links=(KMES,), saes=self.saes, pairs=pairs)
            self._network.add(partial(Kme, directory, params, stream(1, "ids", kme)), self._stores[kme])
            for pool in {pool_name(kme, other, "direct") for other in KMES}:
                self._stores[kme].inner.apply(_filling(pool, directory, keys * params.key_size_bits // 8, now_s))
        self._network.connect()

    def send(
        self,
        method: str,
        caller: str | None,
        path: str,
        *,
        query: str = "",
        body: bytes = b"",
        content_type: str = "application/json",
        kme: str = "",
    ) -> Answer:
        """Send a request to ETSI 014 at the caller's KME, or at the one named."""
        place = kme or self.saes.get(caller or "", KMES[0])
        request = Request(method, path, query, body, content_type)
        return Answer(self.run(place, etsi014.handle(request, caller, self.kme(place), self.now_s)))

    def get(self, caller: str | None, path: str, query: str = "", *, kme: str = "") -> Answer:
        """Send a GET."""
        return self.send("GET", caller, path, query=query, kme=kme)

    def post(self, caller: str | None, path: str, body: Any, *, kme: str = "") -> Answer:
        """Send a POST: bytes as they are, or anything else as JSON."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return self.send("POST", caller, path, body=data, kme=kme)

    def enc(self, master: str, slave: str, **members: Any) -> Answer:
        """Post a Key request with these members."""
        return self.post(master, f"/api/v1/keys/{slave}/enc_keys", members)

    def dec(self, slave: str, master: str, *key_ids: str) -> Answer:
        """Post Key IDs."""
        return self.post(slave, f"/api/v1/keys/{master}/dec_keys", {"key_IDs": [{"key_ID": each} for each in key_ids]})

    def stored(self, master: str = "alice", slave: str = "bob") -> int:
        """Return the number of keys that a pair's Status tells."""
        return self.get(master, f"/api/v1/keys/{slave}/status").json["stored_key_count"]  # type: ignore[no-any-return]

    def skip(
        self, kme: str, path: str, query: str = "", *, method: str = "GET", caller: str | None = "encryptor"
    ) -> Answer:
        """Send a request to SKIP at a KME, whose system has its name."""
        request = Request(method, path, query)
        entropy = self._entropy
        return Answer(
            self.run(kme, skip.handle(request, caller, self.kme(kme), self.now_s, system=kme, entropy=entropy))
        )

    def kme(self, name: str) -> Kme:
        """Return a KME."""
        return self._network.kme(name)

    def run(self, kme: str, work: Work[Response]) -> Response:
        """Run a KME's work to its end."""
        self._network.now_s = self.now_s
        return self._network.run(kme, work)

    def ledger(self) -> dict[str, dict[str, int]]:
        """Return each KME's bits by account, of all pools together; accounts that are empty are left out."""
        found: dict[str, dict[str, int]] = {}
        for kme, store in self._stores.items():
            [pools] = store.inner.apply((Accounts(),))
            total: dict[str, int] = {}
            for accounts in pools.values():
                for name, bits in accounts.items():
                    total[name] = total.get(name, 0) + bits
            found[kme] = {name: bits for name, bits in total.items() if bits}
        return found

    def cut(self) -> None:
        """Cut the link between the KMEs."""
        self._network.cut(*KMES)

    def break_store(self, kme: str) -> None:
        """Let a KME's store fail from now on."""
        self._stores[kme].broken = True


def _filling(pool: str, directory: Directory, buffer_bytes: int, now_s: float) -> list[Operation[Any]]:
    """Return what puts so many bytes into the buffer of each pair of SAEs that the pool serves.

    Both ends of a pool get the same. Each portion is a block of its own.
    """
    saes = directory.saes
    entropy = stream(1, "filling", pool)
    sizes_bytes = [min(MAX_BLOCK_BYTES, buffer_bytes - start) for start in range(0, buffer_bytes, MAX_BLOCK_BYTES)]
    buffers = [
        Buffer(master=one, slave=other, pool=pool)
        for one in sorted(saes)
        for other in sorted(saes)
        if one != other and pool_name(saes[one], saes[other], "direct") == pool
    ]
    operations: list[Operation[Any]] = []
    for number, (buffer, size_bytes) in enumerate((buffer, size) for buffer in buffers for size in sizes_bytes):
        name = f"filling-{number}"
        statement = Statement(
            block_ids=(name,), origin="direct", hops=1, epsilon=0.0, provable=False, provenance="test", made_s=now_s
        )
        block = Block(
            pool=pool,
            block_id=name,
            material=entropy.bytes(size_bytes),
            statement=statement,
            expires_s=now_s + 86_400.0,
        )
        portion = Portion(buffer=buffer, number=number, block_id=name, start_bytes=0, length_bytes=size_bytes)
        settle = Settle(pool=pool, block_id=name, verdict="confirmed", tag_bytes=0)
        operations += [AddBlock(block=block), settle, Cut(portions=(portion,))]
    return operations
