"""How much of a server one client, or a crowd of them, can have."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

TURN_S = 0.25
"""After this a handshake that gets nowhere gives up its turn, though not its time-out: it costs nothing but memory."""


class Turns:
    """Lets so many handshakes run at once. A handshake takes 2 ms of CPU: a storm of them is a queue, not a standstill.

    Whoever came last goes first: in a storm those who came first have given up, or will have before they are served.

    Args:
        limit: How many at once.
    """

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: deque[asyncio.Future[None]] = deque()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn; it ends with the ``async with``, or after :data:`TURN_S`."""
        loop = asyncio.get_running_loop()
        if self._free:
            self._free -= 1
        else:
            mine: asyncio.Future[None] = loop.create_future()
            self._waiting.append(mine)
            try:
                await mine
            except asyncio.CancelledError:
                if mine.done() and not mine.cancelled():
                    self._pass_on()
                raise
        held = True

        def give_up() -> None:
            nonlocal held
            if held:
                held = False
                self._pass_on()

        timer = loop.call_later(TURN_S, give_up)
        try:
            yield
        finally:
            timer.cancel()
            give_up()

    def _pass_on(self) -> None:
        while self._waiting:
            next_one = self._waiting.pop()
            if not next_one.done():
                next_one.set_result(None)
                return
        self._free += 1


class Rate:
    """Lets each client have so many requests a second, averaged over a second.

    Who reconnects starts no new count; there are no more counts than registered names.

    Args:
        per_s: How many.
    """

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._left: dict[str, tuple[float, float]] = {}

    def admits(self, client: str, now_s: float) -> bool:
        """Count a request, and return whether the client may have it."""
        full = max(1.0, self._per_s)
        left, then_s = self._left.get(client, (full, now_s))
        left = min(full, left + self._per_s * (now_s - then_s))
        admitted = left >= 1.0
        self._left[client] = (left - 1.0 if admitted else left, now_s)
        return admitted
