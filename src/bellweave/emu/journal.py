"""The journal of an emulated network: what its processes tell, put in order of time and written down.

Processes tell what happened within milliseconds, but not in step. So an event waits a little for older ones of others;
one that comes later than that is noted at the moment of the last one, for readers rely on the order.
"""

import heapq
import itertools
from collections.abc import Callable

import msgspec

from bellweave.emu.deployment import Happened, Stocked
from bellweave.results.network_records import LevelSampled, SessionBegan, SessionEnded
from bellweave.scenario.directory import ends_of
from bellweave.scenario.schema import Scenario

WAIT_S = 0.5
"""How long an event waits for older ones."""

Sink = Callable[[Happened], None]


class Journal:
    """Takes events in any order and hands them on in order of time.

    Args:
        sinks: Called with each event, in order.
        wait_s: How long an event waits.
        hold: Whether all events are kept.

    Attributes:
        events: All that were handed on, if they are kept.
        late: How many came too late for their place.
    """

    def __init__(self, *sinks: Sink, wait_s: float = WAIT_S, hold: bool = True) -> None:
        self._sinks = sinks
        self._hold = hold
        self._wait_s = wait_s
        self._waiting: list[tuple[float, int, Happened]] = []
        self._numbers = itertools.count()
        self._last_s = 0.0
        self.events: list[Happened] = []
        self.late = 0

    def note(self, event: Happened) -> None:
        """Take an event."""
        heapq.heappush(self._waiting, (event.at_s, next(self._numbers), event))

    def advance(self, now_s: float) -> None:
        """Hand on what has waited long enough at this moment of the run."""
        while self._waiting and self._waiting[0][0] <= now_s - self._wait_s:
            self._hand_on(heapq.heappop(self._waiting)[2])

    def close(self) -> None:
        """Hand on all that is left."""
        self.advance(float("inf"))

    def _hand_on(self, event: Happened) -> None:
        if event.at_s < self._last_s:
            self.late += 1
            event = msgspec.structs.replace(event, at_s=self._last_s)
        self._last_s = event.at_s
        if self._hold:
            self.events.append(event)
        for sink in self._sinks:
            sink(event)


class Stocks:
    """What both ends' KMEs hold of each link, put together as the simulation samples it.

    Args:
        scenario: Says which links there are.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._ends = ends_of(scenario)
        self._known: dict[tuple[str, str], Stocked] = {}

    def sampled(self, stocked: Stocked) -> LevelSampled:
        """Return what is known of a link now that one end has told: the stock at Alice's, what waits at either."""
        self._known[stocked.link, stocked.kme] = stocked
        ends = [self._known.get((stocked.link, node)) for node in self._ends[stocked.link]]
        return LevelSampled(
            at_s=stocked.at_s,
            link=stocked.link,
            level_bits=ends[0].available_bits if ends[0] is not None else stocked.available_bits,
            waiting_bits=sum(end.reserved_bits for end in ends if end is not None),
        )


class Sessions:
    """Which tunnels have a session, as their client ends have said.

    Args:
        scenario: Says which tunnels there are.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._clients = {name: tunnel.client for name, tunnel in scenario.tunnel.items()}
        self._keys: dict[str, str] = {}

    def note(self, event: Happened) -> None:
        """Take note of what a client end says."""
        if isinstance(event, SessionBegan):
            self._keys[event.tunnel] = event.key_id
        elif isinstance(event, SessionEnded) and self._keys.get(event.tunnel) == event.key_id:
            del self._keys[event.tunnel]

    def failed(self, node: str, now_s: float) -> list[SessionEnded]:
        """Return the ends of the sessions whose client ends were at a node, which can't say so any more."""
        lost = [tunnel for tunnel in self._keys if self._clients[tunnel] == node]
        return [
            SessionEnded(at_s=now_s, tunnel=tunnel, key_id=self._keys.pop(tunnel), reason="failed") for tunnel in lost
        ]
