"""The files of a new key network: an authority, and a folder for each KME.

Layout::

    DIR/ca.crt, ca.key               the authority; the key stays off the machines that serve keys
    DIR/SAE.crt, SAE.key[, SAE.p12]  each SAE's, and each device's; a name with other characters than letters, digits
                                     and _ . - ~ is percent-encoded
    DIR/README.txt                   what to copy where
    DIR/KME/kme.toml                 and beside it ca.crt, kme.crt, kme.key, master.key, deny.txt, a systemd unit

Everything is checked before the first file is written; nothing is overwritten. Folders have mode 0700, secrets 0600.
"""

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from bellweave.edge.files import new_folder, write_whole
from bellweave.edge.identity import Holder, Role
from bellweave.edge.kme_config import MASTER_KEY_BYTES, to_toml
from bellweave.edge.kme_network import Network, Ports, configs
from bellweave.edge.kme_unit import readme, unit
from bellweave.edge.pki import LEAF_DAYS, Authority, holders_and_hosts
from bellweave.errors import ScenarioError
from bellweave.kms.config import KmeConfig
from bellweave.kms.params import Kms

_DENY = b"""\
# Certificates that are not let in any more, effective at once: one a line, as SHA-256 fingerprint or serial:HEX.
"""


def init(
    directory: Path,
    network: Network,
    *,
    ports: Ports | None = None,
    store: str | Mapping[str, str] = "sqlite:///kme.db",
    kms: Kms | None = None,
    days: int = LEAF_DAYS,
    p12_password: str | None = None,
    command: str | None = None,
) -> dict[str, Path]:
    """Write all files of a network, and return each KME's configuration file.

    Args:
        directory: Where to; made if it is not there.
        network: Who is in it.
        ports: Where they listen; None: the usual ports.
        store: Of every KME, or of each by its name, as in :class:`~bellweave.kms.config.KmeConfig`.
        kms: Sizes, lifetimes, watermarks; None: the defaults.
        days: How long certificates are valid.
        p12_password: Write the SAEs' certificates and keys as PKCS#12 too, under this password; None: do not.
        command: What starts Bellweave in the units, an absolute path with arguments; None: this Python.

    Raises:
        ScenarioError: Names clash or are unknown, or a file is there already.
    """
    made = configs(network, ports or Ports(), store, kms or Kms())
    leaves = _leaves(network)
    for path in (directory / name for name in ("ca.crt", "ca.key", *made)):
        if path.exists():
            raise ScenarioError("is there already; a new network goes into a new folder", file=str(path))
    new_folder(directory)
    authority = Authority.created()
    authority.own().write(directory / "ca.crt", directory / "ca.key")
    for holder, stem in leaves.items():
        issued = authority.issue(holder.role, holder.name, days=days)
        issued.write(directory / f"{stem}.crt", directory / f"{stem}.key")
        if holder.role == "sae" and p12_password is not None:
            write_whole(directory / f"{stem}.p12", authority.pkcs12(issued, holder.name, p12_password))
    start = command or f"{sys.executable} -m bellweave"
    for kme, config in made.items():
        _write_kme(directory / kme, config, authority, network.kmes[kme], days, start)
    _write_readme(directory, network, leaves)
    return {kme: directory / kme / "kme.toml" for kme in made}


def add(directory: Path, role: Role, name: str, *, days: int = LEAF_DAYS) -> Path:
    """Issue a certificate for one more SAE or device, and return its file; configurations are the caller's business.

    Raises:
        ScenarioError: There is no authority in the folder, or a file of that name.
    """
    authority = Authority.loaded(directory / "ca.crt", directory / "ca.key")
    path = directory / f"{_stem(name)}.crt"
    authority.issue(role, name, days=days).write(path, path.with_suffix(".key"))
    return path


def renew(directory: Path, *, days: int = LEAF_DAYS) -> list[Path]:
    """Issue all leaves in a folder anew, with new keys, for the same holders and hosts; returns the certificates.

    PKCS#12 files stay as they are. KMEs take their files up by themselves once they are where they run.

    Raises:
        ScenarioError: A file can't be read or written, or a certificate names no holder.
    """
    authority = Authority.loaded(directory / "ca.crt", directory / "ca.key")
    leaves = sorted(path for path in directory.glob("*.crt") if path.name != "ca.crt")
    leaves += sorted(directory.glob("*/kme.crt"))
    for path in leaves:
        holders, hosts = holders_and_hosts(path)
        if len(holders) != 1:
            raise ScenarioError(f"names {len(holders)} holders; only what was made here is renewed", file=str(path))
        (holder,) = holders
        authority.issue(holder.role, holder.name, hosts, days=days).write(path, path.with_suffix(".key"), renew=True)
    return leaves


def _leaves(network: Network) -> dict[Holder, str]:
    """Return the file name, without extension, of each SAE's and device's certificate."""
    holders = [Holder("sae", name) for name in network.saes] + [Holder("device", name) for name in network.devices]
    stems = {holder: _stem(holder.name) for holder in holders}
    seen = {"ca": "the authority"}
    for holder, stem in stems.items():
        who = f"the {holder.role} {holder.name}"
        other = seen.setdefault(stem.lower(), who)  # some file systems know no case
        if other != who:
            raise ScenarioError(f"{who} and {other} would have the same file, {stem}.crt")
    return stems


def _stem(name: str) -> str:
    return quote(name, safe="")


def _write_kme(folder: Path, config: KmeConfig, authority: Authority, host: str, days: int, command: str) -> None:
    kme = config.directory.kme
    new_folder(folder)
    authority.issue("kme", kme, [host], days=days).write(folder / "kme.crt", folder / "kme.key")
    write_whole(folder / "ca.crt", authority.own().certificate, mode=0o644)
    write_whole(folder / "master.key", f"{secrets.token_hex(MASTER_KEY_BYTES)}\n".encode())
    write_whole(folder / "deny.txt", _DENY)
    write_whole(folder / f"bellweave-{kme}.service", unit(kme, command).encode(), mode=0o644)
    write_whole(folder / "kme.toml", to_toml(config).encode())


def _write_readme(directory: Path, network: Network, leaves: Mapping[Holder, str]) -> None:
    text = readme(
        network.kmes,
        {leaves[Holder("sae", name)]: kme for name, kme in network.saes.items()},
        {leaves[Holder("device", name)]: ends for name, ends in network.devices.items()},
    )
    write_whole(directory / "README.txt", text.encode(), mode=0o644)
