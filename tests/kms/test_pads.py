"""One-time pads and seeds between KMEs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.errors import NotEnoughKey, PeerRefused, UnknownKeys
from bellweave.kms.pads import draw_one, lacks, take_one, xor
from bellweave.kms.params import Kms
from bellweave.testing.key_servers import feed, network
from bellweave.testing.stores import ledger


@given(
    st.binary(max_size=64).flatmap(lambda one: st.tuples(st.just(one), st.binary(min_size=len(one), max_size=len(one))))
)
def test_a_pad_comes_off_as_it_went_on(pair: tuple[bytes, bytes]) -> None:
    one, other = pair
    assert xor(xor(one, other), other) == one
    assert xor(one, other) == bytes(a ^ b for a, b in zip(one, other, strict=True))


def test_a_pad_covers_all_of_a_message() -> None:
    with pytest.raises(ValueError, match="3 bytes can't be padded with 2"):
        xor(b"abc", b"ab")


def test_a_key_for_another_kme_is_drawn_once_taken_once_and_booked_as_its_purpose() -> None:
    net = network(Kms(confirmation_bits=0, low_keys=0))
    feed(net, "kme-a", "kme-b", "block", 1024)
    here, there = (net.kme(name)._memory for name in ("kme-a", "kme-b"))

    pad = net.run("kme-a", draw_one(here, "kme-b", 100, "relay", net.now_s))
    assert len(pad.bits) == 100
    assert net.run("kme-b", take_one(there, "kme-a", pad.key_id, net.now_s)) == pad
    with pytest.raises(UnknownKeys):
        net.run("kme-b", take_one(there, "kme-a", pad.key_id, net.now_s))
    for name in ("kme-a", "kme-b"):
        assert ledger(net.store(name)) == {"ingested": 8192, "available": 7392, "relay_pads": 800}
    with pytest.raises(NotEnoughKey):
        net.run("kme-a", draw_one(here, "kme-b", 1000, "expansion", net.now_s))


def test_a_kme_that_may_run_on_a_backup_takes_no_pad() -> None:
    net = network(Kms(confirmation_bits=0, low_keys=0))
    feed(net, "kme-a", "kme-b", "block", 1024)
    pad = net.run("kme-a", draw_one(net.kme("kme-a")._memory, "kme-b", 100, "relay", net.now_s))
    net.crash("kme-b")
    with pytest.raises(PeerRefused, match="not in step"):
        net.run("kme-b", take_one(net.kme("kme-b")._memory, "kme-a", pad.key_id, net.now_s))
    net.mend("kme-a", "kme-b")
    assert net.run("kme-b", take_one(net.kme("kme-b")._memory, "kme-a", pad.key_id, net.now_s)) == pad


def test_what_waits_for_its_confirmation_counts_as_held() -> None:
    net = network(Kms(low_keys=0))
    feed(net, "kme-a", "kme-b", "block", 116)
    assert not net.run("kme-a", lacks("kme-a|kme-b/direct", 800))
    assert net.run("kme-a", lacks("kme-a|kme-b/direct", 801))
    assert net.run("kme-a", lacks("kme-a|kme-b/expanded", 1))
