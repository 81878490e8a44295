"""The source's process: slots by the wall clock, photons for the nodes that dial in.

Rules:

1. Slot k ends ``(k + 1) slot_s / speed`` seconds after the run began. What happens at the same moment happens in the
   order of the simulation: faults begin and end, a slot ends, the next one begins.
2. Photons are sampled after their slot, in a thread, one slot at a time. Where that takes longer than a slot lasts,
   slots are late, and :class:`Source` says so; none is left out.
3. A node gets what its own detectors saw, and nothing else: neither the other node's data nor what befell the photons.
4. A node that is away gets nothing, and its links give nothing: it must be there from a slot's beginning to its end.
   One that comes back says so and joins in. While a fault of the scenario keeps a node down, it is not let in.
5. Nodes are known by their certificates, as devices; the source's own is that of the device ``source``.
"""

import asyncio
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from bellweave.dialogue import Codec, Message
from bellweave.emu import quanta, warm_up
from bellweave.emu.lines import Lines
from bellweave.emu.messages import Begun, Ended, Fault, Joined, Stock
from bellweave.errors import ProtocolError, ScenarioError
from bellweave.network.schedulers import make_scheduler
from bellweave.plan.slot_bits import SlotBits
from bellweave.results.network_records import Event, FaultChanged, SlotBegan
from bellweave.roles.randomness import Randomness
from bellweave.roles.source import Knowledge, Presence, RawBlock, Sources, sampled
from bellweave.scenario.demand import demand_bits_per_s
from bellweave.scenario.schema import Scenario
from bellweave.scenario.timeline import State, Timeline

NAME = "source"
"""In its certificate."""

LATE_S = 0.5
"""Lateness of a slot that people should know of; they are told again whenever it has doubled."""

_log = structlog.get_logger(__name__)


class Source:
    """The sources of a network, and the nodes that have dialled in.

    Args:
        scenario: With a ``[schedule]``.
        randomness: What photons and drift are drawn from.
        note: Gets each event (:class:`SlotBegan`, :class:`FaultChanged` of the scenario's faults) as it happens.
        say: Gets sentences for people, where something is not as it should be.

    Attributes:
        begun: Set when the run has begun.

    Raises:
        ScenarioError: The scenario has no schedule, or faults that can't be.
    """

    def __init__(
        self,
        scenario: Scenario,
        randomness: Randomness,
        *,
        note: Callable[[Event], None],
        say: Callable[[str], None] | None = None,
    ) -> None:
        if scenario.schedule is None:
            raise ScenarioError("a source that takes turns needs a [schedule] table", path="schedule")
        self._scenario, self._schedule, self._randomness = scenario, scenario.schedule, randomness
        self._note, self._say = note, say or _log.warning
        self._slots = self._schedule.slots or scenario.run.blocks
        timeline = Timeline(scenario)
        ends = {name: (link.alice, link.bob) for name, link in scenario.link.items()}
        self._ends = ends
        self._level_bits = dict.fromkeys(ends, 0.0)
        knowledge = Knowledge(demand_bits_per_s(scenario), self._level_bits, SlotBits(scenario))
        scheduler = make_scheduler(self._schedule, ends)
        self._sources = Sources(scenario, self._schedule, scheduler, timeline, knowledge, randomness)
        until_s = self._slots * self._schedule.slot_s
        self._states = [state for state in timeline.states if state.at_s < until_s]
        self._active: tuple[str, ...] = ()
        self._down = timeline.at(0.0).down
        self._lines = Lines(
            scenario.node,
            Codec(Joined, Stock),
            self._stocked,
            joined=self._joined,
            kept_out=lambda name: name in self._down,
            say=self._say,
        )
        self.begun = asyncio.Event()
        self._origin_s = 0.0
        self._next_slot = 0
        self._late_s = LATE_S / 2.0
        self._worker = ThreadPoolExecutor(1, "photons")

    def now_s(self) -> float:
        """Return the seconds since the run began; 0 before it did."""
        return asyncio.get_running_loop().time() - self._origin_s if self.begun.is_set() else 0.0

    async def serve(self, context: ssl.SSLContext, host: str, port: int = 0) -> int:
        """Let nodes dial in from now on; returns the port, a free one for 0.

        Args:
            context: For a server that asks for certificates (:func:`bellweave.edge.tls.server_context`).
            host: Where to listen.
            port: Where to listen.

        Raises:
            OSError: The address can't be had.
        """
        return await self._lines.serve(context, host, port)

    async def run(self) -> None:
        """Wait for all nodes, run all slots, and return when the last photons are with their nodes.

        Raises:
            ScenarioError: A fault makes a link impossible.
        """
        await asyncio.get_running_loop().run_in_executor(self._worker, warm_up.photons, self._scenario)
        while self.missing():
            self._lines.changed.clear()
            await self._lines.changed.wait()
        self._origin_s = asyncio.get_running_loop().time()
        self.begun.set()
        for name in self._scenario.node:
            self._lines.say(name, Begun(0.0, 0))
        slot_s, sending = self._schedule.slot_s, None
        for number in range(self._slots):
            await self._pass(number * slot_s)
            slot = self._sources.begin(number, self._present)
            self._next_slot = number + 1
            lost_s = max(slot.lost_s.values(), default=0.0)
            self._note(SlotBegan(at_s=self.now_s(), slot=number, links=slot.links, lost_s=lost_s))
            await self._pass((number + 1) * slot_s)
            if sending is not None:
                await sending
            self._look_at_clock(number)
            sending = asyncio.create_task(self._send(number, self._sources.end(self._present)))
        if sending is not None:
            await sending
        await self._lines.last(Ended())

    def missing(self) -> list[str]:
        """Return the nodes that should be there and are not."""
        return [name for name in self._lines.missing() if name not in self._down]

    def command(self, fault: Fault) -> None:
        """Begin or end an eavesdropper, or a cut, on a link: from the slot that is under way on.

        Raises:
            ScenarioError: There is no such link, or it is another kind of fault.
        """
        match fault.kind:
            case "eavesdropper":
                self._sources.tap(fault.target, fault.value if fault.on else 0.0)
            case "cut":
                self._sources.cut(fault.target, on=fault.on)
            case _:
                raise ScenarioError(f"a source can have an eavesdropper or a cut, got {fault.kind!r}")

    async def close(self) -> None:
        """Let all nodes go."""
        await self._lines.close()
        self._worker.shutdown(wait=False, cancel_futures=True)

    # ----------------------------------------------------------------------------------------------------------- slots

    async def _pass(self, photon_s: float) -> None:
        """Wait until this moment of photon time, and let the scenario's faults begin and end on the way."""
        while self._states and self._states[0].at_s <= photon_s:
            state = self._states.pop(0)
            await self._wait(state.at_s)
            self._enter(state)
        await self._wait(photon_s)

    async def _wait(self, photon_s: float) -> None:
        await asyncio.sleep(max(0.0, photon_s / self._schedule.speed - self.now_s()))

    def _enter(self, state: State) -> None:
        for name in [*self._active, *state.active]:
            if (name in self._active) != (name in state.active):
                self._note(FaultChanged(at_s=self.now_s(), fault=name, active=name in state.active))
        for name in state.down - self._down:
            self._lines.cut(name)
        self._active, self._down = state.active, state.down

    def _present(self, link: str) -> Presence | None:
        ends = self._ends[link]
        if any(name not in self._lines or name in self._down for name in ends):
            return None
        return tuple(self._lines.starts[name] for name in ends)

    def _look_at_clock(self, slot: int) -> None:
        """Say so if a slot ends late, and again when it is twice as late."""
        late_s = self.now_s() - (slot + 1) * self._schedule.wall_slot_s
        if late_s > 2.0 * self._late_s:
            self._late_s = late_s
            self._say(
                f"slot {slot} ends {late_s:.1f} s late: its photons take longer to sample than it lasts, "
                f"{self._schedule.wall_slot_s:.3g} s; a lower speed, or the level coincidences, would help"
            )

    async def _send(self, slot: int, blocks: list[RawBlock]) -> None:
        """Sample each link's photons and send them to its two nodes."""
        loop = asyncio.get_running_loop()
        for block in blocks:
            link = block.optical.name
            seen = await loop.run_in_executor(self._worker, sampled, self._scenario, block, self._randomness)
            for name, own in zip(self._ends[link], seen, strict=True):
                self._lines.say(name, quanta.packed(link, slot, block.facts, own))

    # ----------------------------------------------------------------------------------------------------------- nodes

    def _joined(self, name: str) -> None:
        if self.begun.is_set():
            self._lines.say(name, Begun(self.now_s(), self._next_slot))

    def _stocked(self, name: str, message: Message) -> None:
        if not isinstance(message, Stock) or message.link not in self._ends or name not in self._ends[message.link]:
            raise ProtocolError(f"it has no such link: {message!r}")
        if name == self._ends[message.link][0]:  # as the simulation: stock is what Alice's end has
            self._level_bits[message.link] = float(message.level_bits)
