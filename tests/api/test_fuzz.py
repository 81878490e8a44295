"""Whatever bytes come, an answer goes out: an allowed code, and an Error object unless it is 200."""

import json
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bellweave.api.etsi014_messages import Error, KeyContainer, Status
from bellweave.testing.key_delivery import Answer, Delivery

NET = Delivery(keys=4)
"""One for all examples: a fuzzer that finds a way to break it for the next request has found something."""

text = st.text(st.characters(), max_size=40)  # with surrogates, which servers make of bytes that are no UTF-8
segment = st.one_of(
    st.sampled_from(
        ["api", "v1", "keys", "bob", "alice", "..", "%2e%2e", "%2F", "%ff", "", "status", "enc_keys", "key"]
    ),
    text,
)
method_path = st.builds("/api/v1/keys/{}/{}".format, segment, st.sampled_from(["status", "enc_keys", "dec_keys"]))
path = st.one_of(method_path, st.lists(segment, max_size=8).map("/".join), text)
query = st.one_of(
    text,
    st.lists(
        st.builds(
            "{}={}".format,
            st.sampled_from(["number", "size", "key_ID", "remoteSystemID", "minentropy", "x"]),
            st.one_of(text, st.integers().map(str)),
        ),
        max_size=4,
    ).map("&".join),
)
json_value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=12), inner, max_size=3)),
    max_leaves=8,
)
member = st.sampled_from(
    ["number", "size", "additional_slave_SAE_IDs", "extension_mandatory", "extension_optional", "key_IDs"]
)
extension = st.dictionaries(
    st.sampled_from(["bellweave_route_type", "bellweave_max_age", "acme"]),
    st.one_of(json_value, st.sampled_from(["direct", "indirect"])),
    max_size=3,
)
value = st.one_of(json_value, st.lists(extension, max_size=3), st.lists(st.sampled_from(["ben", "bob"]), max_size=3))
body = st.one_of(
    st.binary(max_size=200),
    st.dictionaries(member, value, max_size=4).map(lambda data: json.dumps(data).encode()),
)
verb = st.one_of(st.sampled_from(["GET", "POST", "HEAD"]), text)


def check(answer: Answer, allowed: set[int], *kinds: Any) -> None:
    assert answer.status in allowed
    assert answer.response.outcome
    if answer.status == 200:
        assert any(fits(answer.body, kind) for kind in kinds)
    else:
        assert msgspec.json.decode(answer.body, type=Error).message


def fits(data: bytes, kind: Any) -> bool:
    try:
        msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        return False
    return True


@settings(max_examples=400)
@given(verb=verb, path=path, query=query, body=body, caller=st.sampled_from(["alice", "bob", None]))
@example(verb="GET", path="/api/v1/keys/\udcff/status", query="", body=b"", caller="alice")
@example(verb="\udcff", path="/api/v1/keys/bob/status", query="\udcff", body=b"", caller="alice")
def test_014_answers_whatever_comes(verb: str, path: str, query: str, body: bytes, caller: str | None) -> None:
    answer = NET.send(verb, caller, path, query=query, body=body)

    known = path.endswith(("/status", "/enc_keys", "/dec_keys")) and path.startswith("/api/v1/keys/")
    allowed = {200, 400, 401, 503} if known and path.count("/") == 5 else {401, 404}
    check(answer, allowed, Status, KeyContainer)


@settings(max_examples=300)
@given(body=body, method=st.sampled_from(["enc_keys", "dec_keys"]))
def test_014_answers_whatever_is_posted(body: bytes, method: str) -> None:
    check(NET.send("POST", "alice", f"/api/v1/keys/bob/{method}", body=body), {200, 400, 401, 503}, KeyContainer)


@settings(max_examples=300)
@given(verb=verb, path=path, query=query, caller=st.sampled_from(["alice", None]))
@example(verb="GET", path="/key/00", query="remoteSystemID=\udcff", caller="alice")
@example(verb="GET", path="/key", query="remoteSystemID=kme-b&size=512", caller="alice")
def test_skip_answers_whatever_comes(verb: str, path: str, query: str, caller: str | None) -> None:
    for place in (path, f"/key/{path}", "/key", "/entropy"):
        answer = NET.skip("kme-a", place, query, method=verb, caller=caller)

        check(answer, {200, 400, 403, 404, 405, 500}, dict[str, Any])
