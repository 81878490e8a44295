"""Who holds a certificate, and in which role.

Rules:

1. A role is in the certificate, as a URI among the subject's alternative names: ``urn:bellweave:kme:NAME``,
   ``urn:bellweave:sae:NAME`` or ``urn:bellweave:device:NAME``, NAME percent-encoded. (The ``urn`` namespace is not
   registered: it means something only under an authority that issues such names.) That an authority of ours signed a
   certificate authorises nobody.
2. KMEs and devices are known by that URI only, or by a fingerprint that the configuration maps to one.
3. An SAE is known by the first of the fields in ``tls.identity`` that names a registered SAE. ``san-uri`` is the URI of
   rule 1, or any URI that *is* the registered name; ``san-dns`` and ``cn`` are compared exactly, case included. So
   certificates of another PKI serve, but not one that says it is a KME's or a device's, whatever its subject.
4. Two registered names in one field, or two roles in one certificate, are nobody's: refused, never chosen from.
5. Nothing that a client sends besides its certificate counts: no header, no server name.

Source: ETSI GS QKD 014 V1.1.1 asks for the identity to come from the certificate and leaves open from where in it.
"""

import hashlib
import ssl
from asyncio import BaseTransport
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import quote, unquote
from weakref import WeakKeyDictionary

from bellweave.kms.config import IdentityField, Tls

Role = Literal["kme", "sae", "device"]

_PREFIX = "urn:bellweave:"


class Holder(NamedTuple):
    """A name in a role."""

    role: Role
    name: str


class Identity(NamedTuple):
    """A registered name, or None; and where it stands, or why there is none: words for a log."""

    name: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Presented:
    """What counts of a certificate that a peer has shown and the handshake has verified.

    Attributes:
        uris, dns_names, common_names: As they stand in it.
        serial: Serial number.
        fingerprint: SHA-256 of the DER, in lower-case hex.
        until_s: When it expires, Unix time.
        session_s: When the TLS session began if this connection resumed one, else None: a resumed connection keeps the
            identity of the first, and nobody looks at the certificate again.
    """

    uris: tuple[str, ...]
    dns_names: tuple[str, ...]
    common_names: tuple[str, ...]
    serial: int
    fingerprint: str
    until_s: float
    session_s: float | None = None


_shown: WeakKeyDictionary[ssl.SSLObject | ssl.SSLSocket, Presented] = WeakKeyDictionary()


def role_uri(role: Role, name: str) -> str:
    """Return the URI that says that a certificate is this holder's.

    >>> role_uri("sae", "alice/1")
    'urn:bellweave:sae:alice%2F1'
    """
    return f"{_PREFIX}{role}:{quote(name, safe='')}"


def holder_of(uri: str) -> Holder | None:
    """Return whom such a URI names; None if it is not one of ours.

    >>> holder_of("urn:bellweave:sae:alice%2F1")
    Holder(role='sae', name='alice/1')
    """
    role, colon, quoted = uri.removeprefix(_PREFIX).partition(":")
    if not uri.startswith(_PREFIX) or not colon or not quoted:
        return None
    for known in get_args(Role):
        if role == known:
            try:
                return Holder(known, unquote(quoted, errors="strict"))
            except UnicodeDecodeError:
                return None
    return None


def presented(transport: BaseTransport) -> Presented | None:
    """Return the verified certificate at the other end of a connection of asyncio or uvloop; None: there is none."""
    tls = transport.get_extra_info("ssl_object")
    return None if tls is None else presented_on(tls)


def presented_on(tls: ssl.SSLObject | ssl.SSLSocket) -> Presented | None:
    """Return the verified certificate at the other end of a TLS connection; None if there is none."""
    known = _shown.get(tls)
    if known is None and (known := _read(tls)) is not None:
        _shown[tls] = known  # it stays the same for as long as the connection lasts, and is asked for every second
    return known


def _read(tls: ssl.SSLObject | ssl.SSLSocket) -> Presented | None:
    der = tls.getpeercert(binary_form=True)
    table: Any = tls.getpeercert()  # empty where the context does not ask for verification
    if not der or not table:
        return None
    names = table.get("subjectAltName", ())
    began_s = None
    if tls.session_reused:
        began_s = 0.0 if tls.session is None else float(tls.session.time)
    return Presented(
        uris=tuple(value for kind, value in names if kind == "URI"),
        dns_names=tuple(value for kind, value in names if kind == "DNS"),
        common_names=tuple(value for part in table["subject"] for kind, value in part if kind == "commonName"),
        serial=int(table["serialNumber"], 16),
        fingerprint=hashlib.sha256(der).hexdigest(),
        until_s=float(ssl.cert_time_to_seconds(table["notAfter"])),
        session_s=began_s,
    )


def holder_at(transport: BaseTransport) -> Holder | None:
    """Return who is at the other end of a connection, by the one role in its certificate; None: nobody known here."""
    shown = presented(transport)
    holders = {holder for uri in (shown.uris if shown else ()) if (holder := holder_of(uri)) is not None}
    return holders.pop() if len(holders) == 1 else None


def role_of(certificate: Presented, tls: Tls) -> Holder | None:
    """Return whose certificate it is by rules 1, 2 and 4; None: it names no role, or more than one holder."""
    mapped = tls.fingerprints.get(certificate.fingerprint, "")
    holders = {holder for uri in (*certificate.uris, mapped) if (holder := holder_of(uri)) is not None}
    return holders.pop() if len(holders) == 1 else None


def identify(certificate: Presented, tls: Tls, saes: Collection[str]) -> Identity:
    """Return which of these registered SAEs a certificate names (rules 3 and 4)."""
    roles = {holder.role for uri in certificate.uris if (holder := holder_of(uri)) is not None}
    if roles - {"sae"}:
        return Identity(None, f"the certificate is that of a {' and a '.join(sorted(roles))}")
    for field in tls.identity:
        found = {name for name in _names(certificate, tls, field) if name in saes}
        if len(found) > 1:
            return Identity(None, f"the certificate's {field} names {len(found)} registered SAEs")
        if found:
            return Identity(found.pop(), field)
    return Identity(None, f"the certificate's {', '.join(tls.identity)} names no registered SAE")


def _names(certificate: Presented, tls: Tls, field: IdentityField) -> tuple[str, ...]:
    match field:
        case "san-uri":
            holders = map(holder_of, certificate.uris)
            return *certificate.uris, *(holder.name for holder in holders if holder is not None)
        case "san-dns":
            return certificate.dns_names
        case "cn":
            return certificate.common_names
        case "fingerprint":
            mapped = tls.fingerprints.get(certificate.fingerprint)
            holder = holder_of(mapped or "")
            if mapped is None or (holder is not None and holder.role != "sae"):
                return ()
            return (mapped if holder is None else holder.name,)
