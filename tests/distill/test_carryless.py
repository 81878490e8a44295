"""Carry-less products against Python's integers, at every width that the processor offers."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave import rng
from bellweave.distill import carryless

needs_instructions = pytest.mark.skipif(carryless.LANES == 0, reason="the processor has no carry-less multiplication")


@numba.njit()
def multiplied(one: np.uint64, other: np.uint64) -> tuple[int, int]:
    return carryless.multiply(one, other)  # type: ignore[no-any-return]


def product(one: int, other: int) -> int:
    total = 0
    while other:
        lowest = other & -other
        total ^= one * lowest
        other ^= lowest
    return total


def number(words: carryless.Words) -> int:
    return int.from_bytes(words.astype("<u8").tobytes(), "little")


@needs_instructions
@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**32),
    factor=st.integers(1, 40),
    other=st.integers(1, 80),
    first=st.integers(0, 90),
    count=st.integers(1, 100),
)
def test_a_window_of_the_product_is_that_of_big_integers(
    seed: int, factor: int, other: int, first: int, count: int
) -> None:
    words = rng.stream(seed, "carryless").integers(0, 2**64, factor + other, np.uint64)
    whole = product(number(words[:factor]), number(words[factor:]))

    window = carryless.middle(words[:factor], words[factor:], first, count)

    assert number(window) == whole >> 64 * first & (1 << 64 * count) - 1


@needs_instructions
@given(one=st.integers(0, 2**64 - 1), other=st.integers(0, 2**64 - 1))
def test_two_words_multiply_to_two(one: int, other: int) -> None:
    low, high = multiplied(np.uint64(one), np.uint64(other))

    assert int(low) | int(high) << 64 == product(one, other)


FEATURES = {0: "+sse4.2", 2: "+sse4.2,+pclmul", 4: "+sse4.2,+pclmul,+avx,+avx2,+vpclmulqdq"}

HASH = """
import numpy as np
from bellweave import rng
from bellweave.distill import carryless, hashing
draws = rng.stream(1, "lanes")
print(carryless.LANES)
for n in (100, 3000, 12000):
    bits, seed = draws.integers(0, 2, n, np.uint8), draws.integers(0, 2, n - 1, np.uint8)
    print(np.packbits(hashing.toeplitz_identity(bits, seed, n // 3)).tobytes().hex())
"""


def hashed(**environment: str) -> list[str]:
    run = [sys.executable, "-c", HASH]
    done = subprocess.run(run, env=os.environ | environment, check=True, capture_output=True, text=True)
    return done.stdout.split()


@pytest.mark.parametrize("lanes", [0, 2, 4])
def test_a_lesser_processor_gives_the_same_bits(lanes: int, tmp_path: Path) -> None:
    if lanes > carryless.LANES:
        pytest.skip("the processor has no such instruction")
    lesser = hashed(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES=FEATURES[lanes], NUMBA_CACHE_DIR=str(tmp_path))

    assert lesser == [str(lanes), *hashed()[1:]]


def test_a_processor_that_is_only_named_is_not_trusted_to_have_the_instructions() -> None:
    assert hashed(NUMBA_CPU_NAME="generic")[0] == "0"
