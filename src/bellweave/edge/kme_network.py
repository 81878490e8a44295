"""Who is in a new key network, and what follows from it: the configuration of each of its KMEs.

Endpoints listen at the address that was given for their KME, or at all of the machine's where that is a name (it may
stand for loopback there); ``admin`` at loopback. SAEs of KMEs without a link get key that is relayed over the shortest
way. Where SKIP is served, each KME's name is an SAE of it too: its localSystemID.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations

from bellweave.edge.kme_references import check_references
from bellweave.edge.ports import free_ports
from bellweave.errors import ScenarioError
from bellweave.kms.config import Endpoint, KmeConfig, Peer, Skip, Tls
from bellweave.kms.params import Directory, Kms, Pair, Relay

_STEP = 10
"""Between the ports of two KMEs at one address."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the KMEs of a network listen; 0: any free port; None: not served.

    KMEs at one address are 10 apart. ``etsi004`` has the port that its clients assume.
    """

    etsi014: int | None = 8443
    etsi004: int | None = 25575
    skip: int | None = 8444
    link: int = 8445
    device: int = 8446
    admin: int | None = 8447


FREE = Ports(etsi014=0, etsi004=0, skip=0, link=0, device=0, admin=0)
"""Nothing is fixed, so several networks fit on one machine. Links, which others dial, get ports that are free now."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """Who is in a key network.

    Attributes:
        kmes: Name of each KME to the host name or address where the others, and its SAEs, reach it.
        saes: Name of each SAE to its KME.
        links: Pairs of KMEs that share a source of key; None: all of them.
        devices: Name of each QKD device that pushes blocks to its KME and the KME at the other end of its link.
    """

    kmes: Mapping[str, str]
    saes: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] | None = None
    devices: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def configs(network: Network, ports: Ports, store: str | Mapping[str, str], kms: Kms) -> dict[str, KmeConfig]:
    """Return each KME's configuration, checked.

    Raises:
        ScenarioError: Names clash or are unknown, or no way of links leads from one SAE's KME to another's.
    """
    _check(network)
    links = tuple(combinations(network.kmes, 2)) if network.links is None else tuple(network.links)
    saes = dict(network.saes)
    if ports.skip is not None:
        saes |= {kme: kme for kme in network.kmes}
    offsets = _offsets(network.kmes)
    link_ports = _link_ports(network.kmes, ports.link, offsets)
    made = {}
    for kme, host in network.kmes.items():

        def at(port: int | None, where: str = _listen(host), step: int = offsets[kme]) -> Endpoint | None:
            return None if port is None else Endpoint(listen=_joined(where, port and port + step))

        peers = tuple(name for name in network.kmes if name != kme)
        devices = {name: peer for name, (own, peer) in network.devices.items() if own == kme}
        skip = at(ports.skip)
        made[kme] = KmeConfig(
            directory=directory(kme, peers, links, saes),
            kms=kms,
            tls=Tls(ca="ca.crt", cert="kme.crt", key="kme.key", deny="deny.txt"),
            store=store if isinstance(store, str) else store[kme],
            etsi014=at(ports.etsi014),
            etsi004=at(ports.etsi004),
            skip=None if skip is None else Skip(listen=skip.listen),
            link=Endpoint(listen=_joined(_listen(host), link_ports[kme])) if peers else None,
            device=at(ports.device) if devices else None,
            admin=at(ports.admin, "127.0.0.1"),
            peers={name: Peer(address=_joined(network.kmes[name], link_ports[name])) for name in peers},
            devices=devices,
        )
    for kme, config in made.items():
        try:
            check_references(config)
        except ScenarioError as error:
            raise ScenarioError(error.problem, path=f"{kme}: {error.path}") from None
    return made


def _check(network: Network) -> None:
    """Check what the configurations would not show."""
    kmes = network.kmes
    if not kmes:
        raise ScenarioError("expected at least one KME, got none")
    named = {f"SAE {name}": kme for name, kme in network.saes.items()}
    named |= {f"device {name}": kme for name, ends in network.devices.items() for kme in ends}
    named |= {f"link {' and '.join(link)}": kme for link in network.links or () for kme in link if kme not in kmes}
    for what, kme in named.items():
        if kme not in kmes:
            raise ScenarioError(f"{what}: no such KME: {kme!r}; there are {', '.join(kmes)}")


def directory(kme: str, peers: tuple[str, ...], links: tuple[tuple[str, str], ...], saes: dict[str, str]) -> Directory:
    """Return who is who for one KME; pairs and relays are listed only where not all KMEs are linked."""
    linked = {frozenset(link) for link in links}
    if all(frozenset(ends) in linked for ends in combinations((kme, *peers), 2)):
        return Directory(kme=kme, peers=peers, links=links, saes=saes)
    reached = _reached(kme, links)
    pairs = []
    far: dict[str, None] = {}
    for master, slave in permutations(saes, 2):
        ends = {saes[master], saes[slave]}
        if kme not in ends:
            continue
        relayed = len(ends) == 2 and frozenset(ends) not in linked
        if relayed:
            far |= dict.fromkeys(ends - {kme})
            if not ends <= reached:
                raise ScenarioError(f"no way of links leads from {' to '.join(sorted(ends))}, for {master} and {slave}")
        pairs.append(Pair(master=master, slave=slave, origins=("relayed",) if relayed else ("direct",)))
    relays = tuple(Relay(kmes=(kme, other) if kme < other else (other, kme)) for other in far)
    return Directory(kme=kme, peers=peers, links=links, saes=saes, pairs=tuple(pairs), relays=relays)


def _reached(kme: str, links: Iterable[tuple[str, str]]) -> set[str]:
    reached: set[str] = set()
    new = {kme}
    while new:
        reached |= new
        new = {end for link in links if reached & set(link) for end in link} - reached
    return reached


# ------------------------------------------------------------------------------------------------------------ addresses
def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen(host: str) -> str:
    """Return where a KME listens that is called by this name or address."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return "127.0.0.1" if host == "localhost" else "0.0.0.0"  # noqa: S104 not loopback, for the user named a host


def _offsets(kmes: Mapping[str, str]) -> dict[str, int]:
    """Return how far each KME's ports are from the usual ones, because others live at the same address."""
    offsets: dict[str, int] = {}
    for kme, host in kmes.items():
        offsets[kme] = _STEP * sum(kmes[other] == host for other in offsets)
    return offsets


def _link_ports(kmes: Mapping[str, str], port: int, offsets: Mapping[str, int]) -> dict[str, int]:
    """Return where others find each KME: this port, or for 0 one that is free now."""
    if port:
        return {kme: port + offset for kme, offset in offsets.items()}
    return dict(zip(kmes, free_ports([_listen(host) for host in kmes.values()]), strict=True))
