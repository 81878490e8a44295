"""From who is in a network to each KME's configuration."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.edge.kme_network import FREE, Network, Ports, configs
from bellweave.edge.kme_references import address
from bellweave.errors import ScenarioError
from bellweave.kms.config import KmeConfig
from bellweave.kms.params import Kms, Relay

THREE = {"kme-a": "192.0.2.1", "kme-b": "192.0.2.2", "kme-c": "kme-c.example"}
SAES = {"alice": "kme-a", "bob": "kme-b", "carol": "kme-c"}


def made(network: Network, ports: Ports | None = None) -> dict[str, KmeConfig]:
    return configs(network, ports or Ports(), "memory:", Kms())


def test_all_kmes_share_links_unless_some_are_given() -> None:
    for kme, config in made(Network(kmes=THREE, saes=SAES)).items():
        directory = config.directory
        assert directory.links == (("kme-a", "kme-b"), ("kme-a", "kme-c"), ("kme-b", "kme-c"))
        assert set(directory.peers) == set(config.peers) == set(THREE) - {kme}
        assert (directory.pairs, directory.relays) == ((), ())
        assert directory.saes == SAES | {name: name for name in THREE}  # the latter for SKIP


def test_kmes_without_a_link_get_relayed_key_and_each_knows_its_own_part() -> None:
    line = made(Network(kmes=THREE, saes=SAES, links=[("kme-a", "kme-b"), ("kme-c", "kme-b")]), Ports(skip=None))

    def origins(kme: str) -> dict[tuple[str, str], tuple[str, ...]]:
        return {(pair.master, pair.slave): pair.origins for pair in line[kme].directory.pairs}

    ends = {("alice", "carol"): ("relayed",), ("carol", "alice"): ("relayed",)}
    first = {("alice", "bob"): ("direct",), ("bob", "alice"): ("direct",)}
    last = {("carol", "bob"): ("direct",), ("bob", "carol"): ("direct",)}
    assert [origins(kme) for kme in THREE] == [ends | first, first | last, ends | last]
    relay = (Relay(kmes=("kme-a", "kme-c")),)
    assert [config.directory.relays for config in line.values()] == [relay, (), relay]


def test_saes_that_no_way_leads_between_are_refused() -> None:
    with pytest.raises(ScenarioError, match="no way of links leads from kme-a to kme-c, for alice and carol"):
        made(Network(kmes=THREE, saes=SAES, links=[("kme-a", "kme-b")]))


def test_a_kme_listens_where_it_is_called_but_at_all_addresses_for_a_name() -> None:
    config = made(Network(kmes=THREE | {"kme-d": "2001:db8::4", "kme-e": "localhost"}))

    where = {kme: each.etsi014.listen for kme, each in config.items() if each.etsi014}
    assert where == {
        "kme-a": "192.0.2.1:8443",
        "kme-b": "192.0.2.2:8443",
        "kme-c": "0.0.0.0:8443",
        "kme-d": "[2001:db8::4]:8443",
        "kme-e": "127.0.0.1:8443",
    }
    assert {each.admin.listen for each in config.values() if each.admin} == {"127.0.0.1:8447"}
    assert config["kme-a"].peers["kme-c"].address == "kme-c.example:8445"
    assert config["kme-a"].peers["kme-d"].address == "[2001:db8::4]:8445"


def test_kmes_at_one_address_have_ports_of_their_own() -> None:
    config = made(Network(kmes={"kme-a": "127.0.0.1", "kme-b": "127.0.0.1", "kme-c": "127.0.0.1"}))

    taken = [
        endpoint.listen
        for each in config.values()
        for endpoint in (each.etsi014, each.etsi004, each.skip, each.link, each.admin)
        if endpoint is not None
    ]
    assert len(set(taken)) == len(taken) == 15
    for kme, other in permutations(config, 2):
        link = config[other].link
        assert link is not None
        assert config[kme].peers[other].address == link.listen


def test_free_ports_are_chosen_only_where_others_must_know_them() -> None:
    config = made(Network(kmes={"kme-a": "127.0.0.1", "kme-b": "127.0.0.1"}), FREE)

    for kme, other in permutations(config, 2):
        link = config[other].link
        assert link is not None
        assert config[kme].peers[other].address == link.listen
        assert address(link.listen)[1] > 0
    assert config["kme-a"].link != config["kme-b"].link
    for each in config.values():
        for endpoint in (each.etsi014, each.etsi004, each.skip, each.admin):
            assert endpoint is not None
            assert endpoint.listen == "127.0.0.1:0"


def test_what_is_not_served_is_left_out() -> None:
    ports = Ports(etsi004=None, skip=None, admin=None)
    devices = {"qkd-1": ("kme-a", "kme-b")}

    first, second = made(Network(kmes={"kme-a": "h", "kme-b": "i"}, devices=devices), ports).values()
    (alone,) = made(Network(kmes={"kme-a": "h"}, saes={"x": "kme-a", "y": "kme-a"}), ports).values()

    assert (first.etsi004, first.skip, first.admin, alone.link) == (None, None, None, None)
    assert (first.device is not None, first.devices) == (True, {"qkd-1": "kme-b"})
    assert (second.device, second.devices) == (None, {})
    assert first.directory.saes == {}


@pytest.mark.parametrize(
    ("network", "problem"),
    [
        (Network(kmes={}), "expected at least one KME, got none"),
        (Network(kmes=THREE, saes={"alice": "kme-x"}), "SAE alice: no such KME: 'kme-x'; there are kme-a, kme-b"),
        (Network(kmes=THREE, devices={"q": ("kme-a", "kme-x")}), "device q: no such KME: 'kme-x'"),
        (Network(kmes=THREE, links=[("kme-a", "kme-x")]), "link kme-a and kme-x: no such KME: 'kme-x'"),
        (Network(kmes={"a/b": "h"}), "a/b: directory.kme: expected up to 64"),
        (Network(kmes=THREE, saes={"@x": "kme-a"}), "directory.saes.@x: an SAE's name"),
        (Network(kmes=THREE, devices={"q": ("kme-a", "kme-a")}), "devices.q: no such peer: 'kme-a'"),
    ],
)
def test_what_does_not_fit_is_refused(network: Network, problem: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        made(network)

    assert problem in str(refused.value)


@given(st.data())
def test_both_ends_of_every_pair_agree_on_its_origin(data: st.DataObject) -> None:
    names = [f"k{number}" for number in range(data.draw(st.integers(2, 6)))]
    # a random tree: everybody is reached
    links = [(names[data.draw(st.integers(0, at - 1))], names[at]) for at in range(1, len(names))]
    network = Network(kmes=dict.fromkeys(names, "192.0.2.1"), links=links)

    config = made(network)

    for master, slave in permutations(names, 2):
        origins = [
            pair.origins
            for kme in (master, slave)
            for pair in config[kme].directory.pairs
            if (pair.master, pair.slave) == (master, slave)
        ]
        linked = (master, slave) in links or (slave, master) in links
        complete = len(names) == 2
        assert origins == ([] if complete else [("direct",) if linked else ("relayed",)] * 2)
