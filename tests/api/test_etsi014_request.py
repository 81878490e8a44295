"""ETSI GS QKD 014: syntax, types and ranges of queries and bodies; what is refused uses up nothing."""

import pytest

from bellweave.testing.key_delivery import Delivery


@pytest.fixture
def net() -> Delivery:
    return Delivery()


BAD_BODIES: dict[str, bytes] = {
    "no JSON": b"hello",
    "cut off": b'{"number": 1',
    "more than JSON": b"{}{}",
    "a list": b"[]",
    "a string": b'"x"',
    "null": b"null",
    "white space": b" ",
    "NaN": b'{"number": NaN}',
    "true": b'{"number": true}',
    "a float": b'{"number": 1.0}',
    "an exponent": b'{"number": 1e0}',
    "a string of digits": b'{"number": "1"}',
    "a null": b'{"number": null}',
    "a list of one": b'{"number": [1]}',
    "zero": b'{"number": 0}',
    "a negative number": b'{"number": -1}',
    "above the limit": b'{"number": 129}',
    "twenty digits": b'{"number": 99999999999999999999}',
    "five thousand digits": b'{"number": ' + b"9" * 5000 + b"}",
    "size: true": b'{"size": true}',
    "size: a float": b'{"size": 256.0}',
    "size: a string": b'{"size": "256"}',
    "size: null": b'{"size": null}',
    "size: off the grid": b'{"size": 255}',
    "size: one": b'{"size": 1}',
    "size: zero": b'{"size": 0}',
    "size: negative": b'{"size": -256}',
    "size: below the limit": b'{"size": 56}',
    "size: above the limit": b'{"size": 8200}',
    "size: twenty digits": b'{"size": 80000000000000000000}',
    "slaves: a string": b'{"additional_slave_SAE_IDs": "ben"}',
    "slaves: null": b'{"additional_slave_SAE_IDs": null}',
    "slaves: a number": b'{"additional_slave_SAE_IDs": [1]}',
    "slaves: an object": b'{"additional_slave_SAE_IDs": {}}',
    "mandatory: an object": b'{"extension_mandatory": {"a": 1}}',
    "mandatory: strings": b'{"extension_mandatory": ["a"]}',
    "mandatory: null": b'{"extension_mandatory": null}',
    "optional: an object": b'{"extension_optional": {}}',
    "optional: null": b'{"extension_optional": [null]}',
    "no UTF-8": b'{"number": 1, "x": "\xff"}',
    "UTF-16": '{"number": 1}'.encode("utf-16"),
    "half a surrogate": b'{"additional_slave_SAE_IDs": ["\\ud800"]}',
    "deep, unknown": b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep, in an extension": b'{"extension_optional": [{"x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}]}",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_bad_key_request_is_refused_and_uses_up_nothing(net: Delivery, body: bytes) -> None:
    before = net.ledger()

    answer = net.post("alice", "/api/v1/keys/bob/enc_keys", body)

    assert answer.status == 400
    assert answer.error()[1]
    assert len(answer.body) < 600
    assert net.ledger() == before
    assert net.stored() == 16


@pytest.mark.parametrize(
    "query",
    [
        "number",
        "number=",
        "number=0",
        "number=129",
        "number=-1",
        "number=1.0",
        "number=+1",
        "number=%201",
        "number=1&number=1",
        "number=1&size=256&number=1",
        "number=99999999999999999999",
        "number=1;size=256",
        "size=255",
        "size=0",
        "size=true",
        "size=0x100",
        "Number=1",
        "key_ID=1",
        "extension_mandatory=1",
        "additional_slave_SAE_IDs=ben",
        "&",
        "%ff=1",
        "number=%ff",
        "=",
    ],
)
def test_a_bad_query_is_refused_and_uses_up_nothing(net: Delivery, query: str) -> None:
    before = net.ledger()

    assert net.get("alice", "/api/v1/keys/bob/enc_keys", query).status == 400
    assert net.ledger() == before


def test_messages_name_member_value_and_limit(net: Delivery) -> None:
    assert net.enc("alice", "bob", number=500).error() == (400, "number shall be from 1 to 128, got 500")
    assert net.enc("alice", "bob", size=16).error() == (400, "size shall be from 64 to 8192 bits, got 16")
    assert net.enc("alice", "bob", size=257).error() == (400, "size shall be a multiple of 8")


@pytest.mark.parametrize("method", ["status", "enc_keys", "dec_keys"])
def test_what_is_posted_has_no_query_and_neither_has_status(net: Delivery, method: str) -> None:
    verb = "GET" if method == "status" else "POST"

    assert net.send(verb, "alice", f"/api/v1/keys/bob/{method}", query="number=1").status == 400


def test_unknown_members_are_ignored_and_counted(net: Delivery) -> None:
    answer = net.post("alice", "/api/v1/keys/bob/enc_keys", {"number": 2, "color": "red", "Size": 1, "x": {"y": []}})

    assert len(answer.delivered()) == 2
    assert answer.response.ignored == 3
    assert net.enc("alice", "bob", number=1).response.ignored == 0


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"number": 1, "number": 2}', "number"),
        (b'{"number": 1, "\\u006eumber": 1}', "number"),
        (b'{"extension_optional": [{"x_a": 1, "x_a": 2}]}', "x_a"),
        (b'{"unknown": {"deep": [{"x": 1, "x": 1}]}}', "x"),
    ],
)
def test_a_member_that_stands_twice_in_one_object_is_refused(net: Delivery, body: bytes, named: str) -> None:
    answer = net.post("alice", "/api/v1/keys/bob/enc_keys", body)

    assert answer.error() == (400, f"'{named}' shall stand in its JSON object once")


def test_a_body_of_nothing_but_objects_is_refused_before_each_is_looked_at(net: Delivery) -> None:
    body = b'{"x": [' + b"{}," * 5000 + b"{}]}"

    assert net.post("alice", "/api/v1/keys/bob/enc_keys", body).error() == (
        400,
        "the body shall hold at most 4096 JSON objects",
    )


def test_unknown_members_may_hold_any_json(net: Delivery) -> None:
    body = b' {"x": [1e999, -0, ' + b"9" * 5000 + b', null, true, "\\u0000"], "y": [{"z": 1}, {"z": 2}]}\n'

    assert net.post("alice", "/api/v1/keys/bob/enc_keys", body).response.ignored == 2


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json; charset=utf-8"])
def test_any_content_type_will_do(net: Delivery, content_type: str) -> None:
    answer = net.send("POST", "alice", "/api/v1/keys/bob/enc_keys", body=b'{"number": 2}', content_type=content_type)

    assert len(answer.delivered()) == 2


BAD_KEY_IDS: dict[str, bytes] = {
    "nothing": b"",
    "no member": b"{}",
    "none": b'{"key_IDs": []}',
    "null": b'{"key_IDs": null}',
    "a string": b'{"key_IDs": "THE-ID"}',
    "strings": b'{"key_IDs": ["THE-ID"]}',
    "no key_ID": b'{"key_IDs": [{}]}',
    "a number": b'{"key_IDs": [{"key_ID": 1}]}',
    "an extension that is a list": b'{"key_IDs": [{"key_ID": "THE-ID", "key_ID_extension": []}]}',
    "an extension that is null": b'{"key_IDs": [{"key_ID": "THE-ID"}], "key_IDs_extension": null}',
    "no UUID": b'{"key_IDs": [{"key_ID": "1"}]}',
    "twice": b'{"key_IDs": [{"key_ID": "THE-ID"}, {"key_ID": "THE-ID"}]}',
    "too many": b'{"key_IDs": [' + b", ".join(b'{"key_ID": "%d"}' % n for n in range(129)) + b"]}",
    "a list": b'[{"key_ID": "THE-ID"}]',
    "broken": b'{"key_IDs": [{"key_ID": "THE-ID"}]',
    "no UTF-8": b'{"key_IDs": [{"key_ID": "THE-ID", "\xff": 1}]}',
    "deep": b'{"key_IDs": [{"key_ID": "THE-ID", "key_ID_extension": {"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}}]}",
}


@pytest.mark.parametrize("body", BAD_KEY_IDS.values(), ids=BAD_KEY_IDS)
def test_a_bad_list_of_key_ids_is_refused_and_takes_nothing(net: Delivery, body: bytes) -> None:
    [key_id] = net.enc("alice", "bob").ids()

    answer = net.post("bob", "/api/v1/keys/alice/dec_keys", body.replace(b"THE-ID", key_id.encode()))

    assert answer.status == 400
    assert net.dec("bob", "alice", key_id).status == 200


@pytest.mark.parametrize("query", ["", "key_ID", "key_ID=1", "key_ID=ID&key_ID=ID", "key_id=ID", "key_ID=ID&number=1"])
def test_a_bad_query_for_a_key_takes_nothing(net: Delivery, query: str) -> None:
    [key_id] = net.enc("alice", "bob").ids()

    answer = net.get("bob", "/api/v1/keys/alice/dec_keys", query.replace("=ID", f"={key_id}"))

    assert answer.status == 400
    assert net.dec("bob", "alice", key_id).status == 200


def test_the_same_key_in_two_spellings_is_the_same_key(net: Delivery) -> None:
    [key_id] = net.enc("alice", "bob").ids()

    assert net.dec("bob", "alice", key_id, key_id.upper()).status == 400
    assert net.dec("bob", "alice", key_id).status == 200


def test_extensions_of_key_ids_are_allowed(net: Delivery) -> None:
    [key_id] = net.enc("alice", "bob").ids()
    body = {"key_IDs": [{"key_ID": key_id, "key_ID_extension": {"x": 1}}], "key_IDs_extension": {}, "unknown": 1}

    answer = net.post("bob", "/api/v1/keys/alice/dec_keys", body)

    assert answer.ids() == [key_id]
    assert answer.response.ignored == 1
