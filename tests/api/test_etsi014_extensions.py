"""ETSI GS QKD 014: what mandatory and optional extensions demand."""

from typing import Any

import pytest

from bellweave.api.etsi014_extensions import ANY, Demands, mandatory, preferred
from bellweave.testing.key_delivery import Delivery


@pytest.fixture
def net() -> Delivery:
    return Delivery()


def test_an_unknown_mandatory_extension_is_refused_by_name(net: Delivery) -> None:
    before = net.ledger()
    options = [{"acme_colour": "red", "bellweave_route_type": "direct"}, {"acme_size": 1}]

    answer = net.enc("alice", "bob", extension_mandatory=options)

    assert answer.error() == (400, "not all extension_mandatory parameters are supported")
    assert answer.json["details"] == [
        {"extension_mandatory_unsupported": "acme_colour"},
        {"extension_mandatory_unsupported": "acme_size"},
    ]
    assert net.ledger() == before


@pytest.mark.parametrize(
    "option",
    [
        {"bellweave_route_type": "indirect"},
        {"bellweave_max_age": 1},
        {"bellweave_route_type": "direct", "bellweave_max_age": 1},
    ],
)
def test_a_mandatory_extension_that_no_key_meets_is_refused(net: Delivery, option: dict[str, Any]) -> None:
    net.now_s += 1.0
    before = net.ledger()

    answer = net.enc("alice", "bob", extension_mandatory=[option])

    assert answer.error() == (400, "not all extension_mandatory request options could be met")
    assert net.ledger() == before
    assert net.enc("alice", "bob").status == 200


@pytest.mark.parametrize(
    "options",
    [
        [],
        [{}],
        [{"bellweave_route_type": "direct"}],
        [{"bellweave_max_age": 10_000}],
        [{"bellweave_route_type": "direct"}, {"bellweave_max_age": 10_000}],
        [{"bellweave_route_type": "direct"}, {"bellweave_route_type": "direct"}],
    ],
)
def test_a_mandatory_extension_that_the_keys_meet_is_served(net: Delivery, options: list[dict[str, Any]]) -> None:
    net.now_s += 1.0

    assert net.enc("alice", "bob", extension_mandatory=options).status == 200


@pytest.mark.parametrize(
    "options",
    [
        [{"bellweave_route_type": "zigzag"}],
        [{"bellweave_route_type": ["direct"]}],
        [{"bellweave_route_type": None}],
        [{"bellweave_max_age": 0}],
        [{"bellweave_max_age": -5}],
        [{"bellweave_max_age": True}],
        [{"bellweave_max_age": 5.0}],
        [{"bellweave_max_age": "5"}],
        [{"bellweave_max_age": 10**20}],
        [{"bellweave_max_age": 10_000}, {"bellweave_max_age": 20_000}],
    ],
)
def test_a_mandatory_extension_has_one_sensible_value(net: Delivery, options: list[dict[str, Any]]) -> None:
    assert net.enc("alice", "bob", extension_mandatory=options).status == 400
    assert net.stored() == 16


@pytest.mark.parametrize(
    "options",
    [
        [{"acme_colour": "red"}],
        [{"bellweave_route_type": "indirect"}],
        [{"bellweave_route_type": "zigzag"}, {"bellweave_max_age": None}],
        [{"bellweave_max_age": 1}],
    ],
)
def test_optional_extensions_never_stand_in_the_way(net: Delivery, options: list[dict[str, Any]]) -> None:
    net.now_s += 1.0

    assert net.enc("alice", "bob", extension_optional=options).status == 200
    assert net.stored() == 15


@pytest.mark.parametrize(
    ("must", "may", "both"),
    [
        ({}, {}, ANY),
        ({"bellweave_route_type": "direct"}, {"bellweave_route_type": "indirect"}, Demands("direct")),
        ({"bellweave_max_age": 2000}, {"bellweave_max_age": 500}, Demands(None, 0.5)),
        ({"bellweave_max_age": 500}, {"bellweave_max_age": 2000}, Demands(None, 0.5)),
        ({"bellweave_max_age": 500}, {"bellweave_route_type": "direct"}, Demands("direct", 0.5)),
        ({"bellweave_route_type": "direct"}, {"bellweave_max_age": "soon"}, Demands("direct")),
    ],
)
def test_optional_demands_are_added_to_mandatory_ones(must: dict[str, Any], may: dict[str, Any], both: Demands) -> None:
    assert preferred((may,), mandatory((must,))) == both


def test_a_refusal_repeats_few_and_short_names(net: Delivery) -> None:
    answer = net.enc("alice", "bob", extension_mandatory=[{f"{number}{'x' * 1000}": 1} for number in range(100)])

    assert len(answer.json["details"]) == 8
    assert len(answer.body) < 1500
