"""Keys for slaves at several KMEs: all of them or none, each byte of a pad under one key."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave.errors import DeliveryError, NotEnoughKey, NotMet, PeerRefused, PeerUnreachable, StoreFailed, UnknownKeys
from bellweave.kms.driver import Network, Running
from bellweave.kms.effects import Apply, Ask
from bellweave.kms.messages import Announce
from bellweave.kms.operations import Accounts, Deliver, Record, Skip
from bellweave.kms.params import Kms
from bellweave.kms.records import KeyNote, Material
from bellweave.kms.wanted import Wanted
from bellweave.testing.key_servers import feed, network
from bellweave.testing.stores import ledger, run

SAES = {"alice": "kme-a", "anna": "kme-a", "bob": "kme-b", "bert": "kme-b", "carol": "kme-c", "dave": "kme-d"}
KMES = sorted(set(SAES.values()))
ALL = ("bob", "carol", "dave")


def meshed(size_bytes: int = 1024, **more: Any) -> Network:
    net = network(Kms(confirmation_bits=0, low_keys=0), SAES, **more)
    for one in KMES:
        for other in KMES:
            if one < other:
                feed(net, one, other, f"{one}{other}", size_bytes)
    return net


def want(*slaves: str, count: int = 2, size_bits: int = 256, **more: Any) -> Wanted:
    return Wanted(master="alice", slaves=slaves or ALL, count=count, size_bits=size_bits, **more)


def draw(net: Network, wanted: Wanted) -> tuple[Material, ...]:
    return net.run("kme-a", net.kme("kme-a").draw(wanted, net.now_s))


def take(net: Network, slave: str, keys: tuple[Material, ...]) -> tuple[Material, ...]:
    kme = SAES[slave]
    return net.run(kme, net.kme(kme).take(slave, "alice", tuple(key.key_id for key in keys), net.now_s))


def bits(keys: tuple[Material, ...]) -> list[bytes]:
    return [key.bits for key in keys]


def spent(net: Network, other: str) -> dict[str, int]:
    """Return what is booked at kme-a and, the same, at another KME for the link of the two, but what is available."""
    accounts = [dict(ledger(net.store(name), f"kme-a|{other}/direct")) for name in ("kme-a", other)]
    for each in accounts:
        each.pop("ingested")
        each.pop("available", None)
    assert accounts[0] == accounts[1]
    return accounts[0]  # type: ignore[return-value]


def check_ledgers(net: Network) -> None:
    for name in KMES:
        for pool in run(net.store(name), Accounts()):
            ledger(net.store(name), pool)


def test_slaves_at_three_kmes_get_the_same_keys_once() -> None:
    net = meshed()
    keys = draw(net, want())
    for slave in ALL:
        assert bits(take(net, slave, keys)) == bits(keys)
        with pytest.raises(UnknownKeys):
            take(net, slave, keys)
    assert len(set(bits(keys))) == 2


def test_each_link_pays_once_slices_as_delivered_and_copies_as_pads() -> None:
    net = meshed()
    keys = draw(net, want())
    for slave in ALL:
        take(net, slave, keys)

    assert spent(net, "kme-b") == {"delivered": 512}
    assert spent(net, "kme-c") == spent(net, "kme-d") == {"relay_pads": 512}
    check_ledgers(net)


@pytest.mark.parametrize(
    "slaves",
    [
        ("bob", "bert", "carol"),
        ("carol", "bob", "bert"),
        ("bob", "anna", "carol"),
        ("bob", "anna"),
        ("dave", "bob", "anna"),
    ],
)
def test_slaves_at_one_kme_share_it_and_slaves_at_the_masters_kme_fetch_it_there(slaves: tuple[str, ...]) -> None:
    net = meshed()
    keys = draw(net, want(*slaves))
    for slave in slaves:
        assert bits(take(net, slave, keys)) == bits(keys)
    check_ledgers(net)


def test_a_key_whose_first_slave_is_at_the_masters_kme_comes_from_what_that_kme_shares_with_itself() -> None:
    net = meshed()
    with pytest.raises(NotEnoughKey):
        draw(net, want("anna", "carol"))
    assert spent(net, "kme-c") == {}


def test_the_statement_counts_the_pads() -> None:
    net = meshed()
    keys = draw(net, want(count=1))
    statement = keys[0].statement
    assert statement.epsilon == pytest.approx(3e-10)
    assert statement.block_ids == ("kme-akme-b", "kme-akme-c", "kme-akme-d")
    assert take(net, "carol", keys)[0].statement == statement
    assert take(net, "bob", keys)[0].statement.epsilon == pytest.approx(1e-10)


def test_keys_may_wait_for_their_master_too() -> None:
    net = meshed()
    ids = (bytes(15) + b"1", bytes(15) + b"2")
    assert draw(net, want(key_ids=ids, keep=True)) == ()
    taken = [net.run(SAES[sae], net.kme(SAES[sae]).take(sae, "alice", ids, net.now_s)) for sae in ("alice", *ALL)]
    assert all(bits(each) == bits(taken[0]) for each in taken)


def test_nothing_is_used_where_a_kme_can_not_be_reached() -> None:
    for cut in ("kme-b", "kme-c", "kme-d"):
        net = meshed()
        net.cut("kme-a", cut)
        with pytest.raises(PeerUnreachable):
            draw(net, want())
        assert [spent(net, name) for name in KMES[1:]] == [{}] * 3
        net.mend("kme-a", cut)
        keys = draw(net, want())
        assert bits(take(net, "dave", keys)) == bits(keys)


def test_nothing_is_used_where_a_link_has_too_little() -> None:
    net = meshed()
    for poor, wanted in (("kme-d", want(count=30)), ("kme-b", want(count=30))):
        other = Wanted(master="alice", slaves=({"kme-d": "dave", "kme-b": "bob"}[poor],), count=10, size_bits=256)
        draw(net, other)
        before = [ledger(net.store("kme-a"), f"kme-a|{name}/direct") for name in KMES[1:]]
        with pytest.raises(NotEnoughKey):
            draw(net, wanted)
        assert [ledger(net.store("kme-a"), f"kme-a|{name}/direct") for name in KMES[1:]] == before
    assert len(draw(net, want("carol", "bob", count=22))) == 22


def test_who_may_not_be_asked_for_gets_no_copy() -> None:
    pairs = [{"master": "alice", "slave": slave} for slave in ("bob", "carol")]
    net = meshed(pairs=pairs)
    with pytest.raises(NotMet):
        draw(net, want("bob", "dave"))
    with pytest.raises(NotMet):
        draw(net, want("bob", "nobody"))
    assert len(draw(net, want("bob", "carol"))) == 2


def until(net: Network, wanted: Wanted, kme: str) -> Running[tuple[Material, ...]]:
    """Draw until a copy, or the slices, are about to be announced at a KME."""
    running = Running(net, "kme-a", net.kme("kme-a").draw(wanted, net.now_s))
    while not _announces(running, kme):
        running.step()
    return running


def _announces(running: Running[Any], kme: str) -> bool:
    effect = running.effect
    return (
        isinstance(effect, Ask)
        and effect.kme == kme
        and isinstance(effect.message, Announce)
        and effect.message.notes[0].master == "alice"
    )


def finish(running: Running[Any]) -> None:
    while not running.done:
        running.step()


@pytest.mark.parametrize("kme", ["kme-b", "kme-c", "kme-d"])
@pytest.mark.parametrize("acted", [True, False])
def test_if_one_kme_is_lost_on_the_way_all_others_forget_the_keys(kme: str, acted: bool) -> None:
    net = meshed()
    running = until(net, want(), kme)
    ids = tuple(note.key_id for note in running.effect.message.notes)  # type: ignore[union-attr]
    if acted:
        net.perform("kme-a", running.effect)  # type: ignore[arg-type]
    net.cut("kme-a", kme)
    finish(running)
    with pytest.raises(PeerUnreachable):
        running.result()
    net.mend("kme-a", kme)
    net.tick()

    for slave in ALL:
        with pytest.raises(UnknownKeys):
            net.run(SAES[slave], net.kme(SAES[slave]).take(slave, "alice", ids, net.now_s))
    keys = draw(net, want())
    for slave in ALL:
        assert bits(take(net, slave, keys)) == bits(keys)
    check_ledgers(net)


def test_if_the_own_store_fails_in_the_end_all_forget_the_keys() -> None:
    net = meshed()
    running = until(net, want(), "kme-d")
    running.step()
    assert isinstance(running.effect, Apply)
    assert isinstance(running.effect.operations[0], Deliver)
    ids = tuple(note.key_id for note in running.effect.operations[0].notes)
    running.fail(StoreFailed("the disk is full"))
    with pytest.raises(StoreFailed):
        running.result()
    net.tick()

    for slave in ALL:
        with pytest.raises(UnknownKeys):
            net.run(SAES[slave], net.kme(SAES[slave]).take(slave, "alice", ids, net.now_s))
    assert len(draw(net, want())) == 2
    check_ledgers(net)


def test_if_the_bytes_were_overtaken_in_the_end_nothing_is_delivered() -> None:
    net = meshed()
    running = until(net, want(), "kme-d")
    running.step()
    assert isinstance(running.effect, Apply)
    (first, *_) = running.effect.operations[0].notes  # type: ignore[attr-defined]
    run(net.store("kme-a"), Skip(pool=first.pool, cursors=tuple((each.number, 1024) for each in first.slices)))
    finish(running)
    with pytest.raises(PeerRefused):
        running.result()
    net.tick()
    with pytest.raises(UnknownKeys):
        net.run("kme-d", net.kme("kme-d").take("dave", "alice", (first.key_id,), net.now_s))


def test_a_draw_that_is_given_up_leaves_nothing_behind() -> None:
    net = meshed()
    running = until(net, want(), "kme-d")
    running.close()
    net.tick()
    for name in KMES[1:]:
        assert "reserved" not in ledger(net.store(name), f"kme-a|{name}/direct") or name == "kme-d"
    assert len(draw(net, want())) == 2


def test_slices_that_are_refused_are_tried_again_with_other_bytes_and_no_pad_is_used_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = meshed()
    draw(net, want("bob"))  # its portions are in memory now
    sent: list[KeyNote] = []
    perform = Network.perform

    def listen(self: Network, name: str, effect: Any) -> Any:
        if isinstance(effect, Ask) and isinstance(effect.message, Announce):
            sent.extend(note for note in effect.message.notes if note.copy is not None)
        return perform(self, name, effect)

    monkeypatch.setattr(Network, "perform", listen)
    running = until(net, want(), "kme-b")
    (first, *_) = running.effect.message.notes  # type: ignore[union-attr]
    run(net.store("kme-b"), Skip(pool=first.pool, cursors=tuple((each.number, 700) for each in first.slices)))
    finish(running)

    keys = running.result()
    for slave in ALL:
        assert bits(take(net, slave, keys)) == bits(keys)
    pads = [note.pad_id for note in sent]
    assert len(set(pads)) == len(pads) == 4
    assert all(note.copy not in bits(keys) for note in sent)


def copy_of(net: Network, **more: Any) -> KeyNote:
    """Return a sound copy from kme-a for carol, with a pad that was drawn for it."""
    wanted = Wanted(master="@kme-a", slaves=("@kme-c",), count=1, size_bits=256, purpose="relay")
    (pad,) = net.run("kme-a", net.kme("kme-a").draw(wanted, net.now_s))
    values: dict[str, Any] = {
        "key_id": bytes(16),
        "pool": "kme-a|kme-b/direct",
        "master": "alice",
        "slaves": ("carol",),
        "size_bytes": 32,
        "slices": (),
        "expires_s": net.now_s + 100.0,
        "copy": bytes(32),
        "pad_id": pad.key_id,
        "statement": pad.statement,
    }
    return KeyNote(**(values | more))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"pad_id": None}, "comes with a pad"),
        ({"statement": None}, "comes with a pad and a statement"),
        ({"size_bytes": 33}, "here 33 bytes"),
        ({"size_bytes": 31, "copy": bytes(31)}, "pad of the copy"),
        ({"pad_id": bytes(16)}, "pad of the copy"),
        ({"master": "bob"}, "no master at kme-a"),
        ({"slaves": ("bob",)}, "no slave at kme-c"),
    ],
)
def test_a_copy_that_is_not_sound_is_refused_and_others_are_stored(wrong: dict[str, Any], why: str) -> None:
    net = meshed()
    good = copy_of(net, key_id=b"good" * 4)
    message = Announce(notes=(copy_of(net, **wrong), good))
    answer = net.run("kme-c", net.kme("kme-c").answer("kme-a", message, net.now_s))
    problem, none = answer.problems  # type: ignore[attr-defined]
    assert why in problem
    assert none is None
    assert len(net.run("kme-c", net.kme("kme-c").take("carol", "alice", (b"good" * 4,), net.now_s))) == 1


def test_copies_slices_and_nonsense_in_one_message_each_get_their_own_answer() -> None:
    net = meshed()
    running = until(net, want("carol", count=3), "kme-c")
    first, second, third = running.effect.message.notes  # type: ignore[union-attr]
    notes = (first, copy_of(net, pad_id=bytes(16)), second, copy_of(net), copy_of(net, master="bob"), third)
    answer = net.run("kme-c", net.kme("kme-c").answer("kme-a", Announce(notes=notes), net.now_s))
    assert [problem is None for problem in answer.problems] == [True, False, True, True, False, True]  # type: ignore[attr-defined]


def test_copies_are_kept_without_their_pads() -> None:
    net = meshed()
    running = until(net, want(), "kme-c")
    answer = Running(net, "kme-c", net.kme("kme-c").answer("kme-a", running.effect.message, net.now_s))  # type: ignore[union-attr]
    answer.step()
    assert isinstance(answer.effect, Apply)
    assert isinstance(answer.effect.operations[0], Record)
    assert all(note.pad_id is None for note in answer.effect.operations[0].notes)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["draw", "draw", "cut", "mend", "lose", "crash", "tick"]),
            st.sampled_from(KMES[1:]),
            st.lists(st.sampled_from(("bob", "carol", "dave", "anna", "bert")), min_size=2, unique=True),
        ),
        min_size=3,
        max_size=15,
    )
)
def test_whatever_happens_all_slaves_get_what_their_master_got_or_nobody_anything(
    events: list[tuple[str, str, list[str]]],
) -> None:
    net = meshed(4096)
    drawn: list[tuple[list[str], tuple[Material, ...]]] = []
    happen: dict[str, Any] = {
        "cut": lambda kme: net.cut("kme-a", kme),
        "lose": lambda kme: net.lose_answers("kme-a", kme),
        "mend": lambda kme: _mend(net, kme),
        "crash": net.crash,
        "tick": lambda _: net.tick(),
    }
    for event, kme, slaves in events:
        if event != "draw":
            happen[event](kme)
            continue
        with suppress(DeliveryError):
            drawn.append((slaves, draw(net, want(*slaves))))
    for kme in KMES[1:]:
        _mend(net, kme)
    net.tick()

    for all_of_them, keys in drawn:
        for slave in all_of_them:
            assert bits(take(net, slave, keys)) == bits(keys)
    everything = [key.bits for _, keys in drawn for key in keys]
    assert len(set(everything)) == len(everything)
    check_ledgers(net)
    for name in KMES[1:]:
        assert "reserved" not in ledger(net.store(name), f"kme-a|{name}/direct")


def _mend(net: Network, kme: str) -> None:
    for other in KMES:
        if other != kme:
            net.lose_answers(other, kme, 0)
            net.lose_answers(kme, other, 0)
            net.mend(*sorted((kme, other)))


def test_a_key_that_waits_under_the_same_id_stays() -> None:
    net = meshed()
    ids = (b"1" * 16, b"2" * 16)
    (old,) = draw(net, want("carol", count=1, key_ids=ids[1:]))
    with pytest.raises(PeerRefused, match="can't store a copy: another key"):
        draw(net, want("bob", "carol", key_ids=ids))
    net.tick()

    assert take(net, "carol", (old,))[0].bits == old.bits
    for slave in ("bob", "carol"):
        with pytest.raises(UnknownKeys):
            net.run(SAES[slave], net.kme(SAES[slave]).take(slave, "alice", ids[:1], net.now_s))
