import json
import secrets
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bellweave.edge.gateway import Certified, Shared
from bellweave.edge.gateways_file import load
from bellweave.edge.ipsec_channel import IpsecChannel
from bellweave.edge.pki import Authority
from bellweave.errors import ScenarioError
from bellweave.testing.strongswan import lab

CLIENT: dict[str, object] = {
    "vici": "a.vici", "local": "192.0.2.1", "remote": "192.0.2.2", "local_id": "a", "remote_id": "b",
    "local_ts": ["10.1.0.0/16"], "remote_ts": ["10.2.0.0/16"],
}  # fmt: skip
SERVER: dict[str, object] = {
    "vici": "b.vici", "local": "192.0.2.2", "remote": "192.0.2.1", "local_id": "b", "remote_id": "a",
    "local_ts": ["10.2.0.0/16"], "remote_ts": ["10.1.0.0/16"],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as a, socket.socket(socket.AF_UNIX) as b:
        for each, name in ((a, "a.vici"), (b, "b.vici")):
            each.bind(str(tmp_path / name))
        yield tmp_path


def written(folder: Path, **tables: dict[str, object]) -> Path:
    lines: list[str] = []
    for side, table in tables.items():
        lines.append(f"[tunnel.t1.{side}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    path = folder / "gateways.toml"
    path.write_text("\n".join(lines))
    return path


def test_both_ends_of_a_tunnel_are_read(folder: Path) -> None:
    (folder / "base.psk").write_text("0x" + "5a" * 32 + "\n")
    (folder / "base.psk").chmod(0o600)

    found = load(written(folder, client=CLIENT | {"psk": "base.psk"}, server=SERVER))

    client, server = found["t1", "client"], found["t1", "server"]
    assert client.vici == str(folder / "a.vici")
    assert client.auth == Shared(secret=b"\x5a" * 32)
    assert server.auth == Shared()  # the gateway has it
    assert (server.local_id, server.remote_ts, server.encap) == ("b", ("10.1.0.0/16",), False)
    assert "5a5a" not in repr(found)


def test_certificates_become_der(folder: Path) -> None:
    authority = Authority.created()
    authority.issue("sae", "gw-a").write(folder / "a.crt", folder / "a.key")
    (folder / "ca.crt").write_bytes(authority.own().certificate)
    named = {"certificate": "a.crt", "key": "a.key", "authority": "ca.crt"}

    auth = load(written(folder, client=CLIENT | named))["t1", "client"].auth

    assert isinstance(auth, Certified)
    assert all(der[0] == 0x30 for der in (auth.certificate, auth.key, auth.authority))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"local": "192.0.2.300"}, r"tunnel\.t1\.client\.local: expected an address, got '192\.0\.2\.300'"),
        ({"local_ts": ["10.1.0.1/16"]}, r"tunnel\.t1\.client\.local_ts\[0\]: expected a network, got '10\.1\.0\.1/16'"),
        ({"remote_ts": []}, r"tunnel\.t1\.client\.remote_ts: expected one network or more"),
        ({"vici": "none"}, r"tunnel\.t1\.client\.vici: .*none can't be used: No such file"),
        ({"vici": "gateways.toml"}, r"tunnel\.t1\.client\.vici: .*is no socket"),
        ({"local_tss": ["10.1.0.0/16"]}, r"tunnel\.t1\.client: unknown key `local_tss`, did you mean `local_ts`"),
        ({"encap": "yes"}, r"tunnel\.t1\.client\.encap: expected `bool`"),
        ({"psk": "none"}, r"tunnel\.t1\.client: .*none: can't be read"),
        ({"psk": "open.psk"}, r"tunnel\.t1\.client: .*open\.psk: has mode 0644"),
        ({"psk": "odd.psk"}, r"tunnel\.t1\.client: .*odd\.psk: holds no whole bytes"),
        ({"key": "a.key"}, r"tunnel\.t1\.client\.certificate: expected the certificate of this key"),
        ({"certificate": "open.psk"}, r"tunnel\.t1\.client: .*open\.psk: is no certificate"),
        ({"psk": "odd.psk", "key": "a.key"}, r"tunnel\.t1\.client\.psk: expected either psk or key, got both"),
        ({"remote_id": "c"}, r"tunnel\.t1\.server\.local_id: expected 'c', the client's remote_id, got 'b'"),
        ({"local_ts": ["10.3.0.0/16"]}, r"tunnel\.t1\.server\.remote_ts: expected \('10\.3\.0\.0/16',\)"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(folder: Path, change: dict[str, object], words: str) -> None:
    (folder / "open.psk").write_text("secret")
    (folder / "open.psk").chmod(0o644)
    (folder / "odd.psk").write_text("0x5a5")
    (folder / "odd.psk").chmod(0o600)

    with pytest.raises(ScenarioError, match=words) as refused:
        load(written(folder, client=CLIENT | change, server=SERVER))
    assert str(refused.value).startswith(str(folder / "gateways.toml"))


def test_a_file_without_gateways_is_refused(folder: Path) -> None:
    with pytest.raises(ScenarioError, match="names no gateway"):
        load(raw(folder, "[tunnel]"))
    with pytest.raises(ScenarioError, match="is no TOML"):
        load(raw(folder, "tunnel = "))
    with pytest.raises(ScenarioError, match="is not UTF-8"):
        load(raw(folder, b"\xff"))


def raw(folder: Path, text: str | bytes) -> Path:
    path = folder / "gateways.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.emu
async def test_gateways_of_a_file_are_driven_like_our_own(tmp_path: Path) -> None:
    async with lab(tmp_path, {"t1": ("alice", "bob")}) as lab_:
        tables: dict[str, dict[str, object]] = {}
        (tmp_path / "base.psk").write_text("a base secret of the two gateways")
        (tmp_path / "base.psk").chmod(0o600)
        for side in ("client", "server"):
            own = lab_.network.gateway("t1", side, Shared())
            tables[side] = {
                "vici": own.vici, "local": own.local, "remote": own.remote, "encap": True, "psk": "base.psk",
                "local_id": own.local_id, "remote_id": own.remote_id,
                "local_ts": list(own.local_ts), "remote_ts": list(own.remote_ts),
            }  # fmt: skip
            await lab_.channel("t1", side).close()
        lab_.channels = {end: IpsecChannel(gateway) for end, gateway in load(written(tmp_path, **tables)).items()}
        for channel in lab_.channels.values():
            await channel.start()

        key_id = str(uuid.uuid4())
        await lab_.refresh("t1", key_id, secrets.token_bytes(32))

        assert await lab_.channel("t1", "server").in_use() == key_id
        assert await lab_.ping("t1") == 3
