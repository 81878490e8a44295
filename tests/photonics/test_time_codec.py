"""Announced times come back, rounded to the resolution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.photonics import time_codec

LIMIT = time_codec.MAX_TIME_PS


@given(values=st.lists(st.integers(-LIMIT, LIMIT), max_size=30), resolution=st.sampled_from([1, 8, 64, 1_000]))
def test_what_is_packed_is_unpacked(values: list[int], resolution: int) -> None:
    time_ps = np.sort(np.array(values, np.int64))

    back = time_codec.unpack(time_codec.pack(time_ps, resolution))

    assert back.size == time_ps.size
    assert bool(np.all(np.abs(back - time_ps) <= resolution // 2))


@pytest.mark.parametrize("time_ps", [[5, 3], [0, LIMIT + 1]])
def test_what_cannot_be_announced_is_refused(time_ps: list[int]) -> None:
    with pytest.raises(ValueError, match=r"decrease|beyond"):
        time_codec.pack(np.array(time_ps, np.int64), 64)
