"""The pool of authentication keys: both ends stay in step, nothing is spent twice, nobody can drain it."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave import rng
from bellweave.blocks import Bytes
from bellweave.distill.authentication import Transcript
from bellweave.distill.authentication_keys import AuthenticationKeys
from bellweave.distill.params import Authentication
from bellweave.errors import KeysUnavailable

SECRET = bytes(range(100, 148))  # 384 bits
PATIENT = Authentication(reserve_bits=0, backoff_s=0.0)
End = Literal[
    "both",
    "bob is told a false end",
    "alice lacks bob's tag",
    "bob lacks the end",
    "bob lacks alice's tag",
    "forged",
    "no tags",
]


def pair(secret: bytes = SECRET, params: Authentication = PATIENT) -> tuple[AuthenticationKeys, AuthenticationKeys]:
    return AuthenticationKeys.started("alice", secret, params), AuthenticationKeys.started("bob", secret, params)


def key(seed: int, count: int = 1000) -> Bytes:
    return rng.stream(seed, "key").integers(0, 2, count, np.uint8)


def session(alice: AuthenticationKeys, bob: AuthenticationKeys, end: End, now_s: float = 0.0, seed: int = 0) -> bool:
    """Let both ends go through one session that ends so, and return whether both released."""
    alice.admit(now_s)
    bob.admit(now_s)
    hers, his = alice.transcript(), bob.transcript()
    for transcript in (hers, his):
        transcript.note_sent(b"same both ways")
        transcript.note_received(b"same both ways")
    if end == "no tags":
        return False
    name = ("alice-bob", f"block-{seed}")
    pool, tag = alice.sign_first(hers.sent, *name)
    if end == "bob lacks alice's tag":
        return False
    if end == "forged":
        tag = bytes([tag[0] ^ 1]) + tag[1:]
    caught_up = bob.check_first(pool.slot, pool.released, tag, his.received, *name)
    if end == "forged":
        assert caught_up is None
        return False
    assert caught_up is not None
    answer = bob.sign_answer(caught_up, his.sent, *name, key(seed))
    if end == "bob is told a false end":
        bob.release(key(seed))
    if end in {"alice lacks bob's tag", "bob is told a false end"}:
        return False
    assert alice.check_answer(pool, answer, hers.received, *name)
    taken = alice.release(key(seed))
    if end == "both":
        assert bob.release(key(seed)) == taken
    return end == "both"


@settings(max_examples=150)
@given(
    ends=st.lists(
        st.sampled_from(
            [
                "both",
                "bob is told a false end",
                "alice lacks bob's tag",
                "bob lacks the end",
                "bob lacks alice's tag",
                "forged",
                "no tags",
            ]
        ),
        max_size=25,
    ),
    renew=st.integers(1, 5),
    scheme=st.sampled_from(["recycled", "one-time"]),
)
def test_whatever_goes_wrong_the_next_good_session_finds_both_in_step(
    ends: list[End], renew: int, scheme: Literal["recycled", "one-time"]
) -> None:
    params = Authentication(scheme=scheme, reserve_bits=2048, backoff_s=0.0, hash_key_slots=renew, failures=64)
    alice, bob = pair(rng.stream(1, "secret").bytes(2000), params)
    pads = set()
    for number, end in enumerate(ends):
        pads.add(alice.pool.bits[: alice.pool.slot_bytes])
        session(alice, bob, end, seed=number)
        assert bob.pool.slot <= alice.pool.slot
    assert session(alice, bob, "both", seed=99)

    assert alice.agrees_with(bob)
    for keys in (alice, bob):
        assert keys.pool.ingested_bits == keys.pool.spent_bits + keys.pool.available_bits
        assert keys.failed == 0
    assert len(pads) >= len([end for end in ends if end != "no tags"])


def test_a_start_key_of_384_bits_is_enough_and_less_is_not() -> None:
    alice, bob = pair()
    assert session(alice, bob, "both")
    with pytest.raises(ValueError, match="at least 384 bits, not 376"):
        pair(SECRET[:-1])
    with pytest.raises(ValueError, match="at least 640 bits, not 384"):
        pair(params=Authentication(scheme="one-time"))


@pytest.mark.parametrize("scheme", ["recycled", "one-time"])
def test_no_two_tags_share_a_bit_of_their_pads(scheme: Literal["recycled", "one-time"]) -> None:
    """Two texts under one pad would give the hash key away."""
    secret = rng.stream(2, "secret").bytes(16 + 5 * 64)
    pool = pair(secret, Authentication(scheme=scheme))[0].pool
    pads = []
    for _ in range(5):
        pads += [pool.pad("alice"), pool.pad("bob")]
        pool = pool.spent()

    assert b"".join(pads) == secret[16 : 16 + len(pads) * len(pads[0])]
    assert len(pads[0]) == {"recycled": 16, "one-time": 32}[scheme]


def test_a_block_repays_what_it_spent_and_then_fills_the_reserve() -> None:
    alice, bob = pair(params=Authentication(reserve_bits=512, backoff_s=0.0))
    available = []
    for number in range(3):
        session(alice, bob, "both", seed=number)
        available.append(alice.pool.available_bits)

    assert available == [512, 512, 512]
    assert alice.pool.released == 3
    assert alice.pool.uses == 6
    assert alice.pool.ingested_bits == 384 + 512 + 256 + 256


def test_a_short_block_gives_the_pool_all_it_has_in_whole_bytes() -> None:
    alice, _ = pair(params=Authentication())
    alice.admit(0.0)
    alice.sign_first(alice.transcript().sent, "l", "b")

    assert alice.pool.due_bits(107) == 104
    assert alice.release(key(1, 107)) == 104
    assert alice.pool.available_bits == 104


def test_without_a_slot_nothing_is_admitted() -> None:
    alice, bob = pair()
    session(alice, bob, "bob lacks alice's tag")
    with pytest.raises(KeysUnavailable, match="take 256 bits, there are 0"):
        alice.admit(1.0)
    bob.admit(1.0)


def test_an_impersonator_of_bob_costs_alice_few_slots_ever_more_slowly() -> None:
    params = Authentication(failures=3, backoff_s=2.0)
    alice, bob = pair(SECRET * 4, params)
    now_s, starts = 0.0, []
    for _ in range(3):
        session(alice, bob, "bob lacks alice's tag", now_s)
        starts.append(now_s)
        bob.admit(now_s)
        try:
            alice.admit(now_s + 1.9)
        except KeysUnavailable as why:
            now_s = why.retry_s
    assert starts == [0.0, 2.0, 6.0]
    with pytest.raises(KeysUnavailable, match="have spent 768 bits") as refusal:
        alice.admit(1e9)
    assert refusal.value.retry_s == float("inf")

    alice.forgive()
    assert session(alice, bob, "both", 1e9)
    assert alice.agrees_with(bob)
    alice.admit(1e9)


def test_an_impersonator_of_alice_costs_bob_nothing_but_time() -> None:
    _, bob = pair(params=Authentication(failures=2, backoff_s=1.0))
    before = bob.pool
    now_s = 0.0
    for attempt in range(20):
        bob.admit(now_s)
        transcript = bob.transcript()
        assert bob.check_first(attempt % 3, 0, bytes(16), transcript.received, "l", "b") is None
        with pytest.raises(KeysUnavailable) as refusal:
            bob.admit(now_s)
        assert now_s < refusal.value.retry_s <= now_s + 4096
        now_s = refusal.value.retry_s

    assert bob.pool == before


@pytest.mark.parametrize(("slot", "released"), [(-1, 0), (1, 0), (10**30, 0), (0, 1), (0, -1)])
def test_a_place_that_the_pool_does_not_have_is_no_place(slot: int, released: int) -> None:
    _, bob = pair()
    bob.admit(0.0)
    assert bob.check_first(slot, released, bytes(16), Transcript(None).received, "l", "b") is None


def test_one_admission_is_for_one_session() -> None:
    alice, _ = pair(SECRET * 2)
    alice.admit(0.0)
    alice.require_admission()
    alice.sign_first(alice.transcript().sent, "l", "b")
    with pytest.raises(KeysUnavailable, match="not admitted"):
        alice.sign_first(alice.transcript().sent, "l", "b")


def test_the_hash_key_is_replaced_in_time_and_paid_for_by_the_next_block() -> None:
    params = Authentication(reserve_bits=512, backoff_s=0.0, hash_key_slots=2)
    alice, bob = pair(SECRET * 2, params)
    keys, owed = [], []
    for number in range(5):
        session(alice, bob, "both", seed=number)
        keys.append(alice.pool.hash_key)
        owed.append(alice.pool.owed_bits)

    assert keys[0] == SECRET[:16]
    assert len(set(keys)) == 3
    assert owed == [0, 128, 0, 128, 0]
    assert alice.agrees_with(bob)


def test_the_state_is_saved_before_a_tag_leaves_and_goes_on_after_a_restart() -> None:
    saved: list[bytes] = []
    alice, bob = pair(SECRET * 2)
    watched = AuthenticationKeys.started("alice", SECRET * 2, PATIENT, saved.append)
    watched.admit(0.0)
    pool, _ = watched.sign_first(watched.transcript().sent, "l", "b")

    restarted = AuthenticationKeys.loaded(saved[-1])

    assert (pool.slot, restarted.pool.slot, restarted.role, restarted.failed) == (0, 1, "alice", 1)
    assert session(restarted, bob, "both")
    assert restarted.agrees_with(bob)
    assert not restarted.agrees_with(alice)
    assert AuthenticationKeys.loaded(restarted.dumped()).agrees_with(restarted)


def test_no_secret_is_shown() -> None:
    alice, bob = pair()
    session(alice, bob, "alice lacks bob's tag")
    for thing in (alice, bob, alice.pool, bob._state, alice.transcript(), alice.transcript().sent):
        shown = repr(thing) + str(thing)
        assert "b'" not in shown
        assert 'b"' not in shown
        assert SECRET[:4].hex() not in shown
