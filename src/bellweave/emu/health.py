"""Looks after a node's KME while it runs: what is in stock, and whether peers and store answer."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import structlog

from bellweave.edge.kme_node import KmeNode
from bellweave.emu.deployment import Stocked
from bellweave.errors import DeliveryError
from bellweave.kms.effects import apply_all
from bellweave.kms.operations import Accounts
from bellweave.kms.records import Account, pool_name
from bellweave.results.network_records import Alarmed, LedgerClosed

LOOK_S = 1.0
SETTLE_S = 0.1
"""After something has happened the stock is looked at so much later: the KMEs confirm blocks meanwhile."""

PATIENCE_S = 2.0
"""How long a peer or the store may be away before that is an alarm."""

_log = structlog.get_logger(__name__)


class Health:
    """Watches one KME.

    Args:
        node: It.
        links: The node's links to the peers at their other ends.
        note: Gets alarms.
        tell: Gets what is in stock, when it has changed.
        now: Seconds since the run began.
    """

    def __init__(
        self,
        node: KmeNode,
        links: Mapping[str, str],
        note: Callable[[Alarmed], None],
        tell: Callable[[Stocked], None],
        now: Callable[[], float],
    ) -> None:
        self._node, self._links = node, links
        self._note, self._tell, self._now = note, tell, now
        self._changed = asyncio.Event()
        self._told: dict[str, tuple[int, int]] = {}
        self._away_s: dict[str, float] = {}
        self._ringing: set[tuple[str, str]] = set()

    def changed(self) -> None:
        """Something has happened to the stock."""
        self._changed.set()

    async def watch(self) -> None:
        """Look, for ever."""
        while True:
            await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()
                    self._changed.clear()
            await asyncio.sleep(SETTLE_S)

    async def look(self) -> None:
        """Look once at peers, store and stock."""
        kme = self._node.kme
        for link, peer in self._links.items():
            self._judge(link, "peer", f"{kme.name} can't reach the KME of {peer}", well=kme.in_step(peer))
        try:
            async with asyncio.timeout(PATIENCE_S):
                accounts = await self.accounts()
        except (TimeoutError, DeliveryError) as error:
            _log.warning("the store does not answer", problem=str(error) or "time-out")
            self._away_s["store"] = min(self._away_s.get("store", self._now()), self._now() - PATIENCE_S)
            accounts = {}
        for link in self._links:
            self._judge(link, "store", f"the key store of {kme.name} does not answer", well=bool(accounts))
            if accounts:
                self._sample(link, accounts[link])

    async def accounts(self) -> dict[str, dict[Account, int]]:
        """Return the books of each link.

        Raises:
            DeliveryError: The store can't be read.
        """
        (found,) = await self._node.driver.run(apply_all(Accounts()))
        name = self._node.kme.name
        return {link: found.get(pool_name(name, peer, "direct"), {}) for link, peer in self._links.items()}

    async def close(self, now_s: float) -> list[LedgerClosed]:
        """Return the books as they are at the end.

        Raises:
            DeliveryError: The store can't be read.
        """
        closed = []
        for link, accounts in (await self.accounts()).items():
            spent = sum(bits for name, bits in accounts.items() if name != "ingested")
            if spent != accounts.get("ingested", 0):
                _log.error("the books do not add up", link=link, accounts=str(accounts))
            booked = {str(name): bits for name, bits in accounts.items()}
            closed.append(LedgerClosed(at_s=now_s, link=link, kme=self._node.kme.name, accounts=booked))
        return closed

    def _sample(self, link: str, accounts: Mapping[Account, int]) -> None:
        stock = accounts.get("available", 0), accounts.get("reserved", 0)
        if self._told.get(link) == stock:
            return
        self._told[link] = stock
        name = self._node.kme.name
        self._tell(Stocked(at_s=self._now(), link=link, kme=name, available_bits=stock[0], reserved_bits=stock[1]))

    def _judge(self, link: str, what: str, reason: str, *, well: bool) -> None:
        """Raise an alarm for what has been away for too long, and end it when it is back."""
        key = what if what == "store" else f"{what} of {link}"
        if well:
            self._away_s.pop(key, None)
        since_s = self._away_s.setdefault(key, self._now()) if not well else self._now()
        ringing = (link, what) in self._ringing
        if not well and not ringing and self._now() - since_s >= PATIENCE_S:
            self._ringing.add((link, what))
            self._note(Alarmed(at_s=self._now(), link=link, reason=reason, qber=None))
        elif well and ringing:
            self._ringing.discard((link, what))
            self._note(Alarmed(at_s=self._now(), link=link, reason=f"over: {reason}", qber=None, over=True))
