"""What a configuration refers to is there, and its limits do not cross."""

from typing import Any

import msgspec
import pytest

from bellweave.edge.kme_references import address, check_references, local_saes
from bellweave.errors import ScenarioError
from bellweave.kms.config import Endpoint, KmeConfig, Peer, Skip, Tls, Vendor
from bellweave.kms.params import Directory, Expansion, Kms, Pair, Relay

TLS = Tls(ca="ca.crt", cert="kme.crt", key="kme.key")
DIRECTORY = Directory(
    kme="kme-a",
    peers=("kme-b", "kme-c"),
    links=(("kme-a", "kme-b"), ("kme-b", "kme-c"), ("kme-a", "kme-d"), ("kme-d", "kme-c")),
    saes={"alice": "kme-a", "bob": "kme-b", "carol": "kme-c", "kme-a": "kme-a"},
    pairs=(
        Pair(master="alice", slave="bob", origins=("direct", "expanded")),
        Pair(master="alice", slave="carol", origins=("relayed",)),
    ),
    relays=(Relay(kmes=("kme-a", "kme-c"), paths=(("kme-a", "kme-b", "kme-c"), ("kme-a", "kme-d", "kme-c"))),),
    expansions=(Expansion(kmes=("kme-a", "kme-b")),),
)
CONFIG = KmeConfig(
    directory=DIRECTORY,
    tls=TLS,
    etsi014=Endpoint(listen="127.0.0.1:8443"),
    skip=Skip(listen="127.0.0.1:8444", clients=("alice",)),
    link=Endpoint(listen="[::1]:8445"),
    peers={"kme-b": Peer(address="kme-b.example:8445"), "kme-c": Peer(address="[2001:db8::1]:8445")},
    devices={"qkd-1": "kme-b"},
    vendors={
        "box": Vendor(peer="kme-b", url="https://box.example", slave="x", ca="ca.crt", cert="box.crt", key="box.key")
    },
)


def with_directory(**changes: Any) -> KmeConfig:
    return msgspec.structs.replace(CONFIG, directory=msgspec.structs.replace(DIRECTORY, **changes))


def with_settings(**changes: Any) -> KmeConfig:
    return msgspec.structs.replace(CONFIG, **changes)


def vendor(**changes: Any) -> dict[str, Vendor]:
    return {"box": msgspec.structs.replace(CONFIG.vendors["box"], **changes)}


def test_a_good_configuration_passes() -> None:
    check_references(CONFIG)
    check_references(KmeConfig(directory=Directory(kme="alone", saes={"a": "alone", "b": "alone"}), tls=TLS))


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (with_directory(kme="kme|a"), "directory.kme: expected up to 64 of A-Z a-z 0-9 . _ - that begin"),
        (with_directory(peers=("kme-b", "../x")), "directory.peers: expected up to 64"),
        (with_directory(peers=("kme-b", "kme-b")), "directory.peers: stands there twice: kme-b"),
        (with_directory(peers=("kme-b", "kme-a")), "directory.peers: stands there twice: kme-a"),
        (with_directory(saes={"alice": "kme-x"}), "directory.saes.alice: no such KME: 'kme-x'; there are kme-a, kme-b"),
        (with_directory(saes={"@kme-a": "kme-a"}), "directory.saes.@kme-a: an SAE's name has 1 to 256 printable"),
        (with_directory(saes={"": "kme-a"}), "directory.saes.: an SAE's name"),
        (with_directory(saes={"a\n": "kme-a"}), "an SAE's name"),
        (with_directory(saes={"x" * 257: "kme-a"}), "an SAE's name"),
        (with_directory(links=(("kme-a", "kme-a"),)), "directory.links[0]: expected two KMEs, got 'kme-a' twice"),
        (
            with_directory(links=(*DIRECTORY.links, ("kme-b", "kme-a"))),
            "directory.links: stands there twice: kme-a and kme-b",
        ),
        (with_directory(pairs=(Pair(master="al", slave="bob"),)), "directory.pairs[0].master: no such SAE: 'al'"),
        (with_directory(pairs=(Pair(master="alice", slave="b"),)), "directory.pairs[0].slave: no such SAE: 'b'"),
        (with_directory(pairs=(Pair(master="bob", slave="bob"),)), "directory.pairs[0]: an SAE shares no key with"),
        (with_directory(pairs=(DIRECTORY.pairs[0],) * 2), "directory.pairs: stands there twice: alice and bob"),
        (
            with_directory(pairs=(Pair(master="alice", slave="bob", origins=()),)),
            "directory.pairs[0].origins: expected at least one of direct, relayed and expanded",
        ),
        (
            with_directory(pairs=(Pair(master="alice", slave="bob", origins=("direct", "direct")),)),
            "directory.pairs[0].origins: stands there twice: direct",
        ),
        (
            with_directory(relays=()),
            "directory.pairs[1].origins: no entry of directory.relays has the KMEs kme-a and kme-c",
        ),
        (
            with_directory(expansions=()),
            "directory.pairs[0].origins: no entry of directory.expansions has the KMEs kme-a and kme-b",
        ),
        (
            with_directory(expansions=(*DIRECTORY.expansions, Expansion(kmes=("kme-b", "kme-a")))),
            "directory.expansions: stands there twice: kme-a and kme-b",
        ),
        (
            with_directory(expansions=(*DIRECTORY.expansions, Expansion(kmes=("kme-a", "kme-x")))),
            "directory.expansions[1].kmes: no such KME: 'kme-x'",
        ),
        (
            with_directory(relays=(Relay(kmes=("kme-a", "kme-c"), paths=(("kme-a", "kme-c"),)),)),
            "directory.relays[0].paths[0]: expected a path from kme-a to kme-c over others, each once",
        ),
        (
            with_directory(relays=(Relay(kmes=("kme-a", "kme-c"), paths=(("kme-a", "kme-b", "kme-d"),)),)),
            "directory.relays[0].paths[0]: expected a path from kme-a to kme-c",
        ),
        (
            with_directory(
                relays=(Relay(kmes=("kme-a", "kme-c"), paths=(("kme-a", "kme-b", "kme-a", "kme-d", "kme-c"),)),)
            ),
            "directory.relays[0].paths[0]: expected a path",
        ),
        (
            with_directory(relays=(Relay(kmes=("kme-a", "kme-c"), paths=(("kme-a", "kme-x", "kme-c"),)),)),
            "directory.relays[0].paths[0]: kme-a and kme-x share no link in directory.links",
        ),
        (
            with_directory(relays=(Relay(kmes=("kme-a", "kme-c"), paths=(("kme-a", "kme-b", "kme-c"),) * 2),)),
            "directory.relays[0].paths: kme-b is on two paths, and would know the key",
        ),
        (with_settings(peers={"kme-x": Peer(address="x:1")}), "peers.kme-x: no such peer: 'kme-x'"),
        (with_settings(peers={"kme-b": Peer(address="kme-b")}), "peers.kme-b.address: expected host:port"),
        (with_settings(peers={"kme-b": Peer(address="kme-b:0")}), "peers.kme-b.address: expected the port where"),
        (with_settings(peers={}, link=None), "peers.kme-b: has no address, and there is no [link] endpoint to wait"),
        (with_settings(devices={"qkd-1": "kme-x"}), "devices.qkd-1: no such peer: 'kme-x'"),
        (with_settings(vendors=vendor(peer="kme-x")), "vendors.box.peer: no such peer: 'kme-x'"),
        (
            with_settings(vendors=vendor(url="http://box")),
            "vendors.box.url: expected https://host..., got 'http://box'",
        ),
        (
            with_settings(kms=Kms(max_key_size_bits=128)),
            "kms.key_size_bits: expected 64 to 128, as min_ and max_key_size_bits say, got 256",
        ),
        (with_settings(kms=Kms(low_keys=9, high_keys=8)), "kms.high_keys: expected low_keys <= high_keys <= quota"),
        (with_settings(etsi014=Endpoint(listen="8443")), "etsi014.listen: expected host:port"),
        (with_settings(admin=Endpoint(listen="127.0.0.1:8443")), "admin.listen: 127.0.0.1:8443 is that of etsi014"),
        (with_settings(skip=Skip(listen="x:1", system="bob")), "skip.system: 'bob' is no SAE of kme-a"),
        (with_settings(skip=Skip(listen="x:1", clients=("bob",))), "skip.clients: no such SAE of this KME: 'bob'"),
        (
            with_settings(tls=msgspec.structs.replace(TLS, identity=())),
            "tls.identity: expected at least one of san-uri",
        ),
        (
            with_settings(tls=msgspec.structs.replace(TLS, fingerprints={"ab" * 32: "mallory"})),
            "tls.fingerprints.abababababababab...: expected a registered SAE, or urn:bellweave:kme:NAME for a peer",
        ),
        (with_settings(store="mysql://user:secret@host/db"), "store: expected memory:, sqlite:///PATH or postgresql"),
        (with_settings(store="sqlite:///"), "store: expected memory:"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(config: KmeConfig, problem: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        check_references(config)

    assert problem in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_peer_without_an_address_is_waited_for() -> None:
    check_references(with_settings(peers={}))


def test_pools_of_other_kmes_are_none_of_our_business() -> None:
    pairs = (*DIRECTORY.pairs, Pair(master="bob", slave="carol", origins=("expanded",)))

    check_references(with_directory(pairs=pairs))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("h:1", "h", 1), ("127.0.0.1:0", "127.0.0.1", 0), ("[::1]:65535", "::1", 65535), ("a.b-c:443", "a.b-c", 443)],
)
def test_an_address_has_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert address(text) == (host, port)


@pytest.mark.parametrize("text", ["", "h", "h:", ":1", "h:x", "h:-1", "h:65536", "::1:1", "[h]:1", "[::1]", "h:٣"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"x\.listen: expected"):
        address(text, "x.listen")


def test_only_an_sae_that_is_registered_here_may_ask_here() -> None:
    assert local_saes(DIRECTORY) == {"alice", "kme-a"}
