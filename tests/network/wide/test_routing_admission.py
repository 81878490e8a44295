"""Admission: who runs, who waits, in which order, and what a failure does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellweave import rng
from bellweave.network.wide.routing.admission import Admission, Granted, Order, Queued, Refused, Request
from bellweave.network.wide.routing.routers import make_router
from bellweave.network.wide.topology import Topology, chain, uniform


def ring(nodes: int = 6, units: int = 2) -> Topology:
    first = np.arange(nodes)
    edges = np.stack((first, (first + 1) % nodes), axis=1)
    return uniform(edges, nodes, success=0.5, attempt_s=1.0, units=units, swap_probability=0.8)


def desk(network: Topology, *, order: Order = "arrival", queue: int = 1000) -> Admission:
    return Admission(network, make_router("hops"), order=order, queue=queue)


def test_requests_run_while_units_last_then_wait_and_run_when_others_end() -> None:
    office = desk(chain(2, success=0.5, attempt_s=1.0, units=2, swap_probability=0.8))

    first, second, third = (office.ask(Request(name, 0, 2)) for name in "abc")

    assert isinstance(first, Granted)
    assert first.rate_per_s == pytest.approx(0.4)
    assert first.units == {0: 1, 1: 1}
    assert isinstance(second, Granted)
    assert isinstance(third, Queued)
    assert [each.request.name for each in office.end("a")] == ["c"]
    assert office.load.reserved.tolist() == [2, 2]


def test_a_rate_takes_the_units_it_needs_and_one_that_no_path_has_is_refused() -> None:
    office = desk(chain(2, success=0.5, attempt_s=1.0, units=5, swap_probability=0.8), queue=1)

    granted = office.ask(Request("a", 0, 2, rate_per_s=1.1))

    assert isinstance(granted, Granted)
    assert granted.units == {0: 3, 1: 3}
    assert granted.rate_per_s == pytest.approx(1.2)
    assert office.ask(Request("b", 0, 2, rate_per_s=2.1)) == Refused(
        Request("b", 0, 2, rate_per_s=2.1), "rate too high"
    )
    assert isinstance(office.ask(Request("c", 0, 2, rate_per_s=2.0)), Queued)
    refused = office.ask(Request("d", 0, 2, rate_per_s=2.0))
    assert isinstance(refused, Refused)
    assert refused.reason == "queue full"
    with pytest.raises(ValueError, match="request 'c' already"):
        office.ask(Request("c", 0, 1))
    with pytest.raises(KeyError):
        office.end("nobody")


def test_who_can_not_be_reached_is_refused() -> None:
    office = desk(uniform(np.array([[0, 1], [2, 3]]), 4))

    refused = office.ask(Request("a", 0, 3))

    assert isinstance(refused, Refused)
    assert refused.reason == "no path"


@pytest.mark.parametrize(("order", "next_one"), [("arrival", "large"), ("smallest", "small"), ("fair", "other")])
def test_each_order_has_its_next_one(order: Order, next_one: str) -> None:
    """Edges 0 and 1 have 4 units; 0-2 holds them all; who is next when 2 or 4 of them come back?"""
    office = desk(chain(2, success=0.5, attempt_s=1.0, units=4), order=order)
    office.ask(Request("half", 0, 2, rate_per_s=1.0))
    office.ask(Request("other half", 0, 2, rate_per_s=1.0))
    office.ask(Request("large", 0, 2, rate_per_s=1.0))
    office.ask(Request("other", 1, 2, rate_per_s=1.0))
    office.ask(Request("small", 0, 1, rate_per_s=0.5))

    runs = office.end("half")

    assert runs[0].request.name == next_one


def test_arrival_lets_nobody_pass_and_the_others_do() -> None:
    for order, passes in (("arrival", False), ("smallest", True), ("fair", True)):
        office = desk(chain(2, success=0.5, attempt_s=1.0, units=2), order=order)  # type: ignore[arg-type]
        office.ask(Request("a", 0, 1))
        office.ask(Request("whole", 0, 2, rate_per_s=1.0))

        assert isinstance(office.ask(Request("b", 1, 2)), Granted) is passes


def test_a_failure_re_routes_what_ran_over_it_and_a_repair_lets_the_rest_run() -> None:
    office = desk(ring())
    before = office.ask(Request("a", 0, 2))
    assert isinstance(before, Granted)
    assert before.routes[0].nodes == (0, 1, 2)

    (after,) = office.fail(nodes=[1])

    assert isinstance(after, Granted)
    assert after.routes[0].nodes == (0, 5, 4, 3, 2)
    assert isinstance(office.fail(edges=[4])[0], Queued)
    assert office.load.reserved.sum() == 0
    (again,) = office.repair(nodes=[1])
    assert again.routes[0].nodes == (0, 1, 2)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    order=st.sampled_from(["arrival", "smallest", "fair"]),
    router=st.sampled_from(["hops", "online"]),
)
def test_whatever_happens_the_load_is_what_the_running_requests_hold(seed: int, order: Order, router: str) -> None:
    draw = rng.stream(seed, "test", "admission")
    office = Admission(ring(), make_router(router), order=order, queue=5)  # type: ignore[arg-type]
    for step in range(40):
        names = [*office.running, *(each.name for each in office.waiting)]
        what = draw.integers(8)
        if what < 5 or not names:
            a, b = map(int, draw.choice(6, 2, replace=False))
            office.ask(Request(str(step), a, b, rate_per_s=float(draw.choice([0.3, 0.8]))))
        elif what < 7:
            office.end(str(draw.choice(names)))
        elif draw.random() < 0.5:
            office.fail(edges=[int(draw.integers(6))])
        else:
            office.repair(edges=range(6))
        held = np.zeros(6, np.int64)
        for granted in office.running.values():
            for edge, units in granted.units.items():
                held[edge] += units
                assert office.topology.success[edge] > 0.0
        assert np.array_equal(office.load.reserved, held)
        assert np.all(held <= office.topology.units)
        assert not set(office.running) & {each.name for each in office.waiting}
