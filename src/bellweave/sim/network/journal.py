"""The journal of a network run: events in the order of virtual time, kept and, where asked, written as they happen."""

from collections.abc import Callable

from bellweave.results.network_records import Event

Sink = Callable[[Event], None]
"""Takes an event."""


class Journal:
    """Takes events, in order.

    Args:
        sinks: Called with each event: what writes it, what shows progress.
    """

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks
        self._now_s = 0.0
        self.events: list[Event] = []

    def note(self, event: Event) -> None:
        """Take an event.

        Raises:
            AssertionError: If it comes before the last one: a defect.
        """
        if event.at_s < self._now_s:
            raise AssertionError(f"{type(event).__name__} at {event.at_s} s comes after {self._now_s} s")
        self._now_s = event.at_s
        self.events.append(event)
        for sink in self._sinks:
            sink(event)
