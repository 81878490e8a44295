"""What the terminal shows of an emulation while it runs: a live picture, lines of text, or JSON, one event a line."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Self

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from bellweave.report.live import Frame
    from bellweave.results.network_records import Happening
    from bellweave.scenario.schema import Scenario

LEAST_S = 0.25
"""Shortest time between two pictures."""

MOST_SHARE = 0.02
"""Largest share of a core that drawing may take: slower machines draw less often."""

NOTES = {"psk": "authentication only"}
"""What stands beside tunnels of that mode."""


class View:
    """Lines of text, or of JSON.

    Args:
        as_json: JSON.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json

    def watch(self, event: "Happening") -> None:
        """Show an event."""
        import msgspec

        from bellweave.report.live_model import headline

        if self._json:
            print(msgspec.json.encode(event).decode(), flush=True)
            return
        text = headline(event)
        if text:
            print(f"{event.at_s:8.2f} s  {text}", flush=True)

    def say(self, text: str) -> None:
        """Show a sentence that is no event; never on standard output."""
        typer.echo(f"bellweave: {text}", err=True)


class LivePicture(View):
    """A picture that fills the terminal.

    Args:
        scenario: What runs.
        console: Where.
    """

    def __init__(self, scenario: "Scenario", console: "Console") -> None:
        from rich.live import Live

        from bellweave.report.live_model import LiveState

        super().__init__(as_json=False)
        self._scenario = scenario
        self._state = LiveState(scenario)
        self._said: list[str] = []
        self._channel = ""
        self._origin_s: float | None = None
        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False)

    def watch(self, event: "Happening") -> None:
        """Take an event; it shows with the next picture."""
        self._state.take(event)
        begun_s = time.monotonic() - event.at_s
        if event.at_s > 0.0:  # events are told a little late: the earliest one knows best when the run began
            self._origin_s = begun_s if self._origin_s is None else min(begun_s, self._origin_s)

    def say(self, text: str) -> None:
        """Show a sentence among the events; all are said once more when the picture is gone."""
        if text.startswith("channel "):
            self._channel = text.removeprefix("channel ").split(":")[0].split(",")[0]
        self._said.append(text)
        self._state.text.append((self.now_s(), text))

    def now_s(self) -> float:
        """Return the seconds since the run began, as far as the events tell."""
        return self._state.at_s if self._origin_s is None else time.monotonic() - self._origin_s

    async def draw(self) -> None:
        """Draw until cancelled, as often as drawing is cheap."""
        while True:
            took_s = self._draw()
            await asyncio.sleep(max(LEAST_S, took_s / MOST_SHARE))

    def _draw(self) -> float:
        from bellweave.report.live import picture

        began_s = time.thread_time()
        width, height = self._console.size
        drawn = picture(self._state, frame(self._scenario, self._channel), self.now_s(), width, height)
        self._live.update(drawn, refresh=True)
        return time.thread_time() - began_s

    async def __aenter__(self) -> Self:
        self._live.start()
        self._drawing = asyncio.create_task(self.draw())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._drawing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._drawing
        self._live.stop()
        for text in self._said:
            super().say(text)


def frame(scenario: "Scenario", channel: str) -> "Frame":
    """Return what stands still in a run's picture."""
    from bellweave.report.live import Frame

    schedule = scenario.schedule
    slots = (schedule.slots if schedule else None) or scenario.run.blocks
    speed = schedule.speed if schedule else 1.0
    title = f"{scenario.name} · {f'{channel} · ' if channel else ''}speed {speed:g} · seed {scenario.run.seed}"
    return Frame(
        title=title,
        duration_s=slots * schedule.wall_slot_s if schedule else 0.0,
        qber_limit=scenario.distill.qber_limit,
        periods_s={name: tunnel.period_s for name, tunnel in scenario.tunnel.items()},
        notes={name: NOTES[tunnel.mode] for name, tunnel in scenario.tunnel.items() if tunnel.mode in NOTES},
    )


@contextlib.asynccontextmanager
async def shown(scenario: "Scenario", *, as_json: bool, lines: bool = False) -> AsyncIterator[View]:
    """Give what shows a run: a picture where a terminal can show one, else lines of text, or JSON.

    Args:
        scenario: What runs.
        as_json: JSON, one event a line, and nothing else on standard output.
        lines: Text even on a terminal.
    """
    from rich.console import Console

    console = Console()
    if as_json or lines or not console.is_terminal or console.is_dumb_terminal:
        yield View(as_json=as_json)
        return
    async with LivePicture(scenario, console) as view:
        yield view
