"""Public orders are fixed by seed and label, whatever the machine."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from bellweave.distill import shuffle


@given(seed=st.binary(max_size=40), label=st.text(max_size=10), count=st.integers(0, 200))
def test_the_order_is_the_one_that_the_docstring_defines(seed: bytes, label: str, count: int) -> None:
    stream = hashlib.shake_256(seed + label.encode()).digest(8 * count)
    words = [int.from_bytes(stream[8 * i : 8 * i + 8], "little") for i in range(count)]

    assert shuffle.order(seed, label, count).tolist() == sorted(range(count), key=words.__getitem__)


@given(seed=st.binary(min_size=32, max_size=32), count=st.integers(0, 200), data=st.data())
def test_a_subset_is_increasing_and_of_the_size_asked_for(seed: bytes, count: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, count))
    places = shuffle.subset(seed, "sample", count, size).tolist()

    assert places == sorted(set(places))
    assert len(places) == size
    assert all(0 <= place < count for place in places)


def test_labels_and_seeds_give_orders_of_their_own() -> None:
    orders = {
        tuple(shuffle.order(seed, label, 50)) for seed in (b"a" * 32, b"b" * 32) for label in ("pass 2", "pass 3")
    }

    assert len(orders) == 4
