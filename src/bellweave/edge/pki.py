"""A small certificate authority for a key network: P-256, one authority, leaves in three roles.

Rules:

1. The role is in the certificate: a URI among its alternative names (:mod:`bellweave.edge.identity`).
2. A KME's certificate serves both ways (``serverAuth`` and ``clientAuth``: it answers SAEs and dials other KMEs) and
   names its hosts, loopback among them. SAEs and devices get ``clientAuth`` only: nobody can pose as a KME with one.
   Those that listen for their own kind (agents, distillation peers) get both, and still no host's name.
3. The common name is the name, where it fits (64 bytes); peers' software shows it and some reads nothing else.
4. Private keys are files of mode 0600. A file that is there is replaced only where the caller asks for renewal; the key
   is replaced before the certificate, so a server that reads between the two sees a pair that does not fit and waits.
"""

import datetime as dt
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bellweave.edge.files import read_file, write_whole
from bellweave.edge.identity import Holder, Role, holder_of, role_uri
from bellweave.errors import ScenarioError

AUTHORITY_DAYS = 3650
LEAF_DAYS = 397
"""What browsers allow at most; long enough to forget it, so put the renewal into the calendar."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")

_MAX_COMMON_NAME_BYTES = 64  # RFC 5280, appendix A: ub-common-name; the library counts bytes
_SKEW = dt.timedelta(minutes=5)  # clocks of two machines differ: valid since a moment ago


@dataclass(frozen=True)
class Issued:
    """A certificate and its private key, PEM."""

    certificate: bytes
    key: bytes = field(repr=False)

    def write(self, certificate: Path, key: Path, *, renew: bool = False) -> None:
        """Write both files, the key with mode 0600.

        Raises:
            ScenarioError: One of them is there and ``renew`` is not set, or one can't be written.
        """
        for path in (certificate, key):
            if path.exists() and not renew:
                raise ScenarioError("is there already; ask for renewal to replace it", file=str(path))
        write_whole(key, self.key)
        write_whole(certificate, self.certificate, mode=0o644)


class Authority:
    """A certificate authority.

    Args:
        certificate, private_key: Of the authority.
    """

    def __init__(self, certificate: x509.Certificate, private_key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self._key = private_key

    @classmethod
    def created(cls, name: str = "Bellweave CA", *, days: int = AUTHORITY_DAYS) -> "Authority":
        """Return a new authority with a key of its own, which signs leaves and no further authorities."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, key.public_key(), key.public_key(), None, days)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def loaded(cls, certificate: Path, key: Path) -> "Authority":
        """Return the authority in two PEM files.

        Raises:
            ScenarioError: One of them can't be read, or they do not belong together.
        """
        try:
            found = x509.load_pem_x509_certificate(read_file(certificate))
        except ValueError:
            raise ScenarioError("is no certificate", file=str(certificate)) from None
        try:
            private = serialization.load_pem_private_key(read_file(key), None)
        except (ValueError, TypeError):
            raise ScenarioError("is no private key without a password", file=str(key)) from None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != found.public_key():
            raise ScenarioError(f"is not the key of {certificate}", file=str(key))
        return cls(found, private)

    def own(self) -> Issued:
        """Return the authority's own certificate and key."""
        return Issued(self.certificate.public_bytes(serialization.Encoding.PEM), _pem(self._key))

    def pkcs12(self, issued: Issued, name: str, password: str) -> bytes:
        """Return a certificate of this authority with its key, and the authority's, as PKCS#12 under a password."""
        key = serialization.load_pem_private_key(issued.key, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"keys of ours are on P-256, got {type(key).__name__}")
        certificate = x509.load_pem_x509_certificate(issued.certificate)
        sealed = serialization.BestAvailableEncryption(password.encode())
        return pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, [self.certificate], sealed)

    def issue(
        self,
        role: Role,
        name: str,
        hosts: Iterable[str] = (),
        *,
        listens: bool = False,
        days: int = LEAF_DAYS,
        start: dt.datetime | None = None,
    ) -> Issued:
        """Return a new certificate for a KME, an SAE or a device.

        Args:
            role: What it may do.
            name: Of the holder; not empty.
            hosts: Names and addresses of a KME; loopback is added. Others have none.
            listens: Whether an SAE or a device takes connections too; a KME does in any case.
            days: How long it is valid, >= 1.
            start: Since when, UTC; None: since a moment ago.

        Raises:
            ScenarioError: The name or a host can't stand in a certificate.
        """
        if not name or days < 1:
            raise ScenarioError(f"a certificate needs a name and at least a day, got {name!r} and {days}")
        fits = len(name.encode()) <= _MAX_COMMON_NAME_BYTES
        common = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if fits else []
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(role_uri(role, name))]
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if role == "kme":
            names += map(_host, dict.fromkeys([*hosts, *LOOPBACK]))
        if listens or role == "kme":
            usages = [ExtendedKeyUsageOID.SERVER_AUTH, *usages]
        return self.sign(x509.Name(common), names, usages, days=days, start=start)

    def sign(
        self,
        subject: x509.Name,
        names: Iterable[x509.GeneralName],
        usages: Iterable[x509.ObjectIdentifier],
        *,
        days: int = LEAF_DAYS,
        start: dt.datetime | None = None,
    ) -> Issued:
        """Return a leaf of any content: what :meth:`issue` is made of, and how tests make odd ones."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(
            subject, self.certificate.subject, key.public_key(), self._key.public_key(), start, days,
            until=self.certificate.not_valid_after_utc,
        )  # fmt: skip
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        alternatives = list(names)
        if alternatives:  # RFC 5280, 4.2.1.6: critical where the subject is empty
            critical = not list(subject)
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=critical)
        signed = builder.sign(self._key, hashes.SHA256())
        return Issued(signed.public_bytes(serialization.Encoding.PEM), _pem(key))


def holders_and_hosts(file: Path) -> tuple[frozenset[Holder], list[str]]:
    """Return whom a certificate names in a role, nobody if it is of another PKI, and which hosts.

    Raises:
        ScenarioError: It can't be read.
    """
    try:
        certificate = x509.load_pem_x509_certificate(read_file(file))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset(), []
    except ValueError:
        raise ScenarioError("is no certificate in PEM", file=str(file)) from None
    named = map(holder_of, names.get_values_for_type(x509.UniformResourceIdentifier))
    hosts = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    return frozenset(holder for holder in named if holder is not None), hosts


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
    start: dt.datetime | None,
    days: int,
    until: dt.datetime | None = None,
) -> x509.CertificateBuilder:
    start = start or dt.datetime.now(dt.UTC) - _SKEW
    end = start + dt.timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(min(end, until) if until else end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        if host:
            return x509.DNSName(host.encode("idna").decode())
    except UnicodeError:
        pass
    raise ScenarioError(f"can't stand in a certificate as a host: {host!r}")


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
