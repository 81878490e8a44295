"""Every bit of a network run from photon to tunnel: the books close, both ends agree, no bit is in two keys."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bellweave.kms.operations import AddBlock, Deliver, Operation, Portions, Take
from bellweave.kms.records import KeyNote
from bellweave.kms.store import MemoryStore
from bellweave.results.network_records import BlockDistilled, Delivered, LedgerClosed
from bellweave.scenario.schema import Scenario
from bellweave.sim.network import NetworkRun, nodes, simulate_network
from bellweave.testing.data_centres import small

Place = tuple[str, str, int]
"""A byte of a block: pool, block, where in it."""


class Records:
    """What all stores of a run did."""

    def __init__(self) -> None:
        self.blocks: dict[tuple[str, str], list[bytes]] = defaultdict(list)
        self.places: dict[bytes, list[Place]] = {}
        self.taken: dict[bytes, list[bytes]] = defaultdict(list)

    def bytes_of(self, key_id: bytes) -> bytes:
        return bytes(self.blocks[pool, name][0][index] for pool, name, index in self.places[key_id])


class Watched(MemoryStore):
    """A store that tells which bytes of which blocks the keys are made of."""

    records: Records

    def apply(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        results = super().apply(operations)
        for operation, result in zip(operations, results, strict=True):
            if isinstance(operation, AddBlock) and result is True:
                block = operation.block
                self.records.blocks[block.pool, block.block_id].append(block.material)
            elif isinstance(operation, Deliver) and result is None:
                self.records.places |= {note.key_id: self._places(note) for note in operation.notes}
            elif isinstance(operation, Take) and isinstance(result, tuple):
                for material in result:
                    self.records.taken[material.key_id].append(material.bits)
        return results

    def _places(self, note: KeyNote) -> list[Place]:
        places = []
        for each in note.slices:
            ((portion,),) = super().apply([Portions(pool=note.pool, number=each.number, limit=1)])
            start = portion.start_bytes + each.start_bytes
            places += [(note.pool, portion.block_id, start + index) for index in range(each.length_bytes)]
        return places


@contextmanager
def recorded() -> Iterator[Records]:
    """Let the stores of the runs within tell what they do."""
    records = Records()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nodes, "MemoryStore", type("Recording", (Watched,), {"records": records}))
        yield records


def check_keys(records: Records) -> None:
    """No byte is in two keys, both ends hold the same blocks, and a key is the bytes that its notes say."""
    used = Counter(place for places in records.places.values() for place in places)
    assert [place for place, times in used.items() if times > 1] == []
    assert all(len(copies) == 2 and copies[0] == copies[1] for copies in records.blocks.values())
    for key_id, copies in records.taken.items():
        assert copies == [records.bytes_of(key_id)]


def check_books(run: NetworkRun, *, exactly: bool) -> None:
    """From photon to tunnel, link by link; ``exactly``: nothing failed, so what is booked is what was given."""
    for name, link in run.scenario.link.items():
        blocks = [event for event in run.events if isinstance(event, BlockDistilled) and event.block.link == name]
        assert all(event.block.ledger.closes() for event in blocks)
        left = [event.block.ledger.final - event.ingested_bits for event in blocks]
        assert all(0 <= bits < 8 for bits in left) or not exactly
        books = {e.kme: e.accounts for e in run.events if isinstance(e, LedgerClosed) and e.link == name}
        assert set(books) == {link.alice, link.bob}
        for node, accounts in books.items():
            assert accounts.get("ingested", 0) == sum(event.ingested_bits for event in blocks)
            assert 2 * accounts.get("ingested", 0) == sum(accounts.values())
            assert all(bits >= 0 for bits in accounts.values())
            spare = accounts.get("delivered", 0) - given_bits(run, {link.alice, link.bob}, node)
            assert spare == 0 if exactly else spare >= 0
        alice, bob = books.values()
        assert alice == bob or not exactly


def given_bits(run: NetworkRun, ends: set[str], node: str) -> int:
    """Return how many bits the gateways of a node got from its KME, of keys between these two nodes."""
    table = run.scenario.tunnel
    return sum(
        event.bits
        for event in run.events
        if isinstance(event, Delivered)
        and {table[event.tunnel].client, table[event.tunnel].server} == ends
        and getattr(table[event.tunnel], event.side) == node
    )


def test_the_books_of_the_papers_network_close_to_the_last_bit() -> None:
    with recorded() as records:
        run = simulate_network(small(4, 100, every_tunnel={"key_bits": 512, "period_s": 60.0, "start_s": 60.0}))

    check_books(run, exactly=True)
    check_keys(records)
    final = sum(event.block.ledger.final for event in run.events if isinstance(event, BlockDistilled))
    ingested = sum(event.ingested_bits for event in run.events if isinstance(event, BlockDistilled))
    assert final - 800 < ingested <= final
    assert sum(event.bits for event in run.events if isinstance(event, Delivered)) > final / 2


@pytest.mark.parametrize("confirmation_bits", [0, 64, 128])
def test_what_confirmation_costs_is_booked_at_both_ends(confirmation_bits: int) -> None:
    run = simulate_network(small(slots=20, kms={"confirmation_bits": confirmation_bits}))
    blocks = [event for event in run.events if isinstance(event, BlockDistilled)]

    check_books(run, exactly=True)
    paid = sum(min(confirmation_bits, event.ingested_bits) for event in blocks)
    assert [event.accounts.get("authentication", 0) for event in run.events if isinstance(event, LedgerClosed)] == [
        paid, paid,
    ]  # fmt: skip


def test_a_block_of_which_authentication_takes_all_gives_no_key_and_is_accounted_for() -> None:
    greedy = {"authentication": {"scheme": "one-time"}}  # 512 bits a block
    run = simulate_network(small(slots=6, distill=greedy))
    blocks = [event for event in run.events if isinstance(event, BlockDistilled)]

    assert [event.block.rejection for event in blocks] == [None] * 6
    assert [event.ingested_bits for event in blocks] == [0] * 6
    assert {event.block.ledger.final >= 8 for event in blocks} == {False}
    assert all(event.block.ledger.authentication > 0 for event in blocks)
    check_books(run, exactly=True)


def test_what_is_too_old_is_purged_at_both_ends() -> None:
    run = simulate_network(small(slots=20, tunnels=0, kms={"block_lifetime_s": 50.0}))

    check_books(run, exactly=True)
    for event in run.events:
        if isinstance(event, LedgerClosed):
            assert event.accounts["purged"] > event.accounts["available"] > 0


def test_a_defect_in_the_books_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes.Nodes, "ingest", lambda *_: None)

    with pytest.raises(AssertionError, match="do not add up"):
        simulate_network(small(slots=3, tunnels=0))


@st.composite
def faults(draw: st.DrawFn, users: int) -> dict[str, dict[str, object]]:
    drawn: dict[str, dict[str, object]] = {}
    for number in range(draw(st.integers(0, 3))):
        at_s = draw(st.integers(0, 1300)) / 10.0
        kind = draw(st.sampled_from(("down", "down", "cut", "spy")))
        what: dict[str, object] = {"at_s": at_s, "until_s": at_s + draw(st.integers(1, 500)) / 10.0}
        user = draw(st.integers(1, users))
        link = f"user{min(user, users - 1)}-user{users}"
        if kind == "down":
            what["down"] = f"user{user}"
        elif kind == "cut":
            what["cut"] = link
        else:
            what["set"] = {f"link.{link}.eavesdropper": {"fraction": 1.0}}
        drawn[f"fault{number}"] = what
    return drawn


@st.composite
def networks(draw: st.DrawFn) -> Scenario:
    users = draw(st.integers(2, 4))
    low_keys = draw(st.sampled_from((0, 0, 1, 3)))
    scheduler = draw(st.sampled_from(("round-robin", "deficit", "optimum")))
    sizes = draw(st.lists(st.sampled_from((64, 128, 200, 256)), min_size=1, max_size=5))
    tunnels = {}
    for number, key_bits in enumerate(sizes):
        client, server = draw(st.permutations(range(1, users + 1)).map(lambda order: order[:2]))
        tunnels[f"t{number}"] = {
            "client": f"user{client}",
            "server": f"user{server}",
            "key_bits": key_bits,
            "period_s": draw(st.sampled_from((7.0, 10.5, 20.0))),
            "start_s": draw(st.sampled_from((0.0, 10.5, 21.0))),
            "retry_s": draw(st.sampled_from((None, 3.0))),
        }
    return small(
        users,
        draw(st.integers(6, 14)),
        tunnels=0,
        run={"seed": draw(st.integers(0, 1000))},
        schedule={"scheduler": scheduler, "sources": draw(st.integers(1, 2)), "frame_slots": 6},
        distill={"accumulate_blocks": draw(st.sampled_from((1, 1, 2)))},
        kms={
            "low_keys": low_keys,
            "high_keys": 2 * low_keys,
            "confirmation_bits": draw(st.sampled_from((0, 64))),
            "key_lifetime_s": draw(st.sampled_from((5.0, 3600.0))),
            "block_lifetime_s": draw(st.sampled_from((40.0, 3600.0))),
        },
        data_network={"latency_s": draw(st.sampled_from((0.0, 0.0005, 0.05, 0.4)))},
        tunnel=tunnels,
        fault=draw(faults(users)),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(scenario=networks())
def test_no_bit_of_any_network_is_in_two_keys_and_none_is_lost_from_the_books(scenario: Scenario) -> None:
    with recorded() as records:
        run = simulate_network(scenario)

    check_keys(records)
    check_books(run, exactly=False)
    given = [(event.side, event.key_id) for event in run.events if isinstance(event, Delivered) and event.key_id]
    assert len(set(given)) == len(given)
