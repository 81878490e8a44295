"""Tunnels in a network run: sessions as long as configured, policies without a key, latency, moments that coincide."""

from itertools import pairwise
from typing import Any

import pytest

from bellweave.results.network_records import BlockDistilled, Delivered, Event, SessionBegan, SessionEnded, Starved
from bellweave.sim.network import NetworkRun, simulate_network
from bellweave.testing.data_centres import small

SPY = {"spy": {"at_s": 63.0, "set": {"link.user1-user2.eavesdropper": {"fraction": 1.0}}}}
"""No key from here on; about 1,200 bits are in stock."""


def of(run: NetworkRun, *kinds: type[Event]) -> list[Any]:
    return [event for event in run.events if isinstance(event, kinds)]


def test_every_key_is_delivered_to_the_client_then_to_the_server_and_then_makes_a_session() -> None:
    run = simulate_network(small(slots=20))
    began = of(run, SessionBegan)
    given = {(event.side, event.key_id): event for event in of(run, Delivered) if event.key_id}

    assert len(began) > 10
    for session in began:
        client, server = given["client", session.key_id], given["server", session.key_id]
        assert client.at_s < server.at_s < session.at_s
        assert client.bits == server.bits == 128
        assert (client.outcome, server.outcome) == ("delivered", "taken")
    assert len(given) == 2 * len(began)


def test_a_session_ends_when_the_next_begins_and_the_last_with_the_run() -> None:
    run = simulate_network(small(slots=20))
    began, ended = of(run, SessionBegan), of(run, SessionEnded)

    assert [event.key_id for event in began] == [event.key_id for event in ended]
    assert [event.at_s for event in began[1:]] == [event.at_s for event in ended[:-1]]
    assert {event.reason for event in ended[:-1]} == {"replaced"}
    assert ended[-1].reason == "end of run"


def test_sessions_of_20_s_are_renewed_with_the_key_that_there_is_until_the_next_key() -> None:
    run = simulate_network(small(slots=20, every_tunnel={"session_s": 20.0, "period_s": 70.0, "start_s": 30.0}))
    began = of(run, SessionBegan)

    assert [(round(event.at_s - 30.0), event.renewed) for event in began] == [
        (0, False), (20, True), (40, True), (60, True), (70, False), (90, True), (110, True), (130, True), (140, False),
        (160, True),
    ]  # fmt: skip
    assert all(one.key_id == other.key_id for one, other in pairwise(began) if other.renewed)
    assert [event.reason for event in of(run, SessionEnded)] == [
        *["renewed"] * 3, "replaced", *["renewed"] * 3, "replaced", "renewed", "end of run",
    ]  # fmt: skip


def test_without_a_fresh_key_the_old_session_stays() -> None:
    run = simulate_network(small(slots=60, fault=SPY))
    last = of(run, SessionBegan)[-1]

    assert last.at_s < 300.0
    assert all(event.held for event in of(run, Starved) if event.at_s > last.at_s)
    assert (of(run, SessionEnded)[-1].key_id, of(run, SessionEnded)[-1].reason) == (last.key_id, "end of run")


def test_a_tunnel_that_fails_closed_goes_down_when_its_key_is_too_old_and_no_later_session_follows() -> None:
    policy = {"starvation": "fail-closed", "max_key_age_s": 40.0}
    run = simulate_network(small(slots=60, fault=SPY, every_tunnel=policy))
    last = of(run, SessionBegan)[-1]
    end = of(run, SessionEnded)[-1]

    assert end.reason == "expired"
    assert end.at_s - last.at_s == pytest.approx(40.0, abs=0.01)
    assert all(not event.held for event in of(run, Starved) if event.at_s > end.at_s)


def test_a_refused_tunnel_asks_again_after_its_retry_time() -> None:
    def asked_s(**policy: float) -> list[float]:
        run = simulate_network(small(slots=8, every_tunnel={"start_s": 0.0, "period_s": 60.0} | policy))
        return [round(event.at_s, 1) for event in of(run, Delivered) if event.side == "client"]

    assert asked_s() == [0.0, 60.0]
    assert asked_s(retry_s=6.0) == [0.0, 6.0, 12.0, 60.0]


@pytest.mark.parametrize("latency_s", [0.0, 0.01, 0.05])
def test_latency_delays_keys_and_sessions_by_the_trips_that_they_take(latency_s: float) -> None:
    network = {"latency_s": latency_s, "local_latency_s": 0.0}
    run = simulate_network(small(slots=30, data_network=network, kms={"low_keys": 2, "high_keys": 4}))
    given = [event for event in of(run, Delivered) if event.key_id and event.at_s > 100.0]
    sessions = {event.key_id: event.at_s for event in of(run, SessionBegan)}

    assert given
    for event in given:
        if event.side == "client":  # the KMEs agree in one question and its answer, or fetch a portion before
            assert round(event.waited_s, 6) in {round(trips * latency_s, 6) for trips in (2, 4, 6)}
            # named to the server's agent, acknowledged, and two exchanges of IKEv2
            assert sessions[event.key_id] - event.at_s == pytest.approx(6 * latency_s)
    first = of(run, BlockDistilled)[0]
    trips = 2 * first.block.corrections.parity_rounds + 12
    assert first.at_s == pytest.approx(10.5 + trips * latency_s)


def test_the_last_block_reaches_the_kmes_however_long_its_distillation_takes() -> None:
    run = simulate_network(small(slots=4, data_network={"latency_s": 0.5}))

    assert len(of(run, BlockDistilled)) == 4
    assert of(run, BlockDistilled)[-1].at_s > 42.0 + 6.0


def test_no_key_is_asked_for_after_the_last_slot() -> None:
    run = simulate_network(small(slots=10, every_tunnel={"start_s": 15.0, "period_s": 15.0}))  # one is due at 105.0 s

    assert run.duration_s == 105.0
    assert max(event.at_s - event.waited_s for event in of(run, Delivered)) < 91.0


@pytest.mark.parametrize(("early_s", "outcome"), [(0.0, "delivered"), (0.001, "not_enough_key")])
def test_a_key_that_is_due_when_its_block_arrives_is_had_and_one_that_is_due_before_is_not(
    early_s: float, outcome: str
) -> None:
    at_once = {"latency_s": 0.0, "local_latency_s": 0.0}
    tunnel = {"start_s": 10.5 - early_s, "period_s": 100.0}
    run = simulate_network(small(slots=2, data_network=at_once, every_tunnel=tunnel))

    assert of(run, Delivered)[0].outcome == outcome
    assert of(run, Delivered)[0].at_s == 10.5 - early_s


def test_tunnels_that_ask_at_the_same_moment_are_served_in_the_order_of_the_file() -> None:
    two = {
        name: {"client": "user1", "server": "user2", "key_bits": 128, "period_s": 10.5, "start_s": 12.0}
        for name in ("second", "first")
    }
    run = simulate_network(small(slots=2, tunnels=0, tunnel=two, kms={"low_keys": 0}))
    asked = [(event.tunnel, event.outcome) for event in of(run, Delivered) if event.side == "client"]

    assert of(run, BlockDistilled)[0].ingested_bits < 2 * 128, "there is one key"
    assert sorted(asked) == [("first", "not_enough_key"), ("second", "delivered")]
