"""Fetches key from a QKD device that serves ETSI GS QKD 014 at both ends of its link.

Rules:

1. The lead, the first of the two KMEs in the alphabet, asks its end (``enc_keys``) while the peer is in step, tells the
   peer the keys' ids, and the peer asks its own end (``dec_keys``).
2. The keys of one answer are one block, named after the first of them, of provenance ``device``, unproven: so one
   confirmation is paid for all. From there on it is a block like any other: used when both ends hold the same.
3. ``enc_keys`` is not repeated: what was asked for and not received is lost. Ids are told until the peer has them. A
   crash in between costs that key: the other end's copy is never fetched, or its block waits until it is purged.
"""

import asyncio
import contextlib
import http.client
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec
import structlog

from bellweave.blocks import SecretBlock
from bellweave.edge.clock import now_s
from bellweave.edge.kms_driver import Driver
from bellweave.edge.tls import client_context
from bellweave.errors import DeliveryError, PeerRefused, PeerUnreachable, ScenarioError
from bellweave.kms.config import Vendor
from bellweave.kms.effects import ask
from bellweave.kms.messages import Done, Pulled
from bellweave.kms.service import Kme

TIMEOUT_S = 10.0
ATTEMPTS = 5
"""How often the peer asks its end for keys that it was told of."""

MAX_UNTOLD = 64
"""Blocks whose ids wait to be told: with more, nothing is fetched."""

_MAX_ANSWER_BYTES = 4 * 1024 * 1024

_log = structlog.get_logger(__name__)


class _Key(msgspec.Struct, frozen=True):
    """A member of 014's Key container, as any server may send it."""

    key_id: str = msgspec.field(name="key_ID")
    key: bytes

    def __repr__(self) -> str:
        return f"<_Key {self.key_id}>"


class _Keys(msgspec.Struct, frozen=True):
    keys: tuple[_Key, ...]


class VendorPull:
    """One end of one device.

    Args:
        name: Of the device, the same in both configurations.
        vendor: Its configuration.
        base: What relative paths start from.
        kme: Takes the blocks.
        driver: Runs its work.
        arrived: Called when a block has come in.

    Raises:
        ScenarioError: The address or a file can't be used.
    """

    def __init__(
        self, name: str, vendor: Vendor, base: Path, kme: Kme, driver: Driver, arrived: Callable[[], None]
    ) -> None:
        parts = urlsplit(vendor.url)
        if parts.scheme != "https" or not parts.hostname:
            raise ScenarioError(f"expected https://host:port, got {vendor.url!r}", path=f"vendors.{name}.url")
        self._name = name
        self._vendor = vendor
        self._path = f"{parts.path.rstrip('/')}/api/v1/keys/{quote(vendor.slave, safe='')}"
        context = client_context(base / vendor.ca, base / vendor.cert, base / vendor.key)
        self._connection = http.client.HTTPSConnection(
            parts.hostname, parts.port or 443, timeout=TIMEOUT_S, context=context
        )
        self._kme = kme
        self._driver = driver
        self._arrived = arrived
        self._untold: deque[tuple[str, ...]] = deque()
        self._told: asyncio.Queue[tuple[str, ...]] = asyncio.Queue(MAX_UNTOLD)

    def tell(self, sender: str, message: Pulled) -> None:
        """Take note of keys that the lead has fetched.

        Raises:
            PeerRefused: The sender does not lead here, or too many keys are still to be fetched.
        """
        if sender != self._vendor.peer or self._kme.name < sender:
            raise PeerRefused(f"{sender} does not lead at {self._name}")
        try:
            self._told.put_nowait(message.key_ids)
        except asyncio.QueueFull:
            raise PeerRefused(f"{MAX_UNTOLD} blocks of {self._name} are still to be fetched") from None

    async def run(self) -> None:
        """Fetch for ever."""
        leads = self._kme.name < self._vendor.peer
        try:
            while True:
                await (self._lead() if leads else self._follow(await self._told.get()))
        finally:
            self._connection.close()

    async def _lead(self) -> None:
        """Fetch keys, if the peer can be told of them, and tell it."""
        await asyncio.sleep(self._vendor.period_s)
        if self._kme.in_step(self._vendor.peer) and len(self._untold) < MAX_UNTOLD:
            query = f"?number={self._vendor.number}&size={self._vendor.size_bits}"
            with self._reported():
                keys = await asyncio.to_thread(self._call, "GET", f"{self._path}/enc_keys{query}", None)
                await self._ingest(keys)
                self._untold.append(tuple(key.key_id for key in keys))
        with self._reported():
            while self._untold:
                await self._driver.run(ask(self._vendor.peer, Pulled(self._name, self._untold[0]), Done))
                self._untold.popleft()

    async def _follow(self, key_ids: tuple[str, ...]) -> None:
        """Fetch the keys that the lead has told of."""
        body = msgspec.json.encode({"key_IDs": [{"key_ID": key_id} for key_id in key_ids]})
        keys: tuple[_Key, ...] = ()
        for attempt in range(ATTEMPTS):
            try:
                keys = await asyncio.to_thread(self._call, "POST", f"{self._path}/dec_keys", body)
                break
            except PeerUnreachable as error:
                _log.info("a device is asked again", vendor=self._name, problem=str(error))
                await asyncio.sleep(self._vendor.period_s * 2**attempt)
            except PeerRefused as error:
                _log.warning("a device does not have the peer's keys", vendor=self._name, problem=str(error))
                return
        found = {key.key_id: key for key in keys}
        if set(found) == set(key_ids):
            with self._reported():
                await self._ingest(tuple(found[key_id] for key_id in key_ids))
        else:
            _log.warning("a device gave other keys than it was asked for", vendor=self._name)

    async def _ingest(self, keys: tuple[_Key, ...]) -> None:
        await self._driver.run(self._kme.ingest(self._block(keys), self._vendor.peer, now_s()))
        self._arrived()

    def _block(self, keys: tuple[_Key, ...]) -> SecretBlock:
        bits = b"".join(key.key for key in keys)
        time_s = now_s()
        return SecretBlock(
            block_id=f"{self._name}/{keys[0].key_id}",
            link=self._name,
            role="alice" if self._kme.name < self._vendor.peer else "bob",
            bits=bits,
            bit_count=8 * len(bits),
            accountings={"device": 8 * len(bits)},
            minted_by="device",
            provable_bits=0,
            epsilon=1.0,
            method="none",
            assumptions=(f"{self._name} and its makers are trusted",),
            authentication_bits=0,
            start_s=time_s,
            end_s=time_s,
            provenance="device",
        )

    def _call(self, method: str, path: str, body: bytes | None) -> tuple[_Key, ...]:
        """Ask the device, in a thread.

        Raises:
            PeerUnreachable: No answer, or one that says that it can't now.
            PeerRefused: It won't.
        """
        headers = {"Accept": "application/json"} | ({} if body is None else {"Content-Type": "application/json"})
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            status, answer = response.status, response.read(_MAX_ANSWER_BYTES)
        except (OSError, http.client.HTTPException, ssl.SSLError) as error:
            self._connection.close()
            raise PeerUnreachable(f"no answer: {str(error) or type(error).__name__}") from None
        if status >= http.client.INTERNAL_SERVER_ERROR:
            raise PeerUnreachable(f"it answered {status}")
        if status != http.client.OK:
            raise PeerRefused(f"it answered {status}")
        try:
            keys = msgspec.json.decode(answer, type=_Keys).keys
        except msgspec.MsgspecError as error:
            raise PeerRefused(f"its answer makes no sense: {error}") from None
        if not keys:
            raise PeerRefused("it gave no keys")
        return keys

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except DeliveryError as error:
            _log.info("nothing came from a device", vendor=self._name, problem=str(error))
