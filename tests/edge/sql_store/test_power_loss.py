"""What is left when the power fails.

Two imitations, of which the second is the stronger:

* *Torn log.* Commits in write-ahead mode only append to the log, and return when that is flushed. So a failure leaves
  the log up to where it was when the last commit returned, and whatever of the next one after it. That this is enough,
  with any rubbish behind it, shows that nothing announced depends on bytes written later. It takes SQLite's flushing
  for granted.
* *A disk of its own.* The store lies on a file system on a loop device, whose image file is copied between commits
  while all is mounted and open. The image holds what was flushed to the device, and not what is still in the page
  cache: the copy is the disk as a power failure would leave it. With flushing turned off the same test finds keys lost,
  so it can see what it is for. What it can't show is whether a real disk keeps what it says that it has flushed.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bellweave.edge.sql_store import SqlStore, database
from bellweave.errors import StoreFailed
from bellweave.kms.operations import Marks
from bellweave.rng import stream
from bellweave.testing.store_crash import MASTER_KEY
from bellweave.testing.stores import POOL, fill, ledger, note, record, run, take

KEYS = 60


def announce(store: SqlStore, key: int) -> None:
    assert record(store, note(key, ((0, 8 * key, 8),), size_bytes=8, expires_s=1e9)) == (None,)


def check(url: str, announced: int) -> None:
    """Check that a store has what it has announced, and that all of it can be taken."""
    store = SqlStore(url, MASTER_KEY)
    try:
        assert run(store, Marks(pool=POOL, numbers=(0,)))[0] >= 8 * announced, "a key that was announced is lost"
        assert len(take(store, *range(announced), now_s=0.0)) == announced
        ledger(store)
    finally:
        store.close()


def test_a_log_that_is_torn_anywhere_behind_the_last_commit_loses_nothing(tmp_path: Path) -> None:
    path, log = tmp_path / "kme.db", tmp_path / "kme.db-wal"
    store = SqlStore(f"sqlite:///{path}", MASTER_KEY)
    fill(store, 8 * KEYS)
    announce(store, 0)
    cuts = stream(1, "testing", "torn log")
    for key in range(1, 30):
        flushed, main = log.stat().st_size, path.read_bytes()
        announce(store, key)
        cut = int(cuts.integers(flushed, log.stat().st_size))
        copy = tmp_path / f"copy{key}"
        copy.mkdir()
        (copy / "kme.db").write_bytes(main)
        (copy / "kme.db-wal").write_bytes(log.read_bytes()[:cut] + cuts.bytes(int(cuts.integers(0, 10_000))))

        check(f"sqlite:///{copy}/kme.db", key)
    store.close()


class Disk:
    """An ext4 file system in an image file, mounted; and copies of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.image = folder / "image"
        self.mounted: list[Path] = []
        with self.image.open("wb") as file:
            file.truncate(24 << 20)
        self._run("mkfs.ext4", "-q", "-F", str(self.image))
        self.place = self.mount(self.image, "disk")

    def mount(self, image: Path, name: str) -> Path:
        place = self.folder / name
        place.mkdir()
        # no commit by the clock: what is in the image was asked for by the store
        self._run("mount", "-o", "loop,commit=600", str(image), str(place))
        self.mounted.append(place)
        return place

    def unmount(self, place: Path) -> None:
        self.mounted.remove(place)
        self._run("umount", str(place))
        place.rmdir()

    def as_after_a_power_failure(self, name: str) -> Path:
        """Return the place where a copy of what was flushed is mounted."""
        copy = self.folder / f"{name}.image"
        self._run("cp", "--sparse=always", str(self.image), str(copy))
        return self.mount(copy, name)

    @staticmethod
    def _run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid():
        pytest.skip("only root may mount a disk")
    if not all(map(shutil.which, ("mkfs.ext4", "mount", "umount"))):
        pytest.skip("there is no mkfs.ext4")
    try:
        disk = Disk(tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"nothing may be mounted here: {error.stderr!r}")
    yield disk
    for place in list(disk.mounted):
        disk.unmount(place)


def test_a_disk_without_power_has_all_that_was_announced(disk: Disk) -> None:
    store = SqlStore(f"sqlite:///{disk.place}/kme.db", MASTER_KEY)
    fill(store, 8 * KEYS)
    for key in range(KEYS):
        announce(store, key)
        if key % 4 == 0:
            place = disk.as_after_a_power_failure(f"copy{key}")
            check(f"sqlite:///{place}/kme.db", key + 1)
            disk.unmount(place)
    store.close()


def test_without_flushing_the_same_disk_has_lost_keys(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    pragmas = tuple(each.replace("synchronous=FULL", "synchronous=OFF") for each in database._PRAGMAS)
    store = SqlStore(f"sqlite:///{disk.place}/kme.db", MASTER_KEY)
    fill(store, 8 * KEYS)
    store.close()
    monkeypatch.setattr(database, "_PRAGMAS", pragmas)
    store = SqlStore(f"sqlite:///{disk.place}/kme.db", MASTER_KEY)
    for key in range(20):
        announce(store, key)
    place = disk.as_after_a_power_failure("copy")

    with pytest.raises((AssertionError, StoreFailed)):
        check(f"sqlite:///{place}/kme.db", 20)

    store.close()
