"""Stock and books: how much key a link holds, and at the end the proof that no bit was lost or used twice."""

from collections.abc import Callable, Iterator, Mapping

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
                spent = sum(bits for name, bits in accounts.items() if name != "ingested")
                if spent != accounts.get("ingested", 0):
                    raise AssertionError(f"the books of {link} at {node} do not add up: {accounts}")
                yield LedgerClosed(
                    at_s=now_s, link=link, kme=node, accounts={str(name): bits for name, bits in accounts.items()}
                )


class Lazy(Mapping[str, float]):
    """A mapping over links whose values are worked out when somebody asks, and kept."""

    def __init__(self, links: Mapping[str, Link], value: Callable[[str], float]) -> None:
        self._links, self._value = links, value
        self._known: dict[str, float] = {}

    def __getitem__(self, link: str) -> float:
        if link not in self._known:
            self._known[link] = self._value(link)
        return self._known[link]

    def __iter__(self) -> Iterator[str]:
        return iter(self._links)

    def __len__(self) -> int:
        return len(self._links)
