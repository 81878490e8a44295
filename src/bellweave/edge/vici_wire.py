"""The packets of vici as bytes, as ``src/libcharon/plugins/vici/README.md`` of strongSwan describes them.

A packet is its length in four bytes, a type and, for some types, a name; then a message: names with values, lists or
messages of their own. Values are bytes; what is given as text or number is sent as UTF-8.
"""

from typing import Any

Message = dict[str, Any]

REQUEST, RESPONSE, UNKNOWN_COMMAND, REGISTER, _, CONFIRM, UNKNOWN_EVENT, EVENT = range(8)

HEAD_BYTES = 4
MOST_BYTES = 512 * 1024
"""Longest packet, the daemon's own limit."""

_SECTION, _SECTION_END, _VALUE, _LIST, _ITEM, _LIST_END = range(1, 7)
_NAMED = {REQUEST, REGISTER, EVENT}


def packed(kind: int, name: str, message: Message | None = None) -> bytes:
    """Return a request or registration, its length included."""
    packet = bytearray((kind, len(name))) + name.encode()
    if message is not None:
        _put(packet, message)
    return len(packet).to_bytes(HEAD_BYTES, "big") + packet


def unpacked(packet: bytes) -> tuple[int, Message]:
    """Return type and message of a packet, without its length.

    Raises:
        ValueError: It is none.
    """
    try:
        kind = packet[0]
        place = 2 + packet[1] if kind in _NAMED else 1
        return kind, _taken(packet, place)
    except IndexError:
        raise ValueError("a vici packet is cut off") from None


def _put(packet: bytearray, message: Message) -> None:
    for name, value in message.items():
        if isinstance(value, dict):
            _put_name(packet, _SECTION, name)
            _put(packet, value)
            packet.append(_SECTION_END)
        elif isinstance(value, list):
            _put_name(packet, _LIST, name)
            for item in value:
                packet.append(_ITEM)
                _put_value(packet, item)
            packet.append(_LIST_END)
        else:
            _put_name(packet, _VALUE, name)
            _put_value(packet, value)


def _put_name(packet: bytearray, element: int, name: str) -> None:
    data = name.encode()
    packet.append(element)
    packet.append(len(data))
    packet += data


def _put_value(packet: bytearray, value: Any) -> None:
    data = value if isinstance(value, bytes) else str(value).encode()
    packet += len(data).to_bytes(2, "big")
    packet += data


def _taken(packet: bytes, place: int) -> Message:
    message: Message = {}
    above: list[Message] = []
    while place < len(packet):
        element = packet[place]
        place += 1
        if element == _SECTION_END:
            if not above:
                raise ValueError("a vici message ends a section that it has not begun")
            message = above.pop()
            continue
        name, place = _name(packet, place)
        if element == _SECTION:
            above.append(message)
            message[name] = message = {}
        elif element == _LIST:
            message[name], place = _items(packet, place)
        elif element == _VALUE:
            message[name], place = _value(packet, place)
        else:
            raise ValueError(f"a vici message has an element of type {element}")
    if above:
        raise ValueError("a vici message does not end its section")
    return message


def _name(packet: bytes, place: int) -> tuple[str, int]:
    end = place + 1 + packet[place]
    return _cut(packet, place + 1, end).decode(), end


def _value(packet: bytes, place: int) -> tuple[bytes, int]:
    end = place + 2 + (packet[place] << 8 | packet[place + 1])
    return _cut(packet, place + 2, end), end


def _items(packet: bytes, place: int) -> tuple[list[bytes], int]:
    items = []
    while packet[place] == _ITEM:
        item, place = _value(packet, place + 1)
        items.append(item)
    if packet[place] != _LIST_END:
        raise ValueError("a vici message does not end its list")
    return items, place + 1


def _cut(packet: bytes, start: int, end: int) -> bytes:
    if end > len(packet):
        raise ValueError("a vici packet is cut off")
    return packet[start:end]
