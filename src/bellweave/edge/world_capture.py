"""Count what passes in a network namespace by its kind, and look for a marker. Standard library only, run by its path.

``python world_capture.py OUT MARKER_HEX``: until it is killed it keeps ``OUT`` up to date, a JSON object: kinds of
frames to their number (:func:`kind`), ``marked`` (frames with the marker in them) and ``examples`` (the first frames of
the kind ``other``, hexadecimal). It sees every frame that comes in at any interface of the namespace.
"""

import contextlib
import json
import select
import socket
import sys
import time
from collections import Counter
from pathlib import Path

ETH_P_ALL, SOL_PACKET, PACKET_IGNORE_OUTGOING = 3, 263, 23
WRITE_S = 0.05
MOST_EXAMPLES = 5
MOST_BYTES = 1 << 16

IKE_PORTS = {500, 4500}
_IPV4, _ARP, _IPV6 = 0x0800, 0x0806, 0x86DD
_UDP, _ESP, _ICMPV6 = 17, 50, 58
_ND = range(133, 138)
_MLD = {130, 131, 132, 143}


def kind(frame: bytes) -> str:
    """Return ``arp``, ``nd`` or ``mld`` (IPv6 looking for neighbours), ``ike``, ``esp-in-udp``, ``esp`` or ``other``.

    Args:
        frame: Ethernet, from the destination's address on.
    """
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype == _ARP:
        return "arp"
    if ethertype == _IPV6:
        return _of_ipv6(frame[14:])
    if ethertype != _IPV4:
        return "other"
    packet = frame[14:]
    protocol, payload = packet[9], packet[4 * (packet[0] & 0x0F) :]
    if protocol == _ESP:
        return "esp"
    return _of_udp(payload) if protocol == _UDP else "other"


def _of_ipv6(packet: bytes) -> str:
    following, payload = packet[6], packet[40:]
    if following == 0:  # hop-by-hop options: multicast listeners have a router alert
        following, payload = payload[0], payload[8 * (payload[1] + 1) :]
    if following != _ICMPV6 or not payload:
        return "other"
    if payload[0] in _ND:
        return "nd"
    return "mld" if payload[0] in _MLD else "other"


def _of_udp(datagram: bytes) -> str:
    ports = {int.from_bytes(datagram[at : at + 2], "big") for at in (0, 2)}
    if not ports & IKE_PORTS or len(datagram) < 9:
        return "other"
    payload = datagram[8:]
    # RFC 3948: on port 4500, four zero bytes before IKE, 0xff to keep a NAT's mapping, else it is ESP
    if 4500 in ports and payload[:4] != bytes(4) and payload != b"\xff":
        return "esp-in-udp"
    return "ike"


def main(out: Path, marker: bytes) -> None:
    """Count until killed."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as frames:
        frames.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        frames.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        frames.setblocking(False)
        counts: Counter[str] = Counter()
        examples: list[str] = []
        due_s = 0.0
        while True:
            select.select([frames], [], [], WRITE_S)
            with contextlib.suppress(BlockingIOError):
                while time.monotonic() < due_s or not due_s:
                    frame = frames.recv(MOST_BYTES)
                    found = kind(frame)
                    counts[found] += 1
                    counts["marked"] += marker in frame
                    if found == "other" and len(examples) < MOST_EXAMPLES:
                        examples.append(frame[:64].hex())
            if time.monotonic() >= due_s:
                due_s = time.monotonic() + WRITE_S
                part = out.with_suffix(".part")
                part.write_text(json.dumps({**counts, "examples": examples}))
                part.replace(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]))
