"""``bellweave simulate`` says what is doubtful about a network before it runs."""

import pytest

from bellweave.cli import network
from bellweave.scenario.load import load


def test_demands_that_cannot_be_met_are_warned_about_with_the_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    network.warn(load("datacenter"))

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("the periods would have to be 3.64 times as long") == 6
    assert shown.err.count("some never get a key") == 6


def test_a_network_that_serves_everybody_is_not_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    network.warn(load("datacenter-modern"))

    assert capsys.readouterr().err == ""
