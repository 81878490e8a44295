"""What an agent has its gateway do: the calls of a channel, one after another, in the order they were asked for.

Rules:

1. Every call has its time; one that fails leaves what was there untouched, and is an event for the machine.
2. A client's word that a key is in use is believed when the own gateway says so too.
3. A gateway that has lost the session was restarted: it is brought up again, and the session is ``Lost``. One that has
   none is brought up at every look, for nobody would notice that it was restarted.
4. A tunnel that must go down is taken down, however often the gateway has to be told.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from bellweave.edge.agent_link import AgentLink
from bellweave.edge.agent_messages import Loaded, NotInUse, Unable
from bellweave.edge.channel import Channel, ChannelError
from bellweave.emu.agent_keys import AgentKeys
from bellweave.tunnel.client import PATIENCE_S
from bellweave.tunnel.rotation import (
    Acknowledge,
    Action,
    Destroy,
    Event,
    Load,
    Lost,
    Renew,
    Switch,
    Switched,
    SwitchFailed,
    TakeDown,
)

VERIFY_S = 2.0
VERIFY_PAUSE_S = 0.05
"""How long the server's gateway may take to see the session that the client's has made."""

RETRY_S = 0.5

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Verify:
    """Look whether this key is in use, as the client says."""

    key_id: str


@dataclass(frozen=True, slots=True)
class Look:
    """Look whether there is still a session."""


class Lane:
    """One end's gateway.

    Args:
        channel: The gateway.
        keys: Not loaded yet.
        link: To the other end's agent.
        event: Gets what the machine must hear.
        renewed: Called with a key when a session was renewed with it.
        key_id: Returns the key in use, as the machine has it.
        turn: Shared by the agents whose channels are made by one daemon.
    """

    def __init__(
        self,
        channel: Channel,
        keys: AgentKeys,
        link: AgentLink,
        *,
        event: Callable[[Event], None],
        renewed: Callable[[str], None],
        key_id: Callable[[], str | None],
        turn: asyncio.Lock,
    ) -> None:
        self._channel, self._keys, self._link = channel, keys, link
        self._event, self._renewed, self._key_id = event, renewed, key_id
        self._turn = turn
        self._queue: asyncio.Queue[Action | Verify | Look] = asyncio.Queue()
        self._loaded: set[str] = set()
        self._told: str | None = None
        self._down = False

    def put(self, what: Action | Verify | Look) -> None:
        """Have this done when everything before it is; a look waits for nothing but an idle lane."""
        if not isinstance(what, Look) or self._queue.empty():
            self._queue.put_nowait(what)

    def told(self, key_id: str | None) -> None:
        """The server knows of this key; it is told when it gets no session. None: it has got one."""
        self._told = key_id

    async def bring_up(self) -> None:
        """Start the channel, however long its gateway takes."""
        while True:
            if await self._call(self._channel.start()) is None:
                return
            await asyncio.sleep(RETRY_S)

    async def run(self) -> None:
        """Do what is asked for, for ever."""
        while True:
            what = await self._queue.get()
            match what:
                case Load(key_id):
                    await self._load(key_id)
                case Switch(key_id):
                    await self._switch(key_id)
                case Renew(key_id):
                    await self._renew(key_id)
                case Acknowledge(key_id):
                    self._acknowledge(key_id)
                case Destroy(key_id):
                    await self._destroy(key_id)
                case TakeDown():
                    await self._take_down()
                case Verify(key_id):
                    await self._verify(key_id)
                case Look():
                    await self._look()

    async def close(self) -> None:
        """End sessions and let everything go."""
        await self._call(self._channel.close())

    async def _call(self, work: Coroutine[Any, Any, None]) -> str | None:
        """Return why a call of the channel failed; None: it did not."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await work
        except ChannelError as error:
            problem = str(error)
        except TimeoutError:
            problem = f"the gateway did not answer within {PATIENCE_S:.0f} s"
        else:
            return None
        _log.warning("the gateway failed", tunnel=self._link.ends.tunnel, side=self._link.side, problem=problem)
        return problem

    async def _load(self, key_id: str) -> None:
        key = self._keys.take_out(key_id)
        if key is None:
            return  # destroyed meanwhile
        problem = await self._call(self._channel.load(key_id, key))
        if problem is None:
            self._loaded.add(key_id)
            return
        await self._call(self._channel.destroy(key_id))  # it may be there all the same
        self._event(SwitchFailed(key_id, problem))

    def _acknowledge(self, key_id: str) -> None:
        if key_id in self._loaded:
            self._link.say(Loaded, key_id)
        else:
            self._link.say(Unable, key_id, "the server's gateway can't load it")

    async def _switch(self, key_id: str) -> None:
        if key_id not in self._loaded:
            return
        async with self._turn:
            problem = await self._call(self._channel.switch(key_id))
        self._event(Switched(key_id) if problem is None else SwitchFailed(key_id, problem))

    async def _renew(self, key_id: str) -> None:
        if key_id != self._key_id():
            return
        async with self._turn:
            problem = await self._call(self._channel.switch(key_id))
        if problem is None and key_id == self._key_id():
            self._renewed(key_id)

    async def _destroy(self, key_id: str) -> None:
        self._keys.wipe(key_id)
        if key_id in self._loaded:
            self._loaded.discard(key_id)
            await self._call(self._channel.destroy(key_id))
        if key_id == self._told:
            self._told = None
            self._link.say(NotInUse, key_id, "no session came of it")

    async def _take_down(self) -> None:
        while await self._call(self._channel.take_down()) is not None:
            await asyncio.sleep(RETRY_S)
            await self._call(self._channel.start())

    async def _verify(self, key_id: str) -> None:
        problem: str | None = "it is not loaded here"
        if key_id in self._loaded:
            problem = await self._seen(key_id)
            self._event(Switched(key_id) if problem is None else SwitchFailed(key_id, problem))
        if problem is not None:
            self._link.say(Unable, key_id, f"the server's gateway: {problem}")

    async def _seen(self, key_id: str) -> str | None:
        """Return None when the gateway says that a session uses this key; why not, if it does not in time."""
        clock = asyncio.get_running_loop().time
        until_s = clock() + VERIFY_S
        while True:
            try:
                await self._channel.verify(key_id)
            except ChannelError as error:
                if clock() >= until_s:
                    return str(error)
            else:
                return None
            await asyncio.sleep(VERIFY_PAUSE_S)

    async def _look(self) -> None:
        """Find out whether the gateway was restarted; bring it up again if so."""
        key_id = self._key_id()
        try:
            async with asyncio.timeout(PATIENCE_S):
                if self._down:
                    await self._channel.start()
                    self._down = False
                gone = await self._gone(key_id)
                if gone:
                    await self._channel.start()
        except (ChannelError, TimeoutError) as error:
            if not self._down:
                _log.warning("the gateway does not answer", tunnel=self._link.ends.tunnel, problem=str(error))
            self._down = True
            return
        if gone and key_id is not None and key_id == self._key_id():
            self._event(Lost(key_id))
            if self._link.side == "server":
                self._link.say(Unable, key_id, "the server's gateway has lost the session")

    async def _gone(self, key_id: str | None) -> bool:
        """Return whether the gateway has no session; while one with the next key may be coming up, nobody can tell."""
        if self._loaded - {key_id} or await self._channel.in_use() is not None:
            return False
        if key_id is None:
            return True
        try:  # the client may have renewed it: a new session that this end has not been told of
            await self._channel.verify(key_id)
        except ChannelError:
            return True
        return False
