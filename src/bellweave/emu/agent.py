"""A gateway's agent at one end of a tunnel: runs the rotation over a real KME, a real line to its peer, a real channel.

The machines are those of the simulation (:mod:`bellweave.tunnel.client`, :mod:`bellweave.tunnel.server`): they decide,
this file does. Their keys come through :mod:`bellweave.emu.agent_keys`, words cross :mod:`bellweave.edge.agent_link`,
sessions are made by a :class:`~bellweave.edge.channel.Channel`.

Rules:

1. Events come to the machine one at a time. Calls of the channel go one at a time too, in the order in which the
   machine asked for them (:mod:`bellweave.emu.agent_lane`); the KME is asked beside them.
2. The server believes the client's ``InUse`` when its own gateway says so too; otherwise it destroys the key and says
   that it has not got it.
3. Every second the gateway is asked which key is in use. If it was restarted and has none, or the other end says that
   the key in use is not there (again upon every new line), the session is lost: its key is destroyed at both ends and
   **never used for another IKE authentication**, whatever the starvation policy; ``keep-old`` keeps a session that is
   up, it makes none. The one exception is asked for by ``session_s``, as in the data-centre paper: a session that is as
   long as it was configured is renewed with its key, while both ends hold it.
4. A tunnel that is down by a fault, or could not ask for a key by one, asks again after pauses of 0.5 to 3 s until it
   has one. Want of key alone is no fault: then ``retry_s`` and ``period_s`` decide, as in the simulation.
5. An agent that starts late, or again, asks at once, and returns to the grid of ``start_s`` and ``period_s`` then.
   Tunnels with one ``start_s`` refresh at the same time, as in the paper; different ones stagger them, and so do
   offsets (:func:`offsets_s`). Of tunnels that share a daemon at the client's end one switches at a time (``turn``).
6. While no line to the peer is up no key is drawn: the peer could not be told of it.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec
import structlog

from bellweave.edge.agent_link import AgentLink
from bellweave.edge.agent_messages import Bound, InUse, Loaded, NotInUse, Tell, Unable
from bellweave.edge.channel import Channel
from bellweave.edge.kms_client import KmsClient
from bellweave.emu.agent_keys import PLAIN_REFUSALS, UNREACHABLE, AgentKeys
from bellweave.emu.agent_lane import Lane, Look, Verify
from bellweave.results.network_records import Event as Noted
from bellweave.results.network_records import Refreshed, SessionBegan, SessionEnded, Starved
from bellweave.tunnel.aead import Side
from bellweave.tunnel.client import Client
from bellweave.tunnel.params import Tunnel
from bellweave.tunnel.rotation import (
    Acknowledged,
    Action,
    AskKey,
    Event,
    FetchKey,
    Hurry,
    KeyArrived,
    KeyRefused,
    Lost,
    Refused,
    RefusePeer,
    SwitchFailed,
    TellPeer,
    Tick,
    Told,
)
from bellweave.tunnel.server import Server

LOOK_S = 1.0
"""How often the gateway is looked at, and the probes are counted."""

LEAST_HURRY_S = 0.5
MOST_HURRY_S = 3.0
"""Pause between two attempts after a fault; each is twice the one before."""

FIRST_MEETING_S = 2.0
"""How long a client that has just started waits for its peer before it may ask for a key."""

AWAY = "the peer's agent is away"

_log = structlog.get_logger(__name__)


def offsets_s(tunnels: Mapping[str, Tunnel]) -> dict[str, float]:
    """Return offsets that spread the refreshes of tunnels with one period evenly over it, in their order.

    >>> tunnel = Tunnel(client="a", server="b", period_s=60.0)
    >>> offsets_s({"t": tunnel, "u": tunnel, "v": tunnel})
    {'t': 0.0, 'u': 20.0, 'v': 40.0}
    """
    return {
        name: number * tunnel.period_s / len(tunnels) for number, (name, tunnel) in enumerate(tunnels.items())
    }  # fmt: skip


class Agent:
    """One end of a tunnel.

    Args:
        tunnel: Its name.
        params: The tunnel's.
        side: Which end.
        kms: The node's KME, called with this SAE's certificate; the caller closes it.
        link: To the other end's agent; not started yet.
        channel: Not started yet.
        note: Gets what is to be noted.
        now: Returns the seconds since the run began; must not go back.
        turn: Shared by the agents whose channels are made by one daemon.
        offset_s: Refreshes come so much later than ``start_s`` and ``period_s`` say; the first key does not.
    """

    def __init__(
        self,
        tunnel: str,
        params: Tunnel,
        side: Side,
        kms: KmsClient,
        link: AgentLink,
        channel: Channel,
        *,
        note: Callable[[Noted], None],
        now: Callable[[], float],
        turn: asyncio.Lock | None = None,
        offset_s: float = 0.0,
    ) -> None:
        self.tunnel, self.side = tunnel, side
        shifted = msgspec.structs.replace(params, start_s=params.start_s + offset_s)
        self.machine: Client | Server = Client(shifted) if side == "client" else Server(params)
        self._link, self._channel = link, channel
        self._note, self._now = note, now
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._keys = AgentKeys(link.ends, side, params.key_bits, kms, note, now)
        self._lane = Lane(
            channel, self._keys, link,
            event=self._events.put_nowait, renewed=self._renewed, key_id=lambda: self.machine.key_id,
            turn=turn or asyncio.Lock(),
        )  # fmt: skip
        self._asking: set[asyncio.Task[None]] = set()
        self._asks = True
        self._stopped, self._meeting = asyncio.Event(), asyncio.Event()
        self._hurried = False
        self._hurry_s = params.start_s if side == "client" and offset_s else math.inf
        self._pause_s = LEAST_HURRY_S
        self._complaint = ""
        self._telling: str | None = None  # what the server was told of and has not acknowledged
        self._asked_s = self._came_s = self._acknowledged_s = math.nan

    async def run(self) -> None:
        """Keep the tunnel going until :meth:`stop`; then everything is closed and every key let go.

        Raises:
            ScenarioError: The agent can't listen where it should.
        """
        tasks = {asyncio.create_task(work) for work in (self._serve(), self._stopped.wait())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a mistake of ours ends the agent, with its error
        finally:
            await _end(tasks | self._asking)
            if self.side == "client":
                self._session_ends(self.machine.key_id, "end of run")
            await self._link.close()
            await self._lane.close()
            self._keys.wipe_all()

    def finish(self) -> None:
        """Ask for no more keys and renew no more sessions: the run ends; what is under way goes on."""
        self._asks = False
        self._events.put_nowait(Tick())

    def stop(self) -> None:
        """Let :meth:`run` end."""
        self._stopped.set()

    async def _serve(self) -> None:
        await self._lane.bring_up()
        await self._link.start(self._heard, self._met)
        if self.side == "client":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_MEETING_S):
                    await self._meeting.wait()
        async with asyncio.TaskGroup() as group:
            for work in (self._live(), self._lane.run(), self._watch()):
                group.create_task(work)

    # ------------------------------------------------------------------------------------------------- the machine

    async def _live(self) -> None:
        """Hand the machine its events and ticks, and have done what it says."""
        while True:
            event = await self._next_event()
            if isinstance(event, Tick | Hurry) and not self._asks:
                continue
            before = self.machine.key_id
            failures = self.machine.failures if isinstance(self.machine, Client) else 0
            actions = self.machine.handle(event, self._now())
            if isinstance(self.machine, Client):
                if isinstance(event, Acknowledged) and event.key_id == self._telling:
                    self._telling, self._acknowledged_s = None, self._now()
                self._judge(event, failed=self.machine.failures > failures)
                if self.machine.key_id != before:
                    self._changed(before, self.machine.key_id, event)
            for action in actions:
                self._act(action)

    async def _next_event(self) -> Event:
        """Return what has happened, or what is due."""
        due_s = min(self.machine.due_s, self._hurry_s) if self._asks else math.inf
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if due_s == math.inf else max(0.0, due_s - self._now())):
                return await self._events.get()
        if self._now() < self._hurry_s:
            return Tick()
        self._hurry_s = self._now() + self._pause_s if self._hurried else math.inf
        self._pause_s = min(2.0 * self._pause_s, MOST_HURRY_S)
        return Hurry()

    def _act(self, action: Action) -> None:
        match action:
            case AskKey() if not self._link.up:
                self._events.put_nowait(KeyRefused(AWAY))
            case AskKey():
                self._asked_s = self._now()
                self._ask(self._keys.draw())
            case FetchKey(key_id):
                self._ask(self._keys.fetch(key_id))
            case TellPeer(key_id):
                self._came_s, self._telling = self._now(), key_id
                self._lane.told(key_id)
                self._link.say(Tell, key_id)  # or, if the line was cut just now, when it is up again
            case RefusePeer(key_id, reason):
                self._link.say(Unable, key_id, f"the server's KME: {reason}")
            case _:
                self._lane.put(action)

    def _ask(self, work: Coroutine[Any, Any, KeyArrived | KeyRefused]) -> None:
        """Ask the KME beside everything else."""

        async def asked() -> None:
            try:
                answer = await work
            except Exception:  # noqa: BLE001 a mistake of ours must not end the tunnel
                _log.exception("asking for a key failed", tunnel=self.tunnel, side=self.side)
                answer = KeyRefused(UNREACHABLE)
            self._events.put_nowait(answer)

        task = asyncio.create_task(asked())
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    # ---------------------------------------------------------------------------------------- the client's own affairs

    def _judge(self, event: Event, *, failed: bool) -> None:
        """Note why there is no fresh key, and ask again soon if that was a fault, or the tunnel is down by one."""
        match event:
            case Lost() if self.machine.key_id is None:
                self._hurry()
            case KeyRefused(reason, _) if failed:
                self._starved(reason)
                if reason not in PLAIN_REFUSALS:
                    self._hurry()
            case Refused(_, reason) if failed:
                self._starved(reason)
            case SwitchFailed() if failed:
                self._starved("no session came up with it")
            case Tick() if failed:
                self._starved("no answer in time")
        if failed:
            self._telling = None
            if self.machine.key_id is None and not isinstance(event, KeyRefused):
                self._hurry()

    def _hurry(self) -> None:
        """Ask again soon, at growing pauses, until a fresh key is in use."""
        if not self._hurried:
            self._hurried, self._pause_s = True, LEAST_HURRY_S
            self._hurry_s = self._now() + self._pause_s

    def _starved(self, reason: str) -> None:
        """Note that there is no fresh key; of attempts that follow a fault only the first for each reason."""
        if self._hurried and reason == self._complaint:
            return
        self._complaint = reason
        held = self.machine.key_id is not None
        self._note(Starved(at_s=self._now(), tunnel=self.tunnel, reason=reason, held=held))

    def _changed(self, before: str | None, key_id: str | None, event: Event) -> None:
        """Note what became of the session, and tell the server of a new one."""
        lost = isinstance(event, Lost)
        self._session_ends(before, "replaced" if key_id else "failed" if lost else "expired")
        if key_id is None:
            return
        self._lane.told(None)
        self._link.say(InUse, key_id)
        self._hurried, self._hurry_s, self._complaint = False, math.inf, ""
        now_s = self._now()
        self._note(SessionBegan(at_s=now_s, tunnel=self.tunnel, key_id=key_id))
        self._note(
            Refreshed(
                at_s=now_s,
                tunnel=self.tunnel,
                key_id=key_id,
                enc_s=self._came_s - self._asked_s,
                peer_s=self._acknowledged_s - self._came_s,
                switch_s=now_s - self._acknowledged_s,
                total_s=now_s - self._asked_s,
            )
        )

    def _session_ends(self, key_id: str | None, reason: str) -> None:
        if key_id is not None:
            self._note(SessionEnded(at_s=self._now(), tunnel=self.tunnel, key_id=key_id, reason=reason))

    def _renewed(self, key_id: str) -> None:
        self._session_ends(key_id, "renewed")
        self._note(SessionBegan(at_s=self._now(), tunnel=self.tunnel, key_id=key_id, renewed=True))

    # ------------------------------------------------------------------------------------------- words of the other end

    def _heard(self, message: Bound) -> None:
        key_id = message.key_id
        match message:
            case Tell():
                self._events.put_nowait(Told(key_id))
            case Loaded():
                self._events.put_nowait(Acknowledged(key_id))
            case Unable():
                lost = key_id == self.machine.key_id
                _log.warning("the server is unable", tunnel=self.tunnel, problem=message.reason, lost=lost)
                self._events.put_nowait(Lost(key_id) if lost else Refused(key_id, message.reason))
            case InUse() if key_id != self.machine.key_id:
                self._lane.put(Verify(key_id))
            case NotInUse():
                self._events.put_nowait(SwitchFailed(key_id, message.reason))

    def _met(self) -> None:
        """A line is up: the client says again how far it is, for the server may have been restarted."""
        _log.info("a line to the peer's agent is up", tunnel=self.tunnel, side=self.side)
        self._meeting.set()
        if self.side == "server":
            return
        if self.machine.key_id is not None:
            self._link.say(InUse, self.machine.key_id)
        if self._telling is not None:
            self._link.say(Tell, self._telling)
        if self._hurried:
            self._hurry_s = self._now()
            self._events.put_nowait(Tick())

    async def _watch(self) -> None:
        """Look at the gateway and the probes, every second."""
        while True:
            await asyncio.sleep(LOOK_S)
            self._lane.put(Look())
            probed = self._channel.traffic() if self.side == "client" else None
            if probed is not None:
                self._note(msgspec.structs.replace(probed, at_s=self._now()))


async def _end(tasks: set[asyncio.Task[Any]] | set[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
