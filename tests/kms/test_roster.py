import pytest

from bellweave.kms.params import Directory, Expansion, Kms, Pair, Relay
from bellweave.kms.roster import Roster

SAES = {"alice": "kme-b", "bob": "kme-a", "carol": "kme-c"}


def roster(**more: object) -> Roster:
    values = {"kme": "kme-b", "peers": ("kme-a", "kme-c"), "saes": SAES} | more
    return Roster(Directory(**values), Kms(low_keys=1, high_keys=2, quota_keys=3))  # type: ignore[arg-type]


def test_an_sae_and_a_kme_itself_are_found() -> None:
    assert [roster().kme_of(name) for name in ("bob", "@kme-c", "nobody")] == ["kme-a", "kme-c", None]


@pytest.mark.parametrize(
    ("master", "slave", "allowed"),
    [
        ("alice", "bob", True),
        ("alice", "alice", False),
        ("bob", "alice", False),  # not of this KME
        ("alice", "nobody", False),
        ("@kme-b", "@kme-c", True),
        ("@kme-c", "@kme-b", False),
        ("alice", "@kme-c", False),
        ("@kme-b", "carol", False),
    ],
)
def test_without_pairs_all_that_are_registered_may_ask_for_each_other(master: str, slave: str, allowed: bool) -> None:
    assert roster().allowed(master, slave) is allowed


def test_with_pairs_only_they_may_and_kmes() -> None:
    listed = roster(pairs=(Pair(master="alice", slave="bob"),))

    assert listed.allowed("alice", "bob")
    assert not listed.allowed("alice", "carol")
    assert listed.allowed("@kme-b", "@kme-c")


def test_a_pair_goes_before_what_holds_for_all() -> None:
    listed = roster(
        pairs=(
            Pair(master="alice", slave="bob", origins=("relayed",), low_keys=0, high_keys=9, quota_keys=8),
            Pair(master="alice", slave="carol"),
        )
    )
    values = {
        slave: (
            listed.origins("alice", slave),
            listed.low_keys("alice", slave),
            listed.high_keys("alice", slave),
            listed.quota_keys("alice", slave),
        )
        for slave in ("bob", "carol")
    }

    assert values == {"bob": (("relayed",), 0, 9, 8), "carol": (("direct",), 1, 2, 3)}


def test_the_first_in_the_alphabet_leads() -> None:
    assert (roster().leads("kme-a|kme-b/direct"), roster().leads("kme-b|kme-c/direct")) == (False, True)
    assert roster().leads("kme-b|kme-b/direct")


def test_pools_that_hold_something_are_the_direct_ones_and_those_that_are_made() -> None:
    more = roster(
        relays=(Relay(kmes=("kme-c", "kme-b")), Relay(kmes=("kme-a", "kme-c"))),
        expansions=(Expansion(kmes=("kme-a", "kme-b")),),
    )

    assert more.fed == {
        "kme-a|kme-b/direct": "kme-a",
        "kme-b|kme-c/direct": "kme-c",
        "kme-b|kme-c/relayed": "kme-c",
        "kme-a|kme-b/expanded": "kme-a",
    }


def test_who_is_linked_is_a_peer() -> None:
    assert roster(peers=(), links=(("kme-a", "kme-b"), ("kme-c", "kme-d"))).peers == ("kme-a",)
