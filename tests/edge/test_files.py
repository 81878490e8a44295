"""Files that are there as a whole or not at all."""

import os
from pathlib import Path

import pytest

from bellweave.edge.files import check_secret, new_folder, read_file, stamp, write_whole
from bellweave.errors import ScenarioError


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_secret_is_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        write_whole(tmp_path / "key", b"secret")
        new_folder(tmp_path / "folder" / "inner")
    finally:
        os.umask(old)

    assert mode(tmp_path / "key") == 0o600
    assert mode(tmp_path / "folder" / "inner") == 0o700


def test_a_replaced_file_takes_the_new_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"long old content")
    path.chmod(0o644)
    (tmp_path / "key.part").write_bytes(b"what a crash left")

    write_whole(path, b"new")

    assert (path.read_bytes(), mode(path), list(tmp_path.iterdir())) == (b"new", 0o600, [path])


@pytest.mark.parametrize("bad", [0o644, 0o604, 0o620, 0o660])
def test_a_secret_that_others_can_read_or_the_group_can_change_is_refused(tmp_path: Path, bad: int) -> None:
    path = tmp_path / "key"
    write_whole(path, b"secret")
    path.chmod(bad)

    with pytest.raises(ScenarioError, match=rf"key: has mode {bad:04o}: others may read or change it"):
        check_secret(path)


@pytest.mark.parametrize("good", [0o600, 0o400, 0o440, 0o640])
def test_a_secret_that_the_group_can_read_is_accepted(tmp_path: Path, good: int) -> None:
    path = tmp_path / "key"
    write_whole(path, b"secret")
    path.chmod(good)

    check_secret(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for attempt in (read_file, check_secret):
        with pytest.raises(ScenarioError, match="nothing: can't be read: No such file"):
            attempt(tmp_path / "nothing")
    with pytest.raises(ScenarioError, match="can't be written"):
        write_whole(tmp_path / "no folder" / "file", b"")


def test_the_stamp_changes_when_a_file_is_replaced_by_one_as_long(tmp_path: Path) -> None:
    path = tmp_path / "file"
    stamps = [stamp(path)]
    for content in (b"one", b"two"):
        write_whole(path, content)
        stamps.append(stamp(path))

    assert stamps[0] is None
    assert len(set(stamps)) == 3
