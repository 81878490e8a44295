"""The probe streams of all tunnels, inside a world: ``python -I -S probe_world.py JSON``. Standard library only.

One process sends for every client and echoes for every server, through sockets that it opens in their namespaces. What
each stream met is asked for over a Unix socket (:mod:`bellweave.edge.probe_feed`):

1. Who connects says which tunnels it wants, a JSON list on a line, and gets a line for each of them every second.
2. What nobody wants at the moment is kept, and told whole to who comes next.
"""

import contextlib
import ctypes
import importlib.util
import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

CLONE_NEWNET = 0x40000000
FIRST_PORT = 7007
REPORT_S = 1.0
NAMESPACES = "/run/netns"


def neighbour(name: str) -> ModuleType:
    """Return the module beside this file: with ``-I`` nothing here can be imported by its name."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


probe: Any = neighbour("probe")


def enter(namespace: str) -> None:
    """Move to a network namespace: sockets that are made from now on are there, and stay."""
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns is there from Python 3.12 on
    with open(f"{NAMESPACES}/{namespace}", "rb") as file:  # noqa: PTH123
        if libc.setns(file.fileno(), CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), namespace)


def bound(namespace: str, address: str, port: int) -> socket.socket:
    """Return a UDP socket in a namespace."""
    enter(namespace)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind((address, port))
    return made


class Stream:
    """One tunnel's probes."""

    def __init__(self, asked: dict[str, Any], number: int, plan: Any, streams: int) -> None:
        port = FIRST_PORT + number
        self.name: str = asked["tunnel"]
        self.plan = plan
        (namespace, address), (far_namespace, far_address) = asked["client"], asked["server"]
        self.echoing = bound(far_namespace, far_address, port)
        self.sending = bound(namespace, address, 0)
        self.there = (far_address, port)
        self.counter = probe.ProbeCounter(plan.timeout_s)
        self.id = os.urandom(4)
        self.number = 0
        now_s = time.monotonic()
        self.next_s = now_s + number / streams / plan.rate_hz  # not all at once
        self.burst_s = now_s if plan.burst else float("inf")

    def send(self, now_s: float) -> None:
        """Send what is due; what was missed is not made up for."""
        self.next_s = max(self.next_s + 1.0 / self.plan.rate_hz, now_s)
        self.counter.sent(self.number, now_s)
        self._send(probe.PROBE, self.number, self.plan.payload_bytes)
        self.number += 1
        if now_s >= self.burst_s:
            self.burst_s = now_s + self.plan.burst_every_s
            for each in range(self.plan.burst):
                self._send(probe.BURST, each, probe.MOST_BYTES)

    def _send(self, kind: bytes, number: int, length_bytes: int) -> None:
        with contextlib.suppress(OSError):  # no tunnel, no route: lost
            self.sending.sendto(probe.datagram(kind, self.id, number, length_bytes), self.there)

    def echo(self) -> None:
        """Send back what has come."""
        for data, sender in _all(self.echoing):
            answer = probe.echo_of(data)
            if answer is not None:
                with contextlib.suppress(OSError):
                    self.echoing.sendto(answer, sender)

    def count(self) -> None:
        """Count the echoes that have come."""
        for data, _ in _all(self.sending):
            found = probe.read_echo(data, self.id)
            if found is None:
                continue
            kind, number = found
            if kind == probe.BURST:
                self.counter.burst_echoed(len(data))
            else:
                self.counter.echoed(number, len(data), time.monotonic())


def _all(source: socket.socket) -> list[tuple[bytes, Any]]:
    """Return the datagrams that wait."""
    found = []
    while True:
        try:
            found.append(source.recvfrom(65536))
        except BlockingIOError:
            return found
        except OSError:  # an ICMP error of an earlier datagram
            continue


class Listener:
    """Somebody who wants to know."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        self.line.setblocking(False)
        self.said = b""
        self.wanted: set[str] = set()

    def hear(self) -> bool:
        """Take note of what it wants; returns False when it is gone."""
        try:
            data = self.line.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.said += data
        if b"\n" in self.said:
            self.wanted = set(json.loads(self.said.partition(b"\n")[0]))
        return bool(data)

    def tell(self, lines: bytes) -> bool:
        """Say it; returns False to one that is gone, or does not listen."""
        try:
            return self.line.send(lines) == len(lines)
        except OSError:
            return False


class Reporter:
    """Tells those who want to know."""

    def __init__(self, path: str, streams: list[Stream], ready: selectors.BaseSelector) -> None:
        self.streams = {stream.name: stream for stream in streams}
        self.ready = ready
        self.listeners: list[Listener] = []
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108
        self.door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        os.umask(0o077)
        self.door.bind(path)
        self.door.listen(16)
        ready.register(self.door, selectors.EVENT_READ, self.let_in)

    def let_in(self) -> None:
        """Take a connection."""
        listener = Listener(self.door.accept()[0])
        self.listeners.append(listener)

        def heard() -> None:
            if not listener.hear():
                self.drop(listener)

        self.ready.register(listener.line, selectors.EVENT_READ, heard)

    def drop(self, listener: Listener) -> None:
        """Forget one that is gone."""
        if listener in self.listeners:
            self.listeners.remove(listener)
            self.ready.unregister(listener.line)
            listener.line.close()

    def report(self) -> None:
        """Tell everybody what its streams met since the last time."""
        left = dict(self.streams)
        for listener in list(reversed(self.listeners)):  # a new one takes the place of one that is not missed yet
            lines = b""
            for name in sorted(listener.wanted & left.keys()):
                counted = left.pop(name).counter.take(time.monotonic())
                if counted is not None:
                    lines += json.dumps({"tunnel": name, **asdict(counted)}).encode() + b"\n"
            if lines and not listener.tell(lines):
                self.drop(listener)


def main(asked: dict[str, Any]) -> None:
    """Send, echo, count and tell, for ever."""
    plan = probe.ProbePlan(**asked["plan"])
    tunnels = asked["tunnels"]
    streams = [Stream(each, number, plan, len(tunnels)) for number, each in enumerate(tunnels)]
    ready = selectors.DefaultSelector()
    for stream in streams:
        ready.register(stream.echoing, selectors.EVENT_READ, stream.echo)
        ready.register(stream.sending, selectors.EVENT_READ, stream.count)
    reporter = Reporter(asked["socket"], streams, ready)
    report_s = time.monotonic() + REPORT_S
    while True:
        now_s = time.monotonic()
        for stream in streams:
            if now_s >= stream.next_s:
                stream.send(now_s)
        if now_s >= report_s:
            report_s = max(report_s + REPORT_S, now_s)
            reporter.report()
        due_s = min(report_s, *(stream.next_s for stream in streams))
        for key, _ in ready.select(max(0.0, due_s - time.monotonic())):
            act: Callable[[], None] = key.data
            act()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
