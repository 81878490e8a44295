"""The picture of a running emulation fits its terminal and says what it must."""

import pytest
from rich.console import Console

from bellweave.cli.live import frame
from bellweave.report.live import picture
from bellweave.report.live_model import LiveState
from bellweave.results.network_records import Alarmed, FaultChanged, SessionBegan, Starved
from bellweave.scenario.load import load


def drawn(width: int, height: int, state: LiveState) -> str:
    """Return the picture as text."""
    console = Console(width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(picture(state, frame(load("datacenter"), "ipsec"), 5.0, width, height))
    return captured.get()


def busy() -> LiveState:
    """Return a state with a session, a starved tunnel, an alarm and a fault."""
    state = LiveState(load("datacenter"))
    state.take(SessionBegan(at_s=1.0, tunnel="alice-bob-1", key_id="0f2e-key"))
    state.take(Starved(at_s=2.0, tunnel="alice-bob-2", reason="not_enough_key", held=False))
    state.take(Alarmed(at_s=3.0, link="alice-bob", reason="qber", qber=0.25))
    state.take(FaultChanged(at_s=4.0, fault="eve", active=True))
    return state


@pytest.mark.parametrize(("width", "height"), [(60, 12), (80, 24), (120, 30), (200, 60)])
def test_the_picture_fits_any_terminal(width: int, height: int) -> None:
    lines = drawn(width, height, busy()).splitlines()

    assert len(lines) <= height
    assert max(len(line) for line in lines) <= width


def test_what_is_wrong_stands_there_in_words() -> None:
    text = drawn(130, 40, busy())

    assert "ALARM: alice-bob (qber)" in text
    assert "fault: eve for 1 s" in text
    assert "tunnels up 1/12" in text
    assert "not_enough_key" in text
    assert "4.0 s" in text  # the age of the key


def test_psk_tunnels_are_labelled_authentication_only() -> None:
    assert drawn(130, 40, busy()).count("authentication only") == sum(
        tunnel.mode == "psk" for tunnel in load("datacenter").tunnel.values()
    )


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_terminal_leaves_out_columns_and_never_cuts_names_or_what_a_tunnel_is_worth(width: int) -> None:
    text = drawn(width, 40, busy())

    for name in load("datacenter").tunnel:
        assert f"{name} " in text
    assert text.count("authentication only") == len(load("datacenter").tunnel)
    assert "…" not in "".join(line for line in text.splitlines() if line.startswith("  ") and line[2:3].isalpha())


def test_rows_that_do_not_fit_are_counted() -> None:
    text = drawn(80, 20, busy())

    assert "more" in text
    assert text.count("alice-bob-1") >= 1
