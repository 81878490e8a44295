"""Ports that are free now, for servers whose addresses others are told before they listen."""

import contextlib
import errno
import secrets
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from bellweave.errors import ScenarioError

FIRST, END = 10_000, 32_768
"""Where they are chosen: below the ports that systems give to outgoing connections, of which any might take one."""

_TRIES = 200
_LEAST = 1000


def free_ports(hosts: Iterable[str]) -> list[int]:
    """Return a port for each of these addresses, free now for TCP and UDP, all different.

    Raises:
        ScenarioError: An address is not this machine's, or no port is free.
    """
    ports: list[int] = []
    end = _end()
    with ExitStack() as held:
        for host in hosts:
            ports.append(_free(host, end, ports, held))
    return ports


def _free(host: str, end: int, taken: list[int], held: ExitStack) -> int:
    """Return a port, which stays bound as long as ``held``."""
    problem = "all are taken"
    for _ in range(_TRIES):
        port = FIRST + secrets.randbelow(end - FIRST)
        if port in taken:
            continue
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                held.enter_context(socket.socket(family, kind)).bind((host, port))
        except OSError as error:
            problem = str(error.strerror)
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                continue
            break
        return port
    raise ScenarioError(f"can't find a free port at {host}: {problem}")


def _end() -> int:
    """Return where the ports of outgoing connections begin, if that is earlier and leaves enough."""
    with contextlib.suppress(OSError, ValueError):
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
        if FIRST + _LEAST <= first < END:
            return first
    return END
