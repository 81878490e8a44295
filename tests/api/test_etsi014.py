"""ETSI GS QKD 014 on a real pair of KMEs: who gets which keys, how often, and what is said of them."""

import base64
import uuid
from collections.abc import Callable

import msgspec
import pytest

from bellweave.api.etsi014_messages import KeyContainer
from bellweave.kms.params import Kms, Pair
from bellweave.testing.key_delivery import Answer, Delivery

NOT_FOUND = "one or more keys specified are not found on KME"
STATUS_MEMBERS = {
    "source_KME_ID": str,
    "target_KME_ID": str,
    "master_SAE_ID": str,
    "slave_SAE_ID": str,
    "key_size": int,
    "stored_key_count": int,
    "max_key_count": int,
    "max_key_per_request": int,
    "max_key_size": int,
    "min_key_size": int,
    "max_SAE_ID_count": int,
    "status_extension": dict,
}


@pytest.fixture
def net() -> Delivery:
    return Delivery()


# --------------------------------------------------------------------------------------------------------------- status


def test_a_status_has_the_standards_members_and_no_others(net: Delivery) -> None:
    answer = net.get("alice", "/api/v1/keys/bob/status")

    assert answer.status == 200
    assert {name: type(value) for name, value in answer.json.items()} == STATUS_MEMBERS
    assert answer.json | {"status_extension": None, "max_key_count": 0} == {
        "source_KME_ID": "kme-a",
        "target_KME_ID": "kme-b",
        "master_SAE_ID": "alice",
        "slave_SAE_ID": "bob",
        "key_size": 256,
        "stored_key_count": 16,
        "max_key_count": 0,
        "max_key_per_request": 128,
        "max_key_size": 8192,
        "min_key_size": 64,
        "max_SAE_ID_count": 8,
        "status_extension": None,
    }
    assert answer.json["max_key_count"] >= 16


def test_a_status_tells_the_extensions_that_may_be_asked_for(net: Delivery) -> None:
    extension = net.get("alice", "/api/v1/keys/bob/status").json["status_extension"]

    assert extension["bellweave_extensions"] == ["bellweave_max_age", "bellweave_route_type"]
    assert extension["bellweave_mint"] == "provable"
    assert extension["bellweave_origins"] == ["direct"]
    assert all(name.startswith("bellweave_") for name in extension)


def test_a_status_tells_the_pools_that_serve_the_pair() -> None:
    pairs = (Pair(master="bob", slave="alice"), Pair(master="alice", slave="bob", origins=("relayed", "direct")))
    net = Delivery(pairs=pairs)

    origins = net.get("alice", "/api/v1/keys/bob/status").json["status_extension"]["bellweave_origins"]

    assert origins == ["relayed", "direct"]


def test_the_stored_count_is_what_can_be_had_now(net: Delivery) -> None:
    assert net.enc("alice", "bob", number=5).status == 200
    assert net.stored() == 11
    assert net.enc("alice", "bob", number=12).status == 503
    assert net.enc("alice", "bob", number=11).status == 200
    assert net.stored() == 0


# ------------------------------------------------------------------------------------------------- delivery, both forms


def by_get(net: Delivery) -> Answer:
    return net.get("alice", "/api/v1/keys/bob/enc_keys")


def by_empty_post(net: Delivery) -> Answer:
    return net.post("alice", "/api/v1/keys/bob/enc_keys", b"")


def by_post(net: Delivery) -> Answer:
    return net.post("alice", "/api/v1/keys/bob/enc_keys", {})


@pytest.mark.parametrize("ask", [by_get, by_empty_post, by_post])
def test_an_empty_request_is_for_one_key_of_the_default_size(net: Delivery, ask: Callable[[Delivery], Answer]) -> None:
    [(key_id, key)] = ask(net).delivered()

    assert str(uuid.UUID(key_id)) == key_id
    assert len(key) == 32
    assert net.stored() == 15


@pytest.mark.parametrize("query", ["number=3&size=512", "size=512&number=3"])
def test_number_and_size_may_stand_in_a_query(net: Delivery, query: str) -> None:
    drawn = net.get("alice", "/api/v1/keys/bob/enc_keys", query).delivered()

    assert [len(key) for _, key in drawn] == [64, 64, 64]
    assert net.stored() == 10


def test_both_ends_get_the_same_keys_in_the_order_asked_for(net: Delivery) -> None:
    drawn = net.enc("alice", "bob", number=3).delivered()
    wanted = [key_id for key_id, _ in reversed(drawn)]

    taken = net.dec("bob", "alice", *wanted).delivered()

    assert taken == drawn[::-1]


def test_a_single_key_can_be_fetched_with_get_in_any_case(net: Delivery) -> None:
    [(key_id, key)] = net.enc("alice", "bob").delivered()

    assert net.get("bob", "/api/v1/keys/alice/dec_keys", f"key_ID={key_id.upper()}").delivered() == [(key_id, key)]


@pytest.mark.parametrize("size", [64, 72, 128, 256, 264, 512, 1000, 4096])
def test_any_multiple_of_eight_bits_within_the_limits_can_be_had(net: Delivery, size: int) -> None:
    [(key_id, key)] = net.enc("alice", "bob", size=size).delivered()

    assert 8 * len(key) == size
    assert net.dec("bob", "alice", key_id).delivered() == [(key_id, key)]


def test_sizes_merge_and_split_what_is_stored_without_using_a_bit_twice(net: Delivery) -> None:
    sizes = [72, 1000, 64, 256, 520, 8]
    params = Kms(min_key_size_bits=8)
    net, same = Delivery(params=params), Delivery(params=params)

    drawn = [net.enc("alice", "bob", size=size).delivered()[0] for size in sizes]
    whole = [key for _, key in same.enc("alice", "bob", number=16).delivered()]

    assert [8 * len(key) for _, key in drawn] == sizes
    assert b"".join(whole).startswith(b"".join(key for _, key in drawn))


def test_each_key_says_where_its_bits_come_from(net: Delivery) -> None:
    [item] = net.enc("alice", "bob").json["keys"]

    assert set(item) == {"key_ID", "key", "key_extension"}
    extension = item["key_extension"]
    assert set(extension) == {
        f"bellweave_{name}" for name in ("origin", "hops", "provenance", "provable_bits", "epsilon", "age_ms", "blocks")
    }
    assert extension["bellweave_origin"] == "direct"
    assert extension["bellweave_hops"] == 1
    assert extension["bellweave_provenance"] == "test"
    assert extension["bellweave_provable_bits"] in {0, 256}
    assert type(extension["bellweave_age_ms"]) is int
    assert extension["bellweave_age_ms"] >= 0


def test_the_two_directions_of_a_pair_have_keys_of_their_own(net: Delivery) -> None:
    there = net.enc("alice", "bob", number=16).delivered()
    back = net.enc("bob", "alice", number=16).delivered()

    assert len({key for _, key in there + back}) == 32


def test_no_answer_may_be_kept_on_the_way(net: Delivery) -> None:
    for answer in (
        net.get("alice", "/api/v1/keys/bob/status"),
        net.enc("alice", "bob"),
        net.enc("alice", "bob", number=0),
        net.get(None, "/api/v1/keys/bob/status"),
        net.get("alice", "/nowhere"),
    ):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Type"] == "application/json"


# --------------------------------------------------------------------------------------------- one time, all or nothing


def test_a_key_is_fetched_once(net: Delivery) -> None:
    [key_id] = net.enc("alice", "bob").ids()

    assert net.dec("bob", "alice", key_id).status == 200
    assert net.dec("bob", "alice", key_id).error() == (400, NOT_FOUND)


def test_one_missing_key_leaves_the_others_where_they_are(net: Delivery) -> None:
    drawn = net.enc("alice", "bob", number=2).ids()

    assert net.dec("bob", "alice", *drawn, str(uuid.uuid4())).error() == (400, NOT_FOUND)
    assert net.dec("bob", "alice", *drawn).status == 200


def test_anothers_keys_are_refused_and_wait_for_their_owner(net: Delivery) -> None:
    drawn = net.enc("alice", "bob").ids()

    assert net.dec("ben", "alice", *drawn).error() == (401, "unauthorized")
    assert net.dec("bob", "alice", *drawn).status == 200


def test_one_foreign_key_among_ones_own_is_refused(net: Delivery) -> None:
    own, foreign = net.enc("alice", "bob").ids()[0], net.enc("alice", "ben").ids()[0]

    assert net.dec("bob", "alice", own, foreign).status == 401
    assert net.dec("bob", "alice", own).status == 200
    assert net.dec("ben", "alice", foreign).status == 200


def test_existence_is_checked_before_entitlement(net: Delivery) -> None:
    [foreign] = net.enc("alice", "bob").ids()

    assert net.dec("ben", "alice", foreign, str(uuid.uuid4())).error() == (400, NOT_FOUND)


def test_a_master_does_not_get_its_own_keys_again(net: Delivery) -> None:
    [at_other_kme] = net.enc("alice", "bob").ids()
    [here] = net.enc("alice", "ann").ids()

    assert net.dec("alice", "alice", at_other_kme).error() == (401, "unauthorized")
    assert net.dec("alice", "alice", here).error() == (401, "unauthorized")
    assert net.dec("alice", "alice", here, at_other_kme).error() == (401, "unauthorized")
    assert net.dec("ann", "alice", here).status == 200
    assert net.dec("bob", "alice", at_other_kme).status == 200


def test_a_third_sae_is_told_that_a_key_is_anothers_at_the_masters_kme_too(net: Delivery) -> None:
    [key_id] = net.enc("alice", "bob").ids()

    assert net.dec("ann", "alice", key_id).error() == (401, "unauthorized")
    assert net.dec("ann", "bob", key_id).error() == (400, NOT_FOUND)
    assert net.dec("ann", "alice", key_id, str(uuid.uuid4())).error() == (400, NOT_FOUND)
    assert net.dec("bob", "alice", key_id).status == 200
    net.now_s += 3601.0
    assert net.dec("ann", "alice", key_id).error() == (400, NOT_FOUND)


def test_a_slave_at_the_masters_kme_has_had_its_copy_of_a_multicast_key(net: Delivery) -> None:
    [key_id] = net.enc("alice", "bob", additional_slave_SAE_IDs=["ann"]).ids()

    assert net.dec("ann", "alice", key_id).status == 200
    assert net.dec("ann", "alice", key_id).error() == (400, NOT_FOUND)
    assert net.dec("bob", "alice", key_id).status == 200


@pytest.mark.parametrize("master", ["ann", "ben", "nobody", "..%2falice", "%ff", "@kme-a", ""])
def test_keys_of_another_master_are_not_found(net: Delivery, master: str) -> None:
    [key_id] = net.enc("alice", "bob").ids()

    assert net.dec("bob", master, key_id).error() == (400, NOT_FOUND)
    assert net.dec("bob", "alice", key_id).status == 200


def test_a_key_does_not_wait_longer_than_its_life(net: Delivery) -> None:
    drawn = net.enc("alice", "bob", number=2).ids()

    net.now_s += 3599.0
    assert net.dec("bob", "alice", drawn[0]).status == 200
    net.now_s += 2.0
    assert net.dec("bob", "alice", drawn[1]).error() == (400, NOT_FOUND)


# ------------------------------------------------------------------------------------------------------------ multicast


def test_two_slaves_at_one_kme_each_fetch_their_copy_once(net: Delivery) -> None:
    drawn = net.enc("alice", "bob", number=2, additional_slave_SAE_IDs=["ben"]).delivered()
    wanted = [key_id for key_id, _ in drawn]

    assert net.dec("bob", "alice", *wanted).delivered() == drawn
    assert net.dec("bob", "alice", *wanted).error() == (400, "one or more keys specified are not found on KME")
    assert net.dec("ben", "alice", *wanted).delivered() == drawn
    assert net.dec("ben", "alice", *wanted).error() == (400, NOT_FOUND)


@pytest.mark.parametrize(
    "others",
    [["nobody"], ["bob"], ["ben", "ben"], ["alice"], [""], ["@kme-b"], [f"sae-{n}" for n in range(9)]],
    ids=["unknown", "twice", "twice among them", "the caller", "empty", "the KME itself", "too many"],
)
def test_additional_slaves_are_known_others_each_once_and_few(net: Delivery, others: list[str]) -> None:
    before = net.ledger()

    assert net.enc("alice", "bob", additional_slave_SAE_IDs=others).status == 400
    assert net.ledger() == before


def test_nothing_is_used_up_where_one_of_the_slaves_kmes_is_out_of_reach(net: Delivery) -> None:
    net.cut()
    before = net.ledger()

    assert net.enc("alice", "ann", additional_slave_SAE_IDs=["bob"]).status == 503
    assert net.enc("alice", "bob", additional_slave_SAE_IDs=["ann"]).status == 503
    assert net.ledger() == before
    assert net.enc("alice", "ann").status == 200


def test_without_multicast_there_is_no_additional_slave() -> None:
    net = Delivery(params=Kms(max_slaves=0))

    assert net.get("alice", "/api/v1/keys/bob/status").json["max_SAE_ID_count"] == 0
    assert net.enc("alice", "bob", additional_slave_SAE_IDs=["ben"]).error() == (
        400,
        "additional_slave_SAE_IDs shall hold at most 0 SAE IDs, got 1",
    )
    assert net.enc("alice", "bob", additional_slave_SAE_IDs=[]).status == 200


def test_each_additional_slave_must_be_allowed() -> None:
    net = Delivery(pairs=(Pair(master="alice", slave="bob"),))

    assert net.enc("alice", "bob", additional_slave_SAE_IDs=["ben"]).error() == (401, "unauthorized")
    assert net.enc("alice", "bob").status == 200


# ---------------------------------------------------------------------------------------------------------- unavailable


def test_too_little_key_is_said_in_numbers_and_uses_up_nothing() -> None:
    net = Delivery(keys=3)
    before = net.ledger()

    assert net.enc("alice", "bob", number=5).error() == (503, "not enough keys: 3 of 5")
    assert net.ledger() == before
    assert net.enc("alice", "bob", number=3).status == 200


def test_a_pair_that_no_pool_serves_has_no_key() -> None:
    net = Delivery(pairs=(Pair(master="alice", slave="bob", origins=()),))

    assert net.stored() == 0
    assert net.enc("alice", "bob").error() == (503, "not enough keys: 0 of 1")
    assert net.enc("alice", "bob", extension_optional=[{"bellweave_max_age": 9}]).status == 503
    assert net.enc("alice", "bob", extension_mandatory=[{"bellweave_max_age": 9}]).status == 400


def test_a_peer_out_of_reach_means_unavailable_and_nothing_is_delivered(net: Delivery) -> None:
    net.cut()

    answer = net.enc("alice", "bob")

    assert answer.status == 503
    assert answer.error()[1] == "the other KME cannot be reached at the moment"
    assert "delivered" not in {name for name, bits in net.ledger()["kme-a"].items() if bits}
    assert net.enc("alice", "ann").status == 200


def test_a_store_that_fails_means_unavailable(net: Delivery) -> None:
    drawn = net.enc("alice", "bob").ids()
    net.break_store("kme-b")

    assert net.dec("bob", "alice", *drawn).error() == (503, "the key store cannot be used at the moment")


# ----------------------------------------------------------------------------------------------------- metrics and logs


def test_outcomes_are_words_and_ids_are_told_for_the_log(net: Delivery) -> None:
    drawn = net.enc("alice", "bob", number=2)
    taken = net.dec("bob", "alice", *drawn.ids())

    assert (drawn.response.outcome, taken.response.outcome) == ("delivered", "taken")
    assert list(drawn.response.key_ids) == list(taken.response.key_ids) == drawn.ids()
    assert net.get("alice", "/api/v1/keys/bob/status").response.outcome == "status"
    assert net.dec("bob", "alice", *drawn.ids()).response.outcome == "unknown_keys"
    assert net.enc("alice", "bob", number=99).response.outcome == "not_enough_key"


def test_no_key_shows_in_a_repr(net: Delivery) -> None:
    answer = net.enc("alice", "bob")
    [item] = answer.json["keys"]

    container = msgspec.json.decode(answer.body, type=KeyContainer)

    assert item["key_ID"] in repr(container)
    for shown in (repr(answer.response), repr(container)):
        assert item["key"] not in shown
        assert repr(base64.b64decode(item["key"])) not in shown
    assert base64.b64decode(item["key"]).hex() not in repr(answer.response)
