"""A test that can't have what it needs says so; where nobody reads that it fails."""

from pathlib import Path

import pytest

from bellweave.testing import system


def test_a_program_is_found_where_its_package_puts_it_before_the_path(tmp_path: Path) -> None:
    for version in ("14", "15"):
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        (folder / "sh").touch()

    assert system.program("sh", "dash", [f"{tmp_path}/*/bin"]) == tmp_path / "15" / "bin" / "sh"
    assert system.program("sh", "dash").name == "sh"


def test_what_is_missing_skips_the_test_and_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with pytest.raises(pytest.skip.Exception, match=r"no-such-program is not there; .* make system .* install nothing"):
        system.program("no-such-program", "nothing")


def test_in_ci_what_is_missing_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="strongSwan is not there; to run this test: make system"):
        system.missing("strongSwan", "make system")


def test_root_installs_the_package_and_then_has_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed: list[str] = []

    def install(package: str) -> None:
        installed.append(package)
        (tmp_path / "no-such-program").touch()

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    monkeypatch.setattr(system, "_install", install)

    assert system.program("no-such-program", "its-package", [str(tmp_path)]) == tmp_path / "no-such-program"
    assert installed == ["its-package"]
