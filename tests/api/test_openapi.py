"""The OpenAPI document says what the handlers do."""

import json
from typing import Any

import pytest

from bellweave.api import openapi
from bellweave.kms.params import Kms

PATHS = {
    "/api/v1/keys/{slave_SAE_ID}/status": {"get"},
    "/api/v1/keys/{slave_SAE_ID}/enc_keys": {"get", "post"},
    "/api/v1/keys/{master_SAE_ID}/dec_keys": {"get", "post"},
}


@pytest.fixture
def document() -> dict[str, Any]:
    made = openapi.document(Kms(max_keys_per_request=7, max_slaves=2), "https://kme-a.example:8443")
    return json.loads(json.dumps(made))  # type: ignore[no-any-return]


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [document["paths"][path][method] for path, methods in PATHS.items() for method in methods]


def test_it_has_the_three_paths_and_their_methods(document: dict[str, Any]) -> None:
    found = {path: set(item) - {"parameters"} for path, item in document["paths"].items()}

    assert found == PATHS
    assert document["servers"] == [{"url": "https://kme-a.example:8443"}]


def test_every_operation_has_the_standards_four_codes(document: dict[str, Any]) -> None:
    for operation in operations(document):
        assert set(operation["responses"]) == {"200", "400", "401", "503"}


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}

    assert names
    assert names <= set(document["components"]["schemas"])


def test_limits_are_the_services_own(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    request = schemas["KeyRequest"]["properties"]

    assert request["number"]["maximum"] == schemas["KeyIds"]["properties"]["key_IDs"]["maxItems"] == 7
    assert request["size"] == request["size"] | {"minimum": 64, "maximum": 8192, "multipleOf": 8, "default": 256}
    assert request["additional_slave_SAE_IDs"]["maxItems"] == 2


def test_required_members_are_the_standards(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["KeyRequest"]["required"] == []
    assert schemas["KeyIds"]["required"] == ["key_IDs"]
    assert schemas["Error"]["required"] == ["message"]
    assert len(schemas["Status"]["required"]) == 12


def test_the_served_form_is_the_document() -> None:
    assert json.loads(openapi.encoded(Kms())) == json.loads(json.dumps(openapi.document(Kms(), "/")))
