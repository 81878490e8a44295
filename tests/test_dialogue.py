"""The dialogue kernel: rules that every role relies on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.dialogue import (
    Abort,
    Closed,
    Codec,
    Damaged,
    Dialogue,
    Message,
    Transcript,
    encode,
    receive,
    refuse,
    reject,
    until_closed,
)
from bellweave.errors import BlockRejected, PeerAborted, ProtocolError
from bellweave.sim.classical import converse


class Number(Message, frozen=True):
    value: int


class Text(Message, frozen=True):
    value: str


CODEC = Codec(Number, Text)


def outcome(role: Dialogue[object], *incoming: Message) -> tuple[list[Message | None], object]:
    """Feed messages to a role; return all it yielded, and its result or error."""
    yielded = []
    queue = [None, *incoming]
    try:
        while True:
            yielded.append(role.send(queue.pop(0) if queue else None))
    except StopIteration as end:
        return yielded, end.value
    except ProtocolError as error:
        return yielded, error


def test_receive_returns_the_message_that_it_waits_for() -> None:
    assert outcome(receive(Number), Number(3)) == ([None], Number(3))


def test_an_abort_raises_without_another_word() -> None:
    yielded, error = outcome(receive(Number), Abort(reason="enough", rejection="too short"))

    assert yielded == [None]
    assert isinstance(error, PeerAborted)
    assert (error.reason, error.rejection) == ("enough", "too short")


@pytest.mark.parametrize("wrong", [Text("x"), Closed(), Damaged(problem="torn")])
def test_anything_else_is_refused_and_the_peer_is_told(wrong: Message) -> None:
    yielded, error = outcome(receive(Number), wrong)

    assert yielded[0] is None
    assert isinstance(yielded[1], Abort)
    assert type(error) is ProtocolError
    assert str(error) == yielded[1].reason
    assert yielded[1].rejection is None


def test_refuse_and_reject_tell_the_peer_before_they_raise() -> None:
    role = refuse("bad manners")
    assert next(role) == Abort(reason="bad manners")
    with pytest.raises(ProtocolError, match="bad manners"):
        next(role)
    role = reject("too short", "3 bits")
    assert next(role) == Abort(reason="3 bits", rejection="too short")
    with pytest.raises(BlockRejected, match="too short: 3 bits"):
        next(role)


def test_until_closed_takes_nothing_but_an_orderly_end() -> None:
    assert outcome(until_closed(), Closed()) == ([None], None)
    assert isinstance(outcome(until_closed(), Number(1))[1], ProtocolError)
    assert isinstance(outcome(until_closed(), Abort(reason="x"))[1], PeerAborted)


@given(value=st.integers(-(2**63), 2**63 - 1), text=st.text())
def test_messages_survive_the_wire(value: int, text: str) -> None:
    assert CODEC.decode(encode(Number(value))) == Number(value)
    assert CODEC.decode(encode(Text(text))) == Text(text)


@given(data=st.binary(max_size=60))
def test_bytes_that_are_no_message_are_damaged_and_never_an_exception(data: bytes) -> None:
    message = CODEC.decode(data)

    assert isinstance(message, Damaged) or encode(message) == data or isinstance(message, Abort | Number | Text)


def test_foreign_kinds_unknown_fields_and_trailing_bytes_are_damaged() -> None:
    class Foreign(Message, frozen=True):
        value: int

    assert isinstance(CODEC.decode(encode(Foreign(1))), Damaged)
    assert isinstance(CODEC.decode(encode(Number(1)) + b"\0"), Damaged)
    assert isinstance(CODEC.decode(encode(Number(1))[:-1]), Damaged)


def test_bytes_nested_without_end_are_damaged_too() -> None:
    nested = b"\x82\xa5other" + b"\x91" * 300_000 + b"\xc0" + encode(Number(1))[1:]

    assert isinstance(CODEC.decode(nested), Damaged)


def watched(mine: list[Message], theirs: int, *, first: bool) -> Dialogue[tuple[bytes, bytes]]:
    def talk() -> Dialogue[None]:
        if first:
            yield from mine
        for _ in range(theirs):
            yield from receive(Number)
        if not first:
            yield from mine

    transcript = Transcript()
    yield from transcript.watch(talk())
    return transcript.digests()


def test_transcripts_of_both_ends_mirror_each_other() -> None:
    hers, his = converse(watched([Number(1), Number(2)], 1, first=True), watched([Number(3)], 2, first=False), CODEC)

    assert hers == his[::-1]
    assert hers[0] != hers[1]


@pytest.mark.parametrize("other", [[Number(2), Number(1)], [Number(1)], [Number(1), Number(3)]])
def test_transcripts_tell_order_number_and_content(other: list[Message]) -> None:
    def sent(messages: list[Message]) -> bytes:
        return converse(watched(messages, 0, first=True), watched([], len(messages), first=False), CODEC)[0][0]

    assert sent([Number(1), Number(2)]) != sent(other)


def test_a_transcript_returns_what_the_dialogue_returns_and_lets_its_errors_pass() -> None:
    assert outcome(Transcript().watch(receive(Number)), Number(4)) == ([None], Number(4))
    assert isinstance(outcome(Transcript().watch(receive(Number)), Text("x"))[1], ProtocolError)
