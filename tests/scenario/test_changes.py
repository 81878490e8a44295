"""Scenarios changed by paths, as `design` and others take them."""

import pytest

from bellweave.errors import ScenarioError
from bellweave.photonics.params import CwSource
from bellweave.scenario.changes import changed, parsed
from bellweave.scenario.load import load


def test_values_are_set_by_path_and_for_every_name_at_once() -> None:
    scenario = changed(load("datacenter-modern"), {"source.eps.pair_rate_hz": 1e6, "link.*.window_ps": 500})

    assert isinstance(scenario.source["eps"], CwSource)
    assert scenario.source["eps"].pair_rate_hz == 1e6
    assert {link.window_ps for link in scenario.link.values()} == {500}


def test_texts_hold_numbers_words_tables_and_booleans() -> None:
    texts = ["a.b=2", "c = provable", 'd="x=y"', "e={ f = true }"]

    assert parsed(texts) == {"a.b": 2, "c": "provable", "d": "x=y", "e": {"f": True}}


@pytest.mark.parametrize("text", ["kms.mint", "=3", "kms.mint="])
def test_a_text_that_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match="expected PATH=VALUE"):
        parsed([text])


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("link.nobody.window_ps", 5, "link.nobody.window_ps: there is no 'nobody'; there are alice-bob"),
        ("kms.mint", "gold", "kms.mint: .*got 'gold'|kms.mint: .*'gold'"),
        ("name.x", 1, "no table that holds 'x'"),
        ("switch.ports", 2, "switch.ports: 2 ports can't serve 4 nodes"),
        ("schedule.slot", 2, "unknown key `slot`"),
    ],
)
def test_what_leads_nowhere_or_can_not_be_is_refused(path: str, value: object, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        changed(load("datacenter"), {path: value})
