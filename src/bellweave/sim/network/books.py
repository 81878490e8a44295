"""Stock and books: how much key a link holds, and at the end the proof that no bit was lost or used twice."""

from collections import Counter
from collections.abc import Iterator, Mapping

from bellweave.kms.operations import Accounts
from bellweave.kms.records import Account, pool_name
from bellweave.network.scheduling import Link
from bellweave.results.network_records import LedgerClosed, LevelSampled
from bellweave.sim.network.nodes import Nodes


class Books:
    """The pools of all links, read from the stores of both ends."""

    def __init__(self, nodes: Nodes, links: Mapping[str, Link]) -> None:
        self._nodes = nodes
        self._links = links
        self.level_bits: dict[str, float] = dict.fromkeys(links, 0.0)
        self._ingested_bits = dict.fromkeys(links, 0)
        self._given_bits: Counter[tuple[str, str]] = Counter()

    def ingested(self, link: str, bits: int) -> None:
        """Note that both ends' KMEs took so many bits of a link's block."""
        self._ingested_bits[link] += bits

    def given(self, link: str, node: str, bits: int) -> None:
        """Note that a gateway got a key of so many bits from a node's KME."""
        self._given_bits[link, node] += bits

    def accounts(self, link: str, node: str) -> dict[Account, int]:
        """Return the ledger of a link's pool at one of its ends."""
        pool = pool_name(*self._links[link], "direct")
        (accounts,) = self._nodes[node].store.apply((Accounts(),))
        ledger: dict[Account, int] = accounts.get(pool, {})
        return ledger

    def sample(self, link: str, now_s: float) -> LevelSampled:
        """Read a link's stock at Alice's end, and what waits for somebody at either end."""
        ends = [self.accounts(link, node) for node in self._links[link]]
        level = ends[0].get("available", 0)
        self.level_bits[link] = float(level)
        return LevelSampled(
            at_s=now_s, link=link, level_bits=level, waiting_bits=sum(end.get("reserved", 0) for end in ends)
        )

    def close(self, now_s: float) -> Iterator[LedgerClosed]:
        """Yield the books of every link at both ends.

        Raises:
            AssertionError: If one does not add up: a defect, not physics.
        """
        for link, nodes in self._links.items():
            for node in nodes:
                accounts = self.accounts(link, node)
                self._check(link, node, accounts)
                yield LedgerClosed(
                    at_s=now_s, link=link, kme=node, accounts={str(name): bits for name, bits in accounts.items()}
                )

    def _check(self, link: str, node: str, accounts: Mapping[Account, int]) -> None:
        ingested = accounts.get("ingested", 0)
        spent = sum(bits for name, bits in accounts.items() if name != "ingested")
        if spent != ingested or ingested != self._ingested_bits[link]:
            taken = f"its devices gave {self._ingested_bits[link]} bits"
            raise AssertionError(f"the books of {link} at {node} do not add up: {taken}, {accounts}")
        if accounts.get("delivered", 0) < self._given_bits[link, node]:
            raise AssertionError(f"{node} delivered more of {link} than it booked: {self._given_bits[link, node]} bits")
