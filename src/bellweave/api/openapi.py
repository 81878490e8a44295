"""The OpenAPI 3.1 document of our ETSI GS QKD 014 interface, made from the structs that the handlers read and write."""

from functools import lru_cache
from typing import Any

import msgspec

from bellweave.api.errors import NOT_FOUND, UNSUPPORTED
from bellweave.api.etsi014_messages import Error, KeyContainer, KeyIds, KeyRequest, Status
from bellweave.kms.params import Kms

Json = dict[str, Any]

_UUID = {"type": "string", "format": "uuid"}
_ERRORS = {
    "400": "The request is malformed, exceeds a limit, or names what is not there.",
    "401": "The caller is no registered SAE, or the pair or the keys are none of its.",
    "503": "Not enough key, another KME cannot be reached, or the store fails.",
}


@lru_cache(maxsize=4)
def encoded(params: Kms) -> bytes:
    """Return the document as JSON, for the server that it is asked of."""
    return msgspec.json.encode(document(params, "/"))


def document(params: Kms, server_url: str) -> Json:
    """Return the OpenAPI document.

    Args:
        params: The limits that it states.
        server_url: Where the interface is served, without ``/api/v1``.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bellweave key delivery, ETSI GS QKD 014 V1.1.1",
            "version": "1.1.1",
            "description": "HTTPS with mutual authentication: the client certificate names the SAE that calls.",
        },
        "servers": [{"url": server_url}],
        "components": {"schemas": _schemas(params), "securitySchemes": {"certificate": {"type": "mutualTLS"}}},
        "security": [{"certificate": []}],
        "paths": {
            "/api/v1/keys/{slave_SAE_ID}/status": {
                "parameters": [_sae("slave_SAE_ID")],
                "get": _operation("Get status", "Status"),
            },
            "/api/v1/keys/{slave_SAE_ID}/enc_keys": {
                "parameters": [_sae("slave_SAE_ID")],
                "get": _operation(
                    "Get key", "KeyContainer", query=[_query("number", _number(params)), _query("size", _size(params))]
                ),
                "post": _operation("Get key", "KeyContainer", body="KeyRequest", body_required=False),
            },
            "/api/v1/keys/{master_SAE_ID}/dec_keys": {
                "parameters": [_sae("master_SAE_ID")],
                "get": _operation(
                    "Get key with key IDs", "KeyContainer", query=[_query("key_ID", _UUID, required=True)]
                ),
                "post": _operation("Get key with key IDs", "KeyContainer", body="KeyIds", body_required=True),
            },
        },
    }


def _schemas(params: Kms) -> Json:
    _, schemas = msgspec.json.schema_components(
        [Status, KeyRequest, KeyContainer, KeyIds, Error], ref_template="#/components/schemas/{name}"
    )
    request = schemas["KeyRequest"]["properties"]
    request["number"] |= _number(params)
    request["size"] |= _size(params)
    request["additional_slave_SAE_IDs"] |= {"maxItems": params.max_slaves, "uniqueItems": True}
    request["extension_mandatory"] |= {"description": f"An unknown name: 400, {UNSUPPORTED!r}."}
    schemas["KeyIds"]["properties"]["key_IDs"] |= {"minItems": 1, "maxItems": params.max_keys_per_request}
    for name in ("KeyId", "KeyItem"):
        schemas[name]["properties"]["key_ID"] |= _UUID
    return schemas


def _number(params: Kms) -> Json:
    return {"type": "integer", "minimum": 1, "maximum": params.max_keys_per_request, "default": 1}


def _size(params: Kms) -> Json:
    return {
        "type": "integer",
        "minimum": params.min_key_size_bits,
        "maximum": params.max_key_size_bits,
        "multipleOf": 8,
        "default": params.key_size_bits,
        "description": "Bits of each key.",
    }


def _sae(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query(name: str, schema: Json, *, required: bool = False) -> Json:
    return {"name": name, "in": "query", "required": required, "schema": schema}


def _operation(
    summary: str, answer: str, *, query: list[Json] | None = None, body: str = "", body_required: bool = False
) -> Json:
    operation: Json = {
        "summary": summary,
        "parameters": query or [],
        "responses": {
            "200": {"description": "As asked.", "content": _content(answer)},
            **{code: {"description": text, "content": _content("Error")} for code, text in _ERRORS.items()},
        },
    }
    retry = {"description": "Seconds; if the rate of new key is known.", "schema": {"type": "integer", "minimum": 1}}
    operation["responses"]["503"]["headers"] = {"Retry-After": retry}
    if summary == "Get key with key IDs":
        operation["description"] = f"All or none. An ID that cannot be had: 400, {NOT_FOUND!r}."
    if body:
        operation["requestBody"] = {"required": body_required, "content": _content(body)}
    return operation


def _content(schema: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
