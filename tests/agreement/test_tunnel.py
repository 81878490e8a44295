"""Theory = rotation machines under random refusals, within 4 sigma. Seeds are fixed."""

import math

import numpy as np
import pytest

from bellweave import rng
from bellweave.tunnel.client import Client
from bellweave.tunnel.params import Tunnel
from bellweave.tunnel.rotation import Acknowledged, AskKey, KeyArrived, KeyRefused, Switched, Tick
from bellweave.tunnel.theory import expected_oldest_key_s, expected_sessions, mean_key_age_s, older_share

pytestmark = pytest.mark.agreement

SIGMAS = 4.0
PERIODS = 40_000
PLAIN = Tunnel(client="alice", server="bob", period_s=60.0)
RETRYING = Tunnel(client="alice", server="bob", period_s=60.0, retry_s=25.0)


def switches_s(tunnel: Tunnel, refusal: float, duration_s: float, *name: str) -> list[float]:
    """Return when the client's machine switched to a fresh key, each attempt refused at random."""
    client, draw = Client(tunnel), rng.stream(1, "tunnel", *name)
    switched: list[float] = []
    while (now_s := client.due_s) < duration_s:
        if AskKey() not in client.handle(Tick(), now_s):
            continue
        if draw.random() < refusal:
            client.handle(KeyRefused("not enough keys"), now_s)
            continue
        key_id = f"key-{len(switched)}"
        for event in (KeyArrived(key_id), Acknowledged(key_id), Switched(key_id)):
            client.handle(event, now_s)
        switched.append(now_s)
    return switched


def intervals_s(tunnel: Tunnel, refusal: float) -> np.ndarray:
    return np.diff(switches_s(tunnel, refusal, PERIODS * tunnel.period_s, "long", str(refusal), str(tunnel.retry_s)))


def ratio(above: np.ndarray, below: np.ndarray) -> tuple[float, float]:
    """Return the ratio of two means, and its standard error; neighbours share a lateness, so it is doubled."""
    value = float(above.mean() / below.mean())
    return value, 2.0 * float(np.std(above - value * below)) / math.sqrt(below.size) / float(below.mean())


@pytest.mark.parametrize("refusal", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("tunnel", [PLAIN, RETRYING])
def test_sessions_and_key_ages_of_the_machine_are_the_closed_forms(tunnel: Tunnel, refusal: float) -> None:
    used_s = intervals_s(tunnel, refusal)

    expected = expected_sessions(tunnel, PERIODS * tunnel.period_s, refusal)
    share = expected / PERIODS
    assert abs(used_s.size + 1 - expected) <= SIGMAS * math.sqrt(PERIODS * share * (1.0 - share)) + 1.0
    age_s, sigma_s = ratio(used_s**2 / 2.0, used_s)
    assert abs(age_s - mean_key_age_s(tunnel, refusal)) <= SIGMAS * sigma_s
    for limit_s in (30.0, 70.0, 130.0):
        older, sigma = ratio(np.maximum(0.0, used_s - limit_s), used_s)
        assert abs(older - older_share(tunnel, limit_s, refusal)) <= SIGMAS * sigma + 1e-9


@pytest.mark.parametrize("refusal", [0.2, 0.6])
def test_the_oldest_key_of_many_short_runs_is_the_closed_form(refusal: float) -> None:
    after, oldest_s = 15, []
    for run in range(800):
        moments = switches_s(PLAIN, refusal, 50 * 60.0, "short", str(run))
        first_s = moments[0]
        end_s = first_s + (after + 1) * PLAIN.period_s
        within = [moment for moment in moments if moment < end_s] + [end_s]
        oldest_s.append(max(np.diff(within)))

    sigma_s = float(np.std(oldest_s)) / math.sqrt(len(oldest_s))

    assert abs(float(np.mean(oldest_s)) - expected_oldest_key_s(PLAIN, after, refusal)) <= SIGMAS * sigma_s
