"""Mutual TLS: contexts, and certificates that change while the server runs.

Rules:

1. TLS 1.2 or 1.3; in 1.2 only ephemeral key agreement with an AEAD. Every connection shows a certificate, both ways.
2. No session tickets: a resumed connection skips verification. TLS 1.3 then has no resumption; in TLS 1.2 OpenSSL keeps
   sessions by their ids, which Python can't switch off: one from before the last change of the authorities counts for
   nothing. Expiry and the deny list are looked at per request, so they hold for open and resumed connections too.
3. :attr:`Certificates.server_context` is one object for the life of a server; each handshake moves to the context that
   was made of the files last. Files that can't be used change nothing: the old certificates stay, and the log says so.
4. In TLS 1.3 a client whose certificate is refused sees a connection first, and the refusal at its first read.

Source: what is said of OpenSSL was tried with 3.0 and Python 3.11.
"""

import ssl
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal

from bellweave.edge.clock import now_s as clock_s
from bellweave.edge.deny_list import DenyList
from bellweave.edge.files import stamp
from bellweave.edge.identity import Identity, Presented, Role, identify, role_of
from bellweave.errors import ScenarioError
from bellweave.kms.config import Tls

LeastVersion = Literal["1.2", "1.3"]

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; Python leaves those of 1.3 to OpenSSL, which are all sound


def server_context(ca: Path, cert: Path, key: Path, *, least_version: LeastVersion = "1.2") -> ssl.SSLContext:
    """Return a context for a server that asks every client for a certificate of these authorities.

    Args:
        ca: Certificates of the authorities, PEM.
        cert: The server's own, PEM.
        key: Of that certificate, PEM.
        least_version: Oldest TLS version that is spoken.

    Raises:
        ScenarioError: A file can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    _fill(context, ca, cert, key, least_version)
    return context


def client_context(
    ca: Path, cert: Path, key: Path, *, least_version: LeastVersion = "1.2", check_hostname: bool = True
) -> ssl.SSLContext:
    """Return a context for an SAE, a device or a KME that calls a KME; never takes authorities from the environment.

    Args:
        ca: As for :func:`server_context`, like the next three.
        cert: The caller's own.
        key: Of that certificate.
        least_version: Oldest TLS version that is spoken.
        check_hostname: Whether the server's certificate must name the host that was called. Without, the caller must
            look with :func:`~bellweave.edge.identity.role_of` who it is.

    Raises:
        ScenarioError: A file can't be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the server
    context.check_hostname = check_hostname
    _fill(context, ca, cert, key, least_version)
    return context


class Certificates:
    """What one KME shows and whom it lets in, by files that may change at any time.

    Args:
        tls: The files and the rules.
        base: Folder that relative paths start from.
        warn: Gets a sentence, for the log, where a file changed and can't be used.

    Attributes:
        server_context: For all listeners; stays valid when files change.

    Raises:
        ScenarioError: A file can't be used.
    """

    def __init__(self, tls: Tls, base: Path, warn: Callable[[str], None]) -> None:
        self._tls = tls
        self._files = (base / tls.ca, base / tls.cert, base / tls.key)
        self._warn = warn
        self._deny = None if tls.deny is None else DenyList(base / tls.deny, warn)
        self._stamps = tuple(map(stamp, self._files))
        self._server, self._client = self._made()
        self._authorities = self._files[0].read_bytes()
        self._believe_sessions_after_s = 0.0
        self.server_context = self._server
        self.server_context.sni_callback = self._move_on

    @property
    def client_context(self) -> ssl.SSLContext:
        """The context for calling another KME; ask for it anew each time, and check with :meth:`peer` who answers."""
        return self._client

    def reload(self) -> bool:
        """Read the files again if one changed; returns whether new connections use something else from now on.

        Cheap where nothing changed (three looks at the file system), so call it every second, and upon SIGHUP.
        """
        stamps = tuple(map(stamp, self._files))
        if stamps == self._stamps:
            return False
        self._stamps = stamps  # a bad file is reported once, and tried again when it changes again
        try:
            self._server, self._client = self._made()
            authorities = self._files[0].read_bytes()
        except (ScenarioError, OSError) as error:
            self._warn(f"{error}; the certificates in use stay")
            return False
        if authorities != self._authorities:
            self._authorities = authorities
            self._believe_sessions_after_s = clock_s()
        return True

    def refusal(self, certificate: Presented, now_s: float) -> str | None:
        """Return why this certificate is not let in at this time, whoever holds it, or None; look at every request."""
        if now_s >= certificate.until_s:
            return "the certificate has expired"
        if self._deny is not None and self._deny.denies(certificate):
            return "the certificate is on the deny list"
        if certificate.session_s is not None and certificate.session_s <= self._believe_sessions_after_s:
            return "the TLS session began before the authorities changed"
        return None

    def sae(self, certificate: Presented, saes: Collection[str], now_s: float) -> Identity:
        """Return which of these SAEs is let in with this certificate."""
        refusal = self.refusal(certificate, now_s)
        return identify(certificate, self._tls, saes) if refusal is None else Identity(None, refusal)

    def peer(self, certificate: Presented, role: Role, now_s: float) -> Identity:
        """Return which KME, or device, is let in with this certificate."""
        refusal = self.refusal(certificate, now_s)
        if refusal is not None:
            return Identity(None, refusal)
        holder = role_of(certificate, self._tls)
        if holder is None or holder.role != role:
            return Identity(None, f"the certificate is not that of a {role}")
        return Identity(holder.name, "san-uri")

    def _made(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        ca, cert, key = self._files
        least = self._tls.least_version
        return (
            server_context(ca, cert, key, least_version=least),
            # other KMEs are known by their role URI: whatever name or address they are called by
            client_context(ca, cert, key, least_version=least, check_hostname=False),
        )

    def _move_on(self, tls: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Let a handshake go on with the latest context; OpenSSL asks here also where the client names no server."""
        tls.context = self._server


def _fill(context: ssl.SSLContext, ca: Path, cert: Path, key: Path, least_version: LeastVersion) -> None:
    context.minimum_version = _VERSIONS[least_version]
    context.set_ciphers(_CIPHERS)
    try:
        context.load_verify_locations(ca)
    except OSError as error:  # SSLError is one
        raise ScenarioError(f"can't be used as authorities: {_say(error)}", file=str(ca)) from None

    def no_password() -> str:
        raise ScenarioError("is encrypted: the server has nobody to ask for a password", file=str(key))

    try:
        context.load_cert_chain(cert, key, no_password)
    except OSError as error:
        problem = f"can't be used as certificate with the key {key}: {_say(error)}"
        raise ScenarioError(problem, file=str(cert)) from None


def why_failed(error: OSError) -> str:
    """Return why a handshake failed, in a few words that do not depend on the client's name or address."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).lower().replace("_", " ")
    return "time-out" if isinstance(error, TimeoutError) else "connection lost"


def _say(error: OSError) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return (reason or "no PEM in it").lower().replace("_", " ")
