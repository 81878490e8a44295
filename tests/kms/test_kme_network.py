"""Two KMEs through everything that can go wrong: whatever the order, no byte is delivered in two keys.

Requests are under way at once and advance effect by effect; answers are late or lost; links are cut; KMEs crash, and
come back with their store or with a copy of it from before.
"""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from bellweave.errors import DeliveryError, PeerUnreachable, StoreFailed, UnknownKeys
from bellweave.kms.driver import Network, Running
from bellweave.kms.effects import Apply
from bellweave.kms.messages import Announce
from bellweave.kms.operations import Accounts, Deliver, Operation, Portions, Witness
from bellweave.kms.params import Kms
from bellweave.kms.records import KeyNote, Material
from bellweave.kms.store import MemoryStore
from bellweave.kms.wanted import Wanted
from bellweave.testing.key_servers import SAES, block, starter

PEER = {"kme-a": "kme-b", "kme-b": "kme-a"}
PAIRS = [(master, slave) for master in SAES for slave in SAES if SAES[master] != SAES[slave]]
LIFETIME_S = 500.0

Place = tuple[str, str, int]


class Watched:
    """A store that notes where in which block the keys lie that it records as delivered."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.places: dict[bytes, list[Place]] = {}

    def apply(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        results = self.store.apply(operations)
        for operation, result in zip(operations, results, strict=True):
            if isinstance(operation, Deliver) and result is None:
                self.places |= {note.key_id: self._places(note) for note in operation.notes}
        return results

    def _places(self, note: KeyNote) -> list[Place]:
        places = []
        for each in note.slices:
            (found,) = self.store.apply([Portions(pool=note.pool, number=each.number, limit=1)])
            start = found[0].start_bytes + each.start_bytes
            places += [(note.pool, found[0].block_id, start + index) for index in range(each.length_bytes)]
        return places

    def close(self) -> None:
        self.store.close()


class TwoKmes(RuleBasedStateMachine):
    running = Bundle("running")

    def __init__(self) -> None:
        super().__init__()
        self.net = Network(now_s=1000.0)
        params = Kms(low_keys=1, high_keys=3, key_size_bits=64, key_lifetime_s=LIFETIME_S)
        for name in PEER:
            self.net.add(starter(name, params, SAES), Watched())
        self.net.connect()
        self.linked = True
        self.blocks: dict[str, bytes] = {}
        for size_bytes in (300, 200, 100):
            self.a_block_is_distilled(size_bytes, ("kme-a", "kme-b"))
        self.net.tick()
        self.under_way: list[tuple[str, Wanted, Running[tuple[Material, ...]]]] = []
        self.used: dict[Place, bytes] = {}
        self.waiting: dict[bytes, tuple[str, Material, float]] = {}  # not taken: slave, key, when it was drawn
        self.taken: set[bytes] = set()
        self.orphaned: set[Running[tuple[Material, ...]]] = (
            set()
        )  # requests that were under way when the slave's store was replaced
        self.copies: dict[str, Watched] = {}

    # ------------------------------------------------------------------------------------------------ blocks, time

    @rule(size_bytes=st.integers(0, 400), ends=st.sampled_from((("kme-a", "kme-b"), ("kme-a",), ("kme-b",))))
    def a_block_is_distilled(self, size_bytes: int, ends: tuple[str, ...]) -> None:
        made = block(f"block {len(self.blocks)}", size_bytes)
        self.blocks[made.block_id] = made.bits
        for name in ends:
            self.net.run(name, self.net.kme(name).ingest(made, PEER[name], self.net.now_s))

    @rule()
    def a_second_passes(self) -> None:
        self.net.now_s += 1.0
        self.net.tick()

    # --------------------------------------------------------------------------------------------------- requests

    @rule(target=running, pair=st.sampled_from(PAIRS), count=st.integers(1, 3), size_bytes=st.integers(8, 40))
    def keys_are_asked_for(self, pair: tuple[str, str], count: int, size_bytes: int) -> Running[tuple[Material, ...]]:
        return self._ask_for(pair, count, size_bytes)

    def _ask_for(self, pair: tuple[str, str], count: int, size_bytes: int) -> Running[tuple[Material, ...]]:
        master, slave = pair
        wanted = Wanted(master=master, slaves=(slave,), count=count, size_bits=8 * size_bytes)
        name = SAES[master]
        work: Running[tuple[Material, ...]] = Running(self.net, name, self.net.kme(name).draw(wanted, self.net.now_s))
        self.under_way.append((name, wanted, work))
        self._harvest()
        return work

    @rule(work=running, steps=st.integers(1, 4))
    def a_request_goes_on(self, work: Running[tuple[Material, ...]], steps: int) -> None:
        for _ in range(steps):
            if not work.done:
                work.step()
        self._harvest()

    @rule(work=running, kind=st.sampled_from((Announce, Deliver)))
    def a_request_is_about_to(self, work: Running[tuple[Material, ...]], kind: type[Announce | Deliver]) -> None:
        """Stop it where it matters most: before it announces its keys, or before it records them as delivered."""
        for _ in range(20):
            effect = work.effect
            at = effect.operations[0] if isinstance(effect, Apply) else effect and effect.message
            if work.done or isinstance(at, kind):
                break
            work.step()
        self._harvest()

    @rule(work=consumes(running))
    def a_request_runs_to_its_end(self, work: Running[tuple[Material, ...]]) -> None:
        while not work.done:
            work.step()
        self._harvest()

    @rule(work=running)
    def an_answer_takes_its_time(self, work: Running[tuple[Material, ...]]) -> None:
        if not work.done:
            work.act()

    @rule(work=consumes(running), acts=st.booleans())
    def an_answer_is_lost(self, work: Running[tuple[Material, ...]], acts: bool) -> None:
        if not work.done:
            if acts:
                work.act()
            work.fail(PeerUnreachable("time-out") if acts else StoreFailed("disk full"))
        self._harvest()

    @rule(work=consumes(running))
    def a_request_is_given_up(self, work: Running[tuple[Material, ...]]) -> None:
        if not work.done:
            work.close()
        self._harvest()

    def _harvest(self) -> None:
        for entry in [entry for entry in self.under_way if entry[2].done]:
            self.under_way.remove(entry)
            name, wanted, work = entry
            try:
                keys = work.result()
            except DeliveryError:
                continue
            assert [len(key.bits) * 8 for key in keys] == [wanted.size_bits] * wanted.count
            for key in keys:
                self._delivered(name, wanted, key)
                if work in self.orphaned:
                    del self.waiting[key.key_id]

    def _delivered(self, name: str, wanted: Wanted, key: Material) -> None:
        store = self.net.store(name)
        assert isinstance(store, Watched)
        places = store.places[key.key_id]
        assert bytes(self.blocks[block_id][index] for _, block_id, index in places) == key.bits
        for place in places:
            assert self.used.setdefault(place, key.key_id) == key.key_id, "a byte is in two keys"
        self.waiting[key.key_id] = (wanted.slaves[0], key, self.net.now_s)

    # ------------------------------------------------------------------------------------------------ slaves fetch

    @rule(data=st.data())
    def a_slave_fetches_its_key(self, data: st.DataObject) -> None:
        if not self.waiting:
            return
        key_id = data.draw(st.sampled_from(sorted(self.waiting)))
        slave, key, drawn_s = self.waiting[key_id]
        try:
            (copy_,) = self._take(slave, key)
        except PeerUnreachable:
            assert not self.linked
            return
        except UnknownKeys:
            assert self.net.now_s >= drawn_s + LIFETIME_S
            del self.waiting[key_id]
            return
        assert copy_.bits == key.bits
        del self.waiting[key_id]
        self.taken.add(key_id)
        with pytest.raises(UnknownKeys):
            self._take(slave, key)

    def _take(self, slave: str, key: Material) -> tuple[Material, ...]:
        name = SAES[slave]
        return self.net.run(name, self.net.kme(name).take(slave, key.master, (key.key_id,), self.net.now_s))

    @rule(data=st.data())
    def a_key_that_was_fetched_is_gone(self, data: st.DataObject) -> None:
        if self.taken:
            key_id = data.draw(st.sampled_from(sorted(self.taken)))
            for slave in SAES:
                name = SAES[slave]
                with pytest.raises((UnknownKeys, PeerUnreachable)):
                    self.net.run(name, self.net.kme(name).take(slave, None, (key_id,), self.net.now_s))

    # --------------------------------------------------------------------------------------------------- disasters

    @rule()
    def the_link_is_cut(self) -> None:
        self.net.cut("kme-a", "kme-b")
        self.linked = False

    @rule()
    def the_link_is_mended(self) -> None:
        self.net.mend("kme-a", "kme-b")
        self.linked = True

    @rule(asker=st.sampled_from(sorted(PEER)), count=st.integers(1, 2))
    def answers_are_lost(self, asker: str, count: int) -> None:
        self.net.lose_answers(asker, PEER[asker], count)
        self._advance_some()
        self.net.lose_answers(asker, PEER[asker], 0)

    def _advance_some(self) -> None:
        for _, _, work in self.under_way[:2]:
            if not work.done:
                work.step()
        self._harvest()

    @rule(name=st.sampled_from(sorted(PEER)))
    def a_kme_crashes(self, name: str) -> None:
        self._stop(name)
        self.net.crash(name)
        self.linked = False

    @rule(name=st.sampled_from(sorted(PEER)))
    def a_store_is_copied(self, name: str) -> None:
        if self.linked:
            store = self.net.store(name)
            assert isinstance(store, Watched)
            self.copies[name] = copy.deepcopy(store)
            self.a_second_passes()  # what changes in the second of the copy is beyond notice

    @rule(name=st.sampled_from(sorted(PEER)))
    def a_store_comes_back_from_its_copy(self, name: str) -> None:
        if name not in self.copies:
            return
        old = copy.deepcopy(self.copies[name])
        counted, told = old.apply([Witness(peer=name)])[0], self.net.store(PEER[name]).apply([Witness(peer=name)])[0]
        assert told > counted
        self._stop(name)
        self.net.crash(name, old)
        self.the_link_is_mended()
        self.a_second_passes()
        for key_id in [key_id for key_id, (slave, _, _) in self.waiting.items() if SAES[slave] == name]:
            del self.waiting[key_id]
        self.orphaned.update(work for kme, _, work in self.under_way if kme != name)  # stored there, and forgotten

    def _stop(self, name: str) -> None:
        for kme, _, work in self.under_way:
            if kme == name and not work.done:
                work.close()
        self._harvest()

    # -------------------------------------------------------------------------------------------------- invariants

    @invariant()
    def the_ledgers_close(self) -> None:
        for name in PEER:
            (pools,) = self.net.store(name).apply([Accounts()])
            for accounts in pools.values():
                assert min(accounts.values()) >= 0
                assert accounts["ingested"] == sum(accounts.values()) - accounts["ingested"]

    def teardown(self) -> None:
        """Everything that was delivered can still be fetched, and in the end requests are served again."""
        for _, _, work in self.under_way:
            while not work.done:
                work.step()
        self._harvest()
        self.the_link_is_mended()
        for slave, key, drawn_s in self.waiting.values():
            if self.net.now_s < drawn_s + LIFETIME_S:
                (fetched,) = self._take(slave, key)
                assert fetched.bits == key.bits
        self.a_block_is_distilled(4000, ("kme-a", "kme-b"))
        for _ in range(4):
            self.a_second_passes()
        for pair in PAIRS:
            work = self._ask_for(pair, 1, 32)
            while not work.done:
                work.step()
            assert len(work.result()) == 1


TwoKmes.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestTwoKmes = TwoKmes.TestCase
