"""A KME's configuration file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bellweave.edge.kme_config import load, master_key, to_toml
from bellweave.edge.kme_init import init
from bellweave.edge.kme_network import Network
from bellweave.errors import ScenarioError
from bellweave.kms.config import KmeConfig
from bellweave.scenario.toml import decoded
from bellweave.testing.certificates import Pki

NETWORK = Network(
    kmes={"kme-a": "127.0.0.1", "kme-b": "127.0.0.1"},
    saes={"alice": "kme-a", "bob": "kme-b"},
    devices={"qkd-1": ("kme-a", "kme-b")},
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of a KME; making them takes longer than copying them."""
    folder = tmp_path_factory.mktemp("template") / "net"
    path = init(folder, NETWORK)["kme-a"]
    return {each.name: each.read_bytes() for each in path.parent.iterdir()}


@pytest.fixture
def path(template: dict[str, bytes], tmp_path: Path) -> Path:
    for name, content in template.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    return tmp_path / "kme.toml"


def edited(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_paths_are_absolute_once_a_file_is_read(path: Path) -> None:
    config = load(path)

    base = path.parent
    assert (config.tls.ca, config.tls.key) == (str(base / "ca.crt"), str(base / "kme.key"))
    assert (config.tls.deny, config.master_key) == (str(base / "deny.txt"), str(base / "master.key"))
    assert config.store == f"sqlite:///{base / 'kme.db'}"


def test_a_path_may_be_relative_to_the_working_directory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent.parent)

    config = load(Path(path.parent.name, "kme.toml"))

    assert Path(config.tls.ca).is_absolute()
    assert config == load(path)


def test_what_was_written_reads_back_as_the_same(path: Path) -> None:
    config = load(path)

    assert decoded(to_toml(config), KmeConfig) == config


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("[limits]", "[limit]", "unknown key `limit`, did you mean `limits`?"),
        ("body_bytes", "body_byte", "limits: unknown key `body_byte`, did you mean `body_bytes`?"),
        ("handshakes = 8", "handshakes = 0", "limits.handshakes: expected `int` >= 1, got 0"),
        ('log = "text"', 'log = "xml"', "log: Invalid enum value 'xml'"),
        ('least_version = "1.2"', 'least_version = "1.1"', "tls.least_version:"),
        ("[tls]", "[tls", "is no TOML"),
        ('ca = "ca.crt"\n', "", "tls: missing key `ca`"),
        ('ca = "ca.crt"', 'ca = "no.crt"', "tls.ca: {base}/no.crt: can't be read: No such file"),
        ('deny = "deny.txt"', 'deny = "no.txt"', "tls.deny: {base}/no.txt: can't be read"),
        ('cert = "kme.crt"', 'cert = "master.key"', "{base}/master.key: is no certificate in PEM"),
        ('master_key = "master.key"', 'master_key = "no.key"', "{base}/no.key: can't be read"),
        ('"sqlite:///kme.db"', '"sqlite:///no/kme.db"', "store: no such folder: {base}/no"),
        ('kme = "kme-a"', 'kme = "kme-c"', "directory.saes.alice: no such KME: 'kme-a'; there are kme-b, kme-c"),
        ("[tls.fingerprints]", '[tls.fingerprints]\n"AB:CD" = "alice"', "tls.fingerprints: expected 64 hex digits"),
    ],
)
def test_what_is_wrong_is_named_with_file_path_value_and_limit(path: Path, old: str, new: str, problem: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        load(edited(path, old, new))

    assert str(refused.value).startswith(f"{path}: ")
    assert problem.format(base=path.parent) in str(refused.value)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"no\.toml: can't be read: No such file"):
        load(tmp_path / "no.toml")
    (tmp_path / "x.toml").write_bytes(b"\xff")
    with pytest.raises(ScenarioError, match=r"x\.toml: is not UTF-8: invalid start byte at byte 0"):
        load(tmp_path / "x.toml")


@pytest.mark.parametrize("name", ["kme.key", "master.key"])
def test_secrets_that_others_can_read_are_refused(path: Path, name: str) -> None:
    (path.parent / name).chmod(0o644)

    with pytest.raises(ScenarioError, match="has mode 0644: others may read or change it; chmod 600 it"):
        load(path)


def test_a_password_makes_the_file_itself_a_secret(path: Path) -> None:
    edited(path, "sqlite:///kme.db", "postgresql+psycopg://kme:hidden@db/kme").chmod(0o644)

    with pytest.raises(ScenarioError, match=r"kme\.toml: has mode 0644") as refused:
        load(path)
    assert "hidden" not in str(refused.value)
    path.chmod(0o600)
    assert load(path).store == "postgresql+psycopg://kme:hidden@db/kme"


def test_the_certificate_of_an_sae_or_of_another_kme_is_refused(path: Path, tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    for files, holder in ((pki.kme("kme-b"), "kme kme-b"), (pki.sae("kme-a"), "sae kme-a")):
        (path.parent / "kme.crt").write_bytes(files.cert.read_bytes())

        with pytest.raises(ScenarioError, match=f"is a certificate of the {holder}, not of the kme kme-a"):
            load(path)


def test_a_certificate_of_another_pki_passes_and_fingerprints_are_read_in_any_spelling(
    path: Path, tmp_path: Path
) -> None:
    (path.parent / "kme.crt").write_bytes(Pki(tmp_path / "pki").odd("kme", common_names=["x"]).cert.read_bytes())
    spelled = ":".join(["AB"] * 32)
    edited(path, "[tls.fingerprints]", f'[tls.fingerprints]\n"{spelled}" = "urn:bellweave:kme:kme-b"')

    assert load(path).tls.fingerprints == {"ab" * 32: "urn:bellweave:kme:kme-b"}


def test_a_vendors_files_are_looked_at_too(path: Path) -> None:
    vendor = (
        '[vendors.box]\npeer = "kme-b"\nurl = "https://box"\nslave = "x"\nca = "ca.crt"\ncert = "kme.crt"\nkey = "no"'
    )
    edited(path, "[vendors]", vendor)
    with pytest.raises(ScenarioError, match=r"vendors\.box\.key: .*/no: can't be read"):
        load(path)

    edited(path, 'key = "no"', 'key = "kme.key"')
    assert load(path).vendors["box"].key == str(path.parent / "kme.key")


# ------------------------------------------------------------------------------------------------------- the master key
def settings(path: Path, **changes: Any) -> KmeConfig:
    return msgspec.structs.replace(load(path), **changes)


def test_the_master_key_is_in_the_file(path: Path) -> None:
    key = master_key(load(path), {})

    assert key is not None
    assert key.hex() == (path.parent / "master.key").read_text().strip()


def test_a_credential_of_systemd_comes_before_the_file(path: Path, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert master_key(load(path), environment) == master_key(load(path), {})

    credential = credentials / "master.key"
    credential.write_text("ab" * 32)
    credential.chmod(0o440)  # as systemd sets it

    assert master_key(load(path), environment) == bytes.fromhex("ab" * 32)


def test_the_environment_holds_it_where_no_file_is_named(path: Path) -> None:
    config = settings(path, master_key="")

    assert master_key(config, {"BELLWEAVE_MASTER_KEY": "AB" * 32}) == bytes.fromhex("ab" * 32)
    with pytest.raises(ScenarioError, match="the variable BELLWEAVE_MASTER_KEY does not hold 64 hex digits"):
        master_key(config, {})


def test_in_memory_nothing_is_wrapped(path: Path) -> None:
    (path.parent / "master.key").unlink()

    assert master_key(load(edited(path, "sqlite:///kme.db", "memory:"))) is None


def too_short(path: Path) -> None:
    (path.parent / "master.key").write_text("5ec7e7" * 10)


def with_a_typing_error(path: Path) -> None:
    (path.parent / "master.key").write_text("5ec7e7" * 10 + "x123")


def in_the_wrong_place(path: Path) -> None:
    edited(path, 'master_key = "master.key"', f'master_key = "{"5ec7e7e7" * 8}"')


@pytest.mark.parametrize("spoil", [too_short, with_a_typing_error, in_the_wrong_place])
def test_a_bad_master_key_is_refused_and_not_shown(path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(path)

    with pytest.raises(ScenarioError, match="master_key: ") as refused:
        load(path)
    assert "5ec7e7" not in str(refused.value)
