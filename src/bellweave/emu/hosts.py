"""Hosts of a wide-area network: SAEs that fetch keys by live ETSI GS QKD 014, each from its slave's KME.

Once a second two hosts of every demand fetch what there is, but for some keys that they leave to tunnels and to people
who want to try. They are applications like any other: their certificates are the exported ones. Both hosts' keys are
compared: two different keys under one id are a defect.
"""

import asyncio
import contextlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bellweave.edge.kms_calls import Key
from bellweave.edge.kms_client import KmsClient
from bellweave.errors import KeyServerError
from bellweave.results.wide_records import Fetched
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide_directory import turns

FETCH_S = 1.0
LEFT_KEYS = 8
"""Keys of the default size that hosts leave where they are."""

MOST_REQUESTS = 8
"""Of one demand's hosts in a row."""


async def fetch_all(
    scenario: Scenario, where: Mapping[str, Any], note: Callable[[Fetched], None], now: Callable[[], float]
) -> None:
    """Let the hosts of all demands fetch keys, for ever.

    Args:
        scenario: Says which demands and hosts there are.
        where: Where key servers and certificates are (:func:`bellweave.emu.serve_only.export`).
        note: Gets what was fetched.
        now: Seconds since the run began.

    Raises:
        AssertionError: Two hosts hold different keys under one id.
    """
    async with AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(_client(where, name)) for name in where["saes"]}
        async with asyncio.TaskGroup() as group:
            for name, demand in scenario.demand.items():
                hosts = scenario.slave[demand.a].hosts, scenario.slave[demand.b].hosts
                group.create_task(_Hosts(name, hosts, clients, note, now).live())


def _client(where: Mapping[str, Any], name: str) -> KmsClient:
    own = where["saes"][name]
    url, ca = where["kmes"][own["kme"]], Path(where["ca"])
    return KmsClient(url, ca=ca, cert=Path(own["cert"]), key=Path(own["key"]), kme=own["kme"])


class _Hosts:
    """The hosts of one demand: pairs of them take turns."""

    def __init__(
        self,
        demand: str,
        hosts: tuple[tuple[str, ...], tuple[str, ...]],
        clients: Mapping[str, KmsClient],
        note: Callable[[Fetched], None],
        now: Callable[[], float],
    ) -> None:
        self._demand, self._clients, self._note, self._now = demand, clients, note, now
        self._pairs = turns(*hosts)

    async def live(self) -> None:
        """Fetch, for ever; nothing if one slave has no host."""
        for master, slave in self._pairs:
            await asyncio.sleep(FETCH_S)
            with contextlib.suppress(KeyServerError):  # a slave is down, or has nothing: next time
                for _ in range(MOST_REQUESTS):
                    if not await self._fetch(master, slave):
                        break

    async def _fetch(self, master: str, slave: str) -> bool:
        """Fetch once, and return whether there is more."""
        hers, his = self._clients[master], self._clients[slave]
        status = await hers.status(slave)
        there = status.stored_key_count - LEFT_KEYS
        number = min(there, status.max_key_per_request)
        if number < 1:
            return False
        mine = await hers.enc_keys(slave, number)
        theirs = await his.dec_keys(master, [key.key_id for key in mine])
        self._compare(master, slave, mine, theirs)
        return there > number

    def _compare(self, master: str, slave: str, mine: Sequence[Key], theirs: Sequence[Key]) -> None:
        for one, other in zip(mine, theirs, strict=True):
            if one.key_id != other.key_id or not hmac.compare_digest(one.bits, other.bits):
                raise AssertionError(f"{master} and {slave} hold different keys under {one.key_id}")
        by_origin: dict[str, list[Key]] = {}
        for key in mine:
            by_origin.setdefault(key.extension.get("bellweave_origin", "direct"), []).append(key)
        for origin, keys in sorted(by_origin.items()):
            bits = sum(8 * len(key.bits) for key in keys)
            self._note(
                Fetched(
                    at_s=self._now(), demand=self._demand, master=master, slave=slave,
                    keys=len(keys), bits=bits, origin=origin,
                )
            )  # fmt: skip
