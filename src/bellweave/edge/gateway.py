"""What an agent must know of the IPsec gateway at its end of a tunnel: one of ours or somebody else's, all alike."""

from typing import Literal

import msgspec


class Certified(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="certificate"):
    """Base authentication by certificates.

    Attributes:
        certificate, key: Own certificate and private key, DER. Empty: the gateway has them.
        authority: Certificate of the authority that issued the other end's, DER. Empty: the gateway has it.
    """

    certificate: bytes = b""
    key: bytes = b""
    authority: bytes = b""

    def __repr__(self) -> str:
        return "<Certified>"


class Shared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="psk"):
    """Base authentication by a pre-shared key.

    Attributes:
        secret: It, 32 bytes or more. Empty: the gateway has it.
    """

    secret: bytes = b""

    def __repr__(self) -> str:
        return "<Shared>"


class Gateway(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One end of a tunnel, as strongSwan is told of it through its vici socket.

    Attributes:
        tunnel: Name of the tunnel; the connection's name at the gateway.
        side: Which end: the client starts sessions, the server answers.
        vici: Path of the daemon's vici socket.
        local, remote: Outer addresses.
        local_id, remote_id: IKE identities. With certificates: the subject or an alternative name of them.
        local_ts, remote_ts: Networks that the tunnel joins.
        mode: ``ppk`` (RFC 8784: the key enters the session keys) or ``psk`` (authentication only).
        auth: How the ends know each other, beside the key; unused with ``psk``.
        encap: ESP in UDP also without NAT; ESP in user space needs it.
        proposals, esp_proposals: Algorithms.
        log: The daemon's log, if it can be read: the end of it goes into messages.
    """

    tunnel: str
    side: Literal["client", "server"]
    vici: str
    local: str
    remote: str
    local_id: str
    remote_id: str
    local_ts: tuple[str, ...]
    remote_ts: tuple[str, ...]
    mode: Literal["ppk", "psk"] = "ppk"
    auth: Shared | Certified = Shared()
    encap: bool = True
    proposals: tuple[str, ...] = ("aes256-sha256-x25519",)
    esp_proposals: tuple[str, ...] = ("aes256gcm16",)
    log: str = ""

    def __repr__(self) -> str:
        return f"<Gateway {self.tunnel}.{self.side} {self.vici}>"
