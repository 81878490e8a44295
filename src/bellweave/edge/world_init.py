"""PID 1 of a world: starts and ends processes for the controller outside, over JSON lines. Standard library only.

It runs by its path with ``-I -S``, so it can import nothing of ours and needs no installed packages. Rules:

1. Its standard input is the world's lifeline: when that closes, PID 1 exits and the kernel ends every process inside.
2. A request has an ``id``; every line that answers it has the same one. First comes ``{"id", "pid"}``, and when the
   process has ended ``{"id", "rc", "out", "err"}``, with what it printed if that was asked for; or ``{"id", "error"}``.
3. Nothing waits for anything: a process that hangs holds up no other one.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 20
"""So much of what a process printed goes into its answer."""


class Job:
    """A process under way."""

    def __init__(self, request: dict[str, Any], process: subprocess.Popen[bytes], printed: tuple[int, ...]) -> None:
        self.number = request["id"]
        self.process = process
        self.printed = printed


jobs: dict[int, Job] = {}


def say(**line: object) -> None:
    """Answer; a controller that is gone needs no answer."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def start(request: dict[str, Any]) -> None:
    """Start a process in a session of its own."""
    memory = [os.memfd_create(name) for name in ("in", "out", "err")] if request.get("capture") else []
    try:
        if memory:
            os.write(memory[0], request.get("input", "").encode())
            os.lseek(memory[0], 0, os.SEEK_SET)
            files = memory
        else:
            log = os.open(request.get("log") or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            nothing = os.open(os.devnull, os.O_RDONLY)
            memory = [nothing, log]
            files = [nothing, log, log]
        process = subprocess.Popen(
            request["argv"], env={**os.environ, **request.get("env", {})}, cwd=request.get("cwd"),
            stdin=files[0], stdout=files[1], stderr=files[2], start_new_session=True,
        )  # fmt: skip
    except BaseException:
        for each in memory:
            os.close(each)
        raise
    kept = tuple(memory[1:]) if request.get("capture") else ()
    for each in memory:
        if each not in kept:
            os.close(each)
    jobs[process.pid] = Job(request, process, kept)
    say(id=request["id"], pid=process.pid)


def reap() -> None:
    """Take note of all processes that have ended, and of orphans that came to us."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        job = jobs.pop(pid, None)
        if job is None:
            continue
        job.process.returncode = rc = os.waitstatus_to_exitcode(status)
        out, err = (text(each) for each in job.printed) if job.printed else ("", "")
        say(id=job.number, rc=rc, out=out, err=err)


def text(file: int) -> str:
    """Return what was printed into a file in memory, and close it."""
    with os.fdopen(file, "rb") as printed:
        printed.seek(0)
        return printed.read(MOST_BYTES).decode(errors="replace")


def obey(request: dict[str, Any]) -> None:
    """Carry out one request."""
    if request["op"] == "start":
        start(request)
    elif request["op"] == "kill":
        for pid, job in list(jobs.items()):
            if job.number == request["job"]:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, request["signal"])
        say(id=request["id"], rc=0)
    else:
        raise ValueError(request["op"])


def prepare() -> None:
    """Make a place for the names of network namespaces; ours alone, whatever the machine has."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)  # noqa: S607 PATH is set by the controller
    Path("/run/netns").mkdir()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)  # noqa: S607


def main() -> None:
    """Serve until the controller is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the controller, which ends us in order
    prepare()
    wake_in, wake_out = os.pipe()
    os.set_blocking(wake_in, False)
    os.set_blocking(wake_out, False)
    signal.set_wakeup_fd(wake_out, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    ready = selectors.DefaultSelector()
    ready.register(0, selectors.EVENT_READ)
    ready.register(wake_in, selectors.EVENT_READ)
    say(id=0, pid=os.getpid())
    rest = b""
    while True:
        for key, _ in ready.select():
            if key.fd == wake_in:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_in, 4096)
                continue
            data = os.read(0, 1 << 16)
            if not data:
                os._exit(0)  # the kernel ends all others
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                request = json.loads(line)
                try:
                    obey(request)
                except Exception as error:  # noqa: BLE001 whatever it was, the controller hears it
                    say(id=request["id"], error=f"{type(error).__name__}: {error}")
        reap()


if __name__ == "__main__":
    main()
