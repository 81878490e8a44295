"""The source's process of a wide-area network: clusters, repeaters and their control, by the wall clock.

Rules:

1. The plane is the simulation's (:mod:`bellweave.sim.wide.plane`); its virtual time is the time since the run began. It
   is advanced every ``STEP_S``, in a thread. What nobody disturbs comes out as in a simulation of the same seed and
   length, bit for bit.
2. A slave gets what it measured itself, and nothing else: in ``physical`` mode its outcomes, of which the slaves make
   key with each other (:mod:`bellweave.emu.sharing`); in ``paper`` mode, where every pair is a bit of key, the bits.
   ``KeyMade`` is noted when both slaves' KMEs have taken their halves, or one of them can't.
3. A slave without a line is down; its requests begin again when it has joined again. Faults on command come on top of
   the scenario's.
4. Where the run is not to be known from its seed, outcomes come from the operating system's randomness.
"""

import asyncio
import secrets
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import msgspec
import simpy

from bellweave.blocks import SecretBlock
from bellweave.dialogue import Codec, Message
from bellweave.emu.lines import Lines
from bellweave.emu.messages import Begun, Ended, Fault, Handed, Joined, Reported, Stock, Taken
from bellweave.emu.sharing import Sharing
from bellweave.emu.warm_up import alone
from bellweave.errors import ProtocolError, ScenarioError
from bellweave.results.wide_records import KeyMade, WideEvent
from bellweave.roles.randomness import Randomness, Seeded
from bellweave.roles.slave import Method
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import duration_s
from bellweave.sim.cluster import Sampled
from bellweave.sim.network.nodes import Process
from bellweave.sim.wide import simulate_wide
from bellweave.sim.wide.keys import Made
from bellweave.sim.wide.plane import Plane, harvest_every_s

STEP_S = 0.03
LONGEST_HARVEST_S = 1.0

GRACE_S = 1.0
"""Virtual time after the end in which exchanges that are under way end."""

LATE_S = 0.5
"""Lateness of the plane that people should know of; they are told again whenever it has doubled."""

TAKE_S = 15.0
"""How long the last blocks may take to be distilled and with the KMEs: each, or all where the run was stopped early."""

WARM_UP_S = 0.2


@dataclass
class _Given:
    """A block that is on its way to both slaves."""

    demand: str
    made: Made
    waiting: set[str]
    bits: int


class Backbone:
    """The plane of a network, and the slaves that have dialled in.

    Args:
        scenario: With clusters.
        randomness: What outcomes are drawn from.
        note: Gets each event as it happens.
        say: Gets sentences for people, where something is not as it should be.

    Attributes:
        begun: Set when the run has begun.
    """

    def __init__(
        self,
        scenario: Scenario,
        randomness: Randomness,
        *,
        note: Callable[[WideEvent], None],
        say: Callable[[str], None],
    ) -> None:
        self._scenario, self._tell, self._say = scenario, note, say
        self._seeded = isinstance(randomness, Seeded)
        self._whole_s = duration_s(scenario)
        self._env = simpy.Environment(0.0)
        self._happened: list[WideEvent] = []
        self._made: list[tuple[str, Made]] = []
        self._plane = Plane(self._env, scenario, self, self, randomness)
        self._down: set[str] = set()
        self._cut: set[str] = set()
        self._away: set[str] = set()
        self._changed = False
        self._end: simpy.Event | None = None
        self._closed = self._stopped = False
        self._given: dict[str, _Given] = {}
        self._taken = asyncio.Event()
        self._lines = Lines(
            scenario.slave,
            Codec(Joined, Stock, Taken, Reported),
            self._heard,
            joined=self._joined,
            left=self._left,
            say=say,
        )
        self._sharing = Sharing(scenario, self._lines, self._settled, self.now_s)
        self._worker = ThreadPoolExecutor(1, "plane")
        self._late_s = LATE_S / 2.0
        self._origin_s = 0.0
        self.begun = asyncio.Event()

    def now_s(self) -> float:
        """Return the seconds since the run began; 0 before it did."""
        return time.monotonic() - self._origin_s if self.begun.is_set() else 0.0

    async def serve(self, context: ssl.SSLContext, host: str, port: int = 0) -> int:
        """Let slaves dial in from now on; see :meth:`bellweave.emu.lines.Lines.serve`."""
        return await self._lines.serve(context, host, port)

    async def run(self) -> None:
        """Wait for all slaves, run to the end, and return when the last key is with its slaves."""
        await self._beside(partial(_warm_up, self._scenario))
        while self._lines.missing():
            self._lines.changed.clear()
            await self._lines.changed.wait()
        self._sharing.begin()
        every_s = min(harvest_every_s(self._whole_s), LONGEST_HARVEST_S)
        self._end = self._plane.begin(self._whole_s, every_s)
        self._origin_s = time.monotonic()
        self.begun.set()
        for name in self._scenario.slave:
            self._lines.say(name, Begun(0.0, 0))
        while (now_s := self.now_s()) < self._whole_s and not self._stopped:
            await self._beside(partial(self._advance, now_s))
            self._hand_over()
            self._look_at_clock(now_s)
            await asyncio.sleep(max(0.0, now_s + STEP_S - self.now_s()))
        await self._finish()
        await self._lines.last(Ended())

    def command(self, fault: Fault) -> None:
        """Begin or end a cut of an edge, or the failure of a node, from now on.

        Raises:
            ScenarioError: It is another kind of fault.
        """
        if fault.kind not in {"cut", "down"}:
            raise ScenarioError(f"a backbone can have a cut or a node that is down, got {fault.kind!r}")
        targets = self._cut if fault.kind == "cut" else self._down
        (targets.add if fault.on else targets.discard)(fault.target)
        self._changed = True

    def stop(self) -> None:
        """Let :meth:`run` end now, in order."""
        self._stopped = True

    async def close(self) -> None:
        """End the run, if it has not ended, and let all slaves go."""
        await self._finish()
        await self._lines.close()
        self._worker.shutdown(wait=False, cancel_futures=True)

    # -------------------------------------------------------------------------------------- what the plane is part of
    # called in the thread, between two steps of the loop

    def note(self, event: WideEvent) -> None:
        """Take an event of the plane."""
        self._happened.append(event)

    def up(self, slave: str) -> bool:
        """Return whether a slave has a line."""
        return slave in self._lines

    def deliver(self, demand: str, made: Made) -> None:
        """Take what was made of a demand's pairs."""
        self._made.append((demand, made))

    def measured(self, demand: str, method: Method, block: Sampled) -> None:
        """Have two slaves distil a block."""
        self._sharing.measured(demand, method, block)

    def kept_bits(self, demand: str) -> int:
        """Return how much key they have made."""
        return self._sharing.kept_bits(demand)

    def failed(self, slave: str) -> None:
        """A slave has failed: its process knows."""

    def returned(self, slave: str) -> None:
        """A slave is back, with its line."""
        self._plane.resume(slave)

    def harvested(self, number: int) -> Process[None]:
        """After a harvest there is nothing to be done: slaves look after their stocks."""
        del number
        yield from ()

    # ---------------------------------------------------------------------------------------------------------- thread

    async def _beside(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._worker, work)

    def _advance(self, now_s: float) -> None:
        """Let everything happen until now."""
        if now_s > self._env.now:
            self._env.run(until=now_s)
        if self._changed:
            self._changed = False
            self._plane.force(frozenset(self._down | self._away), frozenset(self._cut))

    def _last(self) -> None:
        """Let the plane end, where it is."""
        if self._end is not None and self.now_s() >= self._whole_s:
            self._env.run(until=self._end)
        self._plane.end()
        self._env.run(until=self._env.now + GRACE_S)

    # ------------------------------------------------------------------------------------------------------------ loop

    async def _finish(self) -> None:
        """Let the plane end, once it has begun, and hand over what is left, the books last."""
        if self._closed or self._end is None:
            return
        self._closed = True
        await self._beside(self._last)
        self._hand_over()
        try:
            await self._all_taken()
        except TimeoutError:
            for block_id in list(self._given):
                self._settle(block_id, 0)
            self._sharing.give_up()
        for books in self._plane.close():
            self._tell(msgspec.structs.replace(books, at_s=self.now_s()))

    async def _all_taken(self) -> None:
        """Wait until no block is under way.

        Raises:
            TimeoutError: There is no hope any more.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + TAKE_S
        while self._given or self._sharing.busy:
            self._taken.clear()
            async with asyncio.timeout_at(until_s):
                await self._taken.wait()
            if not self._stopped:
                until_s = loop.time() + TAKE_S

    def _hand_over(self) -> None:
        """Say what happened, and give both slaves their halves of new key."""
        happened, self._happened = self._happened, []
        for event in happened:
            self._tell(msgspec.structs.replace(event, at_s=min(event.at_s, self.now_s())))
        made, self._made = self._made, []
        for demand, each in made:
            self._give(demand, each)

    def _give(self, demand: str, made: Made) -> None:
        ends = self._scenario.demand[demand]
        if made.alice is None or made.bob is None or ends.a not in self._lines or ends.b not in self._lines:
            self._note_key(demand, made, 0)
        else:
            bits = None if self._seeded else secrets.token_bytes(len(made.alice.bits))
            self._given[made.alice.block_id] = _Given(demand, made, {ends.a, ends.b}, made.alice.bit_count)
            for name, block in ((ends.a, made.alice), (ends.b, made.bob)):
                self._lines.say(name, Handed(demand, block if bits is None else _with_bits(block, bits)))

    def _settle(self, block_id: str, bits: int, *names: str) -> None:
        """So many bits of a block are with these slaves' KMEs; with none named, nobody is waited for any more."""
        given = self._given[block_id]
        given.bits = min(given.bits, bits)
        given.waiting -= set(names) or given.waiting
        if not given.waiting:
            del self._given[block_id]
            self._note_key(given.demand, given.made, given.bits)
            self._taken.set()

    def _settled(self, made: KeyMade) -> None:
        self._tell(made)
        self._taken.set()

    def _note_key(self, demand: str, made: Made, ingested_bits: int) -> None:
        self._tell(
            KeyMade(
                at_s=self.now_s(),
                demand=demand,
                method=made.method,
                pairs=made.pairs,
                sifted_bits=made.sifted_bits,
                final_bits=made.alice.bit_count if made.alice else 0,
                provable_bits=made.alice.provable_bits if made.alice else 0,
                ingested_bits=ingested_bits,
                qber=made.qber,
                chsh=made.chsh,
                rejection=made.rejection,
            )
        )

    def _look_at_clock(self, now_s: float) -> None:
        late_s = self.now_s() - now_s - STEP_S
        if late_s > 2.0 * self._late_s:
            self._late_s = late_s
            self._say(f"the plane is {late_s:.1f} s late: its pairs take longer to simulate than they last")

    # ----------------------------------------------------------------------------------------------------------- nodes

    def _joined(self, name: str) -> None:
        if self.begun.is_set():
            self._lines.say(name, Begun(self.now_s(), 0))
            self._away.discard(name)
            self._changed = True

    def _left(self, name: str) -> None:
        if self.begun.is_set():
            self._away.add(name)
            self._changed = True
        for block_id in [block_id for block_id, given in self._given.items() if name in given.waiting]:
            self._settle(block_id, 0, name)
        self._sharing.left(name)

    def _heard(self, name: str, message: Message) -> None:
        match message:
            case Taken(block_id, bits) if block_id in self._given and name in self._given[block_id].waiting:
                self._settle(block_id, bits, name)
            case Reported():
                self._sharing.heard(name, message)
            case Stock() | Taken():
                pass  # of no use here, or of a block that was given up
            case _:
                raise ProtocolError(f"a slave does not say {type(message).__name__}")


def _with_bits(block: SecretBlock, bits: bytes) -> SecretBlock:
    return msgspec.structs.replace(block, bits=bits)


@alone()
def _warm_up(scenario: Scenario) -> None:
    """Load compiled code: run a moment of it for nothing."""
    run = msgspec.structs.replace(scenario.run, seed=0, duration_s=WARM_UP_S)
    simulate_wide(msgspec.structs.replace(scenario, run=run, fault={}))
