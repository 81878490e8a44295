"""The configuration of one KME: one TOML file, of these tables."""

from typing import Literal

import msgspec

from bellweave.kms.params import Directory, Kms
from bellweave.params import Params, Positive, PositiveInt

IdentityField = Literal["san-uri", "san-dns", "cn", "fingerprint"]


class Tls(Params, frozen=True, kw_only=True):
    """Certificates; files are relative to the configuration file, and are read again when they change.

    Attributes:
        ca: Certificates of the authorities whose clients and peers are let in, PEM.
        cert, key: This KME's own, PEM; the key file must not be readable by others.
        identity: Where in an SAE's certificate its name stands; the first of them that holds a registered name
            counts. A certificate with two registered names in one field is refused as ambiguous, and so is one that
            says it is a KME's or a device's. ``san-uri`` is ``urn:bellweave:sae:NAME``, or the name itself as a URI.
        fingerprints: SHA-256 of a certificate (hex, with or without colons) to the name of its holder, for
            ``fingerprint``; for KMEs and devices, whatever ``identity`` says, to ``urn:bellweave:kme:NAME`` or
            ``urn:bellweave:device:NAME``.
        deny: File of certificates that are not let in any more, one SHA-256 fingerprint or ``serial:HEX`` a line;
            looked up at every request, and read again when it changes.
        least_version: Oldest TLS version that is spoken.
    """

    ca: str
    cert: str
    key: str
    identity: tuple[IdentityField, ...] = ("san-uri", "cn")
    fingerprints: dict[str, str] = {}
    deny: str | None = None
    least_version: Literal["1.2", "1.3"] = "1.2"


class Endpoint(Params, frozen=True, kw_only=True):
    """Where something listens.

    Attributes:
        listen: ``host:port``; port 0: any free one.
    """

    listen: str


class Skip(Params, frozen=True, kw_only=True):
    """Cisco SKIP.

    Attributes:
        listen: ``host:port``.
        system: localSystemID; empty: the KME's name.
        clients: SAEs of this KME that may use it; empty: all of them.
    """

    listen: str
    system: str = ""
    clients: tuple[str, ...] = ()


class Peer(Params, frozen=True, kw_only=True):
    """Another KME.

    Attributes:
        address: ``host:port`` of its link endpoint.
    """

    address: str


class Vendor(Params, frozen=True, kw_only=True):
    """A QKD device whose keys are fetched by ETSI 014; this KME is an SAE there, and so is the peer at its own.

    Attributes:
        peer: The KME at the other end of the device's link.
        url: Of the device's ETSI 014 server.
        slave: SAE name of the peer there (the lead asks with ``enc_keys``), or of the lead (the peer fetches).
        ca, cert, key: PEM files.
        size_bits, number: What is fetched at a time.
        period_s: How often.
    """

    peer: str
    url: str
    slave: str
    ca: str
    cert: str
    key: str
    size_bits: PositiveInt = 256
    number: PositiveInt = 32
    period_s: Positive = 1.0


class Limits(Params, frozen=True, kw_only=True):
    """What one client, or all, can make a KME do.

    Attributes:
        body_bytes: Longest request body.
        connections: Open connections of all clients of an endpoint.
        connections_per_client: Of one SAE.
        handshakes: Under way at once; more wait, so that a storm of them does not starve open connections.
        requests_per_s: Of one SAE, averaged over a second; None: no limit.
        handshake_s, header_s, body_s, idle_s, request_s: Time-outs: TLS handshake, request head, body, silence between
            requests, and the work on a request.
        peer_s: Longest wait for another KME's answer.
    """

    body_bytes: PositiveInt = 64 * 1024
    connections: PositiveInt = 1024
    connections_per_client: PositiveInt = 256
    handshakes: PositiveInt = 8
    requests_per_s: Positive | None = None
    handshake_s: Positive = 5.0
    header_s: Positive = 10.0
    body_s: Positive = 10.0
    idle_s: Positive = 300.0
    request_s: Positive = 10.0
    peer_s: Positive = 2.0


class KmeConfig(Params, frozen=True, kw_only=True):
    """One KME.

    Attributes:
        directory: Who is who.
        kms: Sizes, lifetimes, watermarks.
        tls: Certificates.
        store: ``sqlite:///PATH`` (relative to the configuration file), ``postgresql+psycopg://...``, or ``memory:``.
        master_key: File with the key (32 bytes, hex) that wraps the data keys at rest; a credential of systemd of the
            name ``master.key`` comes before it; empty: from the environment variable ``BELLWEAVE_MASTER_KEY``. Not
            used with ``memory:``.
        server: Name of this server among those that share the store.
        etsi014, etsi004, skip, link, device, admin: Endpoints; those that are absent are not served. ``link`` is for
            other KMEs, ``device`` for QKD devices that push blocks; ``admin`` (health, metrics; plain HTTP) should
            listen on loopback only.
        peers: Addresses of the other KMEs.
        devices: Certificate names of QKD devices to the link (peer KME) whose blocks they may push.
        vendors: QKD devices whose keys are fetched.
        limits: Against abuse.
        log: ``json`` or ``text``.
    """

    directory: Directory
    tls: Tls
    kms: Kms = msgspec.field(default_factory=Kms)
    store: str = "sqlite:///kme.db"
    master_key: str = "master.key"
    server: str = "0"
    etsi014: Endpoint | None = None
    etsi004: Endpoint | None = None
    skip: Skip | None = None
    link: Endpoint | None = None
    device: Endpoint | None = None
    admin: Endpoint | None = None
    peers: dict[str, Peer] = {}
    devices: dict[str, str] = {}
    vendors: dict[str, Vendor] = {}
    limits: Limits = msgspec.field(default_factory=Limits)
    log: Literal["json", "text"] = "text"
