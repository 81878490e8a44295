"""The list of certificates that are not let in any more."""

from pathlib import Path

import pytest

from bellweave.edge.deny_list import DenyList, fingerprint_of
from bellweave.edge.identity import Presented
from bellweave.errors import ScenarioError

ALICE = Presented((), (), ("alice",), serial=0x0A1B, fingerprint="ab" * 32, until_s=1e12)
BOB = Presented((), (), ("bob",), serial=0x2C, fingerprint="cd" * 32, until_s=1e12)


def quiet(words: str) -> None:
    pytest.fail(words)


def test_all_spellings_of_an_entry_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "deny.txt"
    for entry in ("ab" * 32, "AB" * 32, ":".join(["AB"] * 32), "serial:0A1B", "serial:a1b", "SERIAL: 0A:1B"):
        path.write_text(f"# lost in May\n\n  {entry}  # alice's laptop\n")
        found = DenyList(path, quiet)

        assert (found.denies(ALICE), found.denies(BOB)) == (True, False), entry


def test_a_change_holds_for_the_very_next_look(tmp_path: Path) -> None:
    path = tmp_path / "deny.txt"
    path.write_text("")
    found = DenyList(path, quiet)
    seen = [found.denies(ALICE)]
    for text in ("serial:a1b\n", "", "serial:2c\n", "serial:a1b\n"):
        path.write_text(text)
        seen.append(found.denies(ALICE))

    assert seen == [False, True, False, False, True]


def test_a_bad_line_frees_nobody_and_the_good_ones_count(tmp_path: Path) -> None:
    path, said = tmp_path / "deny.txt", list[str]()
    path.write_text("serial:a1b\n")
    found = DenyList(path, said.append)

    path.write_text("alice, please\nserial:2c\n")

    assert found.denies(ALICE)
    assert found.denies(BOB)
    (words,) = said
    assert words.startswith(f"{path}: line 1: expected a SHA-256 fingerprint in hex or serial:HEX, got 'alice, please'")


def test_a_list_that_is_gone_frees_nobody(tmp_path: Path) -> None:
    path, said = tmp_path / "deny.txt", list[str]()
    path.write_text("serial:a1b\n")
    found = DenyList(path, said.append)

    path.unlink()

    assert [found.denies(ALICE), found.denies(ALICE)] == [True, True]
    assert len(said) == 1  # not with every request
    path.write_text("serial:2c\n")
    assert not found.denies(ALICE)


def test_a_server_does_not_start_with_a_list_that_it_cant_read(tmp_path: Path) -> None:
    path = tmp_path / "deny.txt"
    with pytest.raises(ScenarioError, match="can't be read"):
        DenyList(path, quiet)
    path.write_text("serial:\n")
    with pytest.raises(ScenarioError, match="line 1: expected a SHA-256"):
        DenyList(path, quiet)


def test_a_fingerprint_has_64_digits() -> None:
    assert fingerprint_of("AB:" * 31 + "AB") == "ab" * 32
    for text in ("", "ab" * 31, "ab" * 33, "zz" * 32):
        assert fingerprint_of(text) is None
