"""Gateways: both ends of every tunnel, each an event queue around its rotation machine.

They ask their KMEs through the real ETSI 014 handler, by real requests, and read its JSON answers; the client end is
the master SAE. An IKEv2 exchange takes two round trips. Both ends' keys are compared where a session is made: a gateway
whose peer has given the key up gets none; two different keys under one id are a defect.
"""

import hmac
from collections.abc import Callable
from functools import partial
from typing import Any, cast
from urllib.parse import quote

import msgspec
import simpy

from bellweave.api import etsi014
from bellweave.api.http import Request, Response
from bellweave.results.network_records import Delivered, SessionBegan, SessionEnded, Starved
from bellweave.scenario.directory import sae_names
from bellweave.sim.network.journal import Notes
from bellweave.sim.network.nodes import NodeFailedError, Nodes, Process
from bellweave.tunnel.client import Client
from bellweave.tunnel.params import Tunnel
from bellweave.tunnel.rotation import (
    Acknowledge,
    Acknowledged,
    Action,
    AskKey,
    Destroy,
    Event,
    FetchKey,
    KeyArrived,
    KeyRefused,
    Load,
    Refused,
    RefusePeer,
    Renew,
    Switch,
    Switched,
    SwitchFailed,
    TakeDown,
    TellPeer,
    Tick,
    Told,
)
from bellweave.tunnel.server import Server

EXCHANGES = 4
"""One-way trips of IKE_SA_INIT and IKE_AUTH."""

TunnelEvent = Delivered | SessionBegan | SessionEnded | Starved
"""What happens to a tunnel."""

Deliver = Callable[[str, str, int], None]
"""Called with a tunnel's name, a node and a key's bits when that node's KME has delivered a key."""


class _KeyInfo(msgspec.Struct):
    """What a gateway reads of a key's extension."""

    bellweave_provable_bits: int = 0


class _Key(msgspec.Struct):
    key_ID: str  # noqa: N815 - the standard's name
    key: bytes  # base64 in JSON
    key_extension: _KeyInfo = msgspec.field(default_factory=_KeyInfo)


class _Container(msgspec.Struct):
    keys: list[_Key]


_CONTAINER = msgspec.json.Decoder(_Container)


class End:
    """One end of a tunnel: its machine, its queue, and the keys that it holds."""

    def __init__(self, env: simpy.Environment, node: str, machine: Client | Server) -> None:
        self.node = node
        self.machine = machine
        self.queue: simpy.Store = simpy.Store(env)
        self.keys: dict[str, bytes] = {}


class TunnelRun:
    """A tunnel: both of its ends, in virtual time."""

    def __init__(
        self,
        env: simpy.Environment,
        name: str,
        params: Tunnel,
        nodes: Nodes,
        journal: Notes[TunnelEvent],
        local_latency_s: float,
        delivered: Deliver,
    ) -> None:
        self._env, self._name, self._params = env, name, params
        self._nodes, self._journal, self._local_s = nodes, journal, local_latency_s
        self._delivered = delivered
        self._client_sae, self._server_sae = sae_names(name)
        self._session: str | None = None
        self._births = 0
        self._asks = True

    def start(self) -> None:
        """Put both ends in place, from nothing; those of an earlier start hear nothing any more."""
        self._births += 1
        self.client = End(self._env, self._params.client, Client(self._grid()))
        self.server = End(self._env, self._params.server, Server(self._params))
        for end in (self.client, self.server):
            self._env.process(self._live(end, self._births))

    def stop(self, reason: str) -> None:
        """One of the two nodes failed: the session ends and nothing of it is left."""
        self._births += 1
        self.end_session(reason)

    def finish(self) -> None:
        """Ask for no more keys and renew no more sessions: the run ends; what is under way goes on."""
        self._asks = False

    def end_session(self, reason: str) -> None:
        """Note that the session ends, if there is one."""
        if self._session is not None:
            self._journal.note(SessionEnded(at_s=self._env.now, tunnel=self._name, key_id=self._session, reason=reason))
            self._session = None

    def _grid(self) -> Tunnel:
        """Return the tunnel's parameters with the next moment of its grid as start."""
        start_s, period_s = self._params.start_s, self._params.period_s
        periods = max(0, -(-(self._env.now - start_s) // period_s))
        return msgspec.structs.replace(self._params, start_s=start_s + periods * period_s)

    def _live(self, end: End, birth: int) -> Process[None]:
        """Hand an end its events and ticks, and do what it says, for as long as it lives."""
        got = end.queue.get()
        while True:
            event: Event = Tick()
            due_s = end.machine.due_s if self._asks else float("inf")
            if due_s > self._env.now:
                alarm = self._env.timeout(due_s - self._env.now) if due_s < float("inf") else None
                yield got if alarm is None else got | alarm
                if got.triggered:
                    event = cast("Event", got.value)
                    got = end.queue.get()
            if birth != self._births:
                return
            if isinstance(event, Tick) and not self._asks:
                continue
            for action in end.machine.handle(event, self._env.now):
                self._act(end, action, birth)

    def _act(self, end: End, action: Action, birth: int) -> None:
        other = self.server if end is self.client else self.client
        match action:
            case AskKey():
                self._env.process(self._ask(end, birth))
            case FetchKey(key_id):
                self._env.process(self._fetch(end, key_id, birth))
            case TellPeer() | Acknowledge() | RefusePeer():
                self._env.process(self._say(other, self._word(action), birth))
            case Switch(key_id):
                self._env.process(self._switch(key_id, birth))
            case Renew(key_id):
                self._begin(key_id, renewed=True)
            case Destroy(key_id):
                end.keys.pop(key_id, None)
            case TakeDown():
                self.end_session("expired")
            case Load():
                pass  # the keys that an end holds are loaded

    def _word(self, action: TellPeer | Acknowledge | RefusePeer) -> Event:
        """Return what the other end hears."""
        match action:
            case TellPeer(key_id):
                return Told(key_id)
            case Acknowledge(key_id):
                return Acknowledged(key_id)
            case RefusePeer(key_id, reason):
                self._starved(f"the server's KME: {reason}")
                return Refused(key_id, reason)

    def _say(self, end: End, event: Event, birth: int) -> Process[None]:
        """Carry a word to the other end's agent."""
        yield self._env.timeout(self._nodes.latency_s)
        if birth == self._births:
            end.queue.put(event)

    def _switch(self, key_id: str, birth: int) -> Process[None]:
        """Make a session with this key: both ends prove to each other that they hold it."""
        yield self._env.timeout(EXCHANGES * self._nodes.latency_s)
        if birth != self._births:
            return
        keys = [end.keys.get(key_id, b"") for end in (self.client, self.server)]
        event: Event = Switched(key_id)
        if not all(keys):  # one end has given it up meanwhile
            event = SwitchFailed(key_id, "AUTHENTICATION_FAILED")
        elif hmac.compare_digest(*keys):
            self._begin(key_id, renewed=False)
        else:
            raise AssertionError(f"the two ends of {self._name} hold different keys under {key_id}")
        for end in (self.client, self.server):
            end.queue.put(event)

    def _begin(self, key_id: str, *, renewed: bool) -> None:
        self.end_session("renewed" if renewed else "replaced")
        self._session = key_id
        self._journal.note(SessionBegan(at_s=self._env.now, tunnel=self._name, key_id=key_id, renewed=renewed))

    def _starved(self, reason: str) -> None:
        held = self._session is not None
        self._journal.note(Starved(at_s=self._env.now, tunnel=self._name, reason=reason, held=held))

    # -------------------------------------------------------------------------------------------------- key servers

    def _ask(self, end: End, birth: int) -> Process[None]:
        """``enc_keys`` for one key."""
        path = f"/api/v1/keys/{quote(self._server_sae, safe='')}/enc_keys"
        body = msgspec.json.encode({"number": 1, "size": self._params.key_bits})
        yield from self._request(end, Request("POST", path, body=body), self._client_sae, birth)

    def _fetch(self, end: End, key_id: str, birth: int) -> Process[None]:
        """``dec_keys`` for the key that the client has named."""
        path = f"/api/v1/keys/{quote(self._client_sae, safe='')}/dec_keys"
        body = msgspec.json.encode({"key_IDs": [{"key_ID": key_id}]})
        yield from self._request(end, Request("POST", path, body=body), self._server_sae, birth)

    def _request(self, end: End, request: Request, sae: str, birth: int) -> Process[None]:
        began_s = self._env.now
        yield self._env.timeout(self._local_s)
        kme = self._nodes[end.node].kme
        handled = partial(etsi014.handle, request, sae, kme, self._env.now)
        try:
            response = yield from self._nodes.perform(end.node, handled())
        except NodeFailedError:
            return
        yield self._env.timeout(self._local_s)
        event = self._read(end, response, began_s)
        if birth == self._births:
            end.queue.put(event)

    def _read(self, end: End, response: Response, began_s: float) -> Event:
        """Note the answer and return what it means to the gateway; it keeps the key."""
        side: Any = "client" if end is self.client else "server"
        keys = _CONTAINER.decode(response.body).keys if response.status == 200 else []
        bits = sum(8 * len(each.key) for each in keys)
        provable = sum(each.key_extension.bellweave_provable_bits for each in keys)
        self._journal.note(
            Delivered(
                at_s=self._env.now,
                tunnel=self._name,
                side=side,
                status=response.status,
                outcome=response.outcome,
                key_id=keys[0].key_ID if keys else "",
                bits=bits,
                provable_bits=provable,
                waited_s=self._env.now - began_s,
            )
        )
        if not keys:
            if side == "client":
                self._starved(response.outcome)
            return KeyRefused(response.outcome)
        self._delivered(self._name, end.node, bits)
        end.keys[keys[0].key_ID] = keys[0].key
        return KeyArrived(keys[0].key_ID)
