"""A picture of a running emulation for a terminal: links, tunnels, what is wrong, what happened last.

It fits the terminal: what does not is left out, and said to be. Whatever is coloured is said in words or numbers too.
"""

from collections.abc import Sequence
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

WIDE = 100
"""Letters from which on all columns are shown."""

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


def _table(heads: Sequence[tuple[str, bool]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1), header_style="dim")
    for name, right in heads:
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    return table


def _links(state: LiveState, frame: Frame, now_s: float, most: int, width: int) -> Table:
    wide = width >= WIDE
    heads = [("link", False), ("QBER", True), ("blocks", True), ("key", True), *([("rate", True)] if wide else [])]
    table = _table([*heads, ("in stock", False), ("", True), *([("not fetched", True)] if wide else [])])
    shown = list(state.links.items())[:most]
    most_bits = max((link.most_bits for link in state.links.values()), default=0) or 1
    for name, link in shown:
        table.add_row(
            Text(f"{'▸' if link.served else ' '} {name}", style="bold" if link.served else ""),
            _qber(link, frame.qber_limit),
            _blocks(link),
            short(link.key_bits, "bit"),
            *([short(link.rate_bps(now_s), "bit/s")] if wide else []),
            Text(bar(link.level_bits / most_bits), style="cyan on grey23"),
            short(link.level_bits, "bit"),
            *([short(link.waiting_bits, "bit") if link.waiting_bits else ""] if wide else []),
        )
    _count(table, len(state.links) - len(shown), "links")
    return table


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
    wide = width >= WIDE
    heads = [("tunnel", False), ("state", False), ("key age", True), ("keys", True), ("refused", True)]
    heads += [("refresh", True), ("lost/sent", True), *([("rtt", True), ("key", False), ("", False)] if wide else [])]
    table = _table(heads)
    shown = list(state.tunnels.items())[:most]
    for name, tunnel in shown:
        rtt = "-" if tunnel.rtt_s is None else f"{1000.0 * tunnel.rtt_s:.1f} ms"
        table.add_row(
            f"  {name}",
            Text(tunnel.state, style=STATES[tunnel.state]),
            _age(tunnel, frame.periods_s[name], now_s),
            str(tunnel.keys),
            Text(str(tunnel.refused), style="yellow" if tunnel.starved else "dim"),
            "-" if tunnel.refresh_s is None else f"{1000.0 * tunnel.refresh_s:.0f} ms",
            Text(f"{tunnel.lost}/{tunnel.sent}", style="red" if tunnel.lost else ""),
            *([rtt, tunnel.key_id[:8], frame.notes.get(name, tunnel.starved)] if wide else []),
        )
    _count(table, len(state.tunnels) - len(shown), "tunnels")
    return table


def _age(tunnel: TunnelState, period_s: float, now_s: float) -> Text:
    age_s = tunnel.age_s(now_s)
    if age_s is None:
        return Text("-", style="dim")
    return Text(f"{age_s:.1f} s", style="red" if age_s > OLD * period_s else "")


def _count(table: Table, left_out: int, what: str) -> None:
    if left_out > 0:
        table.columns[0].header = f"{what}, {left_out} more"


def _style(text: str) -> str:
    if text.startswith(("ALARM", "fault")) or "no key:" in text or "session over" in text:
        return "red"
    return "yellow" if "no fresh key" in text or " killed" in text or " ended" in text else "dim"
