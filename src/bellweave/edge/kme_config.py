"""A KME's configuration file: TOML of the tables in :mod:`bellweave.kms.config`.

Rules:

1. Every refusal is a :class:`~bellweave.errors.ScenarioError` that names the file, the path, the value and the limit.
2. Files that it names are relative to it, are there, and where they hold a secret only their owner and group may read
   them. The same holds for the file itself where it holds the password of a database.
3. Under systemd the master key is the credential ``master.key`` (``LoadCredential=``) where there is one: so it can lie
   apart from the store, and backups of the one do not hold the other.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from bellweave.edge.deny_list import fingerprint_of
from bellweave.edge.files import check_secret, read_file
from bellweave.edge.identity import Holder
from bellweave.edge.kme_references import check_references
from bellweave.edge.pki import holders_and_hosts
from bellweave.errors import ScenarioError
from bellweave.kms.config import KmeConfig, Tls, Vendor
from bellweave.scenario.toml import decoded, encoded

MASTER_KEY_BYTES = 32
MASTER_KEY_VARIABLE = "BELLWEAVE_MASTER_KEY"

_HEX_KEY = re.compile(f"[0-9a-fA-F]{{{2 * MASTER_KEY_BYTES}}}")
_SQLITE = "sqlite:///"


def load(path: Path) -> KmeConfig:
    """Return the configuration in a file, with absolute paths, everything checked but whether a port is free.

    Raises:
        ScenarioError: It, or a file that it names, can't be used.
    """
    try:
        config = decoded(_text(path), KmeConfig)
        config = _resolved(config, path.parent.absolute())
        check_references(config)
        _check_files(config)
        if urlsplit(config.store).password:
            check_secret(path)
    except ScenarioError as error:
        if error.file:  # another file than this one is to blame
            raise ScenarioError(f"{error.file}: {error.problem}", path=error.path, file=str(path)) from None
        raise ScenarioError(error.problem, path=error.path, file=str(path)) from None
    return config


def to_toml(config: KmeConfig) -> str:
    """Return a configuration as TOML, defaults written out; reading it again gives an equal one."""
    return encoded(config)


def master_key(config: KmeConfig, environment: Mapping[str, str] = os.environ) -> bytes | None:
    """Return the 32 bytes that wrap the data keys at rest; None where nothing is at rest (``memory:``).

    Raises:
        ScenarioError: There is none, it is not 64 hex digits, or others may read the file.
    """
    if config.store == "memory:":
        return None
    if not config.master_key:
        return _key_in(environment.get(MASTER_KEY_VARIABLE, ""), f"the variable {MASTER_KEY_VARIABLE}")
    file = Path(config.master_key)
    if _HEX_KEY.fullmatch(file.name):
        raise ScenarioError("expected the name of a file, got what looks like the key itself", path="master_key")
    credential = Path(environment.get("CREDENTIALS_DIRECTORY", ""), "master.key")
    if "CREDENTIALS_DIRECTORY" in environment and credential.exists():
        file = credential
    check_secret(file)
    return _key_in(read_file(file).decode(errors="replace"), str(file))


def _key_in(text: str, place: str) -> bytes:
    digits = text.strip()
    if not _HEX_KEY.fullmatch(digits):
        # says nothing of what is there: it may be a key with a typing error
        raise ScenarioError(f"{place} does not hold {2 * MASTER_KEY_BYTES} hex digits", path="master_key")
    return bytes.fromhex(digits)


def _text(path: Path) -> str:
    try:
        return read_file(path).decode()
    except UnicodeDecodeError as error:
        raise ScenarioError(f"is not UTF-8: {error.reason} at byte {error.start}") from None
    except ScenarioError as error:
        raise ScenarioError(error.problem) from None


# ------------------------------------------------------------------------------------------------------ paths and files
def _resolved(config: KmeConfig, base: Path) -> KmeConfig:
    store = config.store
    if store.startswith(_SQLITE):
        store = _SQLITE + str(base / store.removeprefix(_SQLITE))
    return msgspec.structs.replace(
        config,
        store=store,
        tls=_resolved_tls(config.tls, base),
        master_key=config.master_key and str(base / config.master_key),
        vendors={name: _resolved_vendor(vendor, base) for name, vendor in config.vendors.items()},
    )


def _resolved_tls(tls: Tls, base: Path) -> Tls:
    fingerprints = {}
    for text, name in tls.fingerprints.items():
        plain = fingerprint_of(text)
        if plain is None:
            raise ScenarioError(f"expected 64 hex digits (SHA-256), got {text[:80]!r}", path="tls.fingerprints")
        fingerprints[plain] = name
    return msgspec.structs.replace(
        tls,
        ca=str(base / tls.ca),
        cert=str(base / tls.cert),
        key=str(base / tls.key),
        deny=None if tls.deny is None else str(base / tls.deny),
        fingerprints=fingerprints,
    )


def _resolved_vendor(vendor: Vendor, base: Path) -> Vendor:
    return msgspec.structs.replace(
        vendor, ca=str(base / vendor.ca), cert=str(base / vendor.cert), key=str(base / vendor.key)
    )


def _check_files(config: KmeConfig) -> None:
    users: dict[str, Tls | Vendor] = {"tls": config.tls}
    users |= {f"vendors.{name}": vendor for name, vendor in config.vendors.items()}
    for path, user in users.items():
        _named(f"{path}.ca", user.ca, secret=False)
        _named(f"{path}.cert", user.cert, secret=False)
        _named(f"{path}.key", user.key, secret=True)
    if config.tls.deny is not None:
        _named("tls.deny", config.tls.deny, secret=False)
    _check_holder(Path(config.tls.cert), config.directory.kme)
    master_key(config)
    if config.store.startswith(_SQLITE):
        folder = Path(config.store.removeprefix(_SQLITE)).parent
        if not folder.is_dir():
            raise ScenarioError(f"no such folder: {folder}", path="store")


def _named(path: str, file: str, *, secret: bool) -> None:
    try:
        read_file(Path(file))
        if secret:
            check_secret(Path(file))
    except ScenarioError as error:
        raise ScenarioError(error.problem, path=path, file=error.file) from None


def _check_holder(file: Path, kme: str) -> None:
    """Check that a certificate is this KME's; one of another PKI, which names no role, is known by its fingerprint."""
    holders, _ = holders_and_hosts(file)
    if holders and holders != {Holder("kme", kme)}:
        found = " and ".join(f"the {holder.role} {holder.name}" for holder in sorted(holders))
        raise ScenarioError(f"is a certificate of {found}, not of the kme {kme}", path="tls.cert", file=str(file))
