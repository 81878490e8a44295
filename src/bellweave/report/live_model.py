"""What is known of an emulation while it runs: its events, folded into a state, one at a time. Pure.

Rules:

1. The state depends on the events and on nothing else; what changes with time alone, such as a key's age, is asked for
   with a moment.
2. A tunnel is up from a session's beginning until the end of that same key's session: the end of a session that another
   one has replaced says nothing.
3. Of events, the last few that people want to read are kept, as text. Deliveries, refreshes, samples and probes are
   counted.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from bellweave.results import network_records as records
from bellweave.results.network_records import Happening
from bellweave.scenario.schema import Scenario

KEPT = 60
"""Lines of text that are kept."""

RATE_S = 10.0
"""Over how long a key rate is averaged."""

QUIET = frozenset({"replaced", "renewed", "end of run"})
"""Ends of sessions that are as they should be."""


@dataclass
class LinkState:
    """One link.

    Attributes:
        ends: Its two nodes.
        blocks, rejected: Distillations so far, and those that gave no key.
        lost: Blocks whose photons a node gave up.
        qber: Of the last block that had an estimate.
        key_bits: What both KMEs took so far.
        level_bits, most_bits: In stock at the last look, and the most that ever was.
        waiting_bits: Delivered to one end, not yet fetched at the other.
        served: Whether the slot that runs serves it.
        alarm: Why there is an alarm; empty: none.
        ingests: Moments and bits of the last seconds.
    """

    ends: tuple[str, str]
    blocks: int = 0
    rejected: int = 0
    lost: int = 0
    qber: float | None = None
    key_bits: int = 0
    level_bits: int = 0
    most_bits: int = 0
    waiting_bits: int = 0
    served: bool = False
    alarm: str = ""
    ingests: deque[tuple[float, int]] = field(default_factory=deque)

    def rate_bps(self, now_s: float) -> float:
        """Return the key rate of the last seconds, by the clock, in bits/s."""
        since_s = max(0.0, now_s - RATE_S)
        return sum(bits for at_s, bits in self.ingests if at_s > since_s) / max(1.0, min(RATE_S, now_s))


@dataclass
class TunnelState:
    """One tunnel.

    Attributes:
        ends: Node of its client end, and of its server end.
        state: ``waiting`` for its first key, ``up``, or ``down``.
        key_id, key_s: Of the key in use, or the last one, and since when it is.
        keys: Fresh keys brought into use.
        refused: How often a fresh key was due and could not be had.
        starved: Why there is none now; empty: there is.
        refresh_s: How long the last refresh took; None before the first.
        rtt_s: Round trip of its probes; None without an echo.
        sent, lost: Probes.
    """

    ends: tuple[str, str]
    state: Literal["waiting", "up", "down"] = "waiting"
    key_id: str = ""
    key_s: float = 0.0
    keys: int = 0
    refused: int = 0
    starved: str = ""
    refresh_s: float | None = None
    rtt_s: float | None = None
    sent: int = 0
    lost: int = 0

    def age_s(self, now_s: float) -> float | None:
        """Return how old the key in use is; None without a session."""
        return max(0.0, now_s - self.key_s) if self.state == "up" else None


class LiveState:
    """All of a run.

    Args:
        scenario: Says which links and tunnels there are.

    Attributes:
        at_s: Moment of the last event.
        slot: The last slot that began; None before the first.
        links, tunnels: By name, in the scenario's order.
        faults: Those that go on, and since when.
        away: Processes that are not there, and what became of them.
        delivered: Answers of key servers with a key, ``enc_keys`` and ``dec_keys``.
        refusals: Answers without one.
        text: The last events worth a line, with their moments; the newest one last.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.at_s = 0.0
        self.slot: int | None = None
        self.links = {name: LinkState((link.alice, link.bob)) for name, link in scenario.link.items()}
        self.tunnels = {name: TunnelState((each.client, each.server)) for name, each in scenario.tunnel.items()}
        self.faults: dict[str, float] = {}
        self.away: dict[str, str] = {}
        self.delivered = self.refusals = 0
        self.text: deque[tuple[float, str]] = deque(maxlen=KEPT)

    @property
    def up(self) -> int:
        """How many tunnels are up."""
        return sum(each.state == "up" for each in self.tunnels.values())

    def take_all(self, events: Iterable[Happening]) -> None:
        """Take events in their order."""
        for event in events:
            self.take(event)

    def take(self, event: Happening) -> None:
        """Take the next event."""
        self.at_s = max(self.at_s, event.at_s)
        line = headline(event)
        if line:
            self.text.append((event.at_s, line))
        match event:
            case records.SlotBegan():
                self.slot = event.slot
                for name, link in self.links.items():
                    link.served = name in event.links
            case records.FaultChanged():
                if event.active:
                    self.faults[event.fault] = event.at_s
                else:
                    self.faults.pop(event.fault, None)
            case records.ProcessChanged():
                if event.state in {"ended", "killed"}:
                    self.away[event.process] = event.state
                else:
                    self.away.pop(event.process, None)
            case records.BlockDistilled() | records.LevelSampled() | records.Alarmed() | records.BlockLost():
                self._link(event)
            case (
                records.Delivered()
                | records.SessionBegan()
                | records.SessionEnded()
                | records.Starved()
                | records.Refreshed()
                | records.Probed()
            ):
                self._tunnel(event)

    def _link(self, event: records.BlockDistilled | records.LevelSampled | records.Alarmed | records.BlockLost) -> None:
        name = event.block.link if isinstance(event, records.BlockDistilled) else event.link
        link = self.links[name]
        match event:
            case records.BlockDistilled(block=block):
                link.blocks += 1
                link.rejected += block.rejection is not None
                link.qber = link.qber if block.estimate.qber is None else block.estimate.qber
                link.key_bits += event.ingested_bits
                link.ingests.append((event.at_s, event.ingested_bits))
                while link.ingests[0][0] < event.at_s - RATE_S:
                    link.ingests.popleft()
            case records.LevelSampled():
                link.level_bits, link.waiting_bits = event.level_bits, event.waiting_bits
                link.most_bits = max(link.most_bits, event.level_bits)
            case records.Alarmed():
                link.alarm = "" if event.over else event.reason
            case records.BlockLost():
                link.lost += len(event.blocks)

    def _tunnel(
        self,
        event: records.Delivered
        | records.SessionBegan
        | records.SessionEnded
        | records.Starved
        | records.Refreshed
        | records.Probed,
    ) -> None:
        tunnel = self.tunnels.get(event.tunnel)
        if tunnel is None:
            return
        match event:
            case records.Delivered():
                self.delivered += bool(event.key_id)
                self.refusals += not event.key_id
            case records.SessionBegan():
                if event.key_id != tunnel.key_id:
                    tunnel.key_s = event.at_s
                tunnel.state, tunnel.key_id, tunnel.starved = "up", event.key_id, ""
                tunnel.keys += not event.renewed
            case records.SessionEnded():
                if event.key_id == tunnel.key_id and event.reason not in {"replaced", "renewed"}:
                    tunnel.state = "down"
            case records.Starved():
                tunnel.refused += 1
                tunnel.starved = event.reason
            case records.Refreshed():
                tunnel.refresh_s = event.total_s
            case records.Probed():
                tunnel.sent += event.sent
                tunnel.lost += event.lost
                tunnel.rtt_s = event.rtt_s


def headline(event: Happening) -> str:
    """Return an event in a line for people; empty where it is one of very many."""
    match event:
        case records.BlockDistilled() | records.BlockLost():
            return _of_blocks(event)
        case records.SessionBegan():
            return f"{event.tunnel}: session with key {event.key_id}{', renewed' if event.renewed else ''}"
        case records.SessionEnded(reason=reason) if reason not in QUIET:
            return f"{event.tunnel}: session over, {reason}"
        case records.Starved():
            return (
                f"{event.tunnel}: no fresh key, {event.reason}; {'the old one stays' if event.held else 'none is up'}"
            )
        case records.Alarmed():
            return f"{'alarm over' if event.over else 'ALARM'}, {event.link}: {event.reason}"
        case records.FaultChanged():
            return f"fault {event.fault} {'begins' if event.active else 'ends'}"
        case records.ProcessChanged():
            return f"{event.process} {event.state}{f' ({event.detail})' if event.detail else ''}"
    return ""


def _of_blocks(event: records.BlockDistilled | records.BlockLost) -> str:
    if isinstance(event, records.BlockLost):
        numbers = ", ".join(map(str, event.blocks))
        return f"{event.link}: {event.node} gives up block{'s' * (len(event.blocks) > 1)} {numbers}, {event.reason}"
    block = event.block
    qber = "" if block.estimate.qber is None else f", QBER {100.0 * block.estimate.qber:.1f} %"
    what = f"no key: {block.rejection}" if block.rejection else f"{event.ingested_bits} bits of key"
    return f"{block.link}: block {block.block}{qber}, {what}"
