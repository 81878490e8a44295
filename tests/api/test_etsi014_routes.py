"""ETSI GS QKD 014: who calls, for whom, where; and the order in which a request is checked."""

import pytest

from bellweave.kms.params import Pair
from bellweave.testing.key_delivery import Delivery

NOT_FOUND = "one or more keys specified are not found on KME"


@pytest.fixture
def net() -> Delivery:
    return Delivery()


# ------------------------------------------------------------------------------------------------------------- identity


@pytest.mark.parametrize("caller", [None, "nobody", "bob", "@kme-a", ""])
@pytest.mark.parametrize(
    "path", ["/api/v1/keys/bob/status", "/api/v1/keys/bob/enc_keys", "/api/v1/keys/bob/dec_keys", "/"]
)
def test_who_is_no_sae_of_this_kme_is_told_nothing_else(net: Delivery, caller: str | None, path: str) -> None:
    assert net.get(caller, path, kme="kme-a").error() == (401, "unauthorized")
    assert net.post(caller, path, b"{", kme="kme-a").error() == (401, "unauthorized")


@pytest.mark.parametrize("method", ["status", "enc_keys"])
def test_a_pair_that_is_not_allowed_is_unauthorized(method: str) -> None:
    net = Delivery(pairs=(Pair(master="alice", slave="bob"),))

    assert net.get("alice", f"/api/v1/keys/bob/{method}").status == 200
    assert net.get("alice", f"/api/v1/keys/ben/{method}").error() == (401, "unauthorized")
    assert net.get("bob", f"/api/v1/keys/alice/{method}").error() == (401, "unauthorized")


@pytest.mark.parametrize(
    "slave", ["nobody", "..%2fbob", "bob%00", "%ff", "BOB", "bob%20", "%2562ob", "", "..", "@kme-b"]
)
@pytest.mark.parametrize("method", ["status", "enc_keys"])
def test_an_unknown_slave_is_a_bad_request(net: Delivery, slave: str, method: str) -> None:
    answer = net.get("alice", f"/api/v1/keys/{slave}/{method}")

    assert answer.status == 400
    assert answer.json["message"].startswith("slave SAE shall be a registered one, got '")


@pytest.mark.parametrize("method", ["status", "enc_keys"])
def test_nobody_is_its_own_slave(net: Delivery, method: str) -> None:
    assert net.get("alice", f"/api/v1/keys/alice/{method}").status == 400


def test_an_encoded_name_is_the_name(net: Delivery) -> None:
    assert net.get("alice", "/api/v1/keys/%62o%62/status").json["slave_SAE_ID"] == "bob"


def test_a_name_may_hold_anything() -> None:
    name = "../sae 1?x=%2F&ü"
    net = Delivery(saes={"alice": "kme-a", name: "kme-b"})
    path = "/api/v1/keys/..%2Fsae%201%3Fx=%252F&%C3%BC"

    assert net.get("alice", f"{path}/status").json["slave_SAE_ID"] == name
    [(key_id, key)] = net.get("alice", f"{path}/enc_keys").delivered()
    assert net.dec(name, "alice", key_id).delivered() == [(key_id, key)]


# --------------------------------------------------------------------------------------------------------------- routes


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/api/v1/keys",
        "/api/v1/keys/bob",
        "/api/v1/keys/bob/",
        "/api/v1/keys/bob/status/",
        "/api/v1/keys/bob/STATUS",
        "/api/v2/keys/bob/status",
        "/api/v1/keys/x/../bob/status",
        "/api/v1/keys/x/%2e%2e/bob/status",
        "//api/v1/keys/bob/status",
        "/api/v1/keys/bob%2Fstatus",
        "api/v1/keys/bob/status",
        "/kdapi/v2/keys/bob/status",
        "/capabilities",
    ],
)
def test_other_routes_are_not_there(net: Delivery, path: str) -> None:
    answer = net.get("alice", path)

    assert answer.status == 404
    assert "message" in answer.json


@pytest.mark.parametrize("verb", ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "get", ""])
@pytest.mark.parametrize("method", ["status", "enc_keys", "dec_keys"])
def test_other_http_methods_are_bad_requests(net: Delivery, verb: str, method: str) -> None:
    assert net.send(verb, "alice", f"/api/v1/keys/bob/{method}").status == 400


def test_a_status_is_not_posted(net: Delivery) -> None:
    assert net.post("alice", "/api/v1/keys/bob/status", b"").status == 400


def test_the_interface_describes_itself(net: Delivery) -> None:
    document = net.get("alice", "/api/v1/openapi.json").json

    assert document["openapi"] == "3.1.0"


# ------------------------------------------------------------------------------------------------------ order of checks


def test_the_slave_is_checked_before_the_body(net: Delivery) -> None:
    message = net.post("alice", "/api/v1/keys/nobody/enc_keys", b"{").json["message"]

    assert message == "slave SAE shall be a registered one, got 'nobody'"


def test_the_pair_is_checked_before_the_body() -> None:
    net = Delivery(pairs=(Pair(master="alice", slave="bob"),))

    assert net.post("alice", "/api/v1/keys/ben/enc_keys", b"{").status == 401


def test_types_are_checked_before_extensions(net: Delivery) -> None:
    answer = net.enc("alice", "bob", number="1", extension_mandatory=[{"acme": 1}])

    assert "data model" in answer.json["message"]


def test_extensions_are_checked_before_sizes(net: Delivery) -> None:
    answer = net.enc("alice", "bob", size=255, number=0, extension_mandatory=[{"acme": 1}])

    assert answer.json["message"] == "not all extension_mandatory parameters are supported"


def test_sizes_are_checked_in_the_standards_order(net: Delivery) -> None:
    others = ["nobody"] * 9

    messages = [
        net.enc("alice", "bob", size=size, number=number, additional_slave_SAE_IDs=others).json["message"].split()[0:2]
        for size, number in ((255, 0), (16, 0), (16, 1), (64, 1))
    ]

    assert messages == [
        ["size", "shall"],
        ["number", "shall"],
        ["size", "shall"],
        ["additional_slave_SAE_IDs", "shall"],
    ]
    assert net.enc("alice", "bob", size=255, number=0).json["message"] == "size shall be a multiple of 8"


def test_a_bad_request_is_refused_as_such_where_there_is_no_key_either() -> None:
    net = Delivery(keys=0)

    assert net.enc("alice", "bob", number=0).status == 400
    assert net.enc("alice", "bob", additional_slave_SAE_IDs=["nobody"]).status == 400
    assert net.enc("alice", "bob").status == 503


def test_a_bad_list_of_ids_is_refused_before_anybody_looks_for_them(net: Delivery) -> None:
    assert net.post("bob", "/api/v1/keys/nobody/dec_keys", b"{}").json["message"] != NOT_FOUND
