"""A tunnel without IPsec: AES-256-GCM records (:mod:`bellweave.tunnel.aead`) over UDP; needs no rights, on any OS.

It shows keys in use, starvation and rotation, not IPsec's interoperability. Each key is an epoch. In a record is a word
of this channel's own or a probe: it carries a probe stream, no host's packets.

Rules:

1. The client switches by asking under the new epoch, again and again until the server answers under it. So both have
   proved that they hold the key. Traffic goes on under the old epoch meanwhile, and moves then.
2. The server answers under the epoch in which it was asked. It has a session with a key once a genuine record of that
   epoch has come.
3. A key is loaded once in the life of a channel: a second time would use its counters again.
4. What can't be opened is dropped and counted. Answers go to the other end's address, wherever a record came from.

Python's ciphers keep their keys where nobody can wipe them: what :meth:`AeadChannel.destroy` does is let them go.
"""

import asyncio
import secrets
from collections import deque
from contextlib import suppress

from bellweave.edge.channel import ChannelError
from bellweave.edge.probe import BURST, MOST_BYTES, PROBE, ProbeCounter, ProbePlan, datagram, echo_of, read_echo
from bellweave.edge.probe_feed import probed
from bellweave.results.network_records import Probed
from bellweave.tunnel.aead import Dropped, Ends, Opener, Sealer, Side, epoch_of

Address = tuple[str, int]

ASK_S = 0.1
"""Pause between two questions whether the new epoch works."""

SWITCH_S = 5.0
"""How long they are asked; the rotation's patience is 10 s."""

REMEMBERED = 4096
"""So many key ids are known as used; a key server gives out none twice anyway."""

_ASK, _ANSWER, _TRAFFIC = b"\x01", b"\x02", b"\x10"


class AeadChannel:
    """One end of such a tunnel; a :class:`~bellweave.edge.channel.Channel`.

    Args:
        ends: Whose tunnel it is.
        side: Which end.
        local: Where it listens, host and port.
        remote: Where the other end does.
        probe: The stream that the client's end sends and the server's sends back.

    Attributes:
        sealed: Records that were sent.
    """

    def __init__(
        self, ends: Ends, side: Side, *, local: Address, remote: Address, probe: ProbePlan | None = None
    ) -> None:
        self._ends, self._side = ends, side
        self._local, self._remote = local, remote
        self._plan = probe or ProbePlan()
        self._opener = Opener(ends, "server" if side == "client" else "client")
        self._sealers: dict[str, Sealer] = {}
        self._sessions: list[str] = []  # keys in use; the newest is the last
        self._spent: deque[bytes] = deque(maxlen=REMEMBERED)
        self._asked: dict[bytes, tuple[str, asyncio.Future[None]]] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._probing: asyncio.Task[None] | None = None
        self._counter = ProbeCounter(self._plan.timeout_s)
        self._stream = secrets.token_bytes(4)
        self.sealed = 0

    @property
    def dropped(self) -> Dropped:
        """What could not be opened."""
        return self._opener.dropped

    async def start(self) -> None:
        """Listen.

        Raises:
            ChannelError: The address can't be had.
        """
        if self._transport is not None and not self._transport.is_closing():
            return
        loop = asyncio.get_running_loop()
        try:
            self._transport, self._records = await loop.create_datagram_endpoint(
                lambda: _Records(self), local_addr=self._local
            )
        except OSError as error:
            host, port = self._local
            raise ChannelError(f"can't listen on {host}:{port}/udp: {error.strerror}") from None

    async def load(self, key_id: str, key: bytes) -> None:
        """Take records under this key from now on."""
        try:
            epoch = epoch_of(key_id)
            if epoch in self._spent:
                raise ChannelError(f"key {key_id} was loaded before")
            self._opener.add(key, key_id)
            self._sealers[key_id] = Sealer(key, key_id, self._ends, self._side)
        except ValueError as error:
            raise ChannelError(str(error)) from None
        self._spent.append(epoch)

    async def switch(self, key_id: str) -> None:
        """Move the traffic to this key once the server has answered under it; also to look whether it still does."""
        sealer = self._sealers.get(key_id)
        if sealer is None:
            raise ChannelError(f"key {key_id} is not loaded")
        token = secrets.token_bytes(8)
        answered = asyncio.get_running_loop().create_future()
        self._asked[token] = key_id, answered
        try:
            async with asyncio.timeout(SWITCH_S):
                while not answered.done():
                    self._send(sealer, _ASK + token)
                    await asyncio.wait((answered,), timeout=ASK_S)
        except TimeoutError:
            raise ChannelError(f"the server's end does not answer under key {key_id}") from None
        finally:
            del self._asked[token]
        self._begin(key_id)
        for old in [each for each in self._sessions if each != key_id]:
            self._end(old)
        if self._probing is None:
            self._probing = asyncio.create_task(self._probe())

    async def verify(self, key_id: str) -> None:
        """Return if a genuine record has come under this key, and none under a newer one."""
        if await self.in_use() != key_id:
            raise ChannelError(f"no record has come under key {key_id}")

    async def destroy(self, key_id: str) -> None:
        """Let a key go; what is on its way under one that was in use is still taken for a moment."""
        if key_id in self._sessions:
            self._end(key_id)
        elif self._sealers.pop(key_id, None) is not None:
            self._opener.forget(key_id)

    async def take_down(self) -> None:
        """Let the keys in use go at once; one that is loaded for the next session stays."""
        for key_id in self._sessions:
            self._sealers.pop(key_id, None)
            self._opener.forget(key_id)
        self._sessions.clear()

    async def in_use(self) -> str | None:
        """Return the newest key under which a record has come."""
        return self._sessions[-1] if self._sessions else None

    def traffic(self) -> Probed | None:
        """Return what the probe stream met since the last call."""
        counted = self._counter.take(asyncio.get_running_loop().time())
        if counted is None:
            return None
        return probed(self._ends.tunnel, counted)

    async def close(self) -> None:
        """Stop listening and forget all keys."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait((self._probing,))
            self._probing = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None
            await self._records.ended.wait()
        for key_id in self._opener.epochs:
            self._opener.forget(key_id)
        self._sealers.clear()
        self._sessions.clear()

    # ------------------------------------------------------------------------------------------------------ sessions

    def _begin(self, key_id: str) -> None:
        if key_id not in self._sessions:
            self._sessions.append(key_id)

    def _end(self, key_id: str) -> None:
        """Seal nothing more under a key that was in use."""
        self._sessions.remove(key_id)
        self._sealers.pop(key_id, None)
        self._opener.retire(key_id, asyncio.get_running_loop().time())

    # ------------------------------------------------------------------------------------------------------- records

    def received(self, record: bytes) -> None:
        """Take what has come over the network."""
        now_s = asyncio.get_running_loop().time()
        opened = self._opener.open(record, now_s)
        if opened is None:
            return
        key_id, plaintext = opened
        word, rest = plaintext[:1], plaintext[1:]
        if self._side == "client":
            if word == _ANSWER:
                self._answered(key_id, rest)
            elif word == _TRAFFIC:
                self._echoed(rest, now_s)
            return
        sealer = self._sealers.get(key_id)
        if sealer is not None:
            self._begin(key_id)
        elif self._sessions:  # a straggler of the epoch before
            sealer = self._sealers[self._sessions[-1]]
        else:
            return
        if word == _ASK:
            self._send(sealer, _ANSWER + rest)
        elif word == _TRAFFIC and (echo := echo_of(rest)) is not None:
            self._send(sealer, _TRAFFIC + echo)

    def _answered(self, key_id: str, token: bytes) -> None:
        asked, answered = self._asked.get(token, ("", None))
        if answered is not None and asked == key_id and not answered.done():
            answered.set_result(None)

    def _echoed(self, echo: bytes, now_s: float) -> None:
        found = read_echo(echo, self._stream)
        if found is None:
            return
        kind, number = found
        if kind == BURST:
            self._counter.burst_echoed(len(echo))
        else:
            self._counter.echoed(number, len(echo), now_s)

    def _send(self, sealer: Sealer, plaintext: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self.sealed += 1
        with suppress(OSError):  # no route: as good as lost on the way
            self._transport.sendto(sealer.seal(plaintext), self._remote)

    # -------------------------------------------------------------------------------------------------------- probes

    async def _probe(self) -> None:
        """Send probes, for ever; while there is no session they go nowhere and count all the same."""
        plan, loop = self._plan, asyncio.get_running_loop()
        next_s, number, burst_s = loop.time(), 0, loop.time()
        while True:
            await asyncio.sleep(next_s - loop.time())
            next_s = max(next_s + 1.0 / plan.rate_hz, loop.time())  # those that were missed are not made up for
            self._counter.sent(number, loop.time())
            self._send_probe(PROBE, number, plan.payload_bytes)
            number += 1
            if plan.burst and loop.time() >= burst_s:
                burst_s = loop.time() + plan.burst_every_s
                for each in range(plan.burst):
                    self._send_probe(BURST, each, MOST_BYTES)

    def _send_probe(self, kind: bytes, number: int, length_bytes: int) -> None:
        if self._sessions:
            sealer = self._sealers[self._sessions[-1]]
            self._send(sealer, _TRAFFIC + datagram(kind, self._stream, number, length_bytes))


class _Records(asyncio.DatagramProtocol):
    """Hands datagrams to the channel."""

    def __init__(self, channel: AeadChannel) -> None:
        self._channel = channel
        self.ended = asyncio.Event()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.ended.set()

    def datagram_received(self, data: bytes, _addr: Address) -> None:
        self._channel.received(data)

    def error_received(self, exc: Exception) -> None:
        """The other end is not there: it is missed soon enough."""
