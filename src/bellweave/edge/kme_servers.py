"""The endpoints of a KME for applications and devices: what stands behind which port, and whom each lets in.

ETSI 014 and 004 are for the SAEs of this KME, SKIP for those of them that the configuration names, ``device`` for its
QKD devices. Those that the configuration does not name are not served.
"""

from collections.abc import Callable, Collection

import msgspec

from bellweave.api import etsi014, skip
from bellweave.api.http import Request, Response
from bellweave.edge import device_server
from bellweave.edge.clock import now_s
from bellweave.edge.entropy import SystemEntropy
from bellweave.edge.etsi004_server import Etsi004Server
from bellweave.edge.http_server import Door, HttpServer, Observer, Service
from bellweave.edge.identity import Identity, Presented
from bellweave.edge.kme_references import local_saes
from bellweave.edge.kms_driver import Driver
from bellweave.edge.tls import Certificates
from bellweave.kms.config import KmeConfig, Limits
from bellweave.kms.effects import Work
from bellweave.kms.params import Directory
from bellweave.kms.service import Kme

Handle = Callable[[Request, str | None, float], Work[Response]]
Who = Callable[[Presented, float], Identity]


def who_of(certificates: Certificates, directory: Directory, clients: Collection[str]) -> Who:
    """Return what finds the one of these SAEs that a certificate names.

    All SAEs of the network are looked for, so that a certificate which names one of this KME and one of another is
    ambiguous at both, and never stands for a different SAE at each.
    """

    def who(shown: Presented, time_s: float) -> Identity:
        identity = certificates.sae(shown, directory.saes, time_s)
        if identity.name is None or identity.name in clients:
            return identity
        return Identity(None, f"the certificate's {identity.reason} names an SAE that is not served here")

    return who


def https_servers(
    config: KmeConfig,
    kme: Kme,
    driver: Driver,
    certificates: Certificates,
    observer: Observer,
    arrived: Callable[[], None],
) -> dict[str, HttpServer]:
    """Return the servers that a configuration names, by the names of their endpoints.

    Args:
        config: Says which.
        kme: Whom they serve.
        driver: Runs its work.
        certificates: What they show and whom they let in.
        observer: Gets metrics and access log.
        arrived: Called when a device has brought a block.
    """

    def server(name: str, handle: Handle, who: Who, limits: Limits = config.limits) -> HttpServer:
        service = Service(name, handle, driver.start, now_s, etsi014=name == "etsi014")
        return HttpServer(service, limits, Door(certificates, who), observer)

    saes = local_saes(config.directory)
    servers = {}
    if config.etsi014 is not None:
        servers["etsi014"] = server(
            "etsi014",
            lambda request, caller, time_s: etsi014.handle(request, caller, kme, time_s),
            who_of(certificates, config.directory, saes),
        )
    if config.skip is not None:
        system, entropy = config.skip.system or kme.name, SystemEntropy()
        clients = frozenset(config.skip.clients) or saes
        servers["skip"] = server(
            "skip",
            lambda request, caller, time_s: skip.handle(request, caller, kme, time_s, system=system, entropy=entropy),
            who_of(certificates, config.directory, clients),
        )
    if config.device is not None:
        links = config.devices
        servers["device"] = server(
            "device",
            lambda request, caller, time_s: device_server.handle(
                request, caller, kme, time_s, links=links, arrived=arrived
            ),
            lambda shown, time_s: certificates.peer(shown, "device", time_s),
            msgspec.structs.replace(config.limits, body_bytes=device_server.MAX_BODY_BYTES),
        )
    return servers


def etsi004_server(
    config: KmeConfig, kme: Kme, driver: Driver, certificates: Certificates, observer: Observer
) -> Etsi004Server:
    """Return the server for ETSI GS QKD 004; see :func:`https_servers`."""
    who = who_of(certificates, config.directory, local_saes(config.directory))
    return Etsi004Server(
        kme.streams,
        certificates.server_context,
        lambda shown: who(shown, now_s()).name,
        driver.run,
        now_s,
        config.limits,
        observer,
    )
