"""The certificate authority."""

import datetime as dt
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from bellweave.edge.identity import Holder, Role
from bellweave.edge.pki import Authority, Issued, holders_and_hosts
from bellweave.errors import ScenarioError

AUTHORITY = Authority.created()


def parsed(issued: Issued) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issued.certificate)


def names_of(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def usages_of(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_a_kmes_certificate_names_its_role_its_hosts_and_loopback_and_serves_both_ways() -> None:
    certificate = parsed(AUTHORITY.issue("kme", "kme-a", ["kme-a.example", "192.0.2.1", "localhost"]))

    names = names_of(certificate)
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:bellweave:kme:kme-a"]
    assert names.get_values_for_type(x509.DNSName) == ["kme-a.example", "localhost"]
    addresses = ["192.0.2.1", "127.0.0.1", "::1"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(each) for each in addresses]
    assert usages_of(certificate) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


@pytest.mark.parametrize("role", ["sae", "device"])
def test_the_others_certificates_serve_clients_only(role: Role) -> None:
    certificate = parsed(AUTHORITY.issue(role, "alice"))

    assert certificate.subject.rfc4514_string() == "CN=alice"
    assert names_of(certificate).get_values_for_type(x509.UniformResourceIdentifier) == [f"urn:bellweave:{role}:alice"]
    assert usages_of(certificate) == {ExtendedKeyUsageOID.CLIENT_AUTH}


@pytest.mark.parametrize("role", ["sae", "device"])
def test_one_that_listens_serves_too_but_for_no_host(role: Role) -> None:
    certificate = parsed(AUTHORITY.issue(role, "alice", listens=True))

    assert usages_of(certificate) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert names_of(certificate).get_values_for_type(x509.DNSName) == []


def test_a_leaf_is_signed_by_the_authority_and_can_sign_nothing_itself() -> None:
    leaf, authority = parsed(AUTHORITY.issue("sae", "alice")), AUTHORITY.certificate

    leaf.verify_directly_issued_by(authority)
    for certificate, is_authority in ((leaf, False), (authority, True)):
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert (basic.critical, basic.value.ca) == (True, is_authority)
        assert (usage.critical, usage.value.key_cert_sign, usage.value.digital_signature) == (
            True, is_authority, not is_authority,
        )  # fmt: skip
    signer = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    named = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert named.key_identifier == signer.digest


def test_serial_numbers_and_keys_are_never_the_same() -> None:
    issued = [AUTHORITY.issue("sae", "alice") for _ in range(20)]

    assert len({parsed(each).serial_number for each in issued}) == 20
    assert len({each.key for each in issued}) == 20
    assert all(parsed(each).serial_number.bit_length() > 64 for each in issued)


def test_a_leaf_is_valid_for_the_days_that_were_asked_for_and_not_beyond_its_authority() -> None:
    start = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)

    leaf = parsed(AUTHORITY.issue("sae", "alice", days=30, start=start))
    too_long = parsed(AUTHORITY.issue("sae", "alice", days=100_000))

    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc - start) == (start, dt.timedelta(days=30))
    assert too_long.not_valid_after_utc == AUTHORITY.certificate.not_valid_after_utc


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=100))
def test_any_printable_name_can_stand_in_a_certificate(name: str) -> None:
    certificate = parsed(AUTHORITY.issue("sae", name))

    common = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    assert common == ([name] if len(name.encode()) <= 64 else [])
    san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert san.critical == (not common)


def test_a_host_that_is_none_is_refused() -> None:
    for host in ("", "a..b", "x" * 64):
        with pytest.raises(ScenarioError, match="can't stand in a certificate as a host"):
            AUTHORITY.issue("kme", "kme-a", [host])
    with pytest.raises(ScenarioError, match="a name and at least a day"):
        AUTHORITY.issue("kme", "")


def test_files_are_written_once_and_replaced_only_on_renewal(tmp_path: Path) -> None:
    cert, key = tmp_path / "alice.crt", tmp_path / "alice.key"
    first, second = AUTHORITY.issue("sae", "alice"), AUTHORITY.issue("sae", "alice")
    first.write(cert, key)

    with pytest.raises(ScenarioError, match=r"alice\.crt: is there already; ask for renewal"):
        second.write(cert, key)
    assert (cert.read_bytes(), key.read_bytes()) == (first.certificate, first.key)
    second.write(cert, key, renew=True)

    assert (cert.read_bytes(), key.read_bytes()) == (second.certificate, second.key)
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_private_key_is_not_shown() -> None:
    issued = AUTHORITY.issue("sae", "alice")

    assert "PRIVATE" not in repr(issued)
    assert "key=" not in repr(issued)


def test_an_authority_is_read_back_and_signs_on(tmp_path: Path) -> None:
    AUTHORITY.own().write(tmp_path / "ca.crt", tmp_path / "ca.key")

    again = Authority.loaded(tmp_path / "ca.crt", tmp_path / "ca.key")

    parsed(again.issue("sae", "alice")).verify_directly_issued_by(AUTHORITY.certificate)


def test_files_that_are_no_authoritys_are_refused(tmp_path: Path) -> None:
    cert, key = tmp_path / "ca.crt", tmp_path / "ca.key"
    AUTHORITY.own().write(cert, key)
    other = Authority.created().own()

    for path, content, problem in (
        (key, other.key, "is not the key of"),
        (key, b"no PEM", "is no private key without a password"),
        (cert, b"no PEM", "is no certificate"),
    ):
        path.write_bytes(content)
        with pytest.raises(ScenarioError) as refused:
            Authority.loaded(cert, key)
        assert str(refused.value).startswith(f"{path}: {problem}")


def test_pkcs12_holds_the_key_and_both_certificates_under_the_password() -> None:
    issued = AUTHORITY.issue("sae", "alice")

    sealed = AUTHORITY.pkcs12(issued, "alice", "correct horse")

    key, certificate, authorities = pkcs12.load_key_and_certificates(sealed, b"correct horse")
    private = load_pem_private_key(issued.key, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert key.private_numbers() == private.private_numbers()
    assert (certificate, authorities) == (parsed(issued), [AUTHORITY.certificate])
    with pytest.raises(ValueError, match=r"(?i)password"):
        pkcs12.load_key_and_certificates(sealed, b"wrong")


def test_holders_and_hosts_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "kme.crt"
    AUTHORITY.issue("kme", "kme-a", ["192.0.2.1"]).write(path, tmp_path / "kme.key")

    assert holders_and_hosts(path) == (
        frozenset({Holder("kme", "kme-a")}),
        ["localhost", "192.0.2.1", "127.0.0.1", "::1"],
    )
    path.write_bytes(b"")
    with pytest.raises(ScenarioError, match=r"kme\.crt: is no certificate in PEM"):
        holders_and_hosts(path)
