"""Who is who in key management, as a scenario's nodes, links and tunnels say."""

from collections.abc import Iterator

from bellweave.kms.params import Directory, Pair
from bellweave.network.scheduling import Link
from bellweave.scenario.schema import Scenario


def directories(scenario: Scenario) -> Iterator[Directory]:
    """Yield what each node's KME knows: its neighbours by links, the SAEs of all tunnels, who may ask for whom."""
    near: dict[str, list[Link]] = {name: [] for name in scenario.node}
    for link in scenario.link.values():
        for end in (link.alice, link.bob):
            near[end].append((link.alice, link.bob))
    pairs: dict[str, list[Pair]] = {name: [] for name in scenario.node}
    saes: dict[str, str] = {}
    for name, tunnel in scenario.tunnel.items():
        client, server = sae_names(name)
        saes |= {client: tunnel.client, server: tunnel.server}
        for end in (tunnel.client, tunnel.server):
            pairs[end].append(Pair(master=client, slave=server))
    for kme, links in near.items():
        peers = tuple(dict.fromkeys(b if a == kme else a for a, b in links))
        yield Directory(kme=kme, peers=peers, links=tuple(links), saes=saes, pairs=tuple(pairs[kme]))


def sae_names(tunnel: str) -> tuple[str, str]:
    """Return the names of a tunnel's two SAEs: the client's, which draws the keys, and the server's."""
    return f"{tunnel}.client", f"{tunnel}.server"


def nodes_of(scenario: Scenario) -> tuple[str, ...]:
    """Return the names of the nodes that have key servers: a wide-area network's are its slaves."""
    return tuple(scenario.slave or scenario.node)


def ends_of(scenario: Scenario) -> dict[str, tuple[str, str]]:
    """Return the two nodes of each source of direct key: of links, or of a wide-area network's demands."""
    if scenario.slave:
        return {name: (demand.a, demand.b) for name, demand in scenario.demand.items()}
    return {name: (link.alice, link.bob) for name, link in scenario.link.items()}


def hosts_of(scenario: Scenario) -> dict[str, str]:
    """Return the hosts of a wide-area network, and their slaves."""
    return {host: name for name, slave in scenario.slave.items() for host in slave.hosts}
