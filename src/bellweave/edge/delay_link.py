"""A switch in user space that delays what it forwards: for kernels without netem. Standard library only, run by path.

``python delay_link.py DELAY_S BITS_PER_S PORT...`` in the namespace of the ports, which must be in no bridge: frames go
from port to port after ``DELAY_S`` and leave each port at most at ``BITS_PER_S`` (0: any rate); what would wait for
longer than 50 ms for that is lost, as on a real line. It learns which address is at which port, as bridges do.
"""

import ctypes
import heapq
import select
import socket
import sys
import time

ETH_P_ALL, SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 3, 263, 1, 1
PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 15, 23
PR_SET_TIMERSLACK, SLACK_NS = 29, 50_000
HEADER_BYTES = 10
"""Before each frame: the state of its offloads. Without it UDP and TCP would be lost: veth leaves sums unfinished."""

MOST_BYTES = 70_000
AT_ONCE = 64
QUEUE_S = 0.05


class Port:
    """An interface.

    Attributes:
        free_s: When the line behind it has nothing to send any more.
    """

    def __init__(self, interface: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)  # or each frame would be forwarded again
        self.socket.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.socket.bind((interface, 0))
        index = socket.if_nametoindex(interface)
        request = index.to_bytes(4, sys.byteorder) + PACKET_MR_PROMISC.to_bytes(2, sys.byteorder) + bytes(10)
        self.socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)
        self.socket.setblocking(False)
        self.free_s = 0.0

    def fileno(self) -> int:
        """Return its descriptor, for ``select``."""
        return self.socket.fileno()


class Switch:
    """Forwards frames between ports.

    Args:
        ports: All.
        delay_s: From coming in to leaving.
        bits_per_s: Of each port, outwards; 0: any.
    """

    def __init__(self, ports: list[Port], delay_s: float, bits_per_s: float) -> None:
        self._ports = ports
        self._delay_s = delay_s
        self._bits_per_s = bits_per_s
        self._at: dict[bytes, Port] = {}
        self._waiting: list[tuple[float, int, Port, bytes]] = []
        self._count = 0

    def take(self, port: Port, now_s: float) -> None:
        """Take in what has come in at a port."""
        for _ in range(AT_ONCE):
            try:
                frame = port.socket.recv(MOST_BYTES)
            except (BlockingIOError, OSError):
                return
            to, source = frame[HEADER_BYTES : HEADER_BYTES + 6], frame[HEADER_BYTES + 6 : HEADER_BYTES + 12]
            self._at[source] = port
            known = self._at.get(to)
            for out in self._ports if known is None else [known]:
                if out is not port:
                    self._send_later(out, frame, now_s)

    def send(self, now_s: float) -> float | None:
        """Send what is due and return how long the next frame has to wait."""
        while self._waiting and self._waiting[0][0] <= now_s:
            _, _, out, frame = heapq.heappop(self._waiting)
            try:
                out.socket.send(frame)
            except OSError:
                continue  # the other end is down, or its queue is full: a real line loses the frame too
        return max(0.0, self._waiting[0][0] - now_s) if self._waiting else None

    def _send_later(self, out: Port, frame: bytes, now_s: float) -> None:
        if self._bits_per_s:
            begins_s = max(now_s, out.free_s)
            if begins_s - now_s > QUEUE_S:
                return
            now_s = out.free_s = begins_s + 8.0 * (len(frame) - HEADER_BYTES) / self._bits_per_s
        self._count += 1  # breaks ties, so that frames keep their order
        heapq.heappush(self._waiting, (now_s + self._delay_s, self._count, out, frame))


def main(delay_s: float, bits_per_s: float, interfaces: list[str]) -> None:
    """Forward until killed."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, SLACK_NS, 0, 0, 0)
    ports = [Port(interface) for interface in interfaces]
    switch = Switch(ports, delay_s, bits_per_s)
    while True:
        wait_s = switch.send(time.monotonic())
        ready, _, _ = select.select(ports, [], [], wait_s)  # counts in microseconds; epoll in milliseconds
        for port in ready:
            switch.take(port, time.monotonic())


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
