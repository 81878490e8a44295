"""Matching is one to one, keeps the order, follows its rule, and tells no bits."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.blocks import Bytes, Ints
from bellweave.dialogue import Codec, Dialogue, Message, receive
from bellweave.errors import ProtocolError
from bellweave.photonics import coincidence
from bellweave.photonics.messages import KINDS, Coincident, Times
from bellweave.photonics.time_codec import pack
from bellweave.sim.classical import converse

CODEC = Codec(*KINDS)
times = st.lists(st.integers(-20, 20), max_size=12).map(lambda values: np.sort(np.array(values, np.int64)))


@dataclass(frozen=True)
class Clicks:
    time_ps: Ints
    basis: Bytes
    bit: Bytes


def clicks(time_ps: list[int], bit: int = 0) -> Clicks:
    size = len(time_ps)
    return Clicks(np.array(time_ps, np.int64), np.zeros(size, np.uint8), np.full(size, bit, np.uint8))


def by_the_rule(a: Ints, b: Ints, window: int) -> list[tuple[int, int]]:
    """Each the other's nearest, the first of equally near ones; np.argmin returns the first."""
    found = []
    for i in range(a.size if b.size else 0):
        j = int(np.argmin(np.abs(b - a[i])))
        if int(np.argmin(np.abs(a - b[j]))) == i and 2 * abs(int(a[i] - b[j])) <= window:
            found.append((i, j))
    return found


@given(a=times, b=times, window=st.integers(0, 40))
def test_matching_follows_its_rule(a: Ints, b: Ints, window: int) -> None:
    own, his = coincidence.match(a, b, window)

    assert list(zip(own.tolist(), his.tolist(), strict=True)) == by_the_rule(a, b, window)


@given(a=times, b=times, window=st.integers(0, 40))
def test_matching_is_one_to_one_and_keeps_the_order(a: Ints, b: Ints, window: int) -> None:
    own, his = coincidence.match(a, b, window)

    assert bool(np.all(np.diff(own) > 0))
    assert bool(np.all(np.diff(his) > 0))


def test_the_window_is_a_full_width() -> None:
    a, b = np.array([0, 1000]), np.array([50, 1051])

    assert coincidence.match(a, b, 100)[0].tolist() == [0]


def test_both_ends_form_rounds_of_equal_ids() -> None:
    hers, his = clicks([0, 10_000, 20_000], bit=1), clicks([-9_000, 9_900, 15_000, 20_300])

    alice, bob = converse(coincidence.alice(hers, 1_000), coincidence.bob(his), CODEC)

    assert alice.id.tolist() == bob.id.tolist() == [1, 3]
    assert alice.bit.tolist() == [1, 1]
    assert bob.bit.tolist() == [0, 0]


def test_nobody_may_have_clicked() -> None:
    alice, bob = converse(coincidence.alice(clicks([]), 1_000), coincidence.bob(clicks([])), CODEC)

    assert len(alice) == len(bob) == 0


def test_the_announcement_depends_on_times_alone() -> None:
    zero, one = (next(coincidence.bob(clicks([5, 900], bit))) for bit in (0, 1))

    assert zero == one


def test_a_click_costs_about_as_many_bits_as_its_gap_has() -> None:
    announced = next(coincidence.bob(clicks([i * 1_000_000 + i % 7 for i in range(10_000)])))

    assert isinstance(announced, Times)
    assert (
        8 * (len(announced.high) + len(announced.low)) / 10_000 < np.log2(1_000_000 / coincidence.RESOLUTION_PS) + 2.1
    )


def test_a_long_announcement_comes_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coincidence, "MAX_TAGS", 2)
    hers, his = clicks([0, 10_000, 20_000, 30_000, 40_000]), clicks([100, 10_100, 20_100, 30_100, 40_100])

    alice, bob = converse(coincidence.alice(hers, 1_000), coincidence.bob(his), CODEC)

    assert alice.id.tolist() == bob.id.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("second", "words"), [([1_000], "must not decrease"), ([], "is empty")])
def test_parts_that_do_not_continue_are_refused(second: list[int], words: str) -> None:
    def bob() -> Dialogue[None]:
        yield pack(np.array([5_000, 9_000]), 64, more=True)
        yield pack(np.array(second, np.int64), 64)
        yield from receive(Coincident)

    with pytest.raises(ProtocolError, match=words):
        converse(coincidence.alice(clicks([0]), 1_000), bob(), CODEC)


def say(message: Message) -> Dialogue[None]:
    yield message
    yield from receive(Coincident)


GOOD = pack(np.array([0, 5_000, 9_000]), 64)


@pytest.mark.parametrize(
    "change",
    [
        {"count": 2},
        {"count": -1},
        {"high": GOOD.high + b"\0"},
        {"high": b""},
        {"low": GOOD.low[:-1]},
        {"low_bits": 60},
        {"first": 1 << 62},
        {"resolution_ps": 0},
        {"resolution_ps": 600},
        {"low": b"\xff" + GOOD.low[1:]},
    ],
)
def test_a_malformed_announcement_is_refused(change: dict[str, int | bytes]) -> None:
    fields = {name: getattr(GOOD, name) for name in GOOD.__struct_fields__} | change

    with pytest.raises(ProtocolError):
        converse(coincidence.alice(clicks([0]), 1_000), say(Times(**fields)), CODEC)


@pytest.mark.parametrize(
    "answer", [Coincident(1, b"\xc0"), Coincident(2, b"\xff"), Coincident(0, b""), Coincident(0, b"\0\0")]
)
def test_a_malformed_answer_is_refused(answer: Coincident) -> None:
    def alice() -> Dialogue[None]:
        yield from receive(Times)
        yield answer
        yield from receive(Coincident)

    with pytest.raises(ProtocolError):
        converse(alice(), coincidence.bob(clicks([0, 1_000])), CODEC)
