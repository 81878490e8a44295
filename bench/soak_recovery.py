"""How soon tunnels are back after faults, from the events of a run.

A fault touches a tunnel if it is on the tunnel's link, at a node where it ends, between its two key servers, or kills
one of its daemons. A tunnel is *back* at the first second after the fault's end in which its probes are answered while
it has a session; and *fresh* at its first session with a new key after that end. If another fault touches it before it
is back, the later one counts.
"""

import statistics
from dataclasses import dataclass
from typing import Any

from bellweave.emu.faults import pair_of
from bellweave.results.network_records import Event, FaultChanged, Probed, SessionBegan, SessionEnded
from bellweave.scenario.schema import Scenario

BACK_S = 10.0
"""Within this time every tunnel is back."""

NEAR_S = 12.0
"""An outage that begins so long after a fault's end is not the fault's any more."""


@dataclass
class _State:
    active: set[str]
    kind: str = ""
    ended_s: float = 0.0
    waiting: bool = False
    stale: bool = False
    session: str | None = None
    dark: bool = False


class Recovery:
    """Takes events as they come.

    Args:
        scenario: Says which tunnels there are.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._tunnels = {name: _State(active=set()) for name in scenario.tunnel}
        self._back_s: list[tuple[float, str, str, float]] = []
        self._fresh_s: list[float] = []
        self._unprovoked: list[tuple[float, str]] = []
        self._wrong: list[str] = []

    def note(self, event: Event) -> None:
        """Take an event."""
        match event:
            case FaultChanged():
                self._fault(event)
            case SessionBegan(tunnel=tunnel, key_id=key_id, at_s=at_s):
                state = self._tunnels[tunnel]
                state.session = key_id
                if state.stale and not state.active:
                    state.stale = False
                    self._fresh_s.append(at_s - state.ended_s)
            case SessionEnded(tunnel=tunnel, key_id=key_id):
                state = self._tunnels[tunnel]
                if state.session == key_id:
                    state.session = None
            case Probed():
                self._probed(event)

    def violations(self) -> list[str]:
        """Return which tunnels were not back in time, or never."""
        for name, state in self._tunnels.items():
            if state.waiting:
                self._wrong.append(f"{name} never came back after {state.kind} ended at {state.ended_s:.1f} s")
        found, self._wrong = self._wrong, []
        return found

    def figures(self) -> dict[str, Any]:
        """Return what recovery took, seconds."""
        back = sorted(each[3] for each in self._back_s)
        kinds: dict[str, list[float]] = {}
        for _, _, kind, took_s in self._back_s:
            kinds.setdefault(kind.split()[0], []).append(took_s)
        fresh = sorted(self._fresh_s)
        slowest = sorted(self._back_s, key=lambda each: -each[3])[:5]
        return {
            "counted": len(back),
            "back_s": {"p50": statistics.median(back), "most": back[-1]} if back else {},
            "most_by_kind_s": {kind: max(each) for kind, each in sorted(kinds.items())},
            "slowest": [f"{name} at {at_s:.0f} s after {kind}: {took_s:.1f} s" for at_s, name, kind, took_s in slowest],
            "fresh_key_s": {"p50": statistics.median(fresh), "most": fresh[-1]} if fresh else {},
            "outages_without_fault": len(self._unprovoked),
            "first_of_them": [f"{name} at {at_s:.0f} s" for at_s, name in self._unprovoked[:8]],
        }

    def _fault(self, event: FaultChanged) -> None:
        for name in self._touched(event.fault):
            state = self._tunnels[name]
            if event.active:
                state.active.add(event.fault)
                state.waiting = False
            if not event.active or event.fault.startswith("charon"):
                state.active.discard(event.fault)
                if not state.active:
                    state.waiting = state.stale = True
                    state.kind, state.ended_s = event.fault, event.at_s

    def _probed(self, event: Probed) -> None:
        state = self._tunnels[event.tunnel]
        well = event.received > 0 and state.session is not None
        if state.waiting and event.at_s > state.ended_s + (1.0 if state.kind.startswith("charon") else 0.0):
            took_s = event.at_s - state.ended_s
            if well:
                state.waiting = False
                self._back_s.append((state.ended_s, event.tunnel, state.kind, took_s))
                if took_s > BACK_S + 1.0:  # seconds are whole: it was back in the one that ends now
                    self._wrong.append(f"{event.tunnel} was back {took_s:.1f} s after {state.kind} ended")
        alone = not state.active and not state.waiting and event.at_s > state.ended_s + NEAR_S
        if alone and not well and not state.dark:
            self._unprovoked.append((event.at_s, event.tunnel))
        state.dark = not well

    def _touched(self, fault: str) -> list[str]:
        kind, _, target = fault.partition(" ")
        tunnels = self._scenario.tunnel
        match kind:
            case "eavesdropper" | "cut" | "partition":
                pair = set(pair_of(self._scenario, target))
                return [name for name, ends in tunnels.items() if {ends.client, ends.server} == pair]
            case "charon":
                return [target.rpartition(".")[0]]
            case _:
                return [name for name, ends in tunnels.items() if target in {ends.client, ends.server}]
