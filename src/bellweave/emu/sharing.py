"""Blocks that two slaves have measured, in ``physical`` mode: each gets its own outcomes, key they make between them.

Rules:

1. A slave is sent what it measured itself, and nothing else. Of the other's outcomes it learns what the other announces
   to it, over a line between the two (:mod:`bellweave.emu.pair`).
2. The demand's first slave tells what became of a block, in counts. A block is settled once: by that, or because this
   slave has left, or because the run is over.
3. A cluster makes no key that nobody asked for. So before its next block the plane waits until it is known what became
   of those before, ``WAIT_S`` at most; a demand that has kept it waiting so long is not waited for again until it has
   caught up.
"""

import asyncio
import threading
from collections.abc import Callable

from bellweave.emu import quanta
from bellweave.emu.lines import Lines
from bellweave.emu.messages import Reported
from bellweave.errors import ProtocolError
from bellweave.results.wide_records import KeyMade
from bellweave.roles.slave import Method
from bellweave.scenario.schema import Scenario
from bellweave.sim.cluster import Sampled

WAIT_S = 5.0

Which = tuple[str, Method, int]
"""Demand, method and number of a block."""


class Sharing:
    """The blocks of a run.

    Args:
        scenario: With clusters.
        lines: To the slaves.
        note: Gets each block when it is settled.
        now: Seconds since the run began.
    """

    def __init__(
        self, scenario: Scenario, lines: Lines, note: Callable[[KeyMade], None], now: Callable[[], float]
    ) -> None:
        self._demands, self._lines, self._note, self._now = scenario.demand, lines, note, now
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = threading.Condition()
        self._under_way: dict[str, dict[Which, int]] = {name: {} for name in scenario.demand}
        self._kept_bits = dict.fromkeys(scenario.demand, 0)
        self._late: set[str] = set()

    @property
    def busy(self) -> bool:
        """Whether a block is not settled."""
        return any(self._under_way.values())

    def begin(self) -> None:
        """Send from now on, from the loop that runs now."""
        self._loop = asyncio.get_running_loop()

    # -------------------------------------------------------------------------------------------------- plane's thread

    def measured(self, demand: str, method: Method, block: Sampled) -> None:
        """Have a block distilled."""
        assert self._loop is not None, "a plane that advances has begun"  # noqa: S101
        with self._news:
            self._under_way[demand][demand, method, block.block.number] = len(block)
        self._loop.call_soon_threadsafe(self._send, demand, method, block)

    def kept_bits(self, demand: str) -> int:
        """Return how much key the slaves have made, when all blocks are settled or have taken too long."""
        with self._news:
            if demand not in self._late and not self._news.wait_for(lambda: not self._under_way[demand], WAIT_S):
                self._late.add(demand)
            return self._kept_bits[demand]

    # ------------------------------------------------------------------------------------------------------------- loop

    def heard(self, name: str, reported: Reported) -> None:
        """Take what a slave says of a block; of one that was given up it comes too late.

        Raises:
            ProtocolError: The block is not this slave's to speak of.
        """
        if reported.demand not in self._demands or self._demands[reported.demand].a != name:
            raise ProtocolError(f"it speaks for no demand {reported.demand!r}")
        self._settle(reported)

    def left(self, name: str) -> None:
        """A slave's process has gone, and with it what it held."""
        for demand, blocks in self._under_way.items():
            if self._demands[demand].a == name:
                self._give_up(list(blocks), f"{name} is away")

    def give_up(self) -> None:
        """Wait for nothing any more."""
        for blocks in self._under_way.values():
            self._give_up(list(blocks), "the run was over first")

    def _send(self, demand: str, method: Method, block: Sampled) -> None:
        """Give each slave its own half of what was measured."""
        ends = self._demands[demand]
        away = [name for name in (ends.a, ends.b) if name not in self._lines]
        if away:
            self._give_up([(demand, method, block.block.number)], f"{away[0]} is away")
            return
        for name, own in ((ends.a, block.alice), (ends.b, block.bob)):
            self._lines.say(name, quanta.measurement(demand, method, block.block, own))

    def _give_up(self, blocks: list[Which], reason: str) -> None:
        for demand, method, number in blocks:
            self._settle(Reported(demand, method, number, rejection=reason))

    def _settle(self, told: Reported) -> None:
        """Note what became of a block, if that is not known already."""
        with self._news:
            rounds = self._under_way[told.demand].pop((told.demand, told.method, told.number), None)
            if rounds is None:
                return
            self._kept_bits[told.demand] += told.final_bits
            if not self._under_way[told.demand]:
                self._late.discard(told.demand)
            self._news.notify_all()
        self._note(
            KeyMade(
                at_s=self._now(),
                demand=told.demand,
                method=told.method,
                pairs=rounds,
                sifted_bits=told.sifted_bits,
                final_bits=told.final_bits,
                provable_bits=told.provable_bits,
                ingested_bits=told.ingested_bits,
                qber=told.qber,
                chsh=told.chsh,
                rejection=told.rejection,
            )
        )
