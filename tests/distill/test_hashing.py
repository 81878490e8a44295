"""Toeplitz hashing against its definition and against big integers."""

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave import rng
from bellweave.blocks import Bytes
from bellweave.distill.hashing import same, seed_bits, toeplitz, toeplitz_identity


def definition(bits: Bytes, seed: Bytes, length: int) -> list[int]:
    """T[i, j] = seed[n - 1 + i - j], summed without any cleverness."""
    n = bits.size
    return [sum(int(seed[n - 1 + i - j]) & int(bits[j]) for j in range(n)) % 2 for i in range(length)]


def big_integer(bits: Bytes, seed: Bytes, length: int) -> list[int]:
    """The same product with Python's integers: each set bit adds a shifted window of the seed."""
    number = int("".join(map(str, seed[::-1])), 2)
    mask = (1 << length) - 1
    total = 0
    for j in np.flatnonzero(bits):
        total ^= (number >> int(bits.size - 1 - j)) & mask
    return [(total >> i) & 1 for i in range(length)]


def draw(seed: int, *sizes: int) -> list[Bytes]:
    generator = rng.stream(seed, "hashing")
    return [generator.integers(0, 2, size, np.uint8) for size in sizes]


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 60), length=st.integers(1, 60))
def test_the_fast_product_is_the_definition(seed: int, count: int, length: int) -> None:
    bits, seeds = draw(seed, count, count + length - 1)

    assert toeplitz(bits, seeds, length).tolist() == definition(bits, seeds, length)


@pytest.mark.parametrize(("count", "length"), [(1832, 50), (1832, 796), (20_000, 6_000)])
def test_the_fast_product_is_the_big_integer_one(count: int, length: int) -> None:
    bits, seeds = draw(1, count, count + length - 1)

    assert toeplitz(bits, seeds, length).tolist() == big_integer(bits, seeds, length)


def test_all_ones_are_exact() -> None:
    """The largest sums: every value of the convolution is as big as it gets."""
    ones = np.ones(100_000, np.uint8)
    expected = 100_000 % 2

    assert not (toeplitz(ones, np.ones(130_000 - 1, np.uint8), 30_000) ^ expected).any()


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), count=st.integers(2, 60), data=st.data())
def test_the_modified_form_adds_the_last_bits(seed: int, count: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(1, count - 1))
    bits, seeds = draw(seed, count, count - 1)
    expected = np.array(definition(bits[: count - length], seeds, length), np.uint8) ^ bits[count - length :]

    assert toeplitz_identity(bits, seeds, length).tolist() == expected.tolist()


def test_hashing_is_linear() -> None:
    one, other, seeds = draw(2, 300, 300, 399)

    assert np.array_equal(toeplitz(one ^ other, seeds, 100), toeplitz(one, seeds, 100) ^ toeplitz(other, seeds, 100))


def test_two_blocks_collide_as_often_as_universality_says() -> None:
    """Chance 2^-6 over 3000 seeds: 47 expected, 4 sigma = 27."""
    one, other = draw(3, 64, 64)
    hits = 0
    for seeds in rng.stream(4, "seeds").integers(0, 2, (3000, 69), np.uint8):
        hits += same(toeplitz(one, seeds, 6), toeplitz(other, seeds, 6))

    assert abs(hits - 3000 / 64) < 27


def test_wrong_sizes_are_refused() -> None:
    bits, seeds = draw(5, 10, 14)
    with pytest.raises(ValueError, match="take 14 bits of seed, not 13"):
        toeplitz(bits, seeds[:13], 5)
    with pytest.raises(ValueError, match="1 to 9, not 10"):
        toeplitz_identity(bits, seeds[:9], 10)


def test_lost_precision_is_an_error_and_never_a_wrong_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    bits, seeds = draw(6, 10, 14)
    exact = scipy.fft.irfft
    monkeypatch.setattr(scipy.fft, "irfft", lambda *given: exact(*given) + 0.2)
    with pytest.raises(ArithmeticError, match="away from an integer"):
        toeplitz(bits, seeds, 5)


def test_seed_bits_come_from_the_given_entropy() -> None:
    assert seed_bits(rng.stream(1, "e"), 13).tolist() == seed_bits(rng.stream(1, "e"), 13).tolist()
    assert seed_bits(rng.stream(1, "e"), 13).size == 13
    assert abs(int(seed_bits(rng.stream(2, "e"), 10_000).sum()) - 5000) < 200  # 4 sigma
