"""Every error of a key service, and of a server, has its code, text and outcome word."""

import json

import pytest

from bellweave.api import errors
from bellweave.errors import (
    DeliveryError,
    NotEnoughKey,
    NotEntitled,
    NotMet,
    PeerRefused,
    PeerUnreachable,
    StoreFailed,
    UnknownKeys,
)

INSIDE = "disk /dev/sdb1 at 10.0.0.7"

CASES: list[tuple[DeliveryError, int, int, str]] = [
    (NotEnoughKey(3, 5), 503, 500, "not_enough_key"),
    (PeerUnreachable(INSIDE), 503, 500, "peer_unreachable"),
    (PeerRefused(INSIDE), 503, 500, "peer_refused"),
    (StoreFailed(INSIDE), 503, 500, "store_failed"),
    (DeliveryError(INSIDE), 503, 500, "unavailable"),
    (UnknownKeys((bytes(16),)), 400, 400, "unknown_keys"),
    (NotEntitled(INSIDE), 401, 400, "unauthorized"),
    (NotMet(INSIDE), 400, 500, "not_met"),
]


@pytest.mark.parametrize(("error", "etsi014", "skip", "outcome"), CASES, ids=[type(case[0]).__name__ for case in CASES])
def test_a_services_error_has_a_code_in_each_interface(
    error: DeliveryError, etsi014: int, skip: int, outcome: str
) -> None:
    response = errors.etsi014_refusal(error).response()

    assert response.status == etsi014
    assert response.outcome == outcome
    assert errors.skip_refusal(error).status == skip


@pytest.mark.parametrize(("error", "outcome"), [(case[0], case[3]) for case in CASES])
def test_a_client_finds_the_outcome_in_code_and_text(error: DeliveryError, outcome: str) -> None:
    response = errors.etsi014_refusal(error).response()

    assert errors.outcome_of(response.status, json.loads(response.body)["message"]) == outcome


@pytest.mark.parametrize("status", [400, 404, 500])
def test_words_of_other_vendors_have_an_outcome_too(status: int) -> None:
    assert errors.outcome_of(status, "computer says no") == "bad_request"


@pytest.mark.parametrize("error", [case[0] for case in CASES], ids=[type(case[0]).__name__ for case in CASES])
def test_clients_learn_nothing_of_the_inside(error: DeliveryError) -> None:
    for refusal in (errors.etsi014_refusal(error), errors.skip_refusal(error)):
        body = json.loads(refusal.response().body)

        assert set(body) == {"message"}
        assert INSIDE not in body["message"]


def test_every_kind_of_delivery_error_is_tested_here() -> None:
    assert {type(case[0]) for case in CASES} == {DeliveryError, *DeliveryError.__subclasses__()}


@pytest.mark.parametrize(("retry_s", "header"), [(0.0, "1"), (0.4, "1"), (1.0, "1"), (2.1, "3"), (600.0, "600")])
def test_a_client_is_told_when_to_come_back_in_whole_seconds(retry_s: float, header: str) -> None:
    response = errors.etsi014_refusal(NotEnoughKey(0, 1, retry_s)).response()

    assert dict(response.headers)["Retry-After"] == header


@pytest.mark.parametrize("retry_s", [None, float("inf"), float("nan")])
def test_an_unknown_time_is_not_told(retry_s: float | None) -> None:
    assert "Retry-After" not in dict(errors.etsi014_refusal(NotEnoughKey(0, 1, retry_s)).response().headers)


@pytest.mark.parametrize(("told", "founds"), [(400, (400, 403, 404, 405, 408, 411, 413, 414, 417, 431)), (401, (401,))])
def test_faults_of_a_client_keep_to_014s_codes_on_its_paths(told: int, founds: tuple[int, ...]) -> None:
    for found in founds:
        assert errors.framework_response(found, "no", etsi014=True).status == told
        assert errors.framework_response(found, "no", etsi014=False).status == found


@pytest.mark.parametrize("found", [429, 500, 501, 503, 504, 505])
def test_faults_of_a_server_and_its_limits_are_unavailability_on_014s_paths(found: int) -> None:
    assert errors.framework_response(found, "no", etsi014=True).status == 503
    assert errors.framework_response(found, "no", etsi014=False).status == found


def test_a_servers_own_error_is_an_error_object() -> None:
    response = errors.framework_response(429, "at most 10 requests a second", etsi014=True, retry_s=0.1)

    assert json.loads(response.body) == {"message": "at most 10 requests a second"}
    assert response.outcome == "limited"
    assert dict(response.headers) == {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "Retry-After": "1",
    }
