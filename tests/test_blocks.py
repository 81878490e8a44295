"""The four records refuse what they can't be, and never show key material."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.blocks import Detections, Key, Rounds, SecretBlock, pack_bits, total_epsilon, unpack_bits


def secret_block(**changes: object) -> SecretBlock:
    values: dict[str, object] = {
        "block_id": "b1",
        "link": "alice-bob",
        "role": "alice",
        "bits": b"\xa5\xc0",
        "bit_count": 10,
        "accountings": {"paper": 10, "provable": 0},
        "minted_by": "paper",
        "provable_bits": 0,
        "epsilon": 1.0,
        "method": "none",
        "assumptions": (),
        "authentication_bits": 0,
        "start_s": 0.0,
        "end_s": 10.5,
        "provenance": "simulated",
    }
    return SecretBlock(**(values | changes))  # type: ignore[arg-type]


@given(bits=st.lists(st.integers(0, 1), max_size=100))
def test_packing_is_undone_by_unpacking(bits: list[int]) -> None:
    array = np.array(bits, np.uint8)

    assert unpack_bits(pack_bits(array), len(bits)).tolist() == bits


@pytest.mark.parametrize(("data", "count"), [(b"", 1), (b"\0\0", 8), (b"\x01", 7), (b"\xff", 0)])
def test_bytes_that_are_not_so_many_bits_are_refused(data: bytes, count: int) -> None:
    with pytest.raises(ValueError):
        unpack_bits(data, count)


def test_detections_must_be_in_order_and_of_known_channels() -> None:
    good = Detections(np.array([1, 2, 2]), np.array([0, 1, 3], np.uint8), duration_ps=10)
    assert len(good) == 3

    with pytest.raises(ValueError, match="must not decrease"):
        Detections(np.array([2, 1]), np.zeros(2, np.uint8), duration_ps=10)
    with pytest.raises(ValueError, match="channel 4 is out of range"):
        Detections(np.array([1]), np.array([4], np.uint8), duration_ps=10)
    with pytest.raises(ValueError, match="duration_ps must be > 0"):
        Detections(np.array([1]), np.array([0], np.uint8), duration_ps=0)
    with pytest.raises(ValueError, match="1 to 16"):
        Detections(np.array([1]), np.array([0], np.uint8), duration_ps=1, channels=17)
    with pytest.raises(ValueError, match="one length"):
        Detections(np.array([1, 2]), np.array([0], np.uint8), duration_ps=1)
    with pytest.raises(ValueError, match="setting must be uint8"):
        Detections(np.array([1]), np.array([0], np.uint8), duration_ps=1, setting=np.array([0]))


def test_rounds_must_have_increasing_ids_and_binary_columns() -> None:
    zeros = np.zeros(2, np.uint8)
    assert len(Rounds(np.array([3, 5]), zeros, zeros)) == 2

    with pytest.raises(ValueError, match="strictly increase"):
        Rounds(np.array([5, 5]), zeros, zeros)
    with pytest.raises(ValueError, match="bit must be 0 or 1, not 2"):
        Rounds(np.array([3, 5]), zeros, zeros + 2)
    with pytest.raises(ValueError, match="basis must be 0 or 1, not 7"):
        Rounds(np.array([3, 5]), zeros + 7, zeros)
    with pytest.raises(ValueError, match="one length"):
        Rounds(np.array([3, 5]), zeros, zeros, intensity=np.zeros(3, np.uint8))


def test_a_secret_block_can_not_contradict_itself() -> None:
    with pytest.raises(ValueError, match="need 2 bytes, not 1"):
        secret_block(bits=b"\0")
    with pytest.raises(ValueError, match="more than the block's 10 bits"):
        secret_block(provable_bits=11)
    with pytest.raises(ValueError, match="none of the accountings"):
        secret_block(minted_by="wishful")
    with pytest.raises(ValueError, match="lies before"):
        secret_block(end_s=-1.0)


def test_epsilons_of_blocks_add_up_and_what_is_unproven_counts_one() -> None:
    proven, unproven = secret_block(epsilon=1e-10), secret_block(epsilon=1.0)

    assert total_epsilon([]) == 0.0
    assert total_epsilon([proven] * 3) == pytest.approx(3e-10)
    assert total_epsilon([proven, unproven, unproven]) == 1.0


def test_blocks_agree_when_id_and_bits_do() -> None:
    assert secret_block().agrees_with(secret_block(role="bob"))
    assert not secret_block().agrees_with(secret_block(bits=b"\xa5\x80"))
    assert not secret_block().agrees_with(secret_block(block_id="b2"))


def test_no_record_shows_its_bits() -> None:
    key = Key(
        key_id="k",
        bits=b"\xa5\xc3",
        bit_count=16,
        origin="direct",
        hops=1,
        block_ids=("b1",),
        epsilon=1.0,
        provable_bits=0,
        age_s=0.0,
        provenance="simulated",
    )
    rounds = Rounds(np.array([1]), np.zeros(1, np.uint8), np.ones(1, np.uint8))
    for shown in (repr(secret_block()), str(secret_block()), f"{key}", repr(key), f"{[secret_block(), key]}"):
        assert "xa5" not in shown
        assert "a5c" not in shown
    assert "bit=" not in repr(rounds)


def test_a_secret_block_survives_being_written_down() -> None:
    block = secret_block()

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(block), type=SecretBlock) == block
