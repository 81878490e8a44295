"""Hosts: whenever their slaves' pool has keys, two of them fetch some by ETSI GS QKD 014, each from its slave's KME.

Where a slave hands keys over by semi-quantum key distribution, a host has them when the protocol has made as many bits.
They ask through the real handler, by real requests, and read its JSON answers. Both hosts' keys are compared: two
different keys under one id are a defect. Of a pool that a tunnel uses too they leave some.
"""

import base64
import hmac
from urllib.parse import quote

import msgspec
import simpy

from bellweave.api import etsi014
from bellweave.api.http import Request, Response
from bellweave.network.wide.params import SemiQuantum
from bellweave.network.wide.semi_quantum import latency_s
from bellweave.results.wide_records import Fetched, WideEvent
from bellweave.scenario.wide_directory import turns
from bellweave.sim.network.journal import Journal
from bellweave.sim.network.nodes import NodeFailedError, Nodes, Process

LEFT_KEYS = 4
"""Keys of the default size that hosts leave to a tunnel."""

OK = 200


class _Status(msgspec.Struct):
    stored_key_count: int
    max_key_per_request: int


class _Extension(msgspec.Struct):
    bellweave_origin: str = "direct"


class _Key(msgspec.Struct):
    key_ID: str  # noqa: N815 - the standard's name
    key: str
    key_extension: _Extension = msgspec.field(default_factory=_Extension)


class _Container(msgspec.Struct):
    keys: list[_Key]


class Hosts:
    """The hosts of one demand: pairs of them take turns.

    Args:
        env: The simulation.
        demand: Its name.
        slaves: The two slaves.
        hosts: Of either slave.
        left_keys: Keys that they leave in the pool.
        hand_overs: How each slave's keys come to its hosts; see :class:`~bellweave.network.wide.params.Slave`.
    """

    def __init__(
        self,
        env: simpy.Environment,
        demand: str,
        slaves: tuple[str, str],
        hosts: tuple[tuple[str, ...], tuple[str, ...]],
        nodes: Nodes,
        journal: Journal[WideEvent],
        *,
        left_keys: int = 0,
        hand_overs: tuple[SemiQuantum | None, SemiQuantum | None] = (None, None),
    ) -> None:
        self._env, self._demand, self._slaves = env, demand, slaves
        self._nodes, self._journal, self._left = nodes, journal, left_keys
        self._pairs = turns(*hosts)
        self._hand_overs = tuple(each for each in hand_overs if each is not None)
        self._busy = False

    def fetch(self) -> Process[None]:
        """Fetch what there is, unless they are at it."""
        pair = next(self._pairs, None)
        if pair is None or self._busy:
            return
        self._busy = True
        try:
            yield from self._fetch(*pair)
        except NodeFailedError:
            pass  # nothing is left of it
        finally:
            self._busy = False

    def _fetch(self, master: str, slave: str) -> Process[None]:
        a, b = self._slaves
        path = f"/api/v1/keys/{quote(slave, safe='')}"
        answer = yield from self._request(a, Request("GET", f"{path}/status"), master)
        if answer.status != OK:
            return
        status = msgspec.json.decode(answer.body, type=_Status)
        number = min(status.stored_key_count - self._left, status.max_key_per_request)
        if number < 1:
            return
        answer = yield from self._request(
            a, Request("POST", f"{path}/enc_keys", body=msgspec.json.encode({"number": number})), master
        )
        if answer.status != OK:
            return
        mine = msgspec.json.decode(answer.body, type=_Container).keys
        body = msgspec.json.encode({"key_IDs": [{"key_ID": key.key_ID} for key in mine]})
        path = f"/api/v1/keys/{quote(master, safe='')}/dec_keys"
        answer = yield from self._request(b, Request("POST", path, body=body), slave)
        if answer.status == OK:
            theirs = msgspec.json.decode(answer.body, type=_Container).keys
            bits = sum(8 * len(base64.b64decode(key.key)) for key in mine)
            yield self._env.timeout(max((latency_s(each, bits) for each in self._hand_overs), default=0.0))
            self._note(master, slave, mine, theirs)

    def _note(self, master: str, slave: str, mine: list[_Key], theirs: list[_Key]) -> None:
        for one, other in zip(mine, theirs, strict=True):
            if one.key_ID != other.key_ID or not hmac.compare_digest(one.key, other.key):
                raise AssertionError(f"{master} and {slave} hold different keys under {one.key_ID}")
        for origin in sorted({key.key_extension.bellweave_origin for key in mine}):
            keys = [key for key in mine if key.key_extension.bellweave_origin == origin]
            self._journal.note(
                Fetched(
                    at_s=self._env.now,
                    demand=self._demand,
                    master=master,
                    slave=slave,
                    keys=len(keys),
                    bits=sum(8 * len(base64.b64decode(key.key)) for key in keys),
                    origin=origin,
                    hand_over="semi-quantum" if self._hand_overs else "none",
                )
            )

    def _request(self, node: str, request: Request, host: str) -> Process[Response]:
        kme = self._nodes[node].kme
        return (yield from self._nodes.perform(node, etsi014.handle(request, host, kme, self._env.now)))
