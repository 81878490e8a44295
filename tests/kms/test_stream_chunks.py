"""Links are cut, answers are lost, KMEs restart, and calls overtake each other: an index still means one thing."""

import contextlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave.errors import DeliveryError, PeerUnreachable
from bellweave.kms.driver import Network, Running
from bellweave.kms.effects import Apply, Ask
from bellweave.kms.messages import Announce, CloseStream, DropChunk, OpenStream, StreamState, WantChunk
from bellweave.kms.operations import Take, Withdraw
from bellweave.kms.stream_terms import Terms
from bellweave.testing.key_streams import KSID, PEER, TERMS, bits, cut_off, fed, gets, joined, opens


def test_who_cannot_be_told_to_the_other_kme_has_not_opened() -> None:
    net = fed()
    net.cut("kme-a", "kme-b")

    with pytest.raises(PeerUnreachable):
        opens(net, "alice")

    assert gets(net, "alice", 0).state == "unknown"
    net.mend("kme-a", "kme-b")
    assert opens(net, "bob", terms=Terms(chunk_bytes=64)).terms.chunk_bytes == 64


def test_an_opening_whose_answer_was_lost_can_be_repeated() -> None:
    net = fed()
    net.lose_answers("kme-a", "kme-b")
    with pytest.raises(PeerUnreachable):
        opens(net, "alice")

    assert opens(net, "alice").state == "waiting"
    assert opens(net, "bob").state == "open"
    assert bits(gets(net, "alice", 0)) == bits(gets(net, "bob", 0))


def test_what_was_drawn_is_there_while_the_link_is_down() -> None:
    net = fed()
    ksid = joined(net)
    own = bits(gets(net, "alice", 0, ksid))
    net.cut("kme-a", "kme-b")

    assert bits(gets(net, "bob", 0, ksid)) == own
    for sae in ("alice", "bob"):
        with pytest.raises(PeerUnreachable):
            gets(net, sae, 1, ksid)

    net.mend("kme-a", "kme-b")
    assert bits(gets(net, "bob", 1, ksid)) == bits(gets(net, "alice", 1, ksid))


@pytest.mark.parametrize("ticks", [0, 1])
def test_a_chunk_whose_announcement_was_cut_off_is_drawn_anew_and_is_the_same_at_both_ends(ticks: int) -> None:
    net = fed()
    ksid = joined(net)
    cut_off(net, ksid, 0)
    net.cut("kme-a", "kme-b")
    net.mend("kme-a", "kme-b")
    for _ in range(ticks):
        net.tick()

    own = bits(gets(net, "alice", 0, ksid))

    net.tick()
    assert bits(gets(net, "bob", 0, ksid)) == own


def test_a_chunk_that_the_other_end_has_had_is_lost_and_never_means_something_else() -> None:
    net = fed()
    ksid = joined(net)
    cut_off(net, ksid, 0)
    bits(gets(net, "bob", 0, ksid))
    net.cut("kme-a", "kme-b")
    net.mend("kme-a", "kme-b")

    assert gets(net, "alice", 0, ksid).state == "gone"
    assert bits(gets(net, "alice", 1, ksid)) == bits(gets(net, "bob", 1, ksid))


def test_one_application_that_asks_for_a_chunk_twice_at_once_gets_it_once() -> None:
    net = fed()
    ksid = joined(net)
    streams = net.kme("kme-a").streams
    works = [Running(net, "kme-a", streams.get("alice", ksid, 0, net.now_s)) for _ in range(2)]
    while not all(work.done for work in works):
        for work in works:
            if not work.done:
                work.step()

    assert sorted(work.result().state for work in works) == ["delivered", "later"]


def test_both_ends_that_ask_for_a_chunk_at_once_get_the_same() -> None:
    net = fed()
    ksid = joined(net)
    bits(gets(net, "alice", 1000, ksid))
    here = Running(net, "kme-a", net.kme("kme-a").streams.get("alice", ksid, 0, net.now_s))
    assert isinstance(here.effect, Ask)
    assert isinstance(here.effect.message, Announce)

    assert gets(net, "bob", 0, ksid).state == "later"
    while not here.done:
        here.step()

    assert bits(here.result()) == bits(gets(net, "bob", 0, ksid))


def test_an_application_that_is_served_a_chunk_keeps_it_from_being_dropped() -> None:
    net = fed()
    ksid = joined(net)
    cut_off(net, ksid, 0)
    taking = Running(net, "kme-b", net.kme("kme-b").streams.get("bob", ksid, 0, net.now_s))
    assert isinstance(taking.effect, Apply)
    assert isinstance(taking.effect.operations[0], Take)
    net.cut("kme-a", "kme-b")
    net.mend("kme-a", "kme-b")

    assert gets(net, "alice", 0, ksid).state == "gone"
    taking.step()
    bits(taking.result())


def test_a_chunk_that_is_taken_while_it_is_being_dropped_counts_as_had() -> None:
    net = fed()
    ksid = joined(net)
    cut_off(net, ksid, 0)
    dropping = Running(net, "kme-b", net.kme("kme-b").answer("kme-a", DropChunk(ksid, 0, 0), net.now_s))
    assert isinstance(dropping.effect, Apply)
    assert isinstance(dropping.effect.operations[0], Withdraw)
    taking = Running(net, "kme-b", net.kme("kme-b").streams.get("bob", ksid, 0, net.now_s))
    taking.act()
    dropping.step()

    taking.resume()
    while not taking.done:
        taking.step()
    if taking.result().state == "delivered":
        assert dropping.result().state == "gone"  # type: ignore[attr-defined]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::3])
def test_two_kmes_that_register_a_stream_at_once_agree(order: tuple[int, ...]) -> None:
    net = fed()
    here = Running(net, "kme-a", net.kme("kme-a").streams.open("alice", "bob", TERMS, KSID, net.now_s))
    there_terms = Terms(chunk_bytes=64)
    there = Running(net, "kme-b", net.kme("kme-b").streams.open("bob", "alice", there_terms, KSID, net.now_s))
    assert isinstance(here.effect, Ask)
    assert isinstance(there.effect, Ask)

    steps = [here.act, there.act, here.resume, there.resume]
    done: set[int] = set()
    for step in sorted(range(4), key=lambda step: order[step]):
        if step >= 2 and step - 2 not in done:
            steps[step - 2]()
            done.add(step - 2)
        if step not in done:
            steps[step]()
            done.add(step)

    assert here.result().terms == there.result().terms == opens(net, "alice").terms == opens(net, "bob").terms
    assert opens(net, "alice").state == opens(net, "bob").state == "open"
    assert bits(gets(net, "bob", 0)) == bits(gets(net, "alice", 0))


def test_of_two_that_register_at_once_the_first_in_the_alphabet_counts() -> None:
    net = fed()
    here = Running(net, "kme-a", net.kme("kme-a").streams.open("alice", "bob", TERMS, KSID, net.now_s))
    there = opens(net, "bob", terms=Terms(chunk_bytes=64))
    here.step()

    assert there.terms.chunk_bytes == here.result().terms.chunk_bytes == 32


def test_after_a_restart_of_the_masters_kme_the_ksid_is_spent_but_what_waits_is_served() -> None:
    net = fed()
    ksid = joined(net)
    own = bits(gets(net, "alice", 0, ksid))
    net.crash("kme-a")
    net.mend("kme-a", "kme-b")

    assert gets(net, "alice", 1, ksid).state == "unknown"
    assert opens(net, "alice", ksid).state == "in use"
    assert bits(gets(net, "bob", 0, ksid)) == own
    assert gets(net, "bob", 1, ksid).state == "gone"


def test_after_a_restart_of_the_other_kme_a_stream_goes_on() -> None:
    net = fed()
    ksid = joined(net)
    own = [bits(gets(net, "alice", index, ksid)) for index in range(3)]
    bits(gets(net, "bob", 0, ksid))
    net.crash("kme-b")
    net.mend("kme-a", "kme-b")

    assert opens(net, "bob", ksid).state == "open"

    assert gets(net, "bob", 0, ksid).state == "gone"
    assert bits(gets(net, "bob", 1, ksid)) == own[1]
    assert bits(gets(net, "bob", 3, ksid)) == bits(gets(net, "alice", 3, ksid))


def test_a_kme_speaks_for_its_own_applications_only() -> None:
    net = fed()
    ksid = joined(net)
    kme = net.kme("kme-b")
    for message in (
        OpenStream(KSID, "bob", "alice", TERMS, "bob", b"1"),
        OpenStream(KSID, "alice", "anna", TERMS, "alice", b"1"),
        OpenStream(KSID, "alice", "bob", TERMS, "anna", b"1"),
        OpenStream(KSID, "mallory", "bob", TERMS, "mallory", b"1"),
    ):
        assert not isinstance(net.run("kme-b", kme.answer("kme-a", message, net.now_s)), StreamState)
    for question in (WantChunk(KSID, 0), DropChunk(KSID, 0, 0)):
        assert net.run("kme-b", kme.answer("kme-a", question, net.now_s)).state == "gone"  # type: ignore[attr-defined]
    # The slave's KME draws nothing.
    wanted = net.run("kme-b", kme.answer("kme-a", WantChunk(ksid, 0), net.now_s))
    assert wanted.state == "gone"  # type: ignore[attr-defined]
    assert net.run("kme-b", kme.answer("kme-a", CloseStream(KSID), net.now_s)).number == 0  # type: ignore[attr-defined]


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["alice", "bob"]), st.integers(0, 5)),
        st.tuples(st.sampled_from(["lose a", "lose b", "cut", "mend", "tick", "restart a", "restart b"]), st.just(0)),
    ),
    max_size=30,
)


def happens(net: Network, ksid: bytes, what: str) -> bool:
    """Let something happen to links and KMEs; return whether the stream goes on."""
    if what == "cut":
        net.cut("kme-a", "kme-b")
    elif what == "lose a":
        net.lose_answers("kme-a", "kme-b")
    elif what == "lose b":
        net.lose_answers("kme-b", "kme-a")
    elif what == "restart b":
        net.crash("kme-b")
    else:
        if what == "restart a":
            net.crash("kme-a")
        net.mend("kme-a", "kme-b")
        net.tick()
        return "in use" not in {opens(net, sae, ksid).state for sae in ("alice", "bob")}
    return True


@settings(max_examples=60)
@given(steps)
def test_whatever_happens_to_the_link_an_index_means_one_thing_and_is_had_once(actions: list[tuple[str, int]]) -> None:
    net = fed()
    ksid = joined(net)
    had: dict[tuple[str, int], bytes] = {}
    for what, index in actions:
        other = {"restart a": "kme-b", "restart b": "kme-a"}.get(what)
        if other and ksid not in net.kme(other).streams._streams:
            break  # now both KMEs forget the stream
        with contextlib.suppress(DeliveryError):
            if what in PEER:
                chunk = gets(net, what, index, ksid)
                if chunk.state == "delivered":
                    assert (what, index) not in had
                    had[what, index] = bits(chunk)
                continue
            if not happens(net, ksid, what):
                break
    for index in range(6):
        assert len({had[sae, index] for sae in ("alice", "bob") if (sae, index) in had}) <= 1
    for sae in ("alice", "bob"):
        mine = [value for (owner, _), value in had.items() if owner == sae]
        assert len(mine) == len(set(mine))
