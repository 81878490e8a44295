"""The packets of vici, against strongSwan's own library for Python."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vici.protocol import FiniteStream
from vici.protocol import Message as Reference
from vici.protocol import Packet as ReferencePacket

from bellweave.edge import vici_wire as wire

NAMES = st.text(max_size=20)
VALUES = st.binary(max_size=300)
MESSAGES = st.recursive(
    st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=4), max_size=5),
    lambda inner: st.dictionaries(NAMES, inner | VALUES, max_size=4),
    max_leaves=12,
)


@given(MESSAGES)
def test_a_request_is_as_the_library_writes_it(message: dict[str, Any]) -> None:
    packet = wire.packed(wire.REQUEST, "load-conn", message)

    expected = ReferencePacket.request("load-conn", Reference.serialize(message))
    assert packet == len(expected).to_bytes(4, "big") + expected


@given(MESSAGES)
def test_what_the_library_reads_in_an_event_is_read(message: dict[str, Any]) -> None:
    written = Reference.serialize(message)

    assert wire.unpacked(bytes((wire.EVENT, 7)) + b"list-sa" + written) == (wire.EVENT, message)
    assert Reference.deserialize(FiniteStream(written)) == message


@given(MESSAGES, st.data())
def test_a_packet_that_is_cut_off_is_a_shorter_message_or_none(message: dict[str, Any], data: st.DataObject) -> None:
    packet = wire.packed(wire.REQUEST, "x", message)[wire.HEAD_BYTES :]
    cut = packet[: data.draw(st.integers(0, len(packet) - 1))]

    try:
        _, read = wire.unpacked(cut)
    except ValueError:
        return
    assert wire.packed(wire.REQUEST, "x", read)[wire.HEAD_BYTES :] == cut or len(cut) <= len(b"\0\1x")


@given(st.binary(max_size=40))
def test_any_bytes_are_a_message_or_a_value_error(data: bytes) -> None:
    try:
        kind, _ = wire.unpacked(data)
    except ValueError:
        return
    assert kind == data[0]


@pytest.mark.parametrize(
    ("elements", "problem"),
    [
        (b"\2", "not begun"),
        (b"\1\1a", "not end its section"),
        (b"\4\1a\3\1b", "not end its list"),
        (b"\7\1a", "type 7"),
    ],
)
def test_a_message_that_is_not_one_says_why(elements: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        wire.unpacked(bytes((wire.RESPONSE,)) + elements)
