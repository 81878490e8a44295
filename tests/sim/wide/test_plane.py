"""The plane by itself, without key servers: advanced piece by piece, with faults that come from outside."""

import simpy

from bellweave.results.wide_records import LanesEnded, LanesSet, WideEvent
from bellweave.roles.slave import Method
from bellweave.scenario.changes import changed
from bellweave.scenario.load import load
from bellweave.sim.cluster import Sampled
from bellweave.sim.network.journal import Journal
from bellweave.sim.network.nodes import Process
from bellweave.sim.wide.keys import Made
from bellweave.sim.wide.plane import HARVEST_S, Plane


class Around:
    """All slaves are up; what is delivered is counted."""

    def __init__(self) -> None:
        self.bits = 0
        self.fates: list[str] = []
        self.plane: Plane

    def up(self, slave: str) -> bool:
        return bool(slave)

    def deliver(self, demand: str, made: Made) -> None:
        assert demand
        self.bits += made.alice.bit_count if made.alice else 0

    def measured(self, demand: str, method: Method, block: Sampled) -> None:
        raise AssertionError(f"{demand} in physical mode: {method}, {len(block)} rounds")

    def kept_bits(self, demand: str) -> int:
        raise AssertionError(demand)

    def failed(self, slave: str) -> None:
        self.fates.append(f"{slave} failed")

    def returned(self, slave: str) -> None:
        self.fates.append(f"{slave} returned")
        self.plane.resume(slave)

    def harvested(self, number: int) -> Process[None]:
        assert number
        yield from ()


def ran(
    forced: dict[float, tuple[frozenset[str], frozenset[str]]], step_s: float = 0.03
) -> tuple[Around, Journal[WideEvent]]:
    """Run 3 s in steps; at these moments these nodes are down, and these edges cut."""
    env, journal, around = simpy.Environment(0.0), Journal[WideEvent](), Around()
    plane = around.plane = Plane(env, changed(load("backbone"), {"run.duration_s": 3.0}), journal, around)
    end, now_s = plane.begin(3.0, HARVEST_S), 0.0
    while (now_s := now_s + step_s) < 3.0:
        env.run(until=now_s)
        for at_s in [at_s for at_s in forced if at_s <= now_s]:
            plane.force(*forced.pop(at_s))
    env.run(until=end)
    plane.end()
    env.run(until=4.0)
    for books in plane.close():
        assert books.created == books.swapped + books.measured + books.expired + books.held
    return around, journal


def paths(journal: Journal[WideEvent], demand: str) -> list[tuple[str, ...]]:
    return [each.nodes[0] for each in journal.events if isinstance(each, LanesSet) and each.demand == demand]


def test_steps_do_not_change_what_happens() -> None:
    fine, coarse = ran({}, 0.017), ran({}, 0.4)
    assert fine[0].bits == coarse[0].bits > 0
    assert fine[1].events == coarse[1].events


def test_a_repeater_that_is_forced_down_is_gone_round_and_come_back_to() -> None:
    none: frozenset[str] = frozenset()
    _, journal = ran({1.0: (frozenset({"n2"}), none), 2.0: (none, none)})
    north, south, back = paths(journal, "alice-bob")
    assert "n2" in north
    assert "s1" in south
    assert back == north
    lost = [each for each in journal.events if isinstance(each, LanesEnded) and each.lost]
    assert {each.lost for each in lost} == {"n2"}
    assert all(1.0 <= each.at_s < 1.1 for each in lost)


def test_a_slave_that_is_forced_down_asks_again_when_it_is_back() -> None:
    none: frozenset[str] = frozenset()
    around, journal = ran({1.0: (frozenset({"alice"}), none), 2.0: (none, none)})
    assert around.fates == ["alice failed", "alice returned"]
    assert len(paths(journal, "alice-bob")) == 2
