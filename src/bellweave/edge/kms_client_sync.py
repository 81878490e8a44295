"""A client of ETSI GS QKD 014 key servers, for threads. The rules are those of :mod:`bellweave.edge.kms_client`."""

import http.client
import select
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bellweave.edge import kms_calls
from bellweave.edge.kms_calls import MAX_ANSWER_BYTES, Call, Key, Status
from bellweave.edge.kms_client import ATTEMPTS, PAUSE_S, check_kme, failure
from bellweave.edge.tls import client_context
from bellweave.errors import KeyServerDenied, KeyServerUnreachable


class KmsClientSync:
    """An application's connection to its key server. Any thread may call; calls go one after the other.

    Args:
        url: As for :class:`~bellweave.edge.kms_client.KmsClient`, like all others.
        ca, cert, key: PEM files.
        kme: Name of the KME that must answer.
        timeout_s: Longest wait for each step of a call.

    Raises:
        ScenarioError: The URL or a file can't be used.
    """

    def __init__(
        self, url: str, *, ca: Path, cert: Path, key: Path, kme: str | None = None, timeout_s: float = 10.0
    ) -> None:
        host, port = kms_calls.host_port(url)
        self._where = f"{host}:{port}"
        self._kme = kme
        context = client_context(ca, cert, key, check_hostname=kme is None)
        self._connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def status(self, slave: str) -> Status:
        """Return what there is for a slave SAE.

        Raises:
            KeyServerError: One of its kinds, as for the other calls.
        """
        return kms_calls.read_status(*self._call(kms_calls.status(slave)))

    def enc_keys(
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
        return kms_calls.read_keys(*self._call(call))

    def dec_keys(self, master: str, key_ids: Sequence[str]) -> tuple[Key, ...]:
        """Return the keys that a master SAE has drawn under these ids, in their order; all or none."""
        return kms_calls.read_keys(*self._call(kms_calls.dec_keys(master, key_ids)), key_ids)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def _call(self, call: Call) -> tuple[int, bytes]:
        for last in (*(ATTEMPTS - 1) * (False,), True):
            try:
                with self._lock:
                    return self._exchange(call)
            except KeyServerUnreachable:
                if last or not call.repeatable:
                    raise
            time.sleep(PAUSE_S)
        raise AssertionError("the last attempt returns or raises")

    def _exchange(self, call: Call) -> tuple[int, bytes]:
        kept = self._connect()
        headers = {} if call.body is None else {"Content-Type": "application/json"}
        try:
            self._connection.request(call.method, call.path, call.body, headers)
            answer = self._connection.getresponse()
            kept = True
            body = answer.read(MAX_ANSWER_BYTES)
            rest = answer.read(1)
            if answer.length and not rest:  # http.client tells only who reads all at once
                raise http.client.IncompleteRead(body, answer.length)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise failure(self._where, error, answered=kept) from None
        if rest:
            self._connection.close()
            raise KeyServerUnreachable(f"the key server's answer is longer than {MAX_ANSWER_BYTES} bytes")
        return answer.status, body

    def _connect(self) -> bool:
        """See to it that there is a connection; return whether it has been used before."""
        connection = self._connection
        if connection.sock is not None:
            if not select.select((connection.sock,), (), (), 0)[0]:
                return True
            connection.close()  # the server has: nothing else can have come since the last answer
        try:
            connection.connect()
            if self._kme is not None:
                check_kme(connection.sock, self._kme)
        except ssl.SSLCertVerificationError as error:
            connection.close()
            raise KeyServerDenied(
                f"{self._where} is not the key server: {getattr(error, 'verify_message', error)}"
            ) from None
        except ssl.SSLError as error:
            connection.close()
            raise failure(self._where, error, answered=False) from None
        except OSError as error:
            connection.close()
            raise KeyServerUnreachable(f"{self._where} can't be reached: {error}") from None
        return False
