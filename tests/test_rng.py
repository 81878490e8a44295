"""A stream depends on its seed and its name, on nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave import rng

names = st.lists(st.one_of(st.integers(0, 100), st.text("ab-", min_size=1, max_size=4)), min_size=1, max_size=4)


@given(seed=st.integers(0, 2**64), name=names)
def test_the_same_name_gives_the_same_stream(seed: int, name: list[int | str]) -> None:
    assert rng.stream(seed, *name).bytes(16) == rng.stream(seed, *name).bytes(16)


@given(seed=st.integers(0, 2**64), one=names, other=names)
def test_other_names_and_seeds_give_other_streams(seed: int, one: list[int | str], other: list[int | str]) -> None:
    assert (rng.stream(seed, *one).bytes(16) == rng.stream(seed, *other).bytes(16)) == (
        [str(part) for part in one] == [str(part) for part in other]
    )
    assert rng.stream(seed, *one).bytes(16) != rng.stream(seed + 1, *one).bytes(16)


def test_streams_are_those_of_every_run_before() -> None:
    """Changing this changes every recorded run."""
    assert rng.stream(1, "link", "alice-bob", "detector").bytes(8).hex() == "6fa0860a1fe99e09"


def test_streams_of_neighbouring_names_are_uncorrelated() -> None:
    """Correlation of 10^5 normal pairs: sigma 0.0032, 4 sigma."""
    one, other = (rng.stream(1, "block", number).standard_normal(100_000) for number in (1, 2))

    assert abs(np.corrcoef(one, other)[0, 1]) < 4 * 0.0032


def test_announced_bytes_fix_a_stream() -> None:
    assert rng.from_bytes(b"seed").bytes(8) == rng.from_bytes(b"seed").bytes(8)
    assert rng.from_bytes(b"seed").bytes(8) != rng.from_bytes(b"tree").bytes(8)


def test_a_stream_needs_a_seed_and_a_name() -> None:
    with pytest.raises(ValueError, match=">= 0, not -1"):
        rng.stream(-1, "x")
    with pytest.raises(ValueError, match="has a name"):
        rng.stream(1)
