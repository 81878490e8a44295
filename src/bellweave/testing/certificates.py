"""Certificates for tests: good ones of each role, and all the ways to be refused."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bellweave.edge.files import write_whole
from bellweave.edge.identity import Role
from bellweave.edge.pki import Authority, Issued
from bellweave.kms.config import Tls


@dataclass(frozen=True)
class Files:
    """PEM files of one certificate holder: the authority's certificate, its own, its key."""

    ca: Path
    cert: Path
    key: Path

    def tls(self, **settings: object) -> Tls:
        """Return a KME's configuration with these files; settings as in :class:`~bellweave.kms.config.Tls`."""
        return Tls(ca=str(self.ca), cert=str(self.cert), key=str(self.key), **settings)  # type: ignore[arg-type]


class Pki:
    """An authority, and files of the certificates that it issues.

    Args:
        folder: Where files go; two authorities need two folders.

    Attributes:
        ca: The authority's certificate, PEM.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.authority = Authority.created("Test CA")
        self.ca = folder / "ca.crt"
        write_whole(self.ca, self.authority.own().certificate)

    def kme(self, name: str, *hosts: str) -> Files:
        """Return files for a KME; its certificate is good for loopback too."""
        return self.issued("kme", name, *hosts)

    def sae(self, name: str) -> Files:
        """Return files for an SAE: its name is the common name, and in the role URI."""
        return self.issued("sae", name)

    def agent(self, name: str) -> Files:
        """Return files for an SAE whose agent listens for its peer's."""
        return self.written(f"sae-{name}", self.authority.issue("sae", name, listens=True))

    def device(self, name: str) -> Files:
        """Return files for a QKD device."""
        return self.issued("device", name)

    def issued(self, role: Role, name: str, *hosts: str) -> Files:
        """Return files for any role; called again, it renews them in place."""
        return self.written(f"{role}-{name}", self.authority.issue(role, name, hosts))

    def issued_for(self, days: int, role: Role, name: str) -> Files:
        """Return files of a certificate that is valid for so many days."""
        return self.written(f"{role}-{name}", self.authority.issue(role, name, days=days))

    def expired(self, role: Role, name: str) -> Files:
        """Return files of a certificate that ran out yesterday."""
        start = dt.datetime.now(dt.UTC) - dt.timedelta(days=3)
        return self.written(f"expired-{role}-{name}", self.authority.issue(role, name, days=2, start=start))

    def not_yet_valid(self, role: Role, name: str) -> Files:
        """Return files of a certificate that is valid from tomorrow on."""
        start = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
        return self.written(f"early-{role}-{name}", self.authority.issue(role, name, start=start))

    def odd(
        self, stem: str, *, common_names: Sequence[str] = (), uris: Sequence[str] = (), dns: Sequence[str] = ()
    ) -> Files:
        """Return files of a client certificate with exactly these names, as another PKI, or a mistake, may make it."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common_names])
        names = [*map(x509.UniformResourceIdentifier, uris), *map(x509.DNSName, dns)]
        return self.written(stem, self.authority.sign(subject, names, [ExtendedKeyUsageOID.CLIENT_AUTH]))

    def written(self, stem: str, issued: Issued) -> Files:
        """Return files of a certificate, in this folder."""
        files = Files(self.ca, self.folder / f"{stem}.crt", self.folder / f"{stem}.key")
        issued.write(files.cert, files.key, renew=True)
        return files
