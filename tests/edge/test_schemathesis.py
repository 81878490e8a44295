"""What the OpenAPI document says is what the server does: schemathesis asks, over HTTPS, all that it can think of."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from bellweave.api import etsi014, openapi
from bellweave.api.http import Request, Response
from bellweave.edge.http_server import Door, Guest, HttpServer, Service
from bellweave.edge.tls import Certificates
from bellweave.kms.config import Limits
from bellweave.kms.effects import Work
from bellweave.kms.params import Kms
from bellweave.testing.certificates import Files, Pki
from bellweave.testing.key_delivery import Delivery

pytestmark = pytest.mark.emu

PARAMS = Kms()
NET = Delivery(params=PARAMS, keys=8192)
WAITING = NET.enc("bob", "alice", number=128, size=64).ids()
"""Keys that ``dec_keys`` can find; the document names them, in the hope that some are asked for."""


@dataclass
class Served:
    """Where, and who asks."""

    url: str
    client: Files


class Unobserved:
    """Takes no note of anything."""

    def answered(self, interface: str, guest: Guest, request: Request, response: Response, took_s: float) -> None: ...

    def connections(self, interface: str, number: int) -> None: ...

    def turned_away(self, interface: str, why: str) -> None: ...


def server(net: Delivery, pki: Pki) -> HttpServer:
    """Return a server of kme-a whose handlers' work is done at once."""
    certificates = Certificates(pki.kme("kme-a").tls(), pki.folder, print)

    def start(work: Work[Response], then: Any) -> None:
        then(net.run("kme-a", work), None)

    service = Service(
        "etsi014",
        lambda request, caller, now_s: etsi014.handle(request, caller, net.kme("kme-a"), now_s),
        start,
        lambda: net.now_s,
        etsi014=True,
    )
    door = Door(certificates, lambda shown, now_s: certificates.sae(shown, net.saes, now_s))
    return HttpServer(service, Limits(), door, Unobserved())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pki = Pki(Path(tmp_path_factory.mktemp("pki")))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serving = server(NET, pki)
    _, port = asyncio.run_coroutine_threadsafe(serving.start("127.0.0.1", 0), loop).result(10)
    yield Served(f"https://127.0.0.1:{port}", pki.sae("alice"))
    asyncio.run_coroutine_threadsafe(serving.stop(1.0), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def document() -> dict[str, Any]:
    """Return the document, with names and key IDs in it that make most requests reach a handler's end."""
    made = openapi.document(PARAMS, "/")
    for path, names in (("status", ["bob", "ann"]), ("enc_keys", ["bob", "ann", "nobody"]), ("dec_keys", ["bob"])):
        [item] = [item for name, item in made["paths"].items() if name.endswith(path)]
        item["parameters"][0]["schema"] = {"type": "string", "enum": names}
        if path == "dec_keys":
            item["get"]["parameters"][0]["schema"] |= {"enum": WAITING}
            made["components"]["schemas"]["KeyId"]["properties"]["key_ID"] |= {"enum": WAITING}
    return made


schema = schemathesis.openapi.from_dict(document())

EXCLUDED = [
    not_a_server_error,  # 503 is the standard's code for too little key
    checks.positive_data_acceptance,  # 400 is its code for a well-formed id of a key that is not there
    checks.unsupported_method,  # 405 is not in the standard; 400 is what the handlers' tests ask for
    checks.ignored_auth,  # it knows no certificates
]


@schema.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_document_is_kept(case: schemathesis.Case[Any], served: Served) -> None:
    files = served.client

    response = case.call(base_url=served.url, cert=(str(files.cert), str(files.key)), verify=str(files.ca))

    case.validate_response(response, excluded_checks=EXCLUDED)
    assert response.headers["cache-control"] == ["no-store"]
