"""ETSI GS QKD 014 V1.1.1: Get status, Get key, Get key with key IDs, as work on a key service.

The order of checks, which decides what a client that makes two mistakes is told:

1. who calls: an SAE that is registered at this KME, else 401, whatever the path is
2. the route (404), the HTTP method (400)
3. ``status`` and ``enc_keys``: the slave SAE is known and another one than the caller (400); the pair is allowed (401)
4. the query or the body: syntax and types (400)
5. names and values of mandatory extensions (400)
6. multiple of 8, ``number``, ``size``, number of additional slaves (400), then these slaves as in 3
7. the service: existence of all key IDs (400) before entitlement to all of them (401); enough key (503)

A request that is refused uses up nothing. Keys have been recorded as delivered, durably, when a 200 is returned.
The service is versioned by its path: a later edition of the standard gets a module of its own.
"""

from bellweave.api import etsi014_extensions as extensions
from bellweave.api import etsi014_render as render
from bellweave.api import etsi014_request as reading
from bellweave.api import openapi, url
from bellweave.api.errors import HEADERS, NOT_FOUND, Refusal, etsi014_refusal, not_found, unauthorized
from bellweave.api.etsi014_extensions import Demands
from bellweave.api.http import Request, Response
from bellweave.api.service import KeyService
from bellweave.errors import DeliveryError, NotEnoughKey, NotMet
from bellweave.kms.effects import Work
from bellweave.kms.records import Material
from bellweave.kms.wanted import Wanted

DOCUMENT_PATH = "/api/v1/openapi.json"


def handle(request: Request, caller: str | None, service: KeyService, now_s: float) -> Work[Response]:
    """Return the answer to a request; every error of the service has become one.

    Args:
        request: As it came.
        caller: The SAE that the verified client certificate names; None if it names none.
        service: The KME.
        now_s: The time.
    """
    try:
        return (yield from _answer(request, caller, service, now_s))
    except Refusal as refusal:
        return refusal.response()
    except DeliveryError as error:
        return etsi014_refusal(error).response()


def _answer(request: Request, caller: str | None, service: KeyService, now_s: float) -> Work[Response]:
    directory = service.directory
    if caller is None or directory.saes.get(caller) != directory.kme:
        raise unauthorized()
    if request.path == DOCUMENT_PATH and request.method == "GET":
        return Response(200, openapi.encoded(service.params), HEADERS, "document")
    found = reading.route(request.path)
    if found is None:
        raise not_found(request.path)
    method, part = found
    reading.check_method(request, method)
    other = url.decoded(part)
    if method == "dec_keys":
        return (yield from _dec_keys(request, caller, other, service, now_s))
    slave = _checked_slave(caller, other, service)
    if method == "enc_keys":
        return (yield from _enc_keys(request, caller, slave, service, now_s))
    try:
        stored, most = yield from service.count(caller, slave, service.params.key_size_bits, now_s)
    except NotMet:  # the pair is allowed, and no pool serves it
        stored = most = 0
    return render.status(service, caller, slave, stored, most)


def _enc_keys(request: Request, master: str, slave: str, service: KeyService, now_s: float) -> Work[Response]:
    asked, ignored = reading.key_request(request)
    must = extensions.mandatory(asked.extension_mandatory)
    size_bits = reading.check_ranges(asked, service.params)
    slaves = (slave, *asked.additional_slaves)
    if len(slaves) > 1:
        if len(set(slaves)) != len(slaves):
            raise Refusal(400, "slave SAEs shall be named once each")
        for each in asked.additional_slaves:
            _checked_slave(master, each, service)
    may = extensions.preferred(asked.extension_optional, must)

    def wanted(demands: Demands) -> Wanted:
        return Wanted(master, slaves, asked.number, size_bits, demands.route, demands.max_age_s)

    materials = yield from _drawn(service, [wanted(may), wanted(must)] if may != must else [wanted(must)], now_s)
    return render.keys(materials, "delivered", ignored, now_s)


def _drawn(service: KeyService, choices: list[Wanted], now_s: float) -> Work[tuple[Material, ...]]:
    """Return keys for the first choice whose demands can be met.

    Raises:
        NotMet: The last one's can't.
        NotEnoughKey: There is too little key, or none at all for a pair that no pool serves.
    """
    *preferred, least = choices
    for wanted in preferred:
        try:
            return (yield from service.draw(wanted, now_s))
        except NotMet:
            continue
    try:
        return (yield from service.draw(least, now_s))
    except NotMet:
        if least.route is None and least.max_age_s is None:
            raise NotEnoughKey(0, least.count) from None
        raise


def _dec_keys(request: Request, caller: str, master: str | None, service: KeyService, now_s: float) -> Work[Response]:
    key_ids, ignored = reading.key_ids(request, service.params.max_keys_per_request)
    if master is None or master not in service.directory.saes:
        raise Refusal(400, NOT_FOUND, "unknown_keys")  # an SAE that is not there has drawn no keys
    materials = yield from service.take(caller, master, key_ids, now_s)
    return render.keys(materials, "taken", ignored, now_s)


def _checked_slave(master: str, slave: str | None, service: KeyService) -> str:
    """Return the slave if the master may ask for keys for it.

    Raises:
        Refusal: 400: it is unknown, or the master itself; 401: the pair is not allowed.
    """
    if slave is None or slave not in service.directory.saes:
        raise Refusal(400, f"slave SAE shall be a registered one, got {url.shown(slave or '')}", "unknown_sae")
    if slave == master:
        raise Refusal(400, "slave SAE shall be another one than the caller")
    if not service.allowed(master, slave):
        raise unauthorized()
    return slave
