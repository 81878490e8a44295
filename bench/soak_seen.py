"""What the events of a soak say, added up as they come: hours of them would not fit."""

from collections import Counter
from dataclasses import dataclass, field

from bellweave.results.network_records import (
    Alarmed,
    BlockDistilled,
    BlockLost,
    Delivered,
    Event,
    FaultChanged,
    LedgerClosed,
    Probed,
    ProcessChanged,
    Refreshed,
    SessionBegan,
    SessionEnded,
    Starved,
)


@dataclass
class Seen:
    """What has been seen.

    Attributes:
        counts: Events of each kind.
        sessions: How many sessions each key had.
        up: The key of each tunnel that has a session.
        ended, refused, starved: Reasons and how often.
        refresh_s: How long each refresh took.
        probes: Sent and lost.
        ledgers: All that were closed.
        faults, processes: Kinds of faults, and processes that ended.
        bits: Distilled.
        last_s: Moment of the last event.
    """

    counts: Counter[str] = field(default_factory=Counter)
    sessions: Counter[str] = field(default_factory=Counter)
    up: dict[str, str] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    starved: Counter[str] = field(default_factory=Counter)
    refresh_s: list[float] = field(default_factory=list)
    probes: Counter[str] = field(default_factory=Counter)
    ledgers: list[LedgerClosed] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    processes: Counter[str] = field(default_factory=Counter)
    bits: int = 0
    last_s: float = 0.0

    def note(self, event: Event) -> None:  # noqa: C901 a case for each kind
        """Take an event."""
        self.counts[type(event).__name__] += 1
        self.last_s = event.at_s
        match event:
            case SessionBegan(tunnel=tunnel, key_id=key_id):
                self.sessions[key_id] += 1
                self.up[tunnel] = key_id
            case SessionEnded(tunnel=tunnel, key_id=key_id, reason=reason):
                self.ended[reason] += 1
                if self.up.get(tunnel) == key_id:
                    del self.up[tunnel]
            case Delivered(key_id="", outcome=outcome, status=status):
                self.refused[f"{status} {outcome}"] += 1
            case Starved(reason=reason):
                self.starved[reason] += 1
            case Refreshed(total_s=total_s):
                self.refresh_s.append(total_s)
            case Probed(sent=sent, lost=lost):
                self.probes.update(sent=sent, lost=lost)
            case BlockDistilled(ingested_bits=bits):
                self.bits += bits
            case FaultChanged(fault=fault, active=True):
                self.faults[fault.split()[0]] += 1
            case LedgerClosed():
                self.ledgers.append(event)
            case ProcessChanged(process=process, state="ended" | "killed" as state):
                self.processes[f"{process.split()[0]} {state}"] += 1
            case Alarmed(over=over):
                self.counts["alarms ended" if over else "alarms raised"] += 1
            case BlockLost(blocks=blocks):
                self.counts["blocks lost"] += len(blocks)
