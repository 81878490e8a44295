"""Whole sessions with authentication keys, among honest ends and with a man in the middle who knows every byte."""

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave import rng
from bellweave.dialogue import Abort, Closed, Dialogue, Message, encode
from bellweave.distill import messages, session
from bellweave.distill.authentication_keys import AuthenticationKeys
from bellweave.distill.outcome import AUTHENTICATED, UNAUTHENTICATED
from bellweave.distill.params import Authentication
from bellweave.errors import BellweaveError, KeysUnavailable, ProtocolError
from bellweave.sim.classical import Direction, Tamper, converse, settle
from bellweave.testing.pairs import DISTILLATION, Block, correlated_rounds

SMALL = Block(seed=2, count=700, qber=0.02)
START = bytes(range(48))

Wire = list[tuple[Direction, int, bytes]]
Keys = tuple[AuthenticationKeys, AuthenticationKeys]
End = session.Outcome | BellweaveError


def started(params: Authentication | None = None, secret: bytes = START) -> Keys:
    params = params or Authentication(reserve_bits=0, backoff_s=0.0)
    return AuthenticationKeys.started("alice", secret, params), AuthenticationKeys.started("bob", secret, params)


def roles(block: Block, keys: Keys) -> tuple[Dialogue[session.Outcome], Dialogue[session.Outcome]]:
    for end in keys:
        end.admit(0.0)
    rounds = correlated_rounds(rng.stream(block.seed, "rounds"), block.count, block.qber)
    return (
        session.alice(rounds[0], block.params, block.context, rng.stream(block.seed, "alice"), keys=keys[0]),
        session.bob(rounds[1], block.params, block.context, rng.stream(block.seed, "bob"), keys=keys[1]),
    )


def recorded(block: Block, keys: Keys) -> Wire:
    wire: Wire = []

    def tap(direction: Direction, number: int, data: bytes) -> bytes:
        wire.append((direction, number, data))
        return data

    ends = converse(*roles(block, keys), DISTILLATION, tamper=tap)
    assert all(end.block is not None for end in ends)
    return wire


def no_key(end: End) -> bool:
    return isinstance(end, ProtocolError) or (isinstance(end, session.Outcome) and end.block is None)


def recovers(keys: Keys) -> None:
    """After an attack, an honest session works, and both ends hold the same pool."""
    alice, bob = converse(*roles(Block(seed=77, count=900, qber=0.02), keys), DISTILLATION)
    assert alice.block is not None
    assert bob.block is not None
    assert alice.block.agrees_with(bob.block)
    assert keys[0].agrees_with(keys[1])


def attacked(tamper: Tamper, block: Block = SMALL, *, secret: bytes = START * 2) -> tuple[End, End]:
    keys = started(secret=secret)
    ends = settle(*roles(block, keys), DISTILLATION, tamper=tamper)
    assert no_key(ends[0]), ends
    assert no_key(ends[1]), ends
    recovers(keys)
    return ends


def on(direction: Direction, number: int, change: Callable[[bytes], bytes | None]) -> Tamper:
    return lambda way, count, data: change(data) if (way, count) == (direction, number) else data


@pytest.fixture(scope="module")
def wire() -> Wire:
    return recorded(SMALL, started())


# ------------------------------------------------------------------------------------------------------- honest ends


@pytest.mark.parametrize("scheme", ["recycled", "one-time"])
def test_a_released_block_says_what_its_authentication_cost(scheme: str) -> None:
    params = Authentication(scheme=scheme, reserve_bits=0)  # type: ignore[arg-type]
    keys = started(params, bytes(80))
    hers, his = converse(*roles(SMALL, keys), DISTILLATION)
    rounds = correlated_rounds(rng.stream(SMALL.seed, "rounds"), SMALL.count, SMALL.qber)
    plain, _ = converse(
        session.alice(rounds[0], SMALL.params, SMALL.context, rng.stream(SMALL.seed, "alice")),
        session.bob(rounds[1], SMALL.params, SMALL.context, rng.stream(SMALL.seed, "bob")),
        DISTILLATION,
    )
    cost = {"recycled": 256, "one-time": 512}[scheme]

    assert hers.block is not None
    assert his.block is not None
    assert plain.block is not None
    assert hers.block.agrees_with(his.block)
    assert hers.ledger == his.ledger
    assert hers.ledger.closes()
    assert hers.block.authentication_bits == cost
    assert hers.ledger.authentication == min(cost, hers.ledger.distilled // 8 * 8)
    assert hers.ledger.distilled == plain.ledger.final
    assert hers.block.bit_count == hers.ledger.final == hers.ledger.distilled - hers.ledger.authentication
    assert AUTHENTICATED in hers.block.assumptions
    assert UNAUTHENTICATED not in hers.block.assumptions
    assert UNAUTHENTICATED in plain.block.assumptions
    assert keys[0].agrees_with(keys[1])
    assert keys[0].pool.bits[-8:] not in hers.block.bits


def test_a_link_goes_on_for_ever_from_its_start_key() -> None:
    keys = started(Authentication(reserve_bits=1024))
    nets = []
    for seed in range(6):
        alice, bob = converse(*roles(Block(seed, 1500, 0.01), keys), DISTILLATION)
        assert alice.block is not None
        assert bob.block is not None
        assert alice.block.agrees_with(bob.block)
        nets.append(alice.ledger.authentication)

    assert nets[0] == min(1024, nets[0])
    assert nets[2:] == [256] * 4
    assert keys[0].pool.available_bits == 1024
    assert keys[0].agrees_with(keys[1])


def test_a_block_without_key_spends_none() -> None:
    keys = started()
    alice, bob = converse(*roles(Block(1, 800, 0.3), keys), DISTILLATION)

    assert alice.rejection == bob.rejection
    assert alice.block is None
    assert keys[0].pool.spent_bits == 128
    assert keys[0].agrees_with(keys[1])
    recovers(keys)


def test_keys_that_admit_no_session_stop_both_ends_before_the_first_message() -> None:
    keys = started()
    hers, his = roles(SMALL, keys)
    rounds = correlated_rounds(rng.stream(1, "r"), 700, 0.02)[0]
    idle = session.alice(rounds, SMALL.params, SMALL.context, rng.stream(1, "a"), keys=started()[0])
    hers.close()

    ends = settle(idle, his, DISTILLATION)

    assert isinstance(ends[0], KeysUnavailable)
    assert isinstance(ends[1], ProtocolError)


def test_what_crossed_before_the_session_can_be_covered_too() -> None:
    def announced(to_bob: Message, heard: Message) -> tuple[End, End]:
        keys = started()
        rounds = correlated_rounds(rng.stream(2, "rounds"), 700, 0.02)
        transcripts = [each.transcript() for each in keys]
        transcripts[0].note_sent(encode(to_bob))
        transcripts[1].note_received(encode(heard))
        for each in keys:
            each.admit(0.0)
        params, context = SMALL.params, SMALL.context
        return settle(
            session.alice(rounds[0], params, context, rng.stream(2, "a"), keys=keys[0], transcript=transcripts[0]),
            session.bob(rounds[1], params, context, rng.stream(2, "b"), keys=keys[1], transcript=transcripts[1]),
            DISTILLATION,
        )

    assert all(isinstance(end, session.Outcome) for end in announced(Abort("a"), Abort("a")))
    assert all(no_key(end) for end in announced(Abort("a"), Abort("b")))


# ------------------------------------------------------------------------------------------------ a man in the middle


def test_any_altered_message_releases_nothing(wire: Wire) -> None:
    draws = rng.stream(1, "flips")
    for direction, number, data in wire:
        for place in draws.integers(0, 8 * len(data), 3):
            flipped = bytearray(data)
            flipped[place // 8] ^= 1 << (place % 8)
            attacked(on(direction, number, lambda _, new=bytes(flipped): new))  # type: ignore[misc]


def test_any_dropped_message_releases_nothing(wire: Wire) -> None:
    for direction, number, _ in wire:
        attacked(on(direction, number, lambda _: None))


def test_any_replayed_message_releases_nothing(wire: Wire) -> None:
    draws = rng.stream(1, "replays")
    for which in range(1, len(wire)):
        direction, number, data = wire[which]
        earlier = wire[int(draws.integers(0, which))][2]
        if earlier != data:
            attacked(on(direction, number, lambda _, new=earlier: new))  # type: ignore[misc]


def test_messages_of_one_direction_in_another_order_release_nothing(wire: Wire) -> None:
    for way in ("alice to bob", "bob to alice"):
        stream = [data for direction, _, data in wire if direction == way]
        for number in range(len(stream) - 1):
            swapped = {number: stream[number + 1], number + 1: stream[number]}
            if stream[number] != stream[number + 1]:
                attacked(
                    lambda direction, count, data, way=way, swapped=swapped: (  # type: ignore[misc]
                        swapped.get(count, data) if direction == way else data
                    )
                )


def test_a_reflected_message_releases_nothing(wire: Wire) -> None:
    for which in range(1, len(wire)):
        direction, number, data = wire[which]
        before = next((d for way, _, d in reversed(wire[:which]) if way != direction), None)
        if before is not None and before != data:
            attacked(on(direction, number, lambda _, new=before: new))  # type: ignore[misc]


@settings(max_examples=30, deadline=None)
@given(place=st.integers(0, 100), which=st.integers(0, 100))
def test_an_inserted_message_releases_nothing(wire: Wire, place: int, which: int) -> None:
    """From there on everything arrives one later, and the last of them never."""
    direction, first, _ = wire[place % len(wire)]
    late: list[bytes] = [wire[which % len(wire)][2]]

    def insert(way: Direction, count: int, data: bytes) -> bytes:
        if way != direction or count < first:
            return data
        late.append(data)
        return late.pop(0)

    stream = [data for way, _, data in wire if way == direction]
    if late[0] != stream[first]:
        attacked(insert)


def test_a_rewriter_of_everything_that_digests_hold_passes_these_but_not_tags() -> None:
    """A man in the middle changes the amplification seed and, where there are digests, those to fit."""

    def rewriter() -> Tamper:
        seen = {"alice to bob": (hashlib.sha256(), hashlib.sha256()), "bob to alice": (hashlib.sha256(),) * 2}

        def forge(direction: Direction, _: int, data: bytes) -> bytes:
            message = DISTILLATION.decode(data)
            sent, arrived = seen[direction]
            if isinstance(message, messages.Confirmation):
                there, back = seen["alice to bob"], seen["bob to alice"]
                new = (
                    messages.Confirmation(there[1].digest(), back[0].digest())
                    if direction == "alice to bob"
                    else messages.Confirmation(back[0].digest(), there[0].digest())
                )
                return encode(new)
            if isinstance(message, messages.HashSeed):
                message = messages.HashSeed(bytes([message.seed[0] ^ 0x80]) + message.seed[1:])
            new_data = encode(message)
            sent.update(len(data).to_bytes(8, "big") + data)
            if arrived is not sent:
                arrived.update(len(new_data).to_bytes(8, "big") + new_data)
            return new_data

        return forge

    fooled = settle(*SMALL.roles(), DISTILLATION, tamper=rewriter())
    assert all(isinstance(end, session.Outcome) and end.block is not None for end in fooled)
    attacked(rewriter())


def test_a_man_in_the_middle_who_plays_both_ends_gets_no_key_from_either() -> None:
    """He distils with Alice as Bob, and with Bob as Alice, with keys of his own."""
    keys, his = started(secret=START * 2), started(secret=bytes(48))
    with_alice = settle(roles(SMALL, keys)[0], roles(SMALL, his)[1], DISTILLATION)
    his = started(secret=bytes(48))
    with_bob = settle(roles(SMALL, his)[0], roles(SMALL, keys)[1], DISTILLATION)

    assert no_key(with_alice[0])
    assert no_key(with_bob[1])
    assert keys[1].pool.slot == 0
    recovers(keys)


def test_two_sessions_cannot_be_spliced() -> None:
    """What Alice says in the second session is replaced, from any message on, by what she said in the first."""
    keys = started(secret=START * 4)
    block = Block(seed=5, count=700, qber=0.02)
    first = [data for way, _, data in recorded(block, keys) if way == "alice to bob"]
    saved = [end.dumped() for end in keys]
    for number in range(len(first)):
        again = AuthenticationKeys.loaded(saved[0]), AuthenticationKeys.loaded(saved[1])
        ends = settle(
            *roles(block, again),
            DISTILLATION,
            tamper=lambda way, count, data, start=number: (  # type: ignore[misc]
                first[count] if way == "alice to bob" and start <= count < len(first) else data
            ),
        )
        assert no_key(ends[0]), number
        assert no_key(ends[1]), number
        recovers(again)


def test_the_roles_cannot_be_swapped() -> None:
    """Both ends are told to be Alice, or both Bob; and Bob's keys cannot make Alice's tag."""
    keys = started(secret=START * 2)
    alice, other = roles(SMALL, keys)[0], roles(SMALL, keys)[0]
    assert all(no_key(end) or isinstance(end, KeysUnavailable) for end in settle(alice, other, DISTILLATION))

    keys[0].admit(0.0)
    keys[1].admit(0.0)
    transcript = keys[0].transcript()
    pool, tag = keys[0].sign_first(transcript.sent, "l", "b")
    assert not keys[0].check_answer(pool, tag, transcript.received, "l", "b")


@pytest.mark.parametrize("number", [0, 1])
def test_the_same_conversation_on_another_link_or_block_is_refused(number: int) -> None:
    keys = started()
    for end in keys:
        end.admit(0.0)
    names = [("alice-bob", "block-1"), [("alice-carol", "block-1"), ("alice-bob", "block-2")][number]]
    pool, tag = keys[0].sign_first(keys[0].transcript().sent, *names[0])
    assert keys[1].check_first(pool.slot, pool.released, tag, keys[1].transcript().received, *names[1]) is None


def test_when_bob_never_learns_that_alice_has_released_the_next_session_mends_it() -> None:
    keys = started(secret=START * 2)
    alice, bob = roles(SMALL, keys)
    outcome = run_until_alice_ends(alice, bob)
    assert outcome.block is not None
    assert not keys[0].agrees_with(keys[1])

    recovers(keys)
    assert keys[0].pool.released == 2


def run_until_alice_ends(alice: Dialogue[session.Outcome], bob: Dialogue[session.Outcome]) -> session.Outcome:
    """Carry messages, in step, and leave Bob waiting for the end."""
    to_bob: list[Message] = []
    to_alice: list[Message] = []
    waiting = {"alice": alice.send(None), "bob": bob.send(None)}
    while True:
        for name, role, out, inbox in (("alice", alice, to_bob, to_alice), ("bob", bob, to_alice, to_bob)):
            try:
                while (message := waiting[name]) is not None or inbox:
                    if message is not None:
                        out.append(message)
                        waiting[name] = role.send(None)
                    else:
                        waiting[name] = role.send(inbox.pop(0))
            except StopIteration as end:
                assert name == "alice"
                while to_bob:
                    waiting["bob"] = bob.send(to_bob.pop(0))
                bob.close()
                return end.value  # type: ignore[no-any-return]


def test_a_false_end_gives_bob_a_key_that_alice_lacks_and_no_more() -> None:
    """The driver vouches for ``Closed``; if it is fooled the key is still secret, and the pools meet again."""
    keys = started(secret=START * 2)
    hers, his = roles(SMALL, keys)
    lost: list[Message] = []

    def without_answer(role: Dialogue[session.Outcome]) -> Dialogue[session.Outcome]:
        incoming = None
        while True:
            try:
                outgoing = role.send(incoming)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if isinstance(outgoing, messages.BobTag):
                lost.append(outgoing)
                role.send(None)
                try:
                    role.send(Closed())
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
            incoming = yield outgoing

    ends = settle(hers, without_answer(his), DISTILLATION)

    assert isinstance(ends[0], ProtocolError)
    assert isinstance(ends[1], session.Outcome)
    assert lost
    assert keys[1].pool.released == keys[0].pool.released + 1
    recovers(keys)
