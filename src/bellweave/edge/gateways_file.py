"""A file that names gateways of somebody else's: strongSwan daemons that agents drive instead of ones of their own.

It is TOML, a table for each tunnel end that is to be driven; files that it names are relative to it::

    [tunnel.t1.client]
    vici = "/run/strongswan/charon.vici"  # the daemon's socket; over the network: forward it with ssh -L
    local = "192.0.2.1"  # outer addresses
    remote = "192.0.2.2"
    local_id = "gw-a.example"  # IKE identities
    remote_id = "gw-b.example"
    local_ts = ["10.1.0.0/16"]  # what the tunnel joins
    remote_ts = ["10.2.0.0/16"]
    psk = "base.psk"  # or certificate, key and authority, PEM; none: the gateway has it
    encap = false  # ESP in UDP also without NAT
    proposals = ["aes256-sha256-x25519"]
    esp_proposals = ["aes256gcm16"]

Rules:

1. Every refusal names the file, the path and the value. Files with a secret must be for their owner's eyes.
2. A tunnel's two ends, where both are in the file, must fit: identities and networks are each other's.
3. The daemon needs ``reuse_ikesa = no`` and, to refuse a key that it lacks at once, ``half_open_timeout = 3``.
"""

import ipaddress
import re
import stat
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bellweave.edge.files import check_secret, read_file
from bellweave.edge.gateway import Certified, Gateway, Shared
from bellweave.errors import ScenarioError
from bellweave.params import Params
from bellweave.scenario.toml import decoded

Side = Literal["client", "server"]
Gateways = dict[tuple[str, Side], Gateway]


class End(Params, frozen=True, kw_only=True):
    """One end of a tunnel.

    Attributes:
        vici: Path of the daemon's vici socket.
        local, remote: Outer addresses.
        local_id, remote_id: IKE identities.
        local_ts, remote_ts: Networks that the tunnel joins.
        psk: File with the base pre-shared key, as strongSwan writes it: text, ``0x`` and hex, or ``0s`` and base64.
        certificate, key, authority: PEM files.
        encap: ESP in UDP also without NAT.
        proposals, esp_proposals: Algorithms, in strongSwan's words.
        log: The daemon's log, if it can be read.
    """

    vici: str
    local: str
    remote: str
    local_id: str
    remote_id: str
    local_ts: tuple[str, ...]
    remote_ts: tuple[str, ...]
    psk: str | None = None
    certificate: str | None = None
    key: str | None = None
    authority: str | None = None
    encap: bool = False
    proposals: tuple[str, ...] = ("aes256-sha256-x25519",)
    esp_proposals: tuple[str, ...] = ("aes256gcm16",)
    log: str = ""


class Ends(Params, frozen=True, kw_only=True):
    """A tunnel's ends; one that is not there is driven by somebody else."""

    client: End | None = None
    server: End | None = None


class GatewaysFile(Params, frozen=True, kw_only=True):
    """The whole file."""

    tunnel: dict[str, Ends]


def load(path: Path) -> Gateways:
    """Return the gateways in a file, by tunnel and side; ``mode`` is left to the scenario.

    Raises:
        ScenarioError: It, or a file that it names, can't be used.
    """
    try:
        found = decoded(read_file(path).decode(), GatewaysFile)
        gateways: Gateways = {}
        for name, ends in found.tunnel.items():
            sides: dict[Side, End | None] = {"client": ends.client, "server": ends.server}
            for side, end in sides.items():
                if end is not None:
                    gateways[name, side] = _gateway(name, side, end, path.parent.absolute())
            _check_fit(name, ends)
    except UnicodeDecodeError as error:
        raise ScenarioError(f"is not UTF-8: {error.reason} at byte {error.start}", file=str(path)) from None
    except ScenarioError as error:
        if error.file not in {"", str(path)}:  # another file than this one is to blame
            raise ScenarioError(f"{error.file}: {error.problem}", path=error.path, file=str(path)) from None
        raise ScenarioError(error.problem, path=error.path, file=str(path)) from None
    if not gateways:
        raise ScenarioError("names no gateway", path="tunnel", file=str(path))
    return gateways


def _gateway(tunnel: str, side: Side, end: End, base: Path) -> Gateway:
    where = f"tunnel.{tunnel}.{side}"
    for name, address in (("local", end.local), ("remote", end.remote)):
        _check(ipaddress.ip_address, address, f"{where}.{name}", "an address")
    for name, networks in (("local_ts", end.local_ts), ("remote_ts", end.remote_ts)):
        if not networks:
            raise ScenarioError("expected one network or more", path=f"{where}.{name}")
        for number, network in enumerate(networks):
            _check(ipaddress.ip_network, network, f"{where}.{name}[{number}]", "a network")
    vici = base / end.vici
    try:
        is_socket = stat.S_ISSOCK(vici.stat().st_mode)
    except OSError as error:
        raise ScenarioError(f"{vici} can't be used: {error.strerror}", path=f"{where}.vici") from None
    if not is_socket:
        raise ScenarioError(f"{vici} is no socket", path=f"{where}.vici")
    return Gateway(
        tunnel=tunnel, side=side, vici=str(vici), local=end.local, remote=end.remote, local_id=end.local_id,
        remote_id=end.remote_id, local_ts=end.local_ts, remote_ts=end.remote_ts, auth=_auth(end, base, where),
        encap=end.encap, proposals=end.proposals, esp_proposals=end.esp_proposals,
        log=str(base / end.log) if end.log else "",
    )  # fmt: skip


def _check(reads: Callable[[str], object], value: str, path: str, what: str) -> None:
    try:
        reads(value)
    except ValueError as error:
        raise ScenarioError(f"expected {what}, got {value!r}: {error}", path=path) from None


def _check_fit(tunnel: str, ends: Ends) -> None:
    """Check that two ends are each other's."""
    if ends.client is None or ends.server is None:
        return
    for mine, others in (("local", "remote"), ("remote", "local")):
        for what in ("id", "ts"):
            here, there = getattr(ends.client, f"{mine}_{what}"), getattr(ends.server, f"{others}_{what}")
            if here != there:
                path = f"tunnel.{tunnel}.server.{others}_{what}"
                raise ScenarioError(f"expected {here!r}, the client's {mine}_{what}, got {there!r}", path=path)


# ------------------------------------------------------------------------------------------------- base authentication
def _auth(end: End, base: Path, where: str) -> Shared | Certified:
    names = [name for name in ("certificate", "key", "authority") if getattr(end, name) is not None]
    if end.psk is not None and names:
        raise ScenarioError(f"expected either psk or {', '.join(names)}, got both", path=f"{where}.psk")
    if end.key is not None and end.certificate is None:
        raise ScenarioError("expected the certificate of this key", path=f"{where}.certificate")
    try:
        if not names:
            return Shared(secret=b"" if end.psk is None else _psk(base / end.psk))
        return Certified(
            certificate=b"" if end.certificate is None else _certificate(base / end.certificate),
            key=b"" if end.key is None else _private_key(base / end.key),
            authority=b"" if end.authority is None else _certificate(base / end.authority),
        )
    except ScenarioError as error:
        raise ScenarioError(error.problem, path=where, file=error.file) from None


def _psk(path: Path) -> bytes:
    check_secret(path)
    text = read_file(path).strip()
    try:
        if re.fullmatch(rb"0x[0-9a-fA-F]+", text):
            return bytes.fromhex(text[2:].decode())
        return b64decode(text[2:], validate=True) if text.startswith(b"0s") else text
    except ValueError:
        # says nothing of what is there: it may be a key with a typing error
        raise ScenarioError("holds no whole bytes after 0x or 0s", file=str(path)) from None


def _certificate(path: Path) -> bytes:
    try:
        return x509.load_pem_x509_certificate(read_file(path)).public_bytes(Encoding.DER)
    except ValueError:
        raise ScenarioError("is no certificate", file=str(path)) from None


def _private_key(path: Path) -> bytes:
    check_secret(path)
    try:
        key = load_pem_private_key(read_file(path), None)
    except (ValueError, TypeError):
        raise ScenarioError("is no private key without a password", file=str(path)) from None
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def with_mode(gateways: Gateways, modes: dict[str, Literal["ppk", "psk"]]) -> Gateways:
    """Return the gateways with each tunnel's mode, as the scenario has it."""
    return {end: msgspec.structs.replace(gateway, mode=modes[end[0]]) for end, gateway in gateways.items()}
