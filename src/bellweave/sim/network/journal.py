"""The journal of a network run: events in the order of virtual time, kept and, where asked, written as they happen."""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from bellweave.results.network_records import Happening

E = TypeVar("E", bound=Happening)
Noted_contra = TypeVar("Noted_contra", bound=Happening, contravariant=True)


class Notes(Protocol[Noted_contra]):
    """What takes note of some kinds of events."""

    def note(self, event: Noted_contra) -> None:
        """Take an event."""
        ...


class Journal(Generic[E]):
    """Takes events, in order.

    Args:
        sinks: Called with each event: what writes it, what shows progress.
    """

    def __init__(self, *sinks: Callable[[E], None]) -> None:
        self._sinks = sinks
        self._now_s = 0.0
        self.events: list[E] = []

    def note(self, event: E) -> None:
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
