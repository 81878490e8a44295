import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bellweave.edge import doctor
from bellweave.edge.doctor import Findings, examine
from bellweave.testing.strongswan import require_strongswan
from bellweave.testing.system import program

EVERYTHING = {"namespaces", "strongswan", "veth", "bridge", "tun", "netem", "tbf"}


def here(monkeypatch: pytest.MonkeyPatch, worked: set[str], complaint: str = "") -> Findings:
    monkeypatch.setattr(doctor, "_tried", lambda: (worked, complaint))
    return examine()


@pytest.mark.emu
def test_ipsec_is_chosen_where_strongswan_is_installed() -> None:
    require_strongswan()

    found = examine()

    assert found.channel == "ipsec"
    assert found.missing("ipsec") == []


@pytest.mark.emu
def test_the_command_answers_in_json_and_words_within_a_second() -> None:
    require_strongswan()
    program("unshare", "util-linux")
    as_json, *took_s = run("--json")
    in_words, again_s = run()
    took_s.append(again_s)

    assert as_json.returncode == in_words.returncode == 0
    assert msgspec.json.decode(as_json.stdout, type=Findings) == examine()
    assert "Tunnels here: ipsec" in in_words.stdout
    assert min(took_s) < 1.0


def run(*options: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Return what the command did and the processor time it took: the machine may be busy with other tests."""
    timed = (
        "import os, subprocess, sys\n"
        "rc = subprocess.run(sys.argv[1:]).returncode\n"
        "took = os.times()\n"
        "print(took.children_user + took.children_system, file=sys.stderr)\n"
        "sys.exit(rc)\n"
    )
    command = [sys.executable, "-m", "bellweave", "doctor", *options]
    done = subprocess.run(
        [sys.executable, "-c", timed, *command], capture_output=True, text=True, timeout=60, check=False
    )
    return done, float(done.stderr.split()[-1])


def test_without_namespaces_aead_is_chosen_and_the_cure_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = here(monkeypatch, set(), "users may not make namespaces: as root, sysctl -w x=1, or run as root")

    assert found.channel == "aead"
    assert found.aead
    assert not found.ipsec
    assert any("sysctl -w x=1" in check.cure for check in found.missing("ipsec"))


def test_without_a_program_or_a_plugin_its_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "DAEMON_PATHS", (str(tmp_path / "none"),))
    monkeypatch.setattr(doctor, "PLUGIN_FOLDERS", (str(tmp_path),))

    found = here(monkeypatch, EVERYTHING)

    cures = " ".join(check.cure for check in found.missing("ipsec"))
    for package in (
        "charon-systemd",
        "strongswan-swanctl",
        "libcharon-extra-plugins",
        "libstrongswan-standard-plugins",
    ):
        assert package in cures


def test_a_tun_device_is_needed_only_where_the_kernel_has_no_esp(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "TUN", tmp_path / "tun")

    without = here(monkeypatch, EVERYTHING - {"tun"})
    with_esp = here(monkeypatch, EVERYTHING - {"tun"} | {"esp"})

    assert [check.name for check in without.missing("ipsec") if check.name == "ESP"] == ["ESP"]
    assert "modprobe tun (a container: --device /dev/net/tun)" in [check.cure for check in without.missing("ipsec")]
    assert with_esp.kernel_esp
    assert [check.name for check in with_esp.missing("ipsec") if "libipsec" in check.name or check.name == "ESP"] == []


def test_a_daemon_that_does_not_start_keeps_ipsec_from_running(monkeypatch: pytest.MonkeyPatch) -> None:
    found = here(monkeypatch, EVERYTHING - {"strongswan"})

    assert found.channel == "aead"
    assert any("aa-complain" in check.cure for check in found.missing("ipsec"))


def test_a_lean_kernel_keeps_nothing_from_running(monkeypatch: pytest.MonkeyPatch) -> None:
    rich = here(monkeypatch, EVERYTHING)
    lean = here(monkeypatch, EVERYTHING - {"netem", "tbf"})

    assert lean.channel == rich.channel
    assert {check.name for check in lean.checks if not check.ok} - {check.name for check in rich.checks if not check.ok}


def test_without_cryptography_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    found = here(monkeypatch, EVERYTHING)

    assert found.channel is None
    assert {check.cure for check in found.missing("aead")} == {"pip install cryptography"}
