"""What each slave's KME knows: with whom it shares key, its hosts, its tunnels' ends, who may ask for whom."""

from collections.abc import Iterator

from bellweave.blocks import Origin
from bellweave.kms.params import Directory, Expansion, Pair
from bellweave.network.wide.params import Demand
from bellweave.scenario.directory import hosts_of, sae_names
from bellweave.scenario.schema import Scenario


def directories(scenario: Scenario) -> Iterator[Directory]:
    """Yield a directory for every slave."""
    demands = list(scenario.demand.values())
    home = hosts_of(scenario)
    pairs: dict[str, list[Pair]] = {name: [] for name in scenario.slave}
    for demand in demands:
        for pair in _host_pairs(scenario, demand):
            for end in (demand.a, demand.b):
                pairs[end].append(pair)
    for name, tunnel in scenario.tunnel.items():
        client, server = sae_names(name)
        home |= {client: tunnel.client, server: tunnel.server}
        for end in (tunnel.client, tunnel.server):
            pairs[end].append(Pair(master=client, slave=server))
    for name in scenario.slave:
        links = tuple((each.a, each.b) for each in demands if name in {each.a, each.b})
        yield Directory(
            kme=name,
            peers=tuple(b if a == name else a for a, b in links),
            links=links,
            saes=home,
            pairs=tuple(pairs[name]),
            expansions=tuple(
                Expansion(kmes=(each.a, each.b), block_bits=each.derived_bits, low_bits=each.derived_bits)
                for each in demands
                if each.derived_bits is not None and name in {each.a, each.b}
            ),
        )


def _host_pairs(scenario: Scenario, demand: Demand) -> Iterator[Pair]:
    """Yield who may ask for whom: every host of either slave for every one of the other, from one kind of key."""
    for a, b in ((demand.a, demand.b), (demand.b, demand.a)):
        for master in scenario.slave[a].hosts:
            for slave in scenario.slave[b].hosts:
                origins: tuple[Origin, ...] = ("direct",) if demand.derived_bits is None else ("expanded",)
                yield Pair(master=master, slave=slave, origins=origins)


def turns(masters: tuple[str, ...], slaves: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield pairs of hosts for ever, each of the longer list once a round; none if one slave has no host."""
    most = max(len(masters), len(slaves)) if masters and slaves else 0
    while most:
        for turn in range(most):
            yield masters[turn % len(masters)], slaves[turn % len(slaves)]
