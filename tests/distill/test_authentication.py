"""Tags are what their standards say, and say who sent what."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.dialogue import Dialogue, Message
from bellweave.distill.authentication import (
    PAD_BYTES,
    Direction,
    Statement,
    Transcript,
    forgery_probability,
    poly1305,
)
from bellweave.distill.gf128 import PolynomialHash
from bellweave.distill.messages import VERSION, Verified
from bellweave.distill.params import Authentication

KEY = bytes(range(16))
STATEMENT = Statement("alice", "alice-bob", "block-1", 5, 3, Authentication())
ONE_TIME = msgspec.structs.replace(STATEMENT, params=Authentication(scheme="one-time"))


@pytest.mark.parametrize(
    ("key", "text", "tag"),
    [
        (  # RFC 8439, 2.5.2
            "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b",
            b"Cryptographic Forum Research Group",
            "a8061dc1305136c6c22b8baf0c0127a9",
        ),
        ("00" * 32, bytes(64), "00" * 16),  # A.3, 1
        ("02" + "00" * 31, b"\xff" * 16, "03" + "00" * 15),  # A.3, 7
        ("02" + "00" * 15 + "ff" * 16, b"\x02" + bytes(15), "03" + "00" * 15),  # A.3, 8
        (
            "01" + "00" * 31,
            b"\xff" * 16 + b"\xf0" + b"\xff" * 15 + b"\x11" + bytes(15),
            "05" + "00" * 15,
        ),  # A.3, 9
        ("02" + "00" * 31, b"\xfd" + b"\xff" * 15, "fa" + "ff" * 15),  # A.3, 11: 2^130 - 6 needs the last reduction
    ],
)
def test_poly1305_is_that_of_the_rfc(key: str, text: bytes, tag: str) -> None:
    assert poly1305(bytes.fromhex(key), [text]).hex() == tag
    assert poly1305(bytes.fromhex(key), [text[:5], text[5:]]).hex() == tag


def test_a_recycled_tag_is_the_hash_of_messages_and_statement_under_a_pad() -> None:
    direction = Direction(KEY)
    direction.note(b"one")
    direction.note(b"two")
    plain = PolynomialHash(KEY)
    plain.update(b"onetwo" + STATEMENT.encoded())

    tag = direction.tag(STATEMENT, KEY, b"\xaa" * 16)

    assert tag == bytes(a ^ 0xAA for a in plain.digest())


@given(messages=st.lists(st.binary(max_size=100), max_size=20), scheme=st.sampled_from(["recycled", "one-time"]))
def test_messages_that_were_kept_have_the_tag_of_hashed_ones(messages: list[bytes], scheme: str) -> None:
    hashed, kept = Direction(KEY), Direction(None)
    for message in messages:
        hashed.note(message)
        kept.note(message)

    assert hashed.length == kept.length
    assert kept.tag(STATEMENT, KEY, KEY) == hashed.tag(STATEMENT, KEY, KEY)
    assert kept.tag(ONE_TIME, KEY, bytes(range(32))) == poly1305(
        bytes(range(32)), [b"".join(messages), ONE_TIME.encoded()]
    )


def test_messages_hashed_under_one_key_have_no_tag_under_another() -> None:
    direction = Direction(KEY)
    with pytest.raises(ValueError, match="hashed under another key"):
        direction.tag(STATEMENT, bytes(16), bytes(16))
    with pytest.raises(ValueError, match="hashed under another key"):
        direction.tag(ONE_TIME, KEY, bytes(32))


@pytest.mark.parametrize("statement", [STATEMENT, ONE_TIME])
@pytest.mark.parametrize(
    "change",
    [
        {"sender": "bob"},
        {"link": "alice-carol"},
        {"block_id": "block-2"},
        {"slot": 6},
        {"released": 4},
        {"version": VERSION + 1},
        {"params": Authentication(reserve_bits=0)},
        {"params": Authentication(scheme="one-time", reserve_bits=0)},
    ],
    ids=str,
)
def test_everything_a_statement_says_is_in_the_tag(statement: Statement, change: dict[str, object]) -> None:
    other = msgspec.structs.replace(statement, **change)
    direction = Direction(None)

    tags = [direction.tag(each, KEY, bytes(PAD_BYTES[each.params.scheme])) for each in (statement, other)]

    assert statement.encoded() != other.encoded()
    assert tags[0] != tags[1] or set(tags) == {bytes(16)}  # Poly1305 under a key of zeros is zero


def test_a_tag_needs_a_whole_pad() -> None:
    with pytest.raises(ValueError):
        Direction(KEY).tag(STATEMENT, KEY, bytes(15))


def test_where_one_message_ends_and_the_next_begins_is_in_the_tag() -> None:
    def tag(*parts: bytes) -> bytes:
        direction = Direction(KEY)
        for part in parts:
            direction.note(len(part).to_bytes(8, "big") + part)
        return direction.tag(STATEMENT, KEY, bytes(16))

    assert tag(b"ab", b"c") != tag(b"a", b"bc") != tag(b"abc")


def test_both_ends_of_a_direction_have_its_tag_and_the_directions_differ() -> None:
    alice, bob = Transcript(KEY), Transcript(KEY)
    for _ in alice.watch(iter_of(Verified())):
        pass
    bob.note_received(b"\x00" * 7 + framed(Verified()))

    assert alice.sent.tag(STATEMENT, KEY, KEY) == bob.received.tag(STATEMENT, KEY, KEY)
    assert alice.sent.tag(STATEMENT, KEY, KEY) != alice.received.tag(STATEMENT, KEY, KEY)


def iter_of(message: Message) -> Dialogue[None]:
    yield message


def framed(message: Verified) -> bytes:
    data = msgspec.msgpack.encode(message)
    return bytes([len(data)]) + data


def test_the_bounds_are_those_of_the_facts_page() -> None:
    """Poly1305: 2^-93 at 16 KiB and 2^-87 at 1 MiB."""
    one_time = Authentication(scheme="one-time")
    assert math.log2(forgery_probability(one_time, 16_384)) == -93
    assert math.log2(forgery_probability(one_time, 2**20)) == -87
    assert forgery_probability(Authentication(), 0) == 2.0**-127
    assert forgery_probability(Authentication(), 17) == 3 * 2.0**-128
