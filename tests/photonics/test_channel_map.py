"""Roles of channels: read, written, found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.errors import ScenarioError
from bellweave.photonics import channel_map
from bellweave.photonics.analyser import ChannelMap

STANDARD = ChannelMap((0, 0, 1, 1), (0, 1, 0, 1))
RECORDED = np.array([[1953, 107, 530, 330], [110, 1789, 480, 377], [374, 524, 568, 8], [655, 479, 13, 353]])
"""The matrix of a real experiment: unequal efficiencies."""


@given(order=st.permutations(range(4)))
def test_what_is_described_is_parsed(order: list[int]) -> None:
    roles = ChannelMap(tuple(place // 2 for place in order), tuple(place % 2 for place in order))

    assert channel_map.parse(channel_map.describe(roles)) == roles


@given(order=st.permutations(range(4)))
def test_roles_are_found_for_any_numbering(order: list[int]) -> None:
    hers, his, agreement = channel_map.infer(RECORDED[:, order])

    assert hers == STANDARD
    assert his == ChannelMap(tuple(place // 2 for place in order), tuple(place % 2 for place in order))
    assert agreement > 0.89


def test_roles_that_are_known_are_kept() -> None:
    known = channel_map.parse("0=A,1=D,2=V,3=H")

    hers, his, _ = channel_map.infer(RECORDED, alice=known)

    assert (hers, his) == (known, known)


def test_no_roles_are_found_in_noise() -> None:
    with pytest.raises(ScenarioError, match=r"limit is 0\.5"):
        channel_map.infer(np.full((4, 4), 100))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0=H,1=V,2=D", r"names the channels \[0, 1, 2\]; the file's are \[0, 1, 2, 3\]"),
        ("0=H,1=V,2=D,3=R", "'3=R' is no channel"),
        ("0=H,1=V,2=D,2=A", "channel 2 is there twice"),
        ("0=H,1=V,2=D,3=D", "two channels the same meaning"),
        ("4=H,5=V,6=D,7=A", r"the file's are \[0, 1, 2, 3\]"),
        ("", "is no channel"),
    ],
)
def test_wrong_roles_are_named(text: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        channel_map.parse(text)
