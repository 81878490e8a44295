"""The journal of a network run: events in the order of virtual time, kept and, where asked, written as they happen."""

from collections.abc import Callable
from typing import IO

import msgspec

from bellweave.results.network_records import Event

_ENCODER = msgspec.json.Encoder()


class Journal:
    """Takes events.

    Args:
        file: Where each event goes as one JSON line; None: nowhere.
        watch: Called with each event.
    """

    def __init__(self, file: IO[bytes] | None = None, watch: Callable[[Event], None] | None = None) -> None:
        self._file = file
        self._watch = watch
        self.events: list[Event] = []

    def note(self, event: Event) -> None:
        """Take an event."""
        self.events.append(event)
        if self._file is not None:
            self._file.write(_ENCODER.encode(event) + b"\n")
        if self._watch is not None:
            self._watch(event)
