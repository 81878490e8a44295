"""Relayed key over one, two and disjoint trusted KMEs, with cuts and crashes on the way."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave.errors import DeliveryError, PeerUnreachable, ScenarioError
from bellweave.kms.confirmation import confirm
from bellweave.kms.driver import Network, Running
from bellweave.kms.effects import Ask, Effect, Work
from bellweave.kms.forwarding import Parcel
from bellweave.kms.messages import Forward, Forwarded
from bellweave.kms.operations import Accounts
from bellweave.kms.pads import xor
from bellweave.kms.params import Kms, Pair, Relay
from bellweave.kms.records import Material
from bellweave.kms.relay import STUCK_S
from bellweave.kms.store import MemoryStore
from bellweave.kms.wanted import Wanted
from bellweave.testing.key_servers import block, starter
from bellweave.testing.stores import ledger, run

CHAIN = (("kme-a", "kme-b"), ("kme-b", "kme-c"), ("kme-c", "kme-d"))
SQUARE = (("kme-a", "kme-b"), ("kme-b", "kme-d"), ("kme-a", "kme-c"), ("kme-c", "kme-d"))
SAES = {"alice": "kme-a", "bob": "kme-b", "carol": "kme-c", "dave": "kme-d"}
ENDS = (("alice", "dave"), ("dave", "alice"))
PAIRS = tuple(Pair(master=master, slave=slave, origins=("relayed",)) for master, slave in ENDS)
POOL = "kme-a|kme-d/relayed"
PARAMS = Kms(confirmation_bits=0, low_keys=0)


def relayed(links: tuple[tuple[str, str], ...], params: Kms = PARAMS, link_bytes: int = 8192, **more: Any) -> Network:
    """Return four KMEs with confirmed key on these links, not yet relayed."""
    relay = Relay(kmes=("kme-a", "kme-d"), **({"block_bits": 2048, "low_bits": 2048} | more))
    net = Network(now_s=1000.0)
    for name in sorted(set(SAES.values())):
        net.add(starter(name, params, SAES, links=links, pairs=PAIRS, relays=(relay,)), MemoryStore())
    net.connect()
    for one, other in links:
        feed_link(net, one, other, f"{one}{other}", link_bytes)
    return net


def tick_one(net: Network, name: str) -> None:
    net.run(name, net.kme(name).tick(net.now_s))


def feed_link(net: Network, one: str, other: str, block_id: str, size_bytes: int, **more: Any) -> None:
    for name, peer in ((one, other), (other, one)):
        net.run(name, net.kme(name).ingest(block(block_id, size_bytes, **more), peer, net.now_s))
    net.run(one, confirm(net.kme(one)._memory, other, f"{one}|{other}/direct"))


def ticks(net: Network, count: int = 3) -> None:
    for _ in range(count):
        net.now_s += 1.0
        net.tick()


def draw(net: Network, count: int = 2, master: str = "alice", slave: str = "dave") -> tuple[Material, ...]:
    wanted = Wanted(master=master, slaves=(slave,), count=count, size_bits=256)
    return net.run(SAES[master], net.kme(SAES[master]).draw(wanted, net.now_s))


def take(net: Network, keys: tuple[Material, ...], master: str = "alice", slave: str = "dave") -> Any:
    ids = tuple(key.key_id for key in keys)
    return net.run(SAES[slave], net.kme(SAES[slave]).take(slave, master, ids, net.now_s))


def pads_bits(net: Network, one: str, other: str) -> tuple[int, int]:
    """Return what a link's two ends have booked as pads; both ledgers close."""
    pool = f"{one}|{other}/direct"
    return tuple(ledger(net.store(name), pool).get("relay_pads", 0) for name in (one, other))  # type: ignore[return-value]


def test_key_crosses_two_trusted_kmes_and_is_the_same_at_both_ends() -> None:
    net = relayed(CHAIN)
    ticks(net)

    for master, slave in ENDS:
        keys = draw(net, 2, master, slave)
        assert take(net, keys, master, slave) == keys


def test_its_statement_tells_hops_and_sums_what_the_pads_may_fail_by() -> None:
    net = relayed(CHAIN)
    ticks(net)

    statement = draw(net)[0].statement

    assert (statement.origin, statement.hops, statement.provable) == ("relayed", 3, True)
    assert statement.epsilon == pytest.approx(3e-10)
    assert set(statement.block_ids) == {"kme-akme-b", "kme-bkme-c", "kme-ckme-d"}


def test_it_is_provable_only_if_all_pads_are() -> None:
    net = relayed(CHAIN, link_bytes=0)
    for index, (one, other) in enumerate(CHAIN):
        feed_link(net, one, other, f"link-{index}", 8192, provable_bits=0 if index == 1 else 8 * 8192)
    ticks(net)

    assert not draw(net)[0].statement.provable


def test_every_link_pays_the_blocks_length_at_both_its_ends() -> None:
    net = relayed(CHAIN)
    ticks(net)

    for one, other in CHAIN:
        assert pads_bits(net, one, other) == (2048, 2048)
    for name in ("kme-a", "kme-d"):
        assert ledger(net.store(name), POOL) == {"ingested": 2048, "available": 2048}
    for name in ("kme-b", "kme-c"):
        assert POOL not in run(net.store(name), Accounts())


def test_the_pool_is_kept_above_its_low_watermark_and_not_filled_further() -> None:
    net = relayed(CHAIN, low_bits=6000)
    ticks(net)
    assert ledger(net.store("kme-a"), POOL)["available"] == 3 * 2048

    draw(net, 8)
    ticks(net)
    assert ledger(net.store("kme-a"), POOL) == {"ingested": 4 * 2048, "available": 3 * 2048, "delivered": 2048}


def spied_on(net: Network, name: str) -> set[bytes]:
    """Return the shares that a KME learns, as it learns them."""
    known: set[bytes] = set()
    relays = net.kme(name)._relays
    original = relays._receive

    def receive(sender: str, message: Forward, now_s: float) -> Work[Parcel]:
        parcel = yield from original(sender, message, now_s)
        known.add(parcel.bits or b"")
        return parcel

    relays._receive = receive  # type: ignore[method-assign]
    return known


def test_no_kme_on_the_way_knows_a_key_that_is_shared_over_disjoint_paths() -> None:
    net = relayed(SQUARE, disjoint=2)
    known = [spied_on(net, name) for name in ("kme-b", "kme-c")]
    ticks(net)

    whole = b"".join(key.bits for key in draw(net, 8))
    (share_b,), (share_c,) = known
    assert whole not in {share_b, share_c}
    assert xor(share_b, share_c) == whole
    for name in ("kme-b", "kme-c"):
        assert [parcel.bits for parcel in net.kme(name)._relays._parcels._held.values()] == [None]


def test_each_link_of_disjoint_paths_pays_and_the_statement_counts_them_all() -> None:
    net = relayed(SQUARE, disjoint=2)
    ticks(net)

    for one, other in SQUARE:
        assert pads_bits(net, one, other) == (2048, 2048)
    statement = draw(net)[0].statement
    assert statement.hops == 2
    assert statement.epsilon == pytest.approx(4e-10)


def test_a_path_that_is_stuck_is_left_for_another_one_and_come_back_to() -> None:
    net = relayed(SQUARE)
    net.cut("kme-b", "kme-d")  # beyond the lead's sight
    ticks(net, int(STUCK_S))
    assert pads_bits(net, "kme-a", "kme-c") == (0, 0)
    ticks(net)
    keys = draw(net, 8)
    assert take(net, keys) == keys
    assert set(keys[0].statement.block_ids) == {"kme-akme-c", "kme-ckme-d"}

    net.mend("kme-b", "kme-d")
    net.cut("kme-a", "kme-c")
    ticks(net, int(STUCK_S) + 3)
    keys = draw(net, 8)
    assert take(net, keys) == keys
    assert set(keys[0].statement.block_ids) == {"kme-akme-b", "kme-bkme-d"}


def test_paths_that_are_given_are_kept_to() -> None:
    net = relayed(SQUARE, paths=(("kme-a", "kme-b", "kme-d"),))
    net.cut("kme-b", "kme-d")
    ticks(net, int(STUCK_S) + 3)

    assert pads_bits(net, "kme-a", "kme-c") == (0, 0)


def test_what_crosses_a_link_is_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, str, Forward]] = []
    perform = Network.perform

    def listen(net: Network, name: str, effect: Effect) -> Any:
        if isinstance(effect, Ask) and isinstance(effect.message, Forward):
            heard.append((name, effect.kme, effect.message))
        return perform(net, name, effect)

    monkeypatch.setattr(Network, "perform", listen)
    net = relayed(CHAIN)
    ticks(net)

    key = draw(net)[0].bits
    assert [(sender, receiver) for sender, receiver, _ in heard] == list(CHAIN)
    assert all(key not in message.data for _, _, message in heard)
    assert len({message.data for _, _, message in heard}) == 3


def test_a_cut_in_the_middle_costs_nothing_more_when_it_is_mended() -> None:
    net = relayed(CHAIN)
    net.cut("kme-b", "kme-c")
    ticks(net, 5)
    assert pads_bits(net, "kme-a", "kme-b") == (2048, 2048)
    assert "available" not in ledger(net.store("kme-a"), POOL)

    net.mend("kme-b", "kme-c")
    ticks(net)

    for one, other in CHAIN:
        assert pads_bits(net, one, other) == (2048, 2048)
    keys = draw(net)
    assert take(net, keys) == keys


@pytest.mark.parametrize(("asker", "other"), CHAIN)
def test_a_lost_answer_is_made_good_without_another_pad(asker: str, other: str) -> None:
    net = relayed(CHAIN)
    lost = _lose_forward(net, asker, other)
    ticks(net, 6)

    assert lost == [True]
    for one, two in CHAIN:
        assert pads_bits(net, one, two)[0] == 2048
    assert ledger(net.store("kme-a"), POOL) == ledger(net.store("kme-d"), POOL)
    keys = draw(net)
    assert take(net, keys) == keys


def _lose_forward(net: Network, asker: str, other: str) -> list[bool]:
    """Lose the answer to the first Forward from one KME to another; the returned list tells when that was."""
    lost: list[bool] = []
    perform = net.perform

    def lossy(name: str, effect: Effect) -> Any:
        answer = perform(name, effect)
        crossed = isinstance(answer, Forwarded) and isinstance(effect, Ask) and (name, effect.kme) == (asker, other)
        if crossed and not lost:
            lost.append(True)
            raise PeerUnreachable("the answer was lost")
        return answer

    net.perform = lossy  # type: ignore[method-assign]
    return lost


@pytest.mark.parametrize("crashed", ["kme-b", "kme-c", "kme-d"])
def test_a_kme_that_crashes_on_the_way_costs_a_pad_and_no_key_is_wrong(crashed: str) -> None:
    net = relayed(CHAIN)
    net.cut("kme-c", "kme-d")
    ticks(net, 2)

    net.crash(crashed)
    for peer in sorted(set(SAES.values()) - {crashed}):
        net.mend(*sorted((crashed, peer)))
    net.mend("kme-c", "kme-d")
    ticks(net, 8)

    assert max(pads_bits(net, one, other)[0] for one, other in CHAIN) <= 2 * 2048
    keys = draw(net)
    assert take(net, keys) == keys


def test_the_far_end_that_lost_one_of_two_shares_gets_it_again() -> None:
    net = relayed(SQUARE, disjoint=2)
    net.cut("kme-c", "kme-d")
    ticks(net, 2)  # the share over kme-b has arrived

    net.crash("kme-d")
    for peer in ("kme-a", "kme-b", "kme-c"):
        net.mend(peer, "kme-d")
    ticks(net, 8)

    keys = draw(net)
    assert take(net, keys) == keys
    assert pads_bits(net, "kme-b", "kme-d")[0] == 2 * 2048


def test_a_lead_that_crashes_begins_anew_and_the_lost_block_is_never_offered() -> None:
    net = relayed(CHAIN)
    _lose_forward(net, "kme-a", "kme-b")
    ticks(net, 1)
    assert ledger(net.store("kme-d"), POOL) == {"ingested": 2048, "available": 2048}
    net.crash("kme-a")
    for peer in ("kme-b", "kme-c", "kme-d"):
        net.mend("kme-a", peer)
    ticks(net, 3)

    assert ledger(net.store("kme-a"), POOL) == {"ingested": 2048, "available": 2048}
    assert ledger(net.store("kme-d"), POOL) == {"ingested": 4096, "available": 4096}
    keys = draw(net, 8)
    assert take(net, keys) == keys
    net.now_s += PARAMS.block_lifetime_s + 10
    ticks(net, 1)
    assert ledger(net.store("kme-d"), POOL)["purged"] == 2048


def test_a_kme_that_always_refuses_costs_ever_less() -> None:
    net = relayed(CHAIN)
    net.kme("kme-d")._relays._led.clear()
    net.kme("kme-d")._memory.roster.fed.pop(POOL)  # its directory does not list the relay
    ticks(net, 64)

    assert pads_bits(net, "kme-c", "kme-d")[0] <= 7 * 2048
    assert pads_bits(net, "kme-a", "kme-b") == (2048, 2048)


def test_a_block_that_can_not_be_completed_is_given_up_when_it_would_have_expired() -> None:
    net = relayed(CHAIN, Kms(confirmation_bits=0, low_keys=0, block_lifetime_s=50.0))
    net.cut("kme-b", "kme-c")
    ticks(net, 2)
    net.now_s += 60.0
    ticks(net, 2)
    net.mend("kme-b", "kme-c")
    for index, (one, other) in enumerate(CHAIN):
        feed_link(net, one, other, f"new-{index}", 2048)
    ticks(net, 3)

    keys = draw(net)
    assert take(net, keys) == keys
    assert len(net.kme("kme-b")._relays._parcels._held) == 1


def forward(net: Network, **more: Any) -> Forward:
    """Return a sound message from kme-a to kme-b, with a pad that was drawn for it."""
    wanted = Wanted(master="@kme-a", slaves=("@kme-b",), count=1, size_bits=256, purpose="relay")
    (pad,) = net.run("kme-a", net.kme("kme-a").draw(wanted, net.now_s))
    values: dict[str, Any] = {
        "pool": POOL,
        "block_id": "block",
        "share": 0,
        "shares": 1,
        "path": ("kme-b", "kme-c", "kme-d"),
        "pad_id": pad.key_id,
        "data": bytes(32),
        "statement": pad.statement,
        "expires_s": net.now_s + 1000,
    }
    return Forward(**(values | more))


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": ("kme-c", "kme-d")},
        {"path": ()},
        {"path": ("kme-b", "kme-a")},
        {"path": ("kme-b", "kme-x")},
        {"path": ("kme-b", "kme-c", "kme-b")},
        {"path": ("kme-b",)},
        {"path": ("kme-b",), "pool": "kme-x|kme-y/relayed"},
        {"share": 1},
        {"share": -1},
        {"shares": 17},
        {"data": b""},
        {"data": bytes(31)},
        {"pad_id": bytes(16)},
    ],
)
def test_nonsense_is_refused_and_nothing_is_forwarded(wrong: dict[str, Any]) -> None:
    net = relayed(CHAIN)
    ticks(net, 1)
    before = pads_bits(net, "kme-b", "kme-c")
    answer = net.run("kme-b", net.kme("kme-b").answer("kme-a", forward(net, **wrong), net.now_s))
    assert type(answer).__name__ == "Refused"
    assert pads_bits(net, "kme-b", "kme-c") == before


def test_a_share_is_not_shown() -> None:
    net = relayed(CHAIN)
    net.cut("kme-b", "kme-c")
    ticks(net, 1)
    (parcel,) = net.kme("kme-b")._relays._parcels._held.values()
    assert parcel.bits
    assert "bits" not in repr(parcel)
    assert repr(parcel.bits)[2:12] not in repr(parcel)


def test_a_pool_without_paths_is_refused_at_the_start() -> None:
    with pytest.raises(ScenarioError, match="1 disjoint paths, not 2"):
        relayed(CHAIN, disjoint=2)
    relay = {"kmes": ("kme-a", "kme-d"), "paths": (("kme-a", "kme-b", "kme-d"),)}
    start = starter("kme-a", PARAMS, {"alice": "kme-a", "bob": "kme-b"}, relays=(relay,), peers=("kme-b",))
    with pytest.raises(ScenarioError, match="not among the peers"):
        start()


class Trip:
    """A network of disjoint paths to which things happen."""

    def __init__(self) -> None:
        self.net = relayed(SQUARE, disjoint=2, low_bits=4096, link_bytes=32_000)
        self.names = sorted(set(SAES.values()))
        self.down: set[tuple[str, str]] = set()
        self.delivered: list[Material] = []

    def cut(self, one: str, other: str) -> None:
        self.net.cut(one, other)
        self.down.add((one, other))

    def mend(self, one: str, other: str) -> None:
        self.net.lose_answers(one, other, 0)
        self.net.lose_answers(other, one, 0)
        self.net.mend(one, other)
        self.down.discard((one, other))

    def lose(self, one: str, other: str) -> None:
        self.net.lose_answers(one, other)

    def crash(self, one: str, other: str) -> None:
        self.net.crash(one)
        self.down |= {(min(one, peer), max(one, peer)) for peer in self.names if peer != one}

    def tick(self, one: str = "", other: str = "") -> None:
        for name in self.names:
            self.net.now_s += 0.25
            tick_one(self.net, name)

    def draw(self, one: str = "", other: str = "") -> None:
        if not self.down:
            try:
                keys = draw(self.net, 1)
            except DeliveryError:
                return
            assert take(self.net, keys) == keys
            self.delivered += keys

    def end(self) -> None:
        for one in self.names:
            for other in self.names:
                if one < other:
                    self.mend(one, other)
        for later_s in (1.0, 4.0, 16.0, 64.0, 256.0, 1.0):
            self.net.now_s += later_s
            self.tick()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["tick", "cut", "mend", "lose", "crash", "draw"]),
            st.sampled_from([(one, other) for one in SAES.values() for other in SAES.values() if one < other]),
        ),
        min_size=4,
        max_size=20,
    )
)
def test_whatever_happens_on_the_way_keys_are_equal_and_used_once_and_all_ledgers_close(
    events: list[tuple[str, tuple[str, str]]],
) -> None:
    trip = Trip()
    for event, link in events:
        getattr(trip, event)(*link)
    trip.end()
    before = len(trip.delivered)
    trip.draw()

    assert len(trip.delivered) == before + 1, "in the end the pool is filled"
    assert len({key.bits for key in trip.delivered}) == len(trip.delivered)
    for name in trip.names:
        for pool in run(trip.net.store(name), Accounts()):
            ledger(trip.net.store(name), pool)


def test_a_share_that_is_said_again_while_it_is_on_its_way_is_not_sent_twice() -> None:
    net = relayed(CHAIN)
    message = forward(net)
    first = Running(net, "kme-b", net.kme("kme-b").answer("kme-a", message, net.now_s))
    while not (isinstance(first.effect, Ask) and isinstance(first.effect.message, Forward)):
        first.step()
    again = net.run("kme-b", net.kme("kme-b").answer("kme-a", message, net.now_s))
    while not first.done:
        first.step()

    assert again == Forwarded(statement=None)
    done = net.run("kme-b", net.kme("kme-b").answer("kme-a", message, net.now_s))
    assert done == first.result()
    assert pads_bits(net, "kme-b", "kme-c")[0] == 256
