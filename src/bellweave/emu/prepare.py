"""From a scenario to what each process of its emulation gets: authority, certificates, ports, key servers, channels.

Everything is made anew for each run, in memory. The authority's own key is dropped when the certificates are issued.
"""

import secrets
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from bellweave.edge.gateways_file import Gateways, with_mode
from bellweave.edge.kme_network import directory
from bellweave.edge.kme_references import check_references
from bellweave.edge.pki import Authority, Issued
from bellweave.edge.ports import free_ports
from bellweave.edge.probe import PROBE_HZ
from bellweave.emu.deployment import (
    SOURCE,
    Address,
    Aead,
    AgentDeployment,
    Credentials,
    Ipsec,
    NodeDeployment,
    Secrets,
    SourceDeployment,
)
from bellweave.errors import ScenarioError
from bellweave.kms.config import Endpoint, KmeConfig, Peer, Tls
from bellweave.kms.params import Directory
from bellweave.scenario.directory import directories, ends_of, nodes_of, sae_names
from bellweave.scenario.load import to_toml
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import is_wide
from bellweave.scenario.wide_directory import directories as wide_directories

SECRET_BYTES = 32
MASTER_KEY_BYTES = 32
DAYS = 397

Channels = Mapping[tuple[str, str], Ipsec]
"""By tunnel and side."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be emulated, and where.

    Attributes:
        scenario: With the seed, the slots and the speed of the run.
        hosts: Address of each node, and of ``source``.
        folders: Of each node: for its store.
        seeded: Whether the scenario's seed fixes all protocol randomness; else it comes from the operating system.
        channels: Of tunnels with IPsec; None: all channels are AES-256-GCM.
        agents: Whether tunnels run at all.
        saes: SAEs of others, to their nodes: they may ask for whatever key there is, relayed where no link leads.
        services: Where each node's KME listens for SAEs, if that is elsewhere than at its host.
        ports: First port of every host, the others follow; None: free ones.
        probe_hz: Probes a second in each tunnel that is not IPsec.
    """

    scenario: Scenario
    hosts: Mapping[str, str]
    folders: Mapping[str, str]
    seeded: bool = True
    channels: Channels | None = None
    agents: bool = True
    saes: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, Address] = field(default_factory=dict)
    ports: int | None = None
    probe_hz: float = PROBE_HZ


@dataclass(frozen=True)
class Deployments:
    """What the processes get.

    Attributes:
        source, nodes: Of the source, and of each node by name.
        services: Where each node's KME listens for SAEs.
        authority: What their certificates were issued by: whoever holds it can issue more.
    """

    source: SourceDeployment
    nodes: Mapping[str, NodeDeployment]
    services: Mapping[str, Address]
    authority: Authority = field(repr=False)


def loopback() -> str:
    """Return a loopback address of this run's own where there are many (Linux), so that two runs share no port."""
    one = f"127.{1 + secrets.randbelow(254)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"
    with socket.socket() as probe:
        try:
            probe.bind((one, 0))
        except OSError:
            return "127.0.0.1"
    return one


def deployments(plan: Plan) -> Deployments:
    """Return what each process gets.

    Raises:
        ScenarioError: The scenario has no ``[schedule]``, or names that can't be names of KMEs; no port is free.
    """
    scenario = plan.scenario
    if scenario.schedule is None and not is_wide(scenario):
        raise ScenarioError("an emulated network needs a [schedule] table", path="schedule")
    if scenario.recorded:
        raise ScenarioError("recorded detections are not emulated", path="recorded")
    if SOURCE in nodes_of(scenario):
        raise ScenarioError(f"{SOURCE!r} is the name of the source's process", path=f"node.{SOURCE}")
    return _Deploying(plan).all()


class _Deploying:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._scenario = plan.scenario
        self._text = to_toml(plan.scenario)
        self._authority = Authority.created("Bellweave emulation")
        self._ca = self._authority.own().certificate
        self._ends: dict[str, list[tuple[str, str]]] = {name: [] for name in nodes_of(self._scenario)}
        if plan.agents:
            for name, tunnel in self._scenario.tunnel.items():
                self._ends[tunnel.client].append((name, "client"))
                self._ends[tunnel.server].append((name, "server"))
        self._ports = self._choose_ports()
        self._run = secrets.token_hex(8)
        self._shared = {link: secrets.token_bytes(SECRET_BYTES) for link in ends_of(self._scenario)}

    def all(self) -> Deployments:
        """Return everything."""
        known = {known.kme: known for known in self._directories()}
        source = SourceDeployment(
            name=SOURCE,
            scenario=self._text,
            secrets=self._secrets(()),
            ca=self._ca,
            device=_credentials(self._authority.issue("device", SOURCE, listens=True, days=DAYS)),
            listen=self._at(SOURCE, "device"),
        )
        nodes = {name: self._node(name, known[name]) for name in known}
        return Deployments(source, nodes, {name: self._service(name) for name in known}, self._authority)

    def _directories(self) -> Iterable[Directory]:
        """Return who is who, for each KME."""
        scenario, saes = self._scenario, dict(self._plan.saes)
        if is_wide(scenario):
            return [_near(known) for known in wide_directories(scenario)]
        if not saes:
            return directories(scenario)
        links = tuple(dict.fromkeys((link.alice, link.bob) for link in scenario.link.values()))
        return [
            directory(name, tuple(other for other in scenario.node if other != name), links, saes)
            for name in scenario.node
        ]

    def _node(self, name: str, known: Directory) -> NodeDeployment:
        plan = self._plan
        hosts = [plan.hosts[name]]
        if name in plan.services:
            hosts.append(plan.services[name][0])
        links = [link for link, ends in ends_of(self._scenario).items() if name in ends]
        return NodeDeployment(
            name=name,
            scenario=self._text,
            secrets=self._secrets(links),
            ca=self._ca,
            device=_credentials(self._authority.issue("device", name, listens=True, days=DAYS)),
            listen=self._at(name, "device"),
            folder=plan.folders[name],
            source=self._at(SOURCE, "device"),
            peers={peer: self._at(peer, "device") for peer in known.peers},
            kme=self._kme(name, known),
            kme_credentials=_credentials(self._authority.issue("kme", name, hosts, days=DAYS)),
            master_key=secrets.token_bytes(MASTER_KEY_BYTES),
            agents=tuple(self._agent(tunnel, side) for tunnel, side in self._ends[name]),
        )

    def _kme(self, name: str, known: Directory) -> KmeConfig:
        """Return the configuration of a node's KME."""
        config = KmeConfig(
            directory=known,
            kms=self._scenario.kms,
            tls=Tls(ca="", cert="", key=""),
            etsi014=Endpoint(listen=_text(self._service(name))),
            link=Endpoint(listen=_text(self._at(name, "link"))) if known.peers else None,
            peers={peer: Peer(address=_text(self._at(peer, "link"))) for peer in known.peers},
        )
        try:
            check_references(config)
        except ScenarioError as error:
            raise ScenarioError(error.problem, path=f"node.{name}: {error.path}") from None
        return config

    def _agent(self, tunnel: str, side: str) -> AgentDeployment:
        ends = self._scenario.tunnel[tunnel]
        client, server = sae_names(tunnel)
        sae = client if side == "client" else server
        channel: Aead | Ipsec
        if self._plan.channels is not None:
            channel = self._plan.channels[tunnel, side]
        else:
            here, there = self._at(ends.client, f"{tunnel}/data"), self._at(ends.server, f"{tunnel}/data")
            local, remote = (here, there) if side == "client" else (there, here)
            channel = Aead(local=local, remote=remote, probe_hz=self._plan.probe_hz)
        return AgentDeployment(
            tunnel=tunnel,
            side="client" if side == "client" else "server",
            sae=_credentials(self._authority.issue("sae", sae, listens=side == "server", days=DAYS)),
            link=self._at(ends.server, f"{tunnel}/agent"),
            channel=channel,
        )

    def _secrets(self, links: Iterable[str]) -> Secrets | None:
        if self._plan.seeded:
            return None
        return Secrets(
            run=self._run, own=secrets.token_bytes(SECRET_BYTES), links={link: self._shared[link] for link in links}
        )

    # ------------------------------------------------------------------------------------------------------- addresses

    def _service(self, name: str) -> Address:
        return self._plan.services.get(name) or self._at(name, "etsi014")

    def _at(self, name: str, what: str) -> Address:
        return self._plan.hosts[name], self._ports[name, what]

    def _choose_ports(self) -> dict[tuple[str, str], int]:
        wanted = [(SOURCE, "device")]
        for name, ends in self._ends.items():
            wanted += [(name, what) for what in ("etsi014", "link", "device")]
            for tunnel, side in ends:
                wanted.append((name, f"{tunnel}/data"))
                if side == "server":
                    wanted.append((name, f"{tunnel}/agent"))
        if self._plan.ports is None:
            return dict(zip(wanted, free_ports([self._plan.hosts[name] for name, _ in wanted]), strict=True))
        next_port: dict[str, int] = {}
        ports = {}
        for name, what in wanted:
            host = self._plan.hosts[name]
            ports[name, what] = next_port.get(host, self._plan.ports)
            next_port[host] = ports[name, what] + 1
        return ports


def attached(scenario: Scenario, gateways: Gateways) -> Channels:
    """Return the channels of tunnels between gateways of others.

    Raises:
        ScenarioError: The end of a tunnel is missing, or one that is there belongs to none.
    """
    ends = [(name, side) for name in scenario.tunnel for side in ("client", "server")]
    missing = [".".join(end) for end in ends if end not in gateways]
    strange = [".".join(end) for end in gateways if end not in ends]
    if missing or strange:
        words = f"no gateway for {', '.join(missing)}" if missing else f"no such tunnel end: {', '.join(strange)}"
        raise ScenarioError(words, path="tunnel")
    modes = {name: tunnel.mode for name, tunnel in scenario.tunnel.items()}
    return {end: Ipsec(gateway=gateway) for end, gateway in with_mode(gateways, modes).items()}


def _credentials(issued: Issued) -> Credentials:
    return Credentials(certificate=issued.certificate, key=issued.key)


def _text(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _near(known: Directory) -> Directory:
    """Return what concerns a KME: a slave knows the hosts of those with whom it shares key."""
    near = {known.kme, *known.peers}
    return msgspec.structs.replace(known, saes={sae: kme for sae, kme in known.saes.items() if kme in near})
