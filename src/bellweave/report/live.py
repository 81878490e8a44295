"""A picture of a running emulation for a terminal: links, tunnels, what is wrong, what happened last.

It fits the terminal: what does not is left out, and said to be. Whatever is coloured is said in words or numbers too.
"""

from collections.abc import Sequence, Sized
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bellweave.report.live_model import LinkState, LiveState, TunnelState

BAR = 10
"""Letters of a fill level's bar."""

ROOM = 50
"""Letters that the first line needs beside its title and its bar."""

EIGHTHS = " ▏▎▍▌▋▊▉█"

HEAD = 2
"""Lines of a table's head."""

LEAST_EVENTS = 3
"""Lines of events that stand below the tables where there is room for them."""

GAP = 3
"""Letters between two columns."""

OLD = 2.0
"""A key is old after so many periods."""

STATES = {"up": "green", "waiting": "yellow", "down": "bold red"}


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What does not change while a run goes on.

    Attributes:
        title: Name of the run, channel, speed, seed: one line.
        duration_s: Of all slots, on the clock.
        qber_limit: Above it a block gives no key.
        periods_s: How often each tunnel wants a fresh key.
        notes: By tunnel: what its reader must know, such as ``authentication only``.
    """

    title: str
    duration_s: float
    qber_limit: float
    periods_s: dict[str, float]
    notes: dict[str, str]


def picture(state: LiveState, frame: Frame, now_s: float, width: int, height: int) -> RenderableType:
    """Return the picture at a moment, for a terminal of that size in letters."""
    wrong = _wrong(state, now_s)
    links, tunnels = len(state.links), len(state.tunnels)
    room = height - len(wrong) - LEAST_EVENTS - 2 - HEAD * (2 if tunnels else 1)
    link_rows = min(links, max(1, room - min(tunnels, max(1, room // 2))))
    tunnel_rows = min(tunnels, max(0, room - link_rows))
    gap: list[RenderableType] = [""] if room > links + tunnels else []
    parts: list[RenderableType] = [_head(state, frame, now_s, width), *wrong, *gap]
    parts.append(_links(state, frame, now_s, link_rows, width))
    if tunnels:
        parts += [*gap, _tunnels(state, frame, now_s, tunnel_rows, width)]
    parts += gap
    used = 1 + len(wrong) + HEAD + link_rows + (HEAD + tunnel_rows if tunnels else 0) + len(gap) * (3 if tunnels else 2)
    lines = max(0, height - used - 1)
    for at_s, text in list(state.text)[-lines:] if lines else ():
        parts.append(Text(f"{at_s:8.2f} s  {text}", style=_style(text), no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def bar(part: float, length: int = BAR) -> str:
    """Return a bar that is filled to a part, 0 to 1, in eighths of letters.

    >>> bar(0.5, 4), bar(0.03, 4)
    ('██  ', '▏   ')
    """
    eighths = round(max(0.0, min(1.0, part)) * 8 * length)
    if part > 0.0:
        eighths = max(1, eighths)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (EIGHTHS[rest] if rest else "")).ljust(length)


def short(value: float, unit: str) -> str:
    """Return a number with three digits that count.

    >>> short(24_632.0, "bit"), short(350.0, "bit/s"), short(0.0, "bit"), short(1_777_560.0, "bit")
    ('24.6 kbit', '350 bit/s', '0 bit', '1.78 Mbit')
    """
    for prefix, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def _head(state: LiveState, frame: Frame, now_s: float, width: int) -> Text:
    length = min(24, width - len(frame.title) - ROOM)
    done = min(1.0, now_s / frame.duration_s) if frame.duration_s else 0.0
    head = Text(no_wrap=True, overflow="ellipsis")
    head.append(frame.title, style="bold")
    head.append(f"   {now_s:.0f} of {frame.duration_s:.0f} s ")
    if length >= BAR:
        head.append(bar(done, length), style="blue on grey23")
    head.append(f"  keys {state.delivered}")
    if state.tunnels:
        head.append(f"  tunnels up {state.up}/{len(state.tunnels)}")
    return head


def _wrong(state: LiveState, now_s: float) -> list[Text]:
    """Return a line each for alarms, faults and processes that are not there."""
    alarms = [f"{name} ({link.alarm})" for name, link in state.links.items() if link.alarm]
    faults = [f"{name} for {now_s - since_s:.0f} s" for name, since_s in state.faults.items()]
    away = [f"{name} {what}" for name, what in state.away.items()]
    lines = (("ALARM", alarms, "bold red"), ("fault", faults, "red"), ("away", away, "yellow"))
    return [
        Text(f"{label}: {'; '.join(found)}", style=style, no_wrap=True, overflow="ellipsis")
        for label, found, style in lines
        if found
    ]


@dataclass(frozen=True, kw_only=True)
class _Column:
    """A column of a table.

    Attributes:
        head: What stands above it.
        cells: One for each row.
        right: Whether numbers stand at its right.
        rank: In a narrow terminal the columns of the highest rank go first; those of rank 0 stay.
    """

    head: str
    cells: list[Text]
    right: bool = True
    rank: int = 0

    @property
    def width(self) -> int:
        """Letters of its widest cell."""
        return max(len(self.head), *(cell.cell_len for cell in self.cells), 0)


def _table(columns: Sequence[_Column], width: int) -> Table:
    """Return a table of the columns for which there is room, each at its full width."""
    shown = [column for column in columns if column.head or column.width]
    while sum(column.width + GAP for column in shown) - GAP > width and any(column.rank for column in shown):
        shown.remove(max(shown, key=lambda column: column.rank))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1), header_style="dim")
    for column in shown:
        table.add_column(column.head, justify="right" if column.right else "left", no_wrap=True)
    for row in zip(*(column.cells for column in shown), strict=True):
        table.add_row(*row)
    return table


def _links(state: LiveState, frame: Frame, now_s: float, most: int, width: int) -> Table:
    shown = dict(list(state.links.items())[:most])
    links = shown.values()
    most_bits = max((link.most_bits for link in state.links.values()), default=0) or 1
    names = [
        Text(f"{'▸' if link.served else ' '} {name}", style="bold" if link.served else "")
        for name, link in shown.items()
    ]
    waiting = [Text(short(link.waiting_bits, "bit") if link.waiting_bits else "") for link in links]
    bars = [Text(bar(link.level_bits / most_bits), style="cyan on grey23") for link in links]
    return _table(
        (
            _Column(head=_head_of("link", shown, state.links), cells=names, right=False),
            _Column(head="QBER", cells=[_qber(link, frame.qber_limit) for link in links]),
            _Column(head="blocks", cells=[_blocks(link) for link in links], rank=2),
            _Column(head="key", cells=[Text(short(link.key_bits, "bit")) for link in links], rank=3),
            _Column(head="rate", cells=[Text(short(link.rate_bps(now_s), "bit/s")) for link in links], rank=5),
            _Column(head="", cells=bars, right=False, rank=4),
            _Column(head="in stock", cells=[Text(short(link.level_bits, "bit")) for link in links], rank=1),
            _Column(head="not fetched", cells=waiting, rank=6),
        ),
        width,
    )


def _qber(link: LinkState, limit: float) -> Text:
    if link.qber is None:
        return Text("-", style="dim")
    style = "green" if link.qber <= limit / 2.0 else "yellow" if link.qber <= limit else "bold red"
    return Text(f"{100.0 * link.qber:.1f} %", style=style)


def _blocks(link: LinkState) -> Text:
    text = Text(str(link.blocks))
    if link.rejected:
        text.append(f" -{link.rejected}", style="red")
    if link.lost:
        text.append(f" lost {link.lost}", style="red")
    return text


def _tunnels(state: LiveState, frame: Frame, now_s: float, most: int, width: int) -> Table:
    shown = dict(list(state.tunnels.items())[:most])
    tunnels = shown.values()
    ages = [_age(tunnel, frame.periods_s[name], now_s) for name, tunnel in shown.items()]
    lost = [Text(f"{tunnel.lost}/{tunnel.sent}", style="red" if tunnel.lost else "") for tunnel in tunnels]
    refused = [Text(str(tunnel.refused), style="yellow" if tunnel.starved else "dim") for tunnel in tunnels]
    return _table(
        (
            _Column(
                head=_head_of("tunnel", shown, state.tunnels), cells=[Text(f"  {name}") for name in shown], right=False
            ),
            _Column(head="state", cells=[Text(each.state, style=STATES[each.state]) for each in tunnels], right=False),
            _Column(head="key age", cells=ages, rank=2),
            _Column(head="keys", cells=[Text(str(tunnel.keys)) for tunnel in tunnels], rank=4),
            _Column(head="refused", cells=refused, rank=5),
            _Column(head="refresh", cells=[_ms(tunnel.refresh_s, 0) for tunnel in tunnels], rank=6),
            _Column(head="lost/sent", cells=lost, rank=3),
            _Column(head="rtt", cells=[_ms(tunnel.rtt_s, 1) for tunnel in tunnels], rank=7),
            _Column(head="key", cells=[Text(tunnel.key_id[:8]) for tunnel in tunnels], right=False, rank=9),
            _Column(head="", cells=[Text(frame.notes.get(name, "")) for name in shown], right=False, rank=1),
            _Column(head="", cells=[Text(tunnel.starved) for tunnel in tunnels], right=False, rank=8),
        ),
        width,
    )


def _ms(time_s: float | None, digits: int) -> Text:
    return Text("-" if time_s is None else f"{1000.0 * time_s:.{digits}f} ms")


def _age(tunnel: TunnelState, period_s: float, now_s: float) -> Text:
    age_s = tunnel.age_s(now_s)
    if age_s is None:
        return Text("-", style="dim")
    return Text(f"{age_s:.1f} s", style="red" if age_s > OLD * period_s else "")


def _head_of(what: str, shown: Sized, known: Sized) -> str:
    left_out = len(known) - len(shown)
    return f"{what}s, {left_out} more" if left_out else what


def _style(text: str) -> str:
    if text.startswith(("ALARM", "fault")) or "no key:" in text or "session over" in text:
        return "red"
    return "yellow" if "no fresh key" in text or " killed" in text or " ended" in text else "dim"
