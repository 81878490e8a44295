"""Who is where, who may ask for whom, and which pools serve them: a directory, looked up quickly."""

from bellweave.blocks import Origin
from bellweave.kms.params import Directory, Kms, Pair
from bellweave.kms.records import pool_name

ORIGINS: tuple[Origin, ...] = ("direct", "relayed", "expanded")


class Roster:
    """The directory as one KME uses it.

    Attributes:
        kme: Its name.
        peers: The other KMEs.
        pools: Name of each pool that this KME may share to the peer it shares it with.
        fed: Those of them that can hold something: all direct ones, and what the directory lists.
    """

    def __init__(self, directory: Directory, params: Kms) -> None:
        self.kme = directory.kme
        self._saes = directory.saes
        self._pairs = {(pair.master, pair.slave): pair for pair in directory.pairs}
        self._params = params
        linked = {name for link in directory.links if self.kme in link for name in link}
        self.peers = tuple(sorted({*directory.peers, *linked} - {self.kme}))
        self.pools = {pool_name(self.kme, peer, origin): peer for peer in self.peers for origin in ORIGINS}
        self.pools |= {pool_name(self.kme, self.kme, origin): self.kme for origin in ORIGINS}
        made = [pool_name(*relay.kmes, "relayed") for relay in directory.relays]
        made += [pool_name(*expansion.kmes, "expanded") for expansion in directory.expansions]
        direct = [pool_name(self.kme, peer, "direct") for peer in self.peers]
        self.fed = {pool: self.pools[pool] for pool in (*direct, *made) if pool in self.pools}

    def kme_of(self, name: str) -> str | None:
        """Return the KME of an SAE, or of a KME that is one itself (``@kme-a``); None for a stranger."""
        return name[1:] if name.startswith("@") else self._saes.get(name)

    def leads(self, pool: str) -> bool:
        """Return whether this KME decides which bytes of the pool go where."""
        return self.kme <= self.pools[pool]

    def allowed(self, master: str, slave: str) -> bool:
        """Return whether this master may ask for keys for this slave; KMEs only for KMEs."""
        if master.startswith("@") != slave.startswith("@"):
            return False
        if master == slave or self.kme_of(master) != self.kme or self.kme_of(slave) is None:
            return False
        return not self._pairs or master.startswith("@") or (master, slave) in self._pairs

    def origins(self, master: str, slave: str) -> tuple[Origin, ...]:
        """Return the pools that may serve a pair, in the order in which they are tried."""
        pair = self._pairs.get((master, slave))
        return pair.origins if pair else ("direct",)

    def low_keys(self, master: str, slave: str) -> int:
        """Return the number of keys below which the pair's buffers are refilled."""
        pair = self._pairs.get((master, slave))
        return self._params.low_keys if pair is None or pair.low_keys is None else pair.low_keys

    def high_keys(self, master: str, slave: str) -> int:
        """Return the number of keys up to which the pair's buffers are refilled."""
        pair = self._pairs.get((master, slave))
        return self._params.high_keys if pair is None or pair.high_keys is None else pair.high_keys

    def quota_keys(self, master: str, slave: str) -> int:
        """Return the most keys that one of the pair's buffers may hold."""
        pair = self._pairs.get((master, slave))
        return self._params.quota_keys if pair is None or pair.quota_keys is None else pair.quota_keys

    def listed(self) -> tuple[Pair, ...]:
        """Return the pairs that the directory lists; empty: all are allowed."""
        return tuple(self._pairs.values())
