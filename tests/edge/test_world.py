import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from bellweave.edge.world import World
from bellweave.edge.world_errors import WorldError, cure
from bellweave.testing.system import program

pytestmark = pytest.mark.emu

PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def needs() -> None:
    program("unshare", "util-linux")
    program("ip", "iproute2", ("/usr/sbin", "/sbin"))


async def test_a_world_has_a_network_of_its_own_and_this_machines_files(tmp_path: Path) -> None:
    async with World() as world:
        links = await world.run(["ip", "-br", "link"])
        await world.run(["sh", "-c", f"echo hello > {tmp_path}/said"])
        seen = await world.run(["sh", "-c", "ls /proc | grep -c '^[0-9]'"])

    assert [line.split()[0] for line in links.splitlines()] == ["lo"]
    assert (tmp_path / "said").read_text() == "hello\n"
    assert int(seen) < 6  # processes of the machine are not among them


async def test_commands_run_side_by_side_and_report_how_they_end(tmp_path: Path) -> None:
    async with World() as world:
        waits_for_all = f"while [ $(ls '{tmp_path}' | wc -l) -lt 8 ]; do sleep 0.02; done"
        said = await asyncio.gather(
            *(
                world.run(["sh", "-c", f": >'{tmp_path}/{n}'; {waits_for_all}; echo {n}"], timeout_s=PATIENCE_S)
                for n in range(8)
            )
        )
        with pytest.raises(WorldError, match="sh -c echo no good"):
            await world.run(["sh", "-c", "echo no good >&2; exit 3"])
        with pytest.raises(WorldError, match="FileNotFoundError"):
            await world.run(["no-such-program"])
        with pytest.raises(WorldError, match=r"no end after 0\.1 s"):
            await world.run(["sleep", "30"], timeout_s=0.1)

    assert said == [f"{n}\n" for n in range(8)]


async def test_what_goes_on_inside_is_told_when_it_ends(tmp_path: Path) -> None:
    async with World() as world:
        await world.ip("", "netns add h")
        spawned = await world.spawn("h", ["sh", "-c", "echo up; exec sleep 60"], log=tmp_path / "log")
        ended = asyncio.ensure_future(spawned.wait())
        await asyncio.to_thread(wait_until, lambda: (tmp_path / "log").read_text() == "up\n")
        assert spawned.running

        await world.kill(spawned, signal.SIGKILL)

        assert await ended == -signal.SIGKILL
        assert await world.kill(spawned, signal.SIGTERM, 1.0) == -signal.SIGKILL  # ended long ago
        assert (tmp_path / "log").read_text() == "up\n"


async def test_one_that_does_not_want_to_end_is_killed(tmp_path: Path) -> None:
    async with World() as world:
        deaf = "trap '' TERM; echo deaf; while :; do sleep 0.1; done"
        spawned = await world.spawn("", ["sh", "-c", deaf], log=tmp_path / "log")
        await asyncio.to_thread(wait_until, lambda: (tmp_path / "log").read_text() == "deaf\n")

        assert await world.kill(spawned, signal.SIGTERM, 0.2) == -signal.SIGKILL


async def test_two_worlds_have_the_same_names_and_do_not_meet() -> None:
    async with World() as one, World() as other:
        for world in (one, other):
            await world.ip("", "netns add same", "link add name eth0 type veth peer name eth1")
            await world.ip("", "addr add 10.9.0.1/24 dev eth0", "link set eth0 up", "link set eth1 up")
        await one.ip("", "netns add only-here")

        assert "only-here" in await one.run(["ip", "netns"])
        assert "only-here" not in await other.run(["ip", "netns"])


async def test_when_a_world_ends_whoever_waits_hears_it() -> None:
    world = World()
    await world.start()
    spawned = await world.spawn("", ["sleep", "60"])
    waiting = asyncio.ensure_future(spawned.wait())
    os.kill(world.pid, signal.SIGKILL)

    with pytest.raises(WorldError, match="has ended"):
        await waiting
    with pytest.raises(WorldError, match="has ended"):
        await world.run(["true"])
    await world.close()
    await world.close()


CONTROLLER = textwrap.dedent("""
    import asyncio, sys
    from bellweave.edge.world import World

    async def main():
        world = World()
        await world.start()
        await world.ip("", "netns add h")
        await world.spawn("h", ["sleep", sys.argv[1]])
        await world.spawn("", ["setsid", "sleep", sys.argv[1]])
        print(world.pid, flush=True)
        await asyncio.sleep(60)

    asyncio.run(main())
""")


def test_kill_9_of_the_controller_leaves_no_process_and_no_namespace() -> None:
    marker = f"6{os.getpid() % 100_000:05}.25"  # an argument that nobody else's sleep has
    controller = subprocess.Popen([sys.executable, "-c", CONTROLLER, marker], stdout=subprocess.PIPE, text=True)
    assert controller.stdout is not None
    outermost = int(controller.stdout.readline())
    wait_until(lambda: len(running(marker)) == 3)  # the controller has it in its arguments, too
    space = str(Path(f"/proc/{children(outermost)[0]}/ns/net").readlink())
    assert space in spaces()

    controller.kill()
    controller.wait()
    controller.stdout.close()

    wait_until(lambda: not running(marker) and not Path(f"/proc/{outermost}").exists())
    wait_until(lambda: space not in spaces())


def wait_until(holds: object) -> None:
    assert callable(holds)
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def processes() -> list[Path]:
    return [path for path in Path("/proc").iterdir() if path.name.isdigit()]


def running(marker: str) -> list[Path]:
    found = []
    for path in processes():
        try:
            if marker.encode() in (path / "cmdline").read_bytes():
                found.append(path)
        except OSError:
            continue
    return found


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def spaces() -> set[str]:
    found = set()
    for path in processes():
        try:
            found.add(str((path / "ns/net").readlink()))
        except OSError:
            continue
    return found


def settings(folder: Path, **values: str) -> Path:
    for name, value in values.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(value + "\n")
    return folder


@pytest.mark.parametrize(
    ("complaint", "values", "helps"),
    [
        ("unshare: unshare failed: No space left on device", {}, "sysctl -w user.max_user_namespaces"),
        (
            "unshare: write failed /proc/self/uid_map: Operation not permitted",
            {"kernel__apparmor_restrict_unprivileged_userns": "1"},
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            "unshare: unshare failed: Operation not permitted",
            {"kernel__unprivileged_userns_clone": "0"},
            "kernel.unprivileged_userns_clone=1",
        ),
        ("unshare: unshare failed: Operation not permitted", {}, "--security-opt seccomp=unconfined --device"),
        ("unshare: mount /proc failed: Operation not permitted", {}, "systempaths=unconfined"),
        ("unshare: unshare failed: Invalid argument", {}, "CONFIG_USER_NS"),
        (
            "unshare: failed to execute /home/me/python: Permission denied",
            {},
            "can't run the Python that a world needs",
        ),
        ("", {}, "it said nothing"),
    ],
)
def test_an_error_says_what_cures_it(tmp_path: Path, complaint: str, values: dict[str, str], helps: str) -> None:
    assert helps in cure(complaint, settings(tmp_path, **values))


async def test_a_world_that_cannot_be_made_says_why() -> None:
    async with World() as outer:
        # no more user namespaces may be made below this one
        await outer.run(["sh", "-c", "echo 0 > /proc/sys/user/max_user_namespaces"])
        complaint = await outer.run(
            ["sh", "-c", f"{sys.executable} -c '{TRY}' 2>&1 | tail -1"],
        )

    assert "no more user or network namespaces are allowed here: sysctl -w" in complaint


TRY = "import asyncio; from bellweave.edge.world import World; asyncio.run(World().start())"
