"""How a QKD device, or whatever distils key, pushes blocks to its KME.

A push may be repeated: a KME counts a block once. So whatever happens on the way, it is sent again until the KME has
answered or patience is over.
"""

import asyncio
import contextlib
import http.client
import ssl
import threading
import time
from urllib.parse import quote, urlsplit

import msgspec
import structlog

from bellweave.api.etsi014_messages import Error
from bellweave.blocks import SecretBlock
from bellweave.edge.device_server import MSGPACK, Receipt
from bellweave.errors import PeerRefused, PeerUnreachable, ScenarioError

FIRST_PAUSE_S = 0.1
MOST_PAUSE_S = 5.0

_PATH = "/api/v1/blocks"
_MAX_ANSWER_BYTES = 64 * 1024

_log = structlog.get_logger(__name__)


class DeviceClient:
    """Pushes blocks over one connection, which is made again whenever it breaks. Any thread may call.

    Args:
        url: Of the KME's device endpoint, such as ``https://kme-a.example:8446``.
        context: With the device's certificate, such as :func:`bellweave.edge.tls.client_context` returns.
        timeout_s: Longest wait for the KME, each time.
        patience_s: How long a call tries again before it gives up.
    """

    def __init__(self, url: str, context: ssl.SSLContext, *, timeout_s: float = 10.0, patience_s: float = 60.0) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.path.strip("/"):
            raise ScenarioError(f"expected https://host:port, got {url!r}")
        self._connection = http.client.HTTPSConnection(
            parts.hostname, parts.port or 443, timeout=timeout_s, context=context
        )
        self._patience_s = patience_s
        self._lock = threading.Lock()

    def push(self, block: SecretBlock) -> Receipt:
        """Bring a block, and return what the KME says of it.

        Raises:
            PeerRefused: The KME does not take it: another block has that id, it breaks a limit, or this is no device
                of the KME's.
            PeerUnreachable: It did not answer, or its store fails, for longer than patience lasts.
        """
        return self._call("POST", _PATH, msgspec.msgpack.encode(block))

    def look(self, block_id: str) -> Receipt:
        """Return what has become of a block.

        Raises:
            PeerRefused: The KME does not know it, or not this device.
            PeerUnreachable: As for :meth:`push`.
        """
        return self._call("GET", f"{_PATH}/{quote(block_id, safe='')}", None)

    async def push_async(self, block: SecretBlock) -> Receipt:
        """As :meth:`push`, in an event loop: a thread does the waiting."""
        return await asyncio.to_thread(self.push, block)

    async def look_async(self, block_id: str) -> Receipt:
        """As :meth:`look`, in an event loop."""
        return await asyncio.to_thread(self.look, block_id)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def _call(self, method: str, path: str, body: bytes | None) -> Receipt:
        give_up_s = time.monotonic() + self._patience_s
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                with self._lock:
                    status, answer = self._exchange(method, path, body)
            except (OSError, http.client.HTTPException) as error:
                problem = f"no answer: {str(error) or type(error).__name__}"
            else:
                if status == http.client.OK:
                    return _read(answer)
                problem = f"{status}: {_words(answer)}"
                if status < http.client.INTERNAL_SERVER_ERROR and status != http.client.TOO_MANY_REQUESTS:
                    raise PeerRefused(f"{self._connection.host} answered {problem}")
            if time.monotonic() + pause_s > give_up_s:
                raise PeerUnreachable(f"{self._connection.host} can't take a call: {problem}")
            _log.info("a call to a KME is tried again", host=self._connection.host, problem=problem)
            time.sleep(pause_s)
            pause_s = min(2.0 * pause_s, MOST_PAUSE_S)

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Send a request and return status and body; a connection that broke is closed."""
        headers = {} if body is None else {"Content-Type": MSGPACK}
        with contextlib.ExitStack() as broken:
            broken.callback(self._connection.close)
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            answer = response.read(_MAX_ANSWER_BYTES)
            if not response.read(1):
                broken.pop_all()
        return response.status, answer


def _read(answer: bytes) -> Receipt:
    try:
        return msgspec.json.decode(answer, type=Receipt)
    except msgspec.MsgspecError as error:
        raise PeerRefused(f"the KME's answer makes no sense: {error}") from None


def _words(answer: bytes) -> str:
    try:
        return msgspec.json.decode(answer, type=Error).message
    except msgspec.MsgspecError:
        return "no words"
