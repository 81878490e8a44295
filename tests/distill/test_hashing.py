"""Toeplitz hashing against its definition and against big integers."""

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave import rng
from bellweave.blocks import Bytes
from bellweave.distill import carryless, hashing
from bellweave.distill.hashing import Way, fastest, same, seed_bits, toeplitz, toeplitz_identity

WAYS: list[Way] = [*(["carryless"] if carryless.LANES else []), "windows", "convolution"]  # type: ignore[list-item]


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


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=80)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 200), length=st.integers(1, 200))
def test_every_way_is_the_definition(way: Way, seed: int, count: int, length: int) -> None:
    bits, seeds = draw(seed, count, count + length - 1)

    assert toeplitz(bits, seeds, length, way=way).tolist() == definition(bits, seeds, length)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("count", "length"),
    [(1832, 50), (1832, 796), (64, 64), (65, 1), (1, 4097), (2048, 2048), (6000, 2500), (20_000, 6_000), (40_000, 128)],
)
def test_every_way_is_the_big_integer_product(way: Way, count: int, length: int) -> None:
    """Sizes on both sides of a word, of a tile, and of what is packed in one call."""
    bits, seeds = draw(1, count, count + length - 1)

    assert toeplitz(bits, seeds, length, way=way).tolist() == big_integer(bits, seeds, length)


@pytest.mark.parametrize("way", WAYS[::2])
def test_a_long_block_is_the_big_integer_product(way: Way) -> None:
    bits, seeds = draw(7, 150_000, 150_000 - 1)
    expected = big_integer(bits[:-40_000], seeds, 40_000)

    assert (toeplitz_identity(bits, seeds, 40_000, way=way) ^ bits[-40_000:]).tolist() == expected


def test_the_fastest_way_is_one_that_this_processor_has(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fastest(2048, 600) in WAYS
    assert fastest(10**9, 10**8) == "convolution"
    monkeypatch.setattr(carryless, "LANES", 0)
    assert fastest(2048, 600) == "windows"
    assert fastest(10**6, 3 * 10**5) == "convolution"


@pytest.mark.parametrize("way", WAYS)
def test_all_ones_are_exact(way: Way) -> None:
    """The largest sums: every value of the convolution is as big as it gets."""
    ones = np.ones(50_001, np.uint8)

    assert toeplitz(ones, np.ones(65_000, np.uint8), 15_000, way=way).all()


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
        toeplitz(bits, seeds, 5, way="convolution")


def test_two_halves_that_lose_precision_are_hashed_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    bits, seeds = draw(6, 300, 399)
    monkeypatch.setattr(hashing, "_two_halves", lambda *_: (np.zeros(100, np.uint8), 0.3))

    assert toeplitz(bits, seeds, 100, way="convolution").tolist() == definition(bits, seeds, 100)


def test_a_million_bits_in_two_halves_keep_far_from_rounding() -> None:
    """The facts page measured 2e-4 to 7e-4."""
    bits, seeds = draw(8, 700_000, 999_999)

    _, distance = hashing._two_halves(bits, seeds, 300_000)

    assert distance < 0.01


def test_seed_bits_come_from_the_given_entropy() -> None:
    assert seed_bits(rng.stream(1, "e"), 13).tolist() == seed_bits(rng.stream(1, "e"), 13).tolist()
    assert seed_bits(rng.stream(1, "e"), 13).size == 13
    assert abs(int(seed_bits(rng.stream(2, "e"), 10_000).sum()) - 5000) < 200  # 4 sigma
