"""Who holds a certificate. Handshakes are in test_tls.py; here certificates are what one left behind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.edge.identity import Holder, Presented, Role, holder_of, identify, role_of, role_uri
from bellweave.kms.config import IdentityField, Tls

SAES = {"alice", "bob", "kme-a", "spiffe://example/alice"}
FINGERPRINT = "ab" * 32


def shown(uris: tuple[str, ...] = (), dns: tuple[str, ...] = (), cn: tuple[str, ...] = ()) -> Presented:
    return Presented(uris=uris, dns_names=dns, common_names=cn, serial=1, fingerprint=FINGERPRINT, until_s=1e12)


def settings(*identity: IdentityField, mapped: str | None = None) -> Tls:
    return Tls(
        ca="ca.crt", cert="kme.crt", key="kme.key", identity=identity or ("san-uri", "cn"),
        fingerprints={} if mapped is None else {FINGERPRINT: mapped},
    )  # fmt: skip


def test_the_uri_comes_before_the_common_name() -> None:
    both = shown(uris=("urn:bellweave:sae:alice",), cn=("bob",))

    assert identify(both, settings(), SAES) == ("alice", "san-uri")
    assert identify(both, settings("cn", "san-uri"), SAES) == ("bob", "cn")
    assert identify(both, settings("cn"), SAES) == ("bob", "cn")


def test_a_field_that_names_nobody_who_is_registered_leaves_it_to_the_next() -> None:
    renamed = shown(uris=("urn:bellweave:sae:alicia",), cn=("alice",))

    assert identify(renamed, settings(), SAES).name == "alice"
    assert identify(renamed, settings("san-uri"), SAES).name is None


def test_a_uri_that_is_the_registered_name_counts_too() -> None:
    assert identify(shown(uris=("spiffe://example/alice",)), settings(), SAES).name == "spiffe://example/alice"


def test_two_registered_names_in_one_field_are_nobodys() -> None:
    for certificate, field in (
        (shown(cn=("alice", "bob")), "cn"),
        (shown(uris=("urn:bellweave:sae:alice", "urn:bellweave:sae:bob")), "san-uri"),
    ):
        found = identify(certificate, settings(), SAES)

        assert found == (None, f"the certificate's {field} names 2 registered SAEs")


def test_an_ambiguous_field_is_not_passed_over_for_a_clear_one() -> None:
    certificate = shown(uris=("urn:bellweave:sae:alice", "urn:bellweave:sae:bob"), cn=("alice",))

    assert identify(certificate, settings(), SAES).name is None


def test_the_same_name_twice_is_not_ambiguous() -> None:
    assert identify(shown(cn=("alice", "alice")), settings(), SAES).name == "alice"


@pytest.mark.parametrize("role", ["kme", "device"])
def test_a_kmes_or_devices_certificate_is_no_saes_whatever_else_it_says(role: Role) -> None:
    certificate = shown(uris=(role_uri(role, "kme-a"), "urn:bellweave:sae:alice"), cn=("kme-a",))

    found = identify(certificate, settings("cn", "san-uri", "fingerprint", mapped="alice"), SAES)

    assert found == (None, f"the certificate is that of a {role}" + " and a sae")


def test_names_are_compared_exactly() -> None:
    for name in ("Alice", "alice ", " alice", "alice\0", "alice\0.example", "álice", "ALICE"):
        certificate = shown(uris=(role_uri("sae", name),), dns=(name,), cn=(name,))

        assert identify(certificate, settings("san-uri", "san-dns", "cn"), SAES).name is None


def test_a_dns_name_counts_where_the_configuration_says_so() -> None:
    certificate = shown(dns=("alice",))

    assert identify(certificate, settings("san-dns"), SAES) == ("alice", "san-dns")
    assert identify(certificate, settings(), SAES) == (None, "the certificate's san-uri, cn names no registered SAE")


def test_a_fingerprint_counts_where_the_configuration_says_so() -> None:
    for name in ("alice", "urn:bellweave:sae:alice"):
        assert identify(shown(), settings("fingerprint", mapped=name), SAES) == ("alice", "fingerprint")
    assert identify(shown(), settings(mapped="alice"), SAES).name is None
    assert identify(shown(), settings("fingerprint", mapped="urn:bellweave:kme:alice"), SAES).name is None
    assert identify(shown(), settings("fingerprint", mapped="mallory"), SAES).name is None


def test_a_role_comes_from_the_uri_or_from_a_fingerprint_that_is_mapped_to_one() -> None:
    assert role_of(shown(uris=("urn:bellweave:kme:kme-b",)), settings()) == ("kme", "kme-b")
    assert role_of(shown(), settings(mapped="urn:bellweave:kme:kme-b")) == ("kme", "kme-b")
    assert role_of(shown(), settings(mapped="kme-b")) is None
    assert role_of(shown(cn=("kme-b",), dns=("kme-b",)), settings()) is None


def test_two_roles_or_two_holders_are_none() -> None:
    for other in ("urn:bellweave:sae:kme-b", "urn:bellweave:kme:kme-c"):
        assert role_of(shown(uris=("urn:bellweave:kme:kme-b", other)), settings()) is None


@given(st.sampled_from(["kme", "sae", "device"]), st.text(min_size=1))
def test_every_name_survives_the_way_through_a_uri(role: Role, name: str) -> None:
    try:
        uri = role_uri(role, name)
    except UnicodeEncodeError:  # lone surrogates are no text
        return
    assert uri.isascii()
    assert holder_of(uri) == Holder(role, name)


@given(st.text() | st.text().map("urn:bellweave:sae:".__add__))
def test_no_uri_makes_trouble(uri: str) -> None:
    holder = holder_of(uri)

    assert holder is None or uri.startswith("urn:bellweave:")


def test_what_is_nearly_a_role_is_none() -> None:
    for uri in (
        "urn:bellweave:admin:x", "urn:bellweave:kme:", "urn:bellweave:kme", "URN:BELLWEAVE:KME:a",
        "xurn:bellweave:kme:a", "kme:a", "urn:bellweave:kme:%FF",
    ):  # fmt: skip
        assert holder_of(uri) is None
