"""The four steps, step by step and with everything that goes wrong."""

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from bellweave.dialogue import Dialogue
from bellweave.errors import ProtocolError
from bellweave.network.wide.agreement.answering import Desk, network
from bellweave.network.wide.agreement.asking import Bundle, Outcome, Terms, alice
from bellweave.network.wide.agreement.messages import (
    CODEC,
    Alarm,
    Ask,
    Begin,
    Cancelled,
    Content,
    Contents,
    Halt,
    Lane,
    Letter,
    Lost,
    Noted,
    Reserve,
    Reshared,
    Run,
    Unanswered,
    Woken,
)
from bellweave.sim.classical import converse, converse_in

Process = Generator[simpy.Event, Any, None]

TERMS = Terms(number=7, alice="alice", bob="bob", cluster="m", lease_s=2.0, retry_s=0.5, timeout_s=3.0)
NORTH = Lane(nodes=("alice", "m", "n", "bob"), edges=("alice", "m-n", "bob"), keepers=("m", "m", "n"), units=(4,) * 3)
SOUTH = Lane(
    nodes=("alice", "m", "r", "n", "bob"),
    edges=("alice", "m-r", "r-n", "bob"),
    keepers=("m", "m", "r", "n"),
    units=(4,) * 4,
)
EDGES = {"m": {"alice": 10, "m-n": 10, "m-r": 10}, "n": {"bob": 10}, "r": {"r-n": 10}}


def desks(cluster_of_bob: str = "n", **most: int) -> dict[str, Desk]:
    return {name: Desk(None, units) for name, units in EDGES.items()} | {"bob": Desk(cluster_of_bob, {}, **most)}


def plan(same: bool, avoid: frozenset[str]) -> list[Bundle]:
    del same
    return [(lane,) for lane in (NORTH, SOUTH) if not avoid & {*lane.nodes, *lane.edges}]


def eventful(
    everybody: dict[str, Desk], events: Iterator[Content | None], last: int = 400, silent: str = ""
) -> Dialogue[list[Letter]]:
    """Be everybody else, with an event, or silence instead of the answer, before any of the answers."""
    now_s, came = 0.0, list[Letter]()
    while True:
        message = yield None
        if not isinstance(message, Letter):
            return came
        came.append(message)
        event = next(events, None) if len(came) < last else Cancelled()
        content: Contents
        match message.content:
            case Alarm(number, delay_s):
                now_s += delay_s
                content = Woken(number)
            case Run() | Halt():
                content = Noted()
            case _ if isinstance(event, Unanswered) or message.to == silent:
                content = Unanswered()
            case _:
                content = everybody[message.to].answer(message, now_s)
        if isinstance(event, Lost | Reshared | Cancelled):
            yield Letter(message.request, "alice", "alice", event)
        yield Letter(message.request, message.to, message.sender, content)


def run(everybody: dict[str, Desk], *events: Content | None, terms: Terms = TERMS) -> tuple[Outcome, list[str]]:
    outcome, letters = converse(alice(terms, plan), eventful(everybody, iter(events)), CODEC)
    return outcome, [f"{type(letter.content).__name__} {letter.to}" for letter in letters]


def held(everybody: dict[str, Desk], now_s: float = 0.0) -> int:
    return sum(desk.units.held(edge, 7, now_s) for name, desk in everybody.items() for edge in EDGES.get(name, {}))


def test_two_slaves_of_different_clusters_reserve_a_path_and_give_it_back() -> None:
    everybody = desks()
    outcome, said = run(everybody, *[None] * 6, Cancelled())

    assert outcome == Outcome("done", same_cluster=False, runs=1)
    assert said == [
        "Ask bob",
        "Reserve m", "Reserve m", "Reserve n",
        "Begin bob", "Run alice", "Alarm alice",
        "Halt alice",
        "Release m", "Release m", "Release n",
        "End bob",
    ]  # fmt: skip
    assert held(everybody) == 0
    assert not everybody["bob"].requests


def test_bob_judges_by_his_own_cluster() -> None:
    outcome, _ = run(desks(cluster_of_bob="m"), *[None] * 7, Cancelled())

    assert outcome.same_cluster is True


def test_a_slave_that_serves_enough_requests_declines() -> None:
    everybody = desks(most_requests=1)
    everybody["bob"].answer(Letter(1, "x", "bob", Ask("q")), 0.0)
    outcome, said = run(everybody)

    assert (outcome.reason, outcome.detail) == ("peer refused", "1 requests at once are the most")
    assert said == ["Ask bob"]


def test_a_master_is_not_asked_for_key() -> None:
    outcome, _ = converse(alice(Terms(number=7, alice="alice", bob="m", cluster="m"), plan), network(desks()), CODEC)

    assert outcome.reason == "peer refused"


def test_a_peer_that_does_not_answer_is_lost() -> None:
    outcome, _ = run(desks(), Unanswered())

    assert outcome.reason == "peer lost"


def test_a_path_that_is_lost_half_way_is_replaced_by_another() -> None:
    everybody = desks()
    # Ask, three Reserves, Begin, Run, then the northern edge fails while Alice rests
    outcome, said = run(everybody, *[None] * 6, Lost("m-n"), *[None] * 12, Cancelled())

    assert outcome.reason == "done"
    assert (outcome.runs, outcome.losses) == (2, 1)
    assert said.count("Begin bob") == 2
    assert "Reserve r" in said
    assert held(everybody) == 0


def test_units_that_are_shared_out_anew_are_no_loss() -> None:
    outcome, said = run(desks(), *[None] * 6, Reshared(), *[None] * 10, Cancelled())

    assert (outcome.reason, outcome.runs, outcome.losses) == ("done", 2, 0)
    assert said.count("Release n") == 2


def test_a_failure_elsewhere_changes_nothing() -> None:
    _, said = run(desks(), *[None] * 6, Lost("r"), *[None] * 3, Cancelled())

    assert said.count("Begin bob") == 1


def test_a_node_that_does_not_answer_is_avoided_and_what_was_held_is_given_back() -> None:
    everybody = desks()
    outcome, said = run(everybody, None, None, None, Unanswered(), *[None] * 14, Cancelled())

    # both paths need the node that was silent: nothing else is tried until it may have come back
    assert said[4:9] == ["Release m", "Release m", "Release n", "Alarm alice", "Reserve m"]
    assert (outcome.reason, outcome.runs) == ("done", 1)
    assert held(everybody) == 0


def test_a_node_that_stays_silent_ends_the_request_in_time() -> None:
    everybody = desks()
    outcome, letters = converse(alice(TERMS, plan), eventful(everybody, iter(()), silent="n"), CODEC)

    assert outcome.reason == "timeout"
    assert not [each for each in letters if isinstance(each.content, Begin)]
    assert held(everybody) == 0


def test_without_memory_the_request_waits_and_gives_up_in_time() -> None:
    everybody = desks()
    everybody["n"].units.reserve("bob", 1, 8, 0.0, 1e9)
    outcome, said = run(everybody)

    assert outcome.reason == "no memory"
    assert 1 + TERMS.timeout_s / TERMS.retry_s >= said.count("Alarm alice") >= TERMS.timeout_s / TERMS.retry_s / 2
    assert held(everybody) == 0


def test_memory_that_comes_free_in_time_is_used() -> None:
    everybody = desks()
    everybody["n"].units.reserve("bob", 1, 8, 0.0, 1.0)  # somebody's lease, which ends after a second
    outcome, said = run(everybody, *[None] * 45, Cancelled())

    assert outcome.reason == "done"
    assert said.count("Begin bob") == 1


def test_without_any_path_nothing_is_reserved() -> None:
    def nowhere(same: bool, avoid: frozenset[str]) -> list[Bundle]:
        return []

    outcome, letters = converse(alice(TERMS, nowhere), network(desks()), CODEC)

    assert outcome.reason == "no path"
    assert not [each for each in letters if type(each.content).__name__ == "Reserve"]


def test_lanes_that_share_an_edge_reserve_the_sum() -> None:
    _, letters = converse(
        alice(TERMS, lambda _same, _avoid: [(NORTH, SOUTH)]), eventful(desks(), iter([None] * 7), last=8), CODEC
    )
    asked = {each.content.edge: each.content.units for each in letters if isinstance(each.content, Reserve)}

    assert asked == {"alice": 8, "m-n": 4, "bob": 8, "m-r": 4, "r-n": 4}


def test_reservations_are_prolonged_before_their_lease_is_over() -> None:
    everybody = desks()
    outcome, said = run(everybody, *[None] * 25, Cancelled())

    assert outcome.reason == "done"
    assert said.count("Reserve n") > 3
    assert said.count("Begin bob") == 1


def test_in_virtual_time_an_agreement_takes_round_trips() -> None:
    env = simpy.Environment()
    everybody = desks()
    talk = []

    def hold() -> Process:
        events = iter([*[None] * 6, Cancelled()])
        ends = alice(TERMS, plan), eventful(everybody, events)
        talk.append((yield from converse_in(env, *ends, CODEC, latency_s=0.001)))

    env.process(hold())
    env.run()

    assert talk[0].alice == Outcome("done", same_cluster=False, runs=1)
    assert talk[0].completed_s == pytest.approx(12 * 0.002 + 0.001)  # and the last one hears that she has ended


def test_an_answer_from_somebody_else_ends_it() -> None:
    def impostor() -> Dialogue[None]:
        yield None
        yield Letter(7, "eve", "alice", Noted())

    with pytest.raises(ProtocolError, match="bob was asked, eve answered"):
        converse(alice(TERMS, plan), impostor(), CODEC)


EVENTS = st.sampled_from([None, None, None, Unanswered(), Lost("m-n"), Lost("r"), Lost("bob"), Reshared(), Cancelled()])


@given(st.lists(EVENTS, max_size=60), st.integers(0, 10))
def test_whatever_happens_nothing_stays_reserved_beyond_its_lease(events: Sequence[Content | None], used: int) -> None:
    everybody = desks()
    if used:
        everybody["m"].units.reserve("m-n", 1, used, 0.0, 1e9)
    run(everybody, *events)
    end_s = 1e6

    assert held(everybody, end_s) == 0
    if Unanswered() not in events:
        assert held(everybody) == 0
    assert everybody["m"].units.free("m-n", end_s) == 10 - used
