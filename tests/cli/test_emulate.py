"""``bellweave emulate`` as people run it: stopped, killed, twice at once, for SAEs of others, node by node."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bellweave import cli
from bellweave.edge.ports import free_ports
from bellweave.results.io import read_events
from bellweave.results.network_records import BlockDistilled, LedgerClosed, SessionBegan, SessionEnded
from bellweave.scenario.load import to_toml
from bellweave.scenario.schema import Scenario
from bellweave.testing.data_centres import small
from bellweave.testing.system import missing, program

pytestmark = pytest.mark.emu

WAIT_S = 120.0


def quick(users: int = 2, slots: int = 400) -> Scenario:
    """Return a small network with slots of half a second, whose tunnels are refreshed every second."""
    every_tunnel = {"period_s": 1.0, "start_s": 1.0, "retry_s": 0.5, "mode": "ppk"}
    return small(users, slots, every_tunnel=every_tunnel, schedule={"speed": 21.0})


@contextlib.contextmanager
def running(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the command; kill it in the end."""
    with (cwd / "printed").open("a") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "bellweave", "emulate", *arguments],
            cwd=cwd, stdout=printed, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(path: Path, words: str, times: int = 1) -> str:
    """Wait until a file holds these words so often, and return what it holds."""
    give_up_s = time.monotonic() + WAIT_S
    while True:
        text = path.read_text(errors="replace") if path.exists() else ""
        if len(re.findall(words, text)) >= times:
            return text
        if time.monotonic() > give_up_s:
            raise AssertionError(f"no {words!r} in {path} after {WAIT_S:g} s: {text[-3000:]}")
        time.sleep(0.1)


def processes_of(folder: Path) -> list[int]:
    """Return the processes that have an open file in a folder, or that work there."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            links = [entry / "cwd", *(entry / "fd").iterdir()]
            if any(str(link.readlink()).startswith(str(folder)) for link in links):
                found.append(int(entry.name))
    return found


def gone(folder: Path) -> list[int]:
    """Wait until no process is left in a folder; returns those that are left after all."""
    give_up_s = time.monotonic() + WAIT_S
    while (left := processes_of(folder)) and time.monotonic() < give_up_s:
        time.sleep(0.1)
    return left


def written(tmp_path: Path, scenario: Scenario) -> str:
    path = tmp_path / "scenario.toml"
    path.write_text(to_toml(scenario))
    return str(path)


def require_ipsec() -> None:
    from bellweave.edge.doctor import examine

    if not examine().ipsec:
        missing("IPsec", "bellweave doctor")


def require_tidy(run: Path, exported: Sequence[Path] = ()) -> None:
    """Check that nothing on disk holds a private key or key in clear, but for what was exported."""
    stores = list(run.rglob("kme.db"))
    assert stores
    for path in run.rglob("*"):
        if path.is_file() and path not in exported:
            assert b"PRIVATE KEY" not in path.read_bytes(), path
    for store in stores:
        assert store.stat().st_mode & 0o077 == 0


def test_ctrl_c_ends_a_run_in_order_with_its_report(tmp_path: Path) -> None:
    with running(written(tmp_path, quick()), "--channel", "aead", "--out", "run", cwd=tmp_path) as process:
        until(tmp_path / "printed", "session with key", 2)
        process.send_signal(signal.SIGINT)
        until(tmp_path / "printed", "source ended")  # some five seconds on a machine that has nothing else to do
        assert process.wait(WAIT_S) == 0  # then come the simulation beside it, report and page
    events = read_events(tmp_path / "run")
    assert any(isinstance(event, SessionEnded) and event.reason == "end of run" for event in events)
    assert sum(isinstance(event, LedgerClosed) for event in events) == 2
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert any(row["quantity"] == "sessions" and row["n"] for row in report["rows"])
    assert not gone(tmp_path / "run")
    assert not (tmp_path / "run" / "control").exists()
    require_tidy(tmp_path / "run")


def test_a_supervisor_that_is_killed_leaves_no_process_and_no_namespace(tmp_path: Path) -> None:
    require_ipsec()
    with running(written(tmp_path, quick()), "--channel", "ipsec", "--out", "run", cwd=tmp_path) as process:
        until(tmp_path / "printed", "session with key")
        there = processes_of(tmp_path / "run")
        assert len(there) >= 6  # supervisor, source, two nodes, two daemons
        own = namespaces(there) - namespaces([os.getpid()])
        assert own, "its daemons live in namespaces of their own"
        process.kill()
        process.wait()
    assert not gone(tmp_path / "run")
    give_up_s = time.monotonic() + WAIT_S
    while namespaces() & own and time.monotonic() < give_up_s:
        time.sleep(0.1)
    assert not namespaces() & own
    require_tidy(tmp_path / "run")


def namespaces(processes: Iterable[int] | None = None) -> set[str]:
    """Return the network namespaces that these processes are in, or any process at all."""
    found = set()
    everybody = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    for process in everybody if processes is None else processes:
        with contextlib.suppress(OSError):
            found.add(str(Path(f"/proc/{process}/ns/net").readlink()))
    return found


def test_two_emulations_at_once_do_not_meet_and_do_not_share_a_directory(tmp_path: Path) -> None:
    require_ipsec()
    scenario = written(tmp_path, quick())
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    with (
        running(scenario, "--channel", "ipsec", "--out", "run", cwd=one) as first,
        running(scenario, "--channel", "ipsec", "--out", "run", cwd=other) as second,
    ):
        until(one / "printed", "the run begins")
        refused = subprocess.run(
            [sys.executable, "-m", "bellweave", "emulate", scenario, "--out", "run"],
            cwd=one, capture_output=True, text=True, check=False, timeout=WAIT_S,
        )  # fmt: skip
        assert refused.returncode == 2
        assert "another emulation runs in this directory" in refused.stderr
        for folder, process in ((one, first), (other, second)):
            until(folder / "printed", "session with key", 2)
            process.send_signal(signal.SIGINT)
        assert first.wait(WAIT_S) == second.wait(WAIT_S) == 0
    for folder in (one, other):
        events = read_events(folder / "run")
        assert sum(isinstance(event, SessionBegan) for event in events) >= 2
        assert not any(isinstance(event, SessionEnded) and event.reason == "failed" for event in events)


def test_others_get_keys_with_the_curl_commands_that_are_printed(tmp_path: Path) -> None:
    program("curl", "curl")
    scenario = written(tmp_path, quick())
    listen = f"127.0.0.1:{free_ports(['127.0.0.1'])[0]}"  # the second server's is ten further
    arguments = ("--serve-only", "--sae", "enc 1@user1", "--sae", "enc/2@user2", "--listen", listen, "--out", "run")
    with running(scenario, *arguments, cwd=tmp_path) as process:
        text = until(tmp_path / "printed", "status")
        commands = [line.strip() for line in text.splitlines() if line.startswith("  curl")]
        draw, fetch, look = commands
        give_up_s = time.monotonic() + WAIT_S
        while not called(look, tmp_path)["stored_key_count"] and time.monotonic() < give_up_s:
            time.sleep(0.5)
        key = called(draw, tmp_path)["keys"][0]
        same = called(fetch.replace("KEY_ID'", f"{key['key_ID']}'"), tmp_path)["keys"][0]
        assert same["key"] == key["key"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
    exported = sorted((tmp_path / "run" / "saes").iterdir())
    assert [path.name for path in exported] == ["enc%201.crt", "enc%201.key", "enc%2F2.crt", "enc%2F2.key"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in exported if path.suffix == ".key")
    require_tidy(tmp_path / "run", exported)
    ids = {event.block.block_id for event in read_events(tmp_path / "run") if isinstance(event, BlockDistilled)}
    assert ids
    assert not any(name.startswith(f"user1-user2/{quick().run.seed}/") for name in ids)  # no seed: nothing comes again


def called(command: str, cwd: Path) -> dict[str, Any]:
    """Run a curl command as it was printed, and return the JSON that it gets."""
    done = subprocess.run(["sh", "-c", command], cwd=cwd, capture_output=True, text=True, check=False, timeout=WAIT_S)
    assert done.returncode == 0, f"{shlex.split(command)[0]}: {done.stderr}"
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_wrong_input_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = written(tmp_path, quick())
    for arguments, words in (
        (("vienna2004",), r"needs a \[schedule\] table"),
        ((), "expected a scenario file or the name of a preset"),
        ((scenario, "--slots", "2", "--duration-s", "3"), "give one"),
        ((scenario, "--prepare", "p", "--host", "user1=127.0.0.1"), "give the address of user2"),
        ((scenario, "--serve-only", "--sae", "x@user9", "--out", str(tmp_path / "run")), "there is no node 'user9'"),
        (("--node", "user1"), "go together"),
        ((scenario, "--speed", "0"), "--speed: must be above 0 and finite, got 0"),
        ((scenario, "--duration-s", "inf"), "--duration-s: must be above 0 and finite, got inf"),
        ((scenario, "--sae", "x@user1"), "--sae: is for --serve-only"),
        ((scenario, "--host", "user1=127.0.0.1"), "--host: is for --prepare"),
        ((scenario, "--channel", "aead", "--layout", "rack"), "--layout: is for IPsec tunnels"),
        ((scenario, "--serve-only", "--period-s", "3"), "--period-s: is not for --serve-only"),
    ):
        monkeypatch.setattr(sys, "argv", ["bellweave", "emulate", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2, arguments
        assert re.search(words, capsys.readouterr().err), arguments
