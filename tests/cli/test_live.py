"""What the terminal shows of a running emulation, by where it goes."""

import asyncio
import io
import json

import pytest
from rich.console import Console

from bellweave.cli.live import LivePicture, View, shown
from bellweave.results.network_records import Alarmed, LevelSampled
from bellweave.scenario.load import load

ALARM = Alarmed(at_s=1.5, link="alice-bob", reason="qber", qber=0.2)
SAMPLE = LevelSampled(at_s=2.0, link="alice-bob", level_bits=100, waiting_bits=0)


def test_json_has_every_event_on_a_line_and_nothing_else_on_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    view = View(as_json=True)
    view.watch(ALARM)
    view.say("the run begins")
    view.watch(SAMPLE)

    printed = capsys.readouterr()
    assert [json.loads(line)["type"] for line in printed.out.splitlines()] == ["Alarmed", "LevelSampled"]
    assert printed.err == "bellweave: the run begins\n"


async def test_without_a_terminal_there_are_lines_of_what_matters(capsys: pytest.CaptureFixture[str]) -> None:
    async with shown(load("datacenter"), as_json=False) as view:
        assert not isinstance(view, LivePicture)
        view.watch(ALARM)
        view.watch(SAMPLE)

    assert capsys.readouterr().out == "    1.50 s  ALARM, alice-bob: qber\n"


async def test_a_terminal_shows_a_picture_and_gets_its_screen_back(capsys: pytest.CaptureFixture[str]) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, height=40, color_system=None, _environ={})
    async with LivePicture(load("datacenter"), console) as view:
        view.say("channel aead: AES-256-GCM records between the agents, not IPsec")
        view.watch(ALARM)
        await asyncio.sleep(0.6)

    drawn = screen.getvalue()
    assert "ALARM: alice-bob (qber)" in drawn
    assert "datacenter · aead · speed 1" in drawn
    assert drawn.rindex("\x1b[?1049l") > drawn.rindex("alice-bob")  # the screen that was there before
    assert "\x1b[?25h" in drawn[drawn.rindex("alice-bob") :]  # and its cursor
    assert "channel aead" in capsys.readouterr().err


async def test_a_picture_of_a_run_that_fails_gives_the_screen_back(capsys: pytest.CaptureFixture[str]) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, height=24, color_system=None, _environ={})
    with pytest.raises(ValueError, match="broken"):  # noqa: PT012
        async with LivePicture(load("datacenter"), console) as view:
            view.say("starting 5 processes")
            raise ValueError("broken")

    assert "\x1b[?1049l" in screen.getvalue()
    assert "starting 5 processes" in capsys.readouterr().err
