import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bellweave.edge.fabric import planned
from bellweave.edge.world import INIT
from bellweave.edge.world_errors import WorldError
from bellweave.edge.world_network import WorldNetwork
from bellweave.testing.strongswan import lab, require_strongswan
from bellweave.testing.system import program

pytestmark = pytest.mark.emu

TUNNELS = {"t1": ("alice", "bob")}
PATIENCE_S = 60.0
NOBODY = 65534

CONTROLLER = """
import asyncio, sys, uuid
from pathlib import Path
from bellweave.testing.strongswan import lab

async def main():
    async with lab(Path(sys.argv[1]), {"t1": ("alice", "bob")}) as found:
        await found.refresh("t1", str(uuid.uuid4()), bytes(range(32)))
        print("pings", await found.ping("t1"), flush=True)
        await asyncio.sleep(float(sys.argv[2]))

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def needs() -> None:
    require_strongswan()


async def test_two_networks_at_once_with_the_same_names_and_addresses_do_not_meet(tmp_path: Path) -> None:
    async with lab(tmp_path / "one", TUNNELS) as one, lab(tmp_path / "other", TUNNELS) as other:
        for each in (one, other):
            await each.refresh("t1", str(uuid.uuid4()), secrets.token_bytes(32))
        assert [await one.ping("t1"), await other.ping("t1")] == [3, 3]
        await one.channel("t1", "client").take_down()

        assert [await one.ping("t1", 1), await other.ping("t1")] == [0, 3]
        assert await one.channel("t1", "client").in_use() is None
        assert await other.channel("t1", "client").in_use() is not None


async def test_a_network_delays_what_it_is_told_to(tmp_path: Path) -> None:
    async with WorldNetwork(planned(TUNNELS, "bridge"), tmp_path, latency_s=0.01) as network:
        assert network.applied is not None
        assert network.applied.rtt_s is not None
        assert network.applied.rtt_s >= 0.02
        assert await network.charon("t1", "server").answers()


async def test_a_network_that_does_not_start_leaves_nothing(tmp_path: Path) -> None:
    network = WorldNetwork(planned(TUNNELS, "bridge"), tmp_path)
    network.charons["t0s"]._daemon = "/bin/false"

    with pytest.raises(WorldError, match=r"t1\.server ended"):
        await network.start()

    assert not network.world.running
    await asyncio.to_thread(gone, tmp_path)


def test_kill_9_of_the_controller_leaves_no_daemon(tmp_path: Path) -> None:
    controller = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER, str(tmp_path), "60"], stdout=subprocess.PIPE, text=True
    )
    assert controller.stdout is not None
    assert controller.stdout.readline() == "pings 3\n"
    assert len(daemons(tmp_path)) == 2

    controller.kill()
    controller.wait()
    controller.stdout.close()

    gone(tmp_path)


AS_NOBODY = """
import ctypes, os, sys
sys.executable = sys.argv[3]  # of PID 1: ours may lie in a folder that others may not enter, as may our sources
from bellweave.edge import world
from pathlib import Path
import vici.exception
import bellweave.testing.strongswan
world.INIT = Path(sys.argv[4])
nobody = int(sys.argv[5])
os.setgroups([])
os.setresgid(nobody, nobody, nobody)
os.setresuid(nobody, nobody, nobody)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: as if it had been started by this user
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="bw-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="whoever runs this has no other rights anyway")
def test_a_plain_user_has_tunnels_too(open_folder: Path) -> None:
    python = program("python3", "python3", ["/usr/bin"])
    init = shutil.copy(INIT, open_folder)
    run = open_folder / "run"
    run.mkdir(mode=0o700)
    os.chown(run, NOBODY, NOBODY)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY + CONTROLLER, str(run), "0", str(python), init, str(NOBODY)],
        capture_output=True, text=True, timeout=110, check=False, cwd=run,
    )  # fmt: skip

    assert done.stdout == "pings 3\n", done.stderr
    assert (run / "t0c" / "log").stat().st_uid == NOBODY
    gone(run)


def daemons(folder: Path) -> list[int]:
    """Return the processes whose environment names this folder."""
    found = []
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdigit() and f"STRONGSWAN_CONF={folder}".encode() in (path / "environ").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def gone(folder: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while daemons(folder):
        assert time.monotonic() < end
        time.sleep(0.02)
