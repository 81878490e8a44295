"""Both ends hash alike, and the key is not the bits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bellweave import rng
from bellweave.distill import amplification
from bellweave.sim.classical import converse
from bellweave.testing.pairs import DISTILLATION


@given(seed=st.integers(0, 1000), count=st.integers(2, 500), data=st.data())
def test_both_ends_get_the_same_key_of_the_length_asked_for(seed: int, count: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(1, count - 1))
    bits = rng.stream(seed, "bits").integers(0, 2, count, np.uint8)
    hers, his = converse(
        amplification.alice(bits, length, rng.stream(seed, "seed")), amplification.bob(bits, length), DISTILLATION
    )

    assert hers.tolist() == his.tolist()
    assert hers.size == length


def test_one_wrong_bit_changes_about_half_of_the_key() -> None:
    """Without verification the keys would be useless: 500 of 1000 bits differ, 4 sigma = 63."""
    bits = rng.stream(1, "bits").integers(0, 2, 2000, np.uint8)
    other = bits.copy()
    other[3] ^= 1
    hers, his = converse(
        amplification.alice(bits, 1000, rng.stream(1, "seed")), amplification.bob(other, 1000), DISTILLATION
    )

    assert abs(int((hers ^ his).sum()) - 500) < 63
