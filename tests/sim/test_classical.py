"""The classical channel in memory and in virtual time."""

import pytest
import simpy

from bellweave.dialogue import Abort, Closed, Codec, Dialogue, Message, encode, receive, refuse, reject, until_closed
from bellweave.errors import BlockRejected, PeerAborted, ProtocolError
from bellweave.sim.classical import Conversation, Direction, converse, converse_in, settle
from bellweave.testing.pairs import DISTILLATION, Block


class Ping(Message, frozen=True):
    number: int


class Pong(Message, frozen=True):
    number: int


CODEC = Codec(Ping, Pong)


def ping(rounds: int) -> Dialogue[list[int]]:
    heard = []
    for number in range(rounds):
        yield Ping(number=number)
        heard.append((yield from receive(Pong)).number)
    return heard


def pong(rounds: int) -> Dialogue[str]:
    for _ in range(rounds):
        yield Pong(number=2 * (yield from receive(Ping)).number)
    yield from until_closed()
    return "done"


def fails(error: Exception) -> Dialogue[None]:
    yield from receive(Ping)
    raise error


def test_each_role_returns_its_own_result() -> None:
    assert converse(ping(3), pong(3), CODEC) == ([0, 2, 4], "done")


def test_a_role_that_sends_before_it_listens_loses_nothing() -> None:
    def chatty() -> Dialogue[int]:
        for number in range(5):
            yield Ping(number=number)
        return (yield from receive(Pong)).number

    def patient() -> Dialogue[int]:
        heard = 0
        for _ in range(5):
            heard = 10 * heard + (yield from receive(Ping)).number
        yield Pong(number=9)
        return heard

    assert converse(chatty(), patient(), CODEC) == (9, 1234)


def test_messages_cross_as_bytes_and_the_tap_sees_every_one() -> None:
    seen: list[tuple[Direction, int, bytes]] = []

    def tap(direction: Direction, number: int, data: bytes) -> bytes:
        seen.append((direction, number, data))
        return data

    converse(ping(2), pong(2), CODEC, tamper=tap)

    assert seen == [
        ("alice to bob", 0, encode(Ping(number=0))),
        ("bob to alice", 0, encode(Pong(number=0))),
        ("alice to bob", 1, encode(Ping(number=1))),
        ("bob to alice", 1, encode(Pong(number=2))),
    ]


def test_two_roles_that_both_wait_fail_instead_of_hanging() -> None:
    alice, bob = settle(pong(1), pong(1), CODEC)

    assert isinstance(alice, ProtocolError)
    assert isinstance(bob, ProtocolError)
    with pytest.raises(ProtocolError, match="nothing is under way"):
        converse(pong(1), pong(1), CODEC)


def test_a_lost_message_is_a_deadlock() -> None:
    alice, bob = settle(ping(2), pong(2), CODEC, tamper=lambda way, number, data: None if number else data)

    assert isinstance(alice, ProtocolError)
    assert isinstance(bob, ProtocolError)


def test_a_peer_that_ended_early_is_noticed() -> None:
    """Closed is no Ping: the role that waits refuses, and the one that ended keeps its result."""
    alice, bob = settle(ping(1), pong(2), CODEC)

    assert alice == [0]
    assert isinstance(bob, ProtocolError)
    assert "got Closed" in str(bob)


def test_the_first_error_is_the_one_that_rises_not_its_echo() -> None:
    def strict() -> Dialogue[None]:
        yield from receive(Ping)
        yield from refuse("no")

    alice, bob = settle(ping(1), strict(), CODEC)
    assert isinstance(alice, PeerAborted)
    assert type(bob) is ProtocolError

    with pytest.raises(ProtocolError, match=r"^no$"):
        converse(ping(1), strict(), CODEC)


def test_a_rejection_reaches_the_peer_with_its_reason() -> None:
    def picky() -> Dialogue[None]:
        yield from receive(Ping)
        yield from reject("too short", "3 bits")

    alice, bob = settle(ping(1), picky(), CODEC)

    assert isinstance(alice, PeerAborted)
    assert alice.rejection == "too short"
    assert isinstance(bob, BlockRejected)


def test_a_role_that_raises_without_a_word_is_noticed_all_the_same() -> None:
    alice, bob = settle(ping(1), fails(ProtocolError("silent")), CODEC)

    assert isinstance(alice, PeerAborted)
    assert "ProtocolError" in str(alice)
    assert isinstance(bob, ProtocolError)


def test_a_defect_rises_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        settle(ping(1), fails(ZeroDivisionError()), CODEC)


def test_bytes_that_are_no_message_are_the_roles_to_refuse() -> None:
    alice, bob = settle(ping(1), pong(1), CODEC, tamper=lambda way, number, data: data[:-1])

    assert isinstance(bob, ProtocolError)
    assert isinstance(alice, ProtocolError)


def test_what_reaches_a_role_after_its_end_is_dropped() -> None:
    def says_goodbye() -> Dialogue[str]:
        yield from receive(Ping)
        yield Pong(number=1)
        yield Pong(number=2)
        return "bye"

    assert converse(ping(1), says_goodbye(), CODEC) == ([1], "bye")


def test_messages_that_never_cross_a_wire_are_no_part_of_a_codec() -> None:
    assert type(CODEC.decode(encode(Closed()))).__name__ == "Damaged"
    assert CODEC.decode(encode(Abort(reason="x"))) == Abort(reason="x")


# -------------------------------------------------------------------------------------------------------- virtual time


def in_virtual_time(
    alice: Dialogue[object], bob: Dialogue[object], codec: Codec, latency_s: float, start_s: float = 0.0
) -> Conversation[object, object]:
    env = simpy.Environment(initial_time=start_s)
    process = env.process(converse_in(env, alice, bob, codec, latency_s=latency_s))
    env.run()
    result = process.value
    assert isinstance(result, Conversation)
    return result


def test_every_message_takes_its_time() -> None:
    """Three rounds of two messages, and Bob's role ends when it hears that Alice's has."""
    result = in_virtual_time(ping(3), pong(3), CODEC, latency_s=0.25, start_s=10.0)

    assert (result.alice, result.bob) == ([0, 2, 4], "done")
    assert result.completed_s == 10.0 + 7 * 0.25


def test_two_conversations_share_one_clock() -> None:
    env = simpy.Environment()
    fast = env.process(converse_in(env, ping(2), pong(2), CODEC, latency_s=0.001))
    slow = env.process(converse_in(env, ping(2), pong(2), CODEC, latency_s=1.0))
    env.run()

    assert fast.value is not None
    assert slow.value is not None
    assert fast.value.completed_s == pytest.approx(0.005)
    assert slow.value.completed_s == 5.0
    assert env.now == 5.0


def test_errors_rise_in_virtual_time_too() -> None:
    env = simpy.Environment()
    env.process(converse_in(env, pong(1), pong(1), CODEC, latency_s=1.0))
    with pytest.raises(ProtocolError, match="nothing is under way"):
        env.run()


@pytest.mark.parametrize("latency_s", [0.0, 0.0005])
def test_virtual_time_gives_the_keys_of_memory(latency_s: float) -> None:
    block = Block(seed=5, count=2441, qber=0.05)
    result = in_virtual_time(*block.roles(), DISTILLATION, latency_s)

    alice, bob = converse(*block.roles(), DISTILLATION)
    assert (result.alice, result.bob) == (alice, bob)
    assert result.completed_s > 2 * latency_s * alice.corrections.parity_rounds or latency_s == 0.0
