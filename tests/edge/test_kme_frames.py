import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.edge.kme_frames import ANSWER, MAX_MESSAGE_BYTES, Frames, framed
from bellweave.errors import ProtocolError


@given(
    st.lists(st.tuples(st.integers(0, 2 * ANSWER - 1), st.binary(max_size=200)), max_size=8),
    st.lists(st.integers(1, 90), min_size=1),
)
def test_frames_come_out_of_a_stream_as_they_went_in_however_it_is_cut(
    messages: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(framed(number, data) for number, data in messages)
    frames = Frames()
    taken: list[tuple[int, bytes]] = []

    while stream:
        for cut in cuts:
            if stream[:cut]:
                taken.extend(frames.feed(stream[:cut]))
            stream = stream[cut:]

    assert taken == messages


@given(st.binary(max_size=300))
def test_garbage_gives_frames_or_a_protocol_error_and_nothing_else(data: bytes) -> None:
    try:
        taken = list(Frames().feed(data))
    except ProtocolError:
        return
    assert sum(8 + len(message) for _, message in taken) <= len(data)


def test_a_frame_that_announces_too_much_is_refused_before_it_has_come() -> None:
    head = (4 + MAX_MESSAGE_BYTES + 1).to_bytes(4, "big") + bytes(4)

    with pytest.raises(ProtocolError, match=f"a frame of {4 + MAX_MESSAGE_BYTES + 1} bytes"):
        list(Frames().feed(head))


def test_a_frame_without_a_number_is_refused() -> None:
    with pytest.raises(ProtocolError, match="a frame of 3 bytes"):
        list(Frames().feed((3).to_bytes(4, "big") + bytes(4)))


def test_a_message_that_is_too_long_for_a_frame_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match=f"{MAX_MESSAGE_BYTES + 1} bytes"):
        framed(1, bytes(MAX_MESSAGE_BYTES + 1))
