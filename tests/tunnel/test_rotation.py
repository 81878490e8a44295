"""Key rotation: both ends' state machines, alone and together, in any order of events."""

from collections.abc import Iterator
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.tunnel.client import Client
from bellweave.tunnel.params import Tunnel
from bellweave.tunnel.rotation import (
    Acknowledge,
    Acknowledged,
    Action,
    AskKey,
    Destroy,
    Event,
    FetchKey,
    Hurry,
    KeyArrived,
    KeyRefused,
    Load,
    Lost,
    Refused,
    RefusePeer,
    Renew,
    Switch,
    Switched,
    SwitchFailed,
    TakeDown,
    TellPeer,
    Tick,
    Told,
)
from bellweave.tunnel.server import Server

TUNNEL = Tunnel(client="alice", server="bob", key_bits=256, period_s=60.0)
CLOSED = Tunnel(client="alice", server="bob", period_s=60.0, starvation="fail-closed", max_key_age_s=90.0)


def keyed(params: Tunnel = TUNNEL, key_id: str = "k0") -> Client:
    client = Client(params)
    for event in (Tick(), KeyArrived(key_id), Acknowledged(key_id), Switched(key_id)):
        client.handle(event, 0.0)
    assert client.key_id == key_id
    return client


def loaded(params: Tunnel = TUNNEL, *key_ids: str) -> Server:
    server = Server(params)
    for key_id in key_ids:
        for event in (Told(key_id), KeyArrived(key_id), Switched(key_id)):
            server.handle(event, 0.0)
    return server


def test_a_fresh_key_goes_its_way_through_the_client() -> None:
    client = Client(TUNNEL)

    assert client.handle(Tick(), 0.0) == [AskKey()]
    assert client.handle(KeyArrived("k1"), 0.1) == [TellPeer("k1")]
    assert client.handle(Acknowledged("k1"), 0.2) == [Load("k1"), Switch("k1")]
    assert client.handle(Switched("k1"), 0.3) == []
    assert client.key_id == "k1"
    assert client.due_s == 60.0


def test_the_old_key_is_destroyed_only_when_the_new_session_is_up() -> None:
    client = keyed()

    client.handle(Tick(), 60.0)
    assert client.handle(KeyArrived("k1"), 60.0) == [TellPeer("k1")]
    assert Destroy("k0") not in client.handle(Acknowledged("k1"), 60.0)
    assert client.key_id == "k0"
    assert client.handle(Switched("k1"), 60.0) == [Destroy("k0")]


def test_a_refused_key_is_asked_for_at_the_next_period_and_the_old_one_stays() -> None:
    client = keyed()

    assert client.handle(Tick(), 60.0) == [AskKey()]
    assert client.handle(KeyRefused("not enough keys: 0 of 1"), 60.1) == []
    assert (client.key_id, client.due_s, client.failures) == ("k0", 120.0, 1)


def test_with_a_retry_time_it_is_asked_again_sooner_and_then_on_the_grid_again() -> None:
    client = keyed(Tunnel(client="alice", server="bob", period_s=60.0, retry_s=5.0))

    client.handle(Tick(), 60.0)
    client.handle(KeyRefused("empty"), 60.0)
    assert client.due_s == 65.0
    assert client.handle(Tick(), 65.0) == [AskKey()]
    for event in (KeyArrived("k1"), Acknowledged("k1"), Switched("k1")):
        client.handle(event, 65.0)
    assert client.due_s == 120.0


def test_the_key_server_s_own_retry_time_is_respected_if_it_is_longer() -> None:
    client = keyed(Tunnel(client="alice", server="bob", period_s=60.0, retry_s=5.0))

    client.handle(Tick(), 60.0)
    client.handle(KeyRefused("empty", retry_s=20.0), 60.0)

    assert client.due_s == 80.0


@pytest.mark.parametrize("failure", [Refused("k1", "not found"), SwitchFailed("k1", "AUTHENTICATION_FAILED")])
def test_a_failed_attempt_destroys_the_new_key_only(failure: Event) -> None:
    client = keyed()
    for event in (Tick(), KeyArrived("k1")):
        client.handle(event, 60.0)

    assert client.handle(failure, 61.0) == [Destroy("k1")]
    assert client.key_id == "k0"


def test_silence_at_any_step_ends_the_attempt() -> None:
    cases: list[list[Event]] = [[], [KeyArrived("k1")], [KeyArrived("k1"), Acknowledged("k1")]]
    for steps in cases:
        client = keyed()
        client.handle(Tick(), 60.0)
        for event in steps:
            client.handle(event, 60.0)
        assert client.due_s == 70.0
        assert client.handle(Tick(), 70.0) == ([Destroy("k1")] if steps else [])
        assert (client.key_id, client.due_s) == ("k0", 120.0)


def test_a_key_that_comes_after_it_was_given_up_is_destroyed() -> None:
    client = keyed()
    client.handle(Tick(), 60.0)
    client.handle(Tick(), 70.0)

    assert client.handle(KeyArrived("late"), 71.0) == [Destroy("late")]


def test_an_answer_that_comes_twice_changes_nothing() -> None:
    client = keyed()
    client.handle(Tick(), 60.0)

    assert client.handle(KeyArrived("k0"), 60.0) == []
    assert client.handle(KeyRefused("empty"), 60.0) == []
    assert client.key_id == "k0"


def test_a_switch_that_was_not_asked_for_changes_nothing() -> None:
    client = keyed()

    assert client.handle(Switched("k9"), 1.0) == []
    assert client.handle(Acknowledged("k9"), 1.0) == []
    assert client.key_id == "k0"


def test_fail_closed_takes_the_tunnel_down_and_the_next_key_brings_it_up() -> None:
    client = keyed(CLOSED)
    client.handle(Tick(), 60.0)
    client.handle(KeyRefused("empty"), 60.0)

    assert client.due_s == 90.0
    assert [type(action) for action in client.handle(Tick(), 90.0)] == [TakeDown, Destroy]
    assert client.key_id is None
    client.handle(Tick(), 120.0)
    client.handle(KeyArrived("k1"), 120.0)
    client.handle(Acknowledged("k1"), 120.0)
    client.handle(Switched("k1"), 120.0)
    assert client.key_id == "k1"


def test_keep_old_keeps_it_however_old() -> None:
    client = keyed(Tunnel(client="alice", server="bob", period_s=60.0, max_key_age_s=90.0))

    assert TakeDown not in [type(action) for action in client.handle(Tick(), 1e6)]
    assert client.key_id == "k0"


def test_a_session_is_renewed_with_the_key_that_it_has_until_the_next_one() -> None:
    client = keyed(Tunnel(client="alice", server="bob", period_s=60.0, session_s=20.0))

    assert [client.handle(Tick(), t) for t in (20.0, 40.0)] == [[Renew("k0")], [Renew("k0")]]
    assert client.handle(Tick(), 60.0) == [Renew("k0"), AskKey()]


def test_a_renewal_that_is_due_during_a_switch_does_not_bring_the_old_key_back() -> None:
    client = keyed(Tunnel(client="alice", server="bob", period_s=60.0, session_s=20.0))
    client.handle(Tick(), 60.0)
    client.handle(KeyArrived("k1"), 69.9)
    assert client.handle(Acknowledged("k1"), 79.9) == [Load("k1"), Switch("k1")]

    assert client.handle(Tick(), 80.0) == []
    assert client.handle(SwitchFailed("k1", "timeout"), 80.1) == [Destroy("k1")]
    assert client.handle(Tick(), 80.1) == [Renew("k0")]


def test_a_late_tick_asks_once_and_stays_on_the_grid() -> None:
    client = keyed()

    assert client.handle(Tick(), 200.0) == [AskKey()]
    assert client.handle(KeyRefused("empty"), 200.0) == []
    assert client.due_s == 240.0


def test_the_server_loads_before_it_acknowledges() -> None:
    server = loaded(TUNNEL, "k0")

    assert server.handle(Told("k1"), 60.0) == [FetchKey("k1")]
    assert server.handle(KeyArrived("k1"), 60.1) == [Load("k1"), Acknowledge("k1")]
    assert server.key_id == "k0"
    assert server.handle(Switched("k1"), 60.2) == [Destroy("k0")]
    assert server.key_id == "k1"


def test_the_server_says_why_it_has_no_key() -> None:
    server = loaded(TUNNEL, "k0")
    server.handle(Told("k1"), 60.0)

    assert server.handle(KeyRefused("not found"), 60.1) == [RefusePeer("k1", "not found")]
    assert server.key_id == "k0"


def test_a_loaded_key_that_no_session_follows_is_destroyed_in_time() -> None:
    server = loaded(TUNNEL, "k0")
    server.handle(Told("k1"), 60.0)
    server.handle(KeyArrived("k1"), 60.0)

    assert server.due_s == 80.0
    assert server.handle(Tick(), 80.0) == [Destroy("k1")]


def test_the_server_answers_a_repeated_word_again_and_drops_what_the_client_gave_up() -> None:
    server = loaded(TUNNEL, "k0")
    server.handle(Told("k1"), 60.0)
    assert server.handle(Told("k1"), 60.0) == []
    server.handle(KeyArrived("k1"), 60.0)

    assert server.handle(Told("k1"), 61.0) == [Acknowledge("k1")]
    assert server.handle(Told("k2"), 62.0) == [Destroy("k1"), FetchKey("k2")]


def test_a_server_with_fail_closed_goes_down_too() -> None:
    server = loaded(CLOSED, "k0")

    assert server.due_s == 90.0
    assert [type(action) for action in server.handle(Tick(), 90.0)] == [TakeDown, Destroy]


# ------------------------------------------------------------------------------------------------- any order of events
KEYS = st.sampled_from(["k0", "k1", "k2", "k3"])
EVENTS = st.one_of(
    st.just(Tick()),
    st.builds(KeyArrived, KEYS),
    st.builds(KeyRefused, st.just("empty"), st.none() | st.floats(0, 30)),
    st.builds(Told, KEYS),
    st.builds(Acknowledged, KEYS),
    st.builds(Refused, KEYS, st.just("no")),
    st.builds(Switched, KEYS),
    st.builds(SwitchFailed, KEYS, st.just("no")),
)
PARAMS = st.builds(
    Tunnel,
    client=st.just("alice"),
    server=st.just("bob"),
    period_s=st.floats(1, 100),
    retry_s=st.none() | st.floats(0.1, 10),
    session_s=st.none() | st.floats(1, 50),
    starvation=st.sampled_from(["keep-old", "fail-closed"]),
    max_key_age_s=st.none() | st.floats(1, 200),
)


def driven(machine: Client | Server, events: list[tuple[Event, float]]) -> Iterator[tuple[Event, list[Action], float]]:
    now_s = 0.0
    for event, pause_s in events:
        now_s += pause_s
        yield event, machine.handle(event, now_s), now_s


@given(PARAMS, st.lists(st.tuples(EVENTS, st.floats(0, 40)), max_size=60), st.booleans())
def test_every_key_that_arrives_is_held_or_destroyed_and_none_in_use_is_destroyed(
    params: Tunnel, events: list[tuple[Event, float]], at_client: bool
) -> None:
    machine: Client | Server = Client(params) if at_client else Server(params)
    held: set[str] = set()
    for event, actions, _ in driven(machine, events):
        if isinstance(event, KeyArrived):
            held.add(event.key_id)
        for action in actions:
            if isinstance(action, Destroy):
                held.discard(action.key_id)
        assert machine.key_id is None or machine.key_id in held
        assert len(held) <= 2  # the one in use and the next one


@given(PARAMS, st.lists(st.tuples(EVENTS, st.floats(0, 40)), max_size=60))
def test_a_client_never_asks_twice_at_once_and_always_wants_to_be_woken(
    params: Tunnel, events: list[tuple[Event, float]]
) -> None:
    client = Client(params)
    for _, actions, now_s in driven(client, events):
        assert sum(isinstance(action, AskKey) for action in actions) <= 1
        assert client.due_s < float("inf")
        client.handle(Tick(), max(now_s, client.due_s))


def answers(action: Action, drawn: int, *, lost: bool) -> list[tuple[Literal["client", "server"], Event]]:
    """What an action leads to, over a line and key servers that fail when it is lost."""
    match action:
        case AskKey():
            return [("client", KeyRefused("empty") if lost else KeyArrived(f"k{drawn}"))]
        case FetchKey(key_id):
            return [("server", KeyRefused("gone") if lost else KeyArrived(key_id))]
        case Switch(key_id):
            both: Event = SwitchFailed(key_id, "no") if lost else Switched(key_id)
            return [("client", both), ("server", both)]
        case TellPeer(key_id) if not lost:
            return [("server", Told(key_id))]
        case Acknowledge(key_id) if not lost:
            return [("client", Acknowledged(key_id))]
        case RefusePeer(key_id, reason) if not lost:
            return [("client", Refused(key_id, reason))]
    return []


@given(PARAMS, st.lists(st.booleans(), max_size=200))
def test_two_ends_over_a_line_that_loses_messages_agree_again_after_one_good_round(
    params: Tunnel, arrives: list[bool]
) -> None:
    ends: dict[str, Client | Server] = {"client": Client(params), "server": Server(params)}
    luck, drawn, now_s = iter(arrives), 0, 0.0
    for _ in range(40):
        now_s = max(now_s, ends["client"].due_s)
        queue: list[tuple[Literal["client", "server"], Event]] = [("client", Tick()), ("server", Tick())]
        while queue:
            end, event = queue.pop(0)
            for action in ends[end].handle(event, now_s):
                drawn += isinstance(action, AskKey)
                queue += answers(action, drawn, lost=not next(luck, True))
    if len(arrives) < 40 and params.starvation == "keep-old":
        assert ends["client"].key_id is not None
        assert ends["client"].key_id == ends["server"].key_id


def test_a_session_that_a_fault_ended_gets_a_fresh_key_at_once_and_its_key_is_destroyed() -> None:
    client = keyed()

    assert client.handle(Lost("k7"), 10.0) == []
    assert client.handle(Lost("k0"), 10.0) == [Destroy("k0")]
    assert client.key_id is None
    assert client.handle(Tick(), 10.0) == []
    assert client.handle(Hurry(), 10.0) == []
    assert client.due_s == 10.0
    assert client.handle(Tick(), 10.0) == [AskKey()]
    assert client.handle(Hurry(), 10.1) == []  # one is under way
    assert client.handle(KeyRefused("not_enough_key"), 10.2) == []
    assert client.due_s == 60.0  # back to the period, unless it is hurried again


def test_a_session_that_is_lost_while_the_next_key_is_under_way_does_not_disturb_that() -> None:
    client = keyed()
    client.handle(Tick(), 60.0)
    client.handle(KeyArrived("k1"), 60.0)

    assert client.handle(Lost("k0"), 60.1) == [Destroy("k0")]
    assert client.handle(Acknowledged("k1"), 60.2) == [Load("k1"), Switch("k1")]
    assert client.handle(Switched("k1"), 60.3) == []
    assert client.key_id == "k1"


def test_a_server_that_lost_its_session_takes_the_next_key() -> None:
    server = loaded(TUNNEL, "k0")

    assert server.handle(Lost("k7"), 10.0) == []
    assert server.handle(Lost("k0"), 10.0) == [Destroy("k0")]
    assert server.key_id is None
    assert server.handle(Told("k1"), 11.0) == [FetchKey("k1")]
