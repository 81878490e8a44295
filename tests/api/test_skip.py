"""Cisco SKIP on a real pair of KMEs whose systems are SAEs of their own names."""

import base64
import fnmatch
import uuid

import pytest

from bellweave.api.skip import glob
from bellweave.kms.params import Kms, Pair
from bellweave.testing.key_delivery import Answer, Delivery


@pytest.fixture
def net() -> Delivery:
    return Delivery()


def new_key(net: Delivery) -> tuple[str, str]:
    answer = net.skip("kme-a", "/key", "remoteSystemID=kme-b")
    assert answer.status == 200, answer.body
    return answer.json["keyId"], answer.json["key"]


def same(answer: Answer, key_id: str, key: str) -> bool:
    return answer.status == 200 and answer.json == {"keyId": key_id, "key": key}


def test_capabilities_have_the_drafts_members(net: Delivery) -> None:
    answer = net.skip("kme-a", "/capabilities")

    assert answer.status == 200
    assert answer.json == {
        "entropy": True,
        "key": True,
        "algorithm": "QKD",
        "localSystemID": "kme-a",
        "remoteSystemID": ["alice", "ann", "ben", "bob", "kme-b"],
    }


def test_remote_systems_are_those_that_are_allowed() -> None:
    net = Delivery(pairs=(Pair(master="kme-a", slave="kme-b"),))

    assert net.skip("kme-a", "/capabilities").json["remoteSystemID"] == ["kme-b"]
    assert net.skip("kme-a", "/key", "remoteSystemID=bob").status == 400
    assert net.skip("kme-b", "/capabilities").json["key"] is False


def test_a_name_with_special_characters_is_a_glob_of_itself_alone() -> None:
    net = Delivery(saes={"kme-a": "kme-a", "kp[1]*?": "kme-b"})

    [entry] = net.skip("kme-a", "/capabilities").json["remoteSystemID"]

    assert fnmatch.fnmatchcase("kp[1]*?", entry)
    assert not fnmatch.fnmatchcase("kp1x?", entry)
    assert net.skip("kme-a", "/key", "remoteSystemID=kp%5B1%5D*%3F").status == 200


@pytest.mark.parametrize("name", ["kme", "[", "]", "[!a]", "a*b", "?", "[[]"])
def test_a_glob_matches_the_name_that_it_was_made_of(name: str) -> None:
    assert fnmatch.fnmatchcase(name, glob(name))
    assert not fnmatch.fnmatchcase(name + "x", glob(name))


def test_both_ends_get_one_key_of_256_bits_in_lower_case(net: Delivery) -> None:
    key_id, key = new_key(net)

    assert len(bytes.fromhex(key_id)) == 16
    assert len(bytes.fromhex(key)) == 32
    assert (key_id, key) == (key_id.lower(), key.lower())
    assert same(net.skip("kme-b", f"/key/{key_id}", "remoteSystemID=kme-a"), key_id, key)


def test_the_default_is_256_bits_whatever_014s_default_is() -> None:
    net = Delivery(params=Kms(key_size_bits=512))

    assert len(new_key(net)[1]) == 64


@pytest.mark.parametrize("size", [64, 128, 256, 512, 1000])
def test_a_size_is_in_bits(net: Delivery, size: int) -> None:
    key = net.skip("kme-a", "/key", f"remoteSystemID=kme-b&size={size}").json["key"]

    assert 4 * len(key) == size


def test_a_key_id_is_read_in_any_case(net: Delivery) -> None:
    key_id, key = new_key(net)

    assert same(net.skip("kme-b", f"/key/{key_id.upper()}", "remoteSystemID=kme-a"), key_id, key)


def test_a_key_is_delivered_once(net: Delivery) -> None:
    key_id, _ = new_key(net)

    assert net.skip("kme-b", f"/key/{key_id}", "remoteSystemID=kme-a").status == 200
    assert net.skip("kme-b", f"/key/{key_id}", "remoteSystemID=kme-a").error() == (400, "key not found")


@pytest.mark.parametrize(
    "key_id",
    ["", "0", "zz", "0x00", "%ff", "..%2f", str(uuid.UUID(int=1)), "00" * 16, "AbCd" * 12, "00" * 1000],
)
def test_a_key_id_that_is_malformed_or_of_no_key_is_a_bad_request(net: Delivery, key_id: str) -> None:
    assert net.skip("kme-b", f"/key/{key_id}", "remoteSystemID=kme-a").status == 400


@pytest.mark.parametrize("remote", ["bob", "kme-b", "nobody", "@kme-a", "", "..%2fkme-a", "kme-*"])
def test_only_keys_of_the_system_named_are_found(net: Delivery, remote: str) -> None:
    key_id, key = new_key(net)

    assert net.skip("kme-b", f"/key/{key_id}", f"remoteSystemID={remote}").error() == (400, "key not found")
    assert same(net.skip("kme-b", f"/key/{key_id}", "remoteSystemID=kme-a"), key_id, key)


def test_a_key_for_somebody_else_is_not_found_and_waits(net: Delivery) -> None:
    drawn = net.enc("alice", "bob").json["keys"][0]["key_ID"]

    answer = net.skip("kme-b", f"/key/{drawn.replace('-', '')}", "remoteSystemID=alice")

    assert answer.error() == (400, "key not found")
    assert net.dec("bob", "alice", drawn).status == 200


@pytest.mark.parametrize(
    "query",
    [
        "",
        "remoteSystemID",
        "remoteSystemID=",
        "remoteSystemID=nobody",
        "remoteSystemID=kme-a",
        "remoteSystemID=@kme-b",
        "remotesystemid=kme-b",
        "remoteSystemID=kme-b&remoteSystemID=kme-b",
        "remoteSystemID=%ff",
        "remoteSystemID=kme-b&size=",
        "remoteSystemID=kme-b&size=0",
        "remoteSystemID=kme-b&size=-256",
        "remoteSystemID=kme-b&size=255",
        "remoteSystemID=kme-b&size=8200",
        "remoteSystemID=kme-b&size=1e3",
        "remoteSystemID=kme-b&size=99999999999999999999",
        "remoteSystemID=kme-b&size=256&size=256",
    ],
)
def test_a_bad_request_for_a_key_is_refused_and_uses_up_nothing(net: Delivery, query: str) -> None:
    before = net.ledger()

    assert net.skip("kme-a", "/key", query).status == 400
    assert net.ledger() == before


@pytest.mark.parametrize("query", ["", "size=256", "remoteSystemID=kme-a&remoteSystemID=kme-a", "remoteSystemID=%ff"])
def test_a_bad_request_for_a_known_key_takes_nothing(net: Delivery, query: str) -> None:
    key_id, key = new_key(net)

    assert net.skip("kme-b", f"/key/{key_id}", query).status == 400
    assert same(net.skip("kme-b", f"/key/{key_id}", "remoteSystemID=kme-a"), key_id, key)


def test_parameters_that_we_do_not_know_are_ignored(net: Delivery) -> None:
    assert net.skip("kme-a", "/key", "remoteSystemID=kme-b&vendor=1&vendor=2").status == 200


def test_an_empty_pool_is_the_servers_failure() -> None:
    net = Delivery(keys=0)

    assert net.skip("kme-a", "/key", "remoteSystemID=kme-b").error() == (500, "not enough keys: 0 of 1")


def test_a_peer_out_of_reach_is_the_servers_failure(net: Delivery) -> None:
    net.cut()

    assert net.skip("kme-a", "/key", "remoteSystemID=kme-b").status == 500


def test_a_broken_store_is_the_servers_failure(net: Delivery) -> None:
    key_id, _ = new_key(net)
    net.break_store("kme-b")

    assert net.skip("kme-b", f"/key/{key_id}", "remoteSystemID=kme-a").status == 500


@pytest.mark.parametrize("path", ["/", "", "/keys", "/key/00/00", "/Key", "/capabilities/", "/api/v1/keys/bob/status"])
def test_other_paths_are_not_there(net: Delivery, path: str) -> None:
    assert net.skip("kme-a", path).status == 404


@pytest.mark.parametrize("path", ["/capabilities", "/key", "/key/00", "/entropy"])
@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "DELETE"])
def test_other_methods_are_not_allowed(net: Delivery, path: str, method: str) -> None:
    answer = net.skip("kme-a", path, method=method)

    assert answer.status == 405
    assert answer.headers["Allow"] == "GET"


def test_a_client_without_a_name_gets_nothing(net: Delivery) -> None:
    for path in ("/capabilities", "/key", "/key/00", "/entropy", "/"):
        assert net.skip("kme-a", path, "remoteSystemID=kme-b", caller=None).status == 403


@pytest.mark.parametrize(
    ("query", "bits"), [("", 256), ("minentropy=128", 128), ("minentropy=1", 8), ("minentropy=65536", 65536)]
)
def test_entropy_is_as_much_as_asked_for_in_whole_bytes(net: Delivery, query: str, bits: int) -> None:
    answer = net.skip("kme-a", "/entropy", query)

    assert answer.status == 200
    assert set(answer.json) == {"randomStr", "minentropy"}
    assert 4 * len(answer.json["randomStr"]) == answer.json["minentropy"] == bits


def test_entropy_is_never_the_same(net: Delivery) -> None:
    texts = {net.skip("kme-a", "/entropy").json["randomStr"] for _ in range(20)}

    assert len(texts) == 20


@pytest.mark.parametrize("value", ["", "0", "-1", "65537", "1.5", "x", "8&minentropy=8", "%ff"])
def test_entropy_has_limits(net: Delivery, value: str) -> None:
    assert net.skip("kme-a", "/entropy", f"minentropy={value}").status == 400


def test_a_key_drawn_by_014_is_fetched_by_skip_once(net: Delivery) -> None:
    [drawn] = net.enc("kme-a", "kme-b").json["keys"]
    key_id = drawn["key_ID"].replace("-", "")

    answer = net.skip("kme-b", f"/key/{key_id}", "remoteSystemID=kme-a")

    assert same(answer, key_id, base64.b64decode(drawn["key"]).hex())
    assert net.dec("kme-b", "kme-a", drawn["key_ID"]).status == 400


def test_a_key_drawn_by_skip_is_fetched_by_014_once(net: Delivery) -> None:
    key_id, key = new_key(net)

    [taken] = net.dec("kme-b", "kme-a", str(uuid.UUID(key_id))).json["keys"]

    assert base64.b64decode(taken["key"]).hex() == key
    assert net.skip("kme-b", f"/key/{key_id}", "remoteSystemID=kme-a").status == 400


def test_answers_are_not_kept_and_logs_name_ids_as_uuids(net: Delivery) -> None:
    answer = net.skip("kme-a", "/key", "remoteSystemID=kme-b")

    assert answer.headers["Cache-Control"] == "no-store"
    assert list(answer.response.key_ids) == [str(uuid.UUID(answer.json["keyId"]))]
    assert answer.json["key"] not in repr(answer.response)
