"""The polynomial hash against arithmetic bit by bit, known products, and GHASH."""

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave import rng
from bellweave.distill import carryless
from bellweave.distill.gf128 import BATCH, CHUNK_BYTES, PolynomialHash, Way

WAYS: list[Way] = ["carryless", "tables"] if carryless.LANES else ["tables"]
both = pytest.mark.parametrize("way", WAYS)


def product(one: int, other: int) -> int:
    """Multiply bit by bit."""
    total = 0
    for i in range(128):
        if other >> i & 1:
            total ^= one
        one <<= 1
        if one >> 128:
            one ^= 1 << 128 | 0x87
    return total


def by_hand(key: bytes, message: bytes) -> bytes:
    h = int.from_bytes(key, "little")
    state = 0
    padded = message + bytes(-len(message) % 16) + len(message).to_bytes(16, "little")
    for place in range(0, len(padded), 16):
        state = product(state ^ int.from_bytes(padded[place : place + 16], "little"), h)
    return state.to_bytes(16, "little")


def hashed(key: bytes, message: bytes, way: Way) -> bytes:
    running = PolynomialHash(key, way=way)
    running.update(message)
    return running.digest()


@both
@settings(max_examples=60)
@given(key=st.binary(min_size=16, max_size=16), message=st.binary(max_size=40 * BATCH))
def test_the_hash_is_the_bit_by_bit_one(way: Way, key: bytes, message: bytes) -> None:
    assert hashed(key, message, way) == by_hand(key, message)


@both
@settings(max_examples=20)
@given(pieces=st.lists(st.integers(0, CHUNK_BYTES), max_size=8), seed=st.integers(0, 1000))
def test_a_message_in_pieces_has_the_hash_of_the_whole(way: Way, pieces: list[int], seed: int) -> None:
    generator = rng.stream(seed, "pieces")
    parts = [generator.bytes(size) for size in pieces]
    key = generator.bytes(16)
    running = PolynomialHash(key, way=way)
    for part in parts:
        running.update(part)

    assert running.digest() == running.copy().digest() == hashed(key, b"".join(parts), way)
    assert running.length == sum(pieces)


@both
def test_a_copy_goes_its_own_way(way: Way) -> None:
    one = PolynomialHash(bytes(range(16)), way=way)
    one.update(b"together ")
    other = one.copy()
    other.update(b"apart")

    assert one.digest() == hashed(bytes(range(16)), b"together ", way)
    assert other.digest() == hashed(bytes(range(16)), b"together apart", way)


@both
def test_known_products(way: Way) -> None:
    """With H = x, one byte 1 is x^2 (the block) + x (its length); with H = x^127 the length 2 wraps to x^7+x^2+x+1."""
    x = (2).to_bytes(16, "little")
    assert hashed(x, b"", way) == bytes(16)
    assert int.from_bytes(hashed(x, b"\x01", way), "little") == 0b110
    top = (1 << 127).to_bytes(16, "little")
    assert int.from_bytes(hashed(top, bytes(2), way), "little") == 0x87


def mirrored(data: bytes) -> bytes:
    """Turn the order of the bits in a block: GHASH counts them from the other end."""
    return int(f"{int.from_bytes(data, 'big'):0128b}"[::-1], 2).to_bytes(16, "little")[::-1]


def element(data: bytes) -> int:
    return int.from_bytes(mirrored(data), "big")


def test_the_field_is_that_of_ghash() -> None:
    """AES-GCM's tag of one block A and no text is (A H + 128) H + E(J0), with our field read in the other bit order."""
    key, nonce, block = bytes(range(16)), bytes(12), bytes(range(100, 116))
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    h, pad = encryptor.update(bytes(16)), encryptor.update(nonce + b"\0\0\0\1")
    ghash = bytes(a ^ b for a, b in zip(AESGCM(key).encrypt(nonce, b"", block), pad, strict=True))
    lengths = (128).to_bytes(8, "big") + bytes(8)

    ours = product(product(element(block), element(h)) ^ element(lengths), element(h))

    assert ours == element(ghash)


@both
def test_a_length_is_part_of_the_message(way: Way) -> None:
    key = bytes(range(16))
    assert hashed(key, b"a", way) != hashed(key, b"a\0", way)
    assert hashed(key, b"", way) != hashed(key, b"\0", way)


def test_a_key_has_sixteen_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes, not 15"):
        PolynomialHash(bytes(15))


def test_the_key_is_not_shown() -> None:
    assert "01" not in repr(PolynomialHash(b"\x01" * 16)).split(" at ")[0]
