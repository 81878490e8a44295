import numpy as np
import pytest

from bellweave.blocks import Bytes, Role
from bellweave.dialogue import Codec, Dialogue
from bellweave.distill import announcing
from bellweave.distill.announcing import Choices
from bellweave.errors import ProtocolError
from bellweave.rng import stream
from bellweave.sim.classical import converse

CODEC = Codec(*announcing.KINDS)


@pytest.mark.parametrize("options", [(2, 4), (3, 3), (6, 6), (1, 2)])
@pytest.mark.parametrize("count", [0, 1, 9, 1_000])
def test_each_end_learns_what_the_other_chose(options: tuple[int, int], count: int) -> None:
    rng = stream(1, "choices", count)
    hers, his = (rng.integers(0, each, count, np.uint8) for each in options)

    theirs, ours = converse(announcing.choices("alice", hers, options), announcing.choices("bob", his, options), CODEC)

    assert np.array_equal(theirs, his)
    assert np.array_equal(ours, hers)


def test_each_end_learns_the_bits_of_the_test_rounds() -> None:
    hers, his = (stream(2, who).integers(0, 2, 77, np.uint8) for who in ("a", "b"))

    theirs, ours = converse(announcing.opened("alice", hers), announcing.opened("bob", his), CODEC)

    assert np.array_equal(theirs, his)
    assert np.array_equal(ours, hers)


@pytest.mark.parametrize(
    ("planes", "why"),
    [
        ((b"\x00",), "take 2 planes, not 1"),
        ((b"\x00", b"\x00\x00"), "need 1 bytes"),
        ((b"\x80", b"\x80"), "number 3 is none"),
        ((b"\x01", b"\x00"), "padding"),
    ],
)
def test_choices_that_are_none_are_refused(planes: tuple[bytes, ...], why: str) -> None:
    def liar() -> Dialogue[None]:
        yield Choices(planes=planes)

    own = np.zeros(4, np.uint8)
    role: Role = "bob"

    def honest() -> Dialogue[Bytes]:
        return (yield from announcing.choices(role, own, (3, 3)))

    with pytest.raises(ProtocolError, match=why):
        converse(liar(), honest(), CODEC)
