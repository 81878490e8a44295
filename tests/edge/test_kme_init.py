"""The files of a new network."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from bellweave.edge.identity import Holder
from bellweave.edge.kme_config import load, master_key
from bellweave.edge.kme_init import add, init, renew
from bellweave.edge.kme_network import Network, Ports
from bellweave.edge.pki import holders_and_hosts
from bellweave.edge.tls import client_context
from bellweave.errors import ScenarioError
from bellweave.kms.params import Kms

NETWORK = Network(
    kmes={"kme-a": "127.0.0.1", "kme-b": "kme-b.example"},
    saes={"alice": "kme-a", "bob/../1": "kme-b"},
    devices={"qkd-1": ("kme-a", "kme-b")},
)


def test_everything_is_there_and_can_be_read(tmp_path: Path) -> None:
    made = init(tmp_path / "net", NETWORK)

    assert made == {kme: tmp_path / "net" / kme / "kme.toml" for kme in NETWORK.kmes}
    assert sorted(str(path.relative_to(tmp_path / "net")) for path in (tmp_path / "net").rglob("*.*")) == sorted([
        "README.txt", "ca.crt", "ca.key", "alice.crt", "alice.key", "bob%2F..%2F1.crt", "bob%2F..%2F1.key",
        "qkd-1.crt", "qkd-1.key", "kme-a/bellweave-kme-a.service", "kme-b/bellweave-kme-b.service",
        *(
            f"{kme}/{name}"
            for kme in NETWORK.kmes
            for name in ("kme.toml", "ca.crt", "kme.crt", "kme.key", "master.key", "deny.txt")
        ),
    ])  # fmt: skip
    configs = [load(path) for path in made.values()]
    assert [config.devices for config in configs] == [{"qkd-1": "kme-b"}, {}]
    keys = {master_key(config, {}) for config in configs}
    assert len(keys) == 2
    assert None not in keys


def test_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    init(tmp_path / "net", NETWORK, p12_password="secret")

    for path in (tmp_path / "net").rglob("*"):
        mode = path.stat().st_mode & 0o777
        if path.is_dir():
            assert mode == 0o700, path
        elif path.suffix in {".key", ".p12", ".toml"}:
            assert mode == 0o600, path
    assert "secret" not in (tmp_path / "net" / "README.txt").read_text()


def test_certificates_name_their_holders_and_verify_by_another_implementation_too(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    init(folder, NETWORK)

    for name, holder in (
        ("alice.crt", Holder("sae", "alice")),
        ("bob%2F..%2F1.crt", Holder("sae", "bob/../1")),
        ("qkd-1.crt", Holder("device", "qkd-1")),
        ("kme-b/kme.crt", Holder("kme", "kme-b")),
    ):
        holders, hosts = holders_and_hosts(folder / name)
        assert holders == {holder}
        assert ("kme-b.example" in hosts) == (holder.role == "kme")
        verify = ["openssl", "verify", "-x509_strict", "-CAfile", str(folder / "ca.crt"), str(folder / name)]
        assert subprocess.run(verify, check=False, capture_output=True).returncode == 0


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    init(tmp_path, Network(kmes={"kme-a": "127.0.0.1"}))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}

    with pytest.raises(ScenarioError, match=r"ca\.crt: is there already; a new network goes into a new folder"):
        init(tmp_path, Network(kmes={"kme-a": "127.0.0.1"}))
    (tmp_path / "ca.crt").rename(tmp_path / "kept")
    (tmp_path / "ca.key").unlink()
    with pytest.raises(ScenarioError, match="kme-a: is there already"):
        init(tmp_path, Network(kmes={"kme-a": "127.0.0.1"}))

    (tmp_path / "kept").rename(tmp_path / "ca.crt")
    del before[tmp_path / "ca.key"]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


@pytest.mark.parametrize(
    ("network", "problem"),
    [
        (Network(kmes={"k": "h"}, saes={"ca": "k"}), "the sae ca and the authority would have the same file, ca.crt"),
        (Network(kmes={"k": "h"}, saes={"Bob": "k", "bob": "k"}), "the sae bob and the sae Bob would have the same"),
        (
            Network(kmes={"k": "h", "l": "h"}, saes={"q": "k"}, devices={"q": ("k", "l")}),
            "the device q and the sae q would have the same file",
        ),
        (Network(kmes={"k": "h"}, saes={"q": "x"}), "SAE q: no such KME: 'x'"),
    ],
)
def test_what_is_refused_leaves_no_files(tmp_path: Path, network: Network, problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem):
        init(tmp_path / "net", network)

    assert not (tmp_path / "net").exists()


def test_ports_store_sizes_and_the_command_are_the_callers(tmp_path: Path) -> None:
    made = init(
        tmp_path, NETWORK, ports=Ports(etsi014=443, skip=None), kms=Kms(key_size_bits=512), command="/opt/bellweave",
        store={"kme-a": "memory:", "kme-b": "sqlite:///b.db"},
    )  # fmt: skip

    first, second = map(load, made.values())
    assert first.etsi014 is not None
    assert (first.etsi014.listen, first.skip, first.kms.key_size_bits) == ("127.0.0.1:443", None, 512)
    assert (first.store, second.store) == ("memory:", f"sqlite:///{tmp_path / 'kme-b' / 'b.db'}")
    unit = (tmp_path / "kme-a" / "bellweave-kme-a.service").read_text()
    assert "ExecStart=/opt/bellweave kms serve --config /var/lib/bellweave/kme-a/kme.toml\n" in unit


def test_renewal_gives_every_leaf_a_new_key_and_leaves_the_rest(tmp_path: Path) -> None:
    made = init(tmp_path, NETWORK)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}

    renewed = renew(tmp_path, days=30)

    assert {path.relative_to(tmp_path).as_posix() for path in renewed} == {
        "alice.crt", "bob%2F..%2F1.crt", "qkd-1.crt", "kme-a/kme.crt", "kme-b/kme.crt",
    }  # fmt: skip
    changed = {path for path, content in before.items() if path.read_bytes() != content}
    assert changed == {each for path in renewed for each in (path, path.with_suffix(".key"))}
    assert holders_and_hosts(tmp_path / "kme-b" / "kme.crt")[1] == ["kme-b.example", "localhost", "127.0.0.1", "::1"]
    for path in made.values():
        load(path)


def test_renewal_touches_no_certificate_that_was_not_made_here(tmp_path: Path) -> None:
    init(tmp_path, NETWORK)
    shutil.copy(tmp_path / "ca.crt", tmp_path / "other.crt")

    with pytest.raises(ScenarioError, match=r"other\.crt: names 0 holders; only what was made here is renewed"):
        renew(tmp_path)


def test_an_sae_can_be_added_later(tmp_path: Path) -> None:
    init(tmp_path, NETWORK)

    path = add(tmp_path, "sae", "carol")

    assert holders_and_hosts(path) == (frozenset({Holder("sae", "carol")}), [])
    client_context(tmp_path / "ca.crt", path, path.with_suffix(".key"))
    with pytest.raises(ScenarioError, match=r"carol\.crt: is there already"):
        add(tmp_path, "sae", "carol")


def test_the_authority_can_be_kept_elsewhere_once_its_work_is_done(tmp_path: Path) -> None:
    made = init(tmp_path, NETWORK)
    (tmp_path / "ca.key").unlink()

    assert load(made["kme-a"]).directory.kme == "kme-a"
    with pytest.raises(ScenarioError, match=r"ca\.key: can't be read"):
        renew(tmp_path)


def test_pkcs12_files_are_made_for_saes_where_a_password_is_given(tmp_path: Path) -> None:
    init(tmp_path, NETWORK, p12_password="secret")

    assert {path.stem for path in tmp_path.rglob("*.p12")} == {"alice", "bob%2F..%2F1"}
    read = ["openssl", "pkcs12", "-in", str(tmp_path / "alice.p12"), "-nodes", "-passin", "pass:secret"]
    text = subprocess.run(read, check=True, capture_output=True, text=True).stdout
    (tmp_path / "both.pem").write_text(text)
    ssl.create_default_context(cafile=tmp_path / "ca.crt").load_cert_chain(tmp_path / "both.pem")


def test_the_readme_says_what_goes_where(tmp_path: Path) -> None:
    init(tmp_path, NETWORK)

    text = (tmp_path / "README.txt").read_text()
    for line in (
        "    127.0.0.1: the folder kme-a/\n",
        "    kme-b.example: the folder kme-b/\n",
        "    the machine of SAE alice (asks kme-a): alice.crt, alice.key, ca.crt\n",
        "    the QKD device qkd-1 (pushes to kme-a, link with kme-b): qkd-1.crt, qkd-1.key, ca.crt\n",
        "    install -m 600 kme-a/master.key /etc/bellweave/kme-a.master.key && rm kme-a/master.key\n",
    ):
        assert line in text
    assert "{" not in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    init(tmp_path, NETWORK)
    unit = tmp_path / "kme-a" / "bellweave-kme-a.service"

    understood = subprocess.run(["systemd-analyze", "verify", unit], check=False, capture_output=True, text=True)
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit],
        check=False, capture_output=True, text=True,
    )  # fmt: skip

    assert (understood.returncode, understood.stderr) == (0, "")
    assert rated.returncode == 0, rated.stdout[-300:]  # exposure of 2.0 at most, of 10
