"""A client of ETSI GS QKD 014 key servers, for asyncio; :mod:`bellweave.edge.kms_client_sync` is its twin for threads.

Rules:

1. The server is who it should be: a KME of this name if one is given, else the host that was called. Authorities,
   certificate and key are files that the caller names; nothing is taken from the environment, proxies neither.
2. ``status`` is asked again where the line fails. ``enc_keys`` and ``dec_keys`` never are: they are not idempotent.
3. Every wait ends.
4. In TLS 1.3 a refused certificate shows at the first read: a connection that ends before it ever gave an answer means
   :class:`~bellweave.errors.KeyServerDenied`.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from bellweave.edge import kms_calls
from bellweave.edge.identity import Holder, holder_of, presented_on
from bellweave.edge.kms_calls import MAX_ANSWER_BYTES, Call, Key, Status
from bellweave.edge.tls import client_context
from bellweave.errors import KeyServerDenied, KeyServerUnreachable

ATTEMPTS = 3
PAUSE_S = 0.2
"""How often, and after which pause, a repeatable call is made again."""

_CONNECTIONS = 64
_ALERT = re.compile(r"\[SSL: (?:SSLV3_|TLSV1_|TLSV13_)?ALERT_(\w+)\]")


class KmsClient:
    """An application's connections to its key server.

    Use it as ``async with KmsClient(...) as kms:``, or :meth:`close` it.

    Args:
        url: ``https://host:port``.
        ca: Certificates of the authorities that the server's must come from, PEM.
        cert: The application's own.
        key: Of that certificate.
        kme: Name of the KME that must answer, by the role in its certificate; None: whoever has a certificate for the
            host that is called, such as another vendor's server.
        timeout_s: Longest wait for an answer, connecting included.

    Raises:
        ScenarioError: The URL or a file can't be used.
    """

    def __init__(
        self, url: str, *, ca: Path, cert: Path, key: Path, kme: str | None = None, timeout_s: float = 10.0
    ) -> None:
        host, port = kms_calls.host_port(url)
        self._base = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._context = context_for(ca, cert, key, kme)
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._answered = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def status(self, slave: str) -> Status:
        """Return what there is for a slave SAE.

        Raises:
            KeyServerError: One of its kinds, as for the other calls.
        """
        return kms_calls.read_status(*await self._call(kms_calls.status(slave)))

    async def enc_keys(
        self,
        slave: str,
        number: int = 1,
        size_bits: int | None = None,
        *,
        additional_slaves: Sequence[str] = (),
        mandatory: Mapping[str, Any] | None = None,
        optional: Mapping[str, Any] | None = None,
    ) -> tuple[Key, ...]:
        """Return new keys; for the arguments see :func:`bellweave.edge.kms_calls.enc_keys`."""
        call = kms_calls.enc_keys(
            slave, number, size_bits, additional_slaves=additional_slaves, mandatory=mandatory, optional=optional
        )
        return kms_calls.read_keys(*await self._call(call))

    async def dec_keys(self, master: str, key_ids: Sequence[str]) -> tuple[Key, ...]:
        """Return the keys that a master SAE has drawn under these ids, in their order; all or none."""
        return kms_calls.read_keys(*await self._call(kms_calls.dec_keys(master, key_ids)), key_ids)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _call(self, call: Call) -> tuple[int, bytes]:
        for last in (*(ATTEMPTS - 1) * (False,), True):
            try:
                return await self._exchange(call)
            except KeyServerUnreachable:
                if last or not call.repeatable:
                    raise
            await asyncio.sleep(PAUSE_S)
        raise AssertionError("the last attempt returns or raises")

    async def _exchange(self, call: Call) -> tuple[int, bytes]:
        session = self._session = self._session or self._new_session()
        headers = {} if call.body is None else {"Content-Type": "application/json"}
        url = URL(self._base + call.path, encoded=True)
        try:
            async with session.request(
                call.method, url, data=call.body, headers=headers, allow_redirects=False
            ) as answer:
                self._answered = True
                return answer.status, await _body(answer)
        except aiohttp.ClientConnectorCertificateError as error:
            raise KeyServerDenied(f"{self._base} is not the key server: {error.certificate_error}") from None
        except aiohttp.ClientConnectorSSLError as error:
            raise failure(self._base, error.os_error, answered=self._answered) from None
        except aiohttp.ClientConnectorError as error:
            raise KeyServerUnreachable(f"{self._base} can't be reached: {error.os_error}") from None
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise failure(self._base, error, answered=self._answered) from None

    def _new_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._context, limit=_CONNECTIONS, keepalive_timeout=60.0),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )


def context_for(ca: Path, cert: Path, key: Path, kme: str | None) -> ssl.SSLContext:
    """Return a context whose handshakes end in an error unless the right KME is at the other end.

    Raises:
        ScenarioError: A file can't be used.
    """
    context = client_context(ca, cert, key, check_hostname=kme is None)
    if kme is None:
        return context
    wanted = kme

    class Checked(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            check_kme(self, wanted)

    context.sslobject_class = Checked
    return context


def check_kme(tls: ssl.SSLObject | ssl.SSLSocket, kme: str) -> None:
    """Raise :class:`ssl.SSLCertVerificationError` unless the certificate at the other end is this KME's."""
    shown = presented_on(tls)
    holders = {holder for uri in (shown.uris if shown else ()) if (holder := holder_of(uri)) is not None}
    if holders != {Holder("kme", kme)}:
        names = ", ".join(sorted(f"{holder.role} {holder.name}" for holder in holders)) or "nobody known here"
        raise ssl.SSLCertVerificationError(1, f"its certificate is that of {names}, not of kme {kme}")


def failure(where: str, error: Exception, *, answered: bool) -> KeyServerDenied | KeyServerUnreachable:
    """Return the error that says what a broken exchange means."""
    if isinstance(error, TimeoutError):
        return KeyServerUnreachable(f"{where} did not answer in time")
    alert = _ALERT.search(str(error))
    if alert:
        return KeyServerDenied(f"{where} refuses this certificate: {alert[1].lower().replace('_', ' ')}")
    if not answered and (isinstance(error, ConnectionError | aiohttp.ServerDisconnectedError) or not str(error)):
        return KeyServerDenied(f"{where} closed the connection before any answer: it may refuse this certificate")
    return KeyServerUnreachable(f"{where} broke off: {str(error) or type(error).__name__}")


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    left = MAX_ANSWER_BYTES
    async for part in answer.content.iter_any():
        left -= len(part)
        if left < 0:
            raise KeyServerUnreachable(f"the key server's answer is longer than {MAX_ANSWER_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)
