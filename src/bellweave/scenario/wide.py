"""A scenario's clusters and backbone: names resolved, and put together as one :class:`Topology`.

Nodes are numbered masters first, then repeaters, then slaves; edges hops first, then the slaves' fibres to their
masters, which have the slaves' names; each in the order of the file.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bellweave.errors import ScenarioError
from bellweave.network.wide.params import Backbone, Hop, Master, Memory, Purification, Repeater, Slave
from bellweave.network.wide.purification import after, errors, least_units
from bellweave.network.wide.semi_quantum import latency_s
from bellweave.network.wide.topology import Topology
from bellweave.photonics import mdi_params
from bellweave.scenario.cluster_optics import Pair, mdi_link
from bellweave.scenario.schema import Scenario
from bellweave.units import transmission

ATTEMPT_S = 145e-6
"""Of the platform: an attempt takes that long at least, as the cluster paper prints."""

ROUNDING = 1e-12

DURATION_S = 10.0
"""Of a run whose scenario says nothing."""


def is_wide(scenario: Scenario) -> bool:
    """Return whether a scenario is a wide-area network: it has clusters."""
    return bool(scenario.slave)


def backbone_of(scenario: Scenario) -> Backbone:
    """Return how the scenario's backbone works."""
    return scenario.backbone or Backbone()


def duration_s(scenario: Scenario) -> float:
    """Return how long a wide-area run lasts, in virtual seconds."""
    return scenario.run.duration_s or DURATION_S


@dataclass(frozen=True)
class Map:
    """A scenario's quantum network, and which name is which number.

    Attributes:
        topology: Of all nodes and edges.
        edges: Name to number: hops, and slaves' fibres by the slaves' names.
        masters: Slave to its master.
    """

    topology: Topology
    edges: Mapping[str, int]
    masters: Mapping[str, str]

    @cached_property
    def nodes(self) -> dict[str, int]:
        """Name to number."""
        return {name: number for number, name in enumerate(self.topology.names)}

    @cached_property
    def edge_names(self) -> tuple[str, ...]:
        """Number to name."""
        return tuple(self.edges)

    def same_cluster(self, a: str, b: str) -> bool:
        """Return whether two slaves have the same master."""
        return self.masters[a] == self.masters[b]


def assembled(scenario: Scenario) -> Map:
    """Return the network of a checked scenario.

    In ``paper`` mode pairs are perfect and nothing decays: fidelities are 1 and coherence is infinite.
    """
    backbone = backbone_of(scenario)
    perfect = backbone.mode == "paper"
    nodes: dict[str, Repeater] = {name: each.repeater for name, each in scenario.master.items()} | scenario.repeater
    nodes |= {name: _slave_node(scenario, each) for name, each in scenario.slave.items()}
    number = {name: place for place, name in enumerate(nodes)}
    hops = scenario.hop | {name: _fibre(scenario, name, each) for name, each in scenario.slave.items()}
    units = [min(each.units, 2**31 - 1) for each in hops.values()]
    topology = Topology(
        names=tuple(nodes),
        swap_probability=np.array([each.swap_probability for each in nodes.values()]),
        measurement_s=np.array([each.measurement_s for each in nodes.values()]),
        retrieval_s=np.array([each.memory.retrieval_s for each in nodes.values()]),
        coherence_s=np.array([_coherence_s(each.memory, perfect=perfect) for each in nodes.values()]),
        lifetime_s=np.array([each.memory.lifetime_s or math.inf for each in nodes.values()]),
        cutoff_s=np.array([each.memory.cutoff_s or math.inf for each in nodes.values()]),
        swap_fidelity=np.array([1.0 if perfect else swap_fidelity(each) for each in nodes.values()]),
        gate_fidelity=np.array([1.0 if perfect else each.gate_fidelity for each in nodes.values()]),
        readout_error=np.array([0.0 if perfect else each.readout_error for each in nodes.values()]),
        ends=np.sort(np.array([(number[hop.a], number[hop.b]) for hop in hops.values()], np.int32).reshape(-1, 2)),
        length_km=np.array([each.length_km for each in hops.values()]),
        success=np.array([success(each) for each in hops.values()]),
        attempt_s=np.array([attempt_s(each, backbone) for each in hops.values()]),
        units=np.array(units, np.int32),
        fidelity=np.array([1.0 if perfect else each.fidelity for each in hops.values()]),
    )
    masters = {name: each.master for name, each in scenario.slave.items()}
    return Map(topology, {name: place for place, name in enumerate(hops)}, masters)


def success(hop: Hop) -> float:
    """Return the probability that an attempt gives a pair: as set, or what the fibre lets through (Eq. 7)."""
    return transmission(hop.length_km * hop.loss_db_per_km) if hop.success is None else hop.success


def attempt_s(hop: Hop, backbone: Backbone) -> float:
    """Return the period of a unit's attempts: as set, or light's way there and back, and no less than 145 us."""
    return hop.attempt_s or max(ATTEMPT_S, 2.0 * hop.length_km / backbone.light_km_per_s)


def swap_fidelity(node: Repeater) -> float:
    """Return a swap's fidelity: a depolarising gate, then two outcome bits that may be read wrongly.

    With F the gate's fidelity and r the probability that both bits are right, F r + (1 - F)(1 - r)/3: a wrong bit turns
    one Bell state into another, and white noise holds all alike.
    """
    right = (1.0 - node.readout_error) ** 2
    return node.gate_fidelity * right + (1.0 - node.gate_fidelity) * (1.0 - right) / 3.0


def check_wide(scenario: Scenario) -> None:
    """Refuse clusters, hops and demands whose names lead nowhere, or that do not fit together.

    Raises:
        ScenarioError: With the path.
    """
    _check_names(scenario)
    for name, master in scenario.master.items():
        _check_mdi(name, master)
    for name, slave in scenario.slave.items():
        _require(slave.master, scenario.master, f"slave.{name}.master")
        if slave.hand_over is not None and latency_s(slave.hand_over, 1) == math.inf:
            raise ScenarioError("so much noise leaves no key", path=f"slave.{name}.hand_over.depolarising")
    for name, hop in scenario.hop.items():
        for end in ("a", "b"):
            _require(getattr(hop, end), {**scenario.master, **scenario.repeater}, f"hop.{name}.{end}")
        _require_two(hop.a, hop.b, "a hop", f"hop.{name}.b")
    for name, demand in scenario.demand.items():
        for end in ("a", "b"):
            _require(getattr(demand, end), scenario.slave, f"demand.{name}.{end}")
        _require_two(demand.a, demand.b, "a demand", f"demand.{name}.b")
        if demand.until_s is not None and demand.until_s <= demand.start_s:
            problem = f"must be later than start_s {demand.start_s}, got {demand.until_s}"
            raise ScenarioError(problem, path=f"demand.{name}.until_s")
    _check_demanded_once(scenario)
    _check_joined(scenario)
    if (purification := backbone_of(scenario).purification) is not None:
        _check_purification(scenario, purification)


def _check_names(scenario: Scenario) -> None:
    tables: dict[str, Mapping[str, object]] = {
        "node": scenario.node,
        "master": scenario.master,
        "slave": scenario.slave,
        "repeater": scenario.repeater,
    }
    seen: dict[str, str] = {}
    for table, names in tables.items():
        for name in names:
            if name in seen:
                raise ScenarioError(f"there is a {seen[name]} of that name", path=f"{table}.{name}")
            seen[name] = table
    for name in scenario.hop:
        if name in scenario.slave or name in scenario.link:
            raise ScenarioError("a slave or a link has that name, and so its fibre", path=f"hop.{name}")
    hosts: dict[str, str] = {}
    for name, slave in scenario.slave.items():
        for host in slave.hosts:
            if host in hosts:
                raise ScenarioError(f"{host!r} is a host of {hosts[host]} already", path=f"slave.{name}.hosts")
            hosts[host] = name


def _check_mdi(name: str, master: Master) -> None:
    """Refuse pulses of MDI-QKD that can not be, whatever the mode: shares that do not add up to 1, long gates."""
    slave = Slave(master=name)
    try:
        mdi_params.check(mdi_link(Pair(master, "a", slave, "b", slave), 1.0))
    except ScenarioError as error:
        field = error.path.rpartition(".")[2]
        raise ScenarioError(error.problem, path=f"master.{name}.mdi.{field}") from None


def _check_purification(scenario: Scenario, how: Purification) -> None:
    """Refuse purification of perfect pairs, on edges with too few units, and where it makes pairs worse."""
    if backbone_of(scenario).mode == "paper":
        problem = "pairs are perfect in paper mode: there is nothing to purify"
        raise ScenarioError(problem, path="backbone.purification")
    net = assembled(scenario)
    far = [each for each in scenario.demand.values() if not net.same_cluster(each.a, each.b)]
    used = [*scenario.hop, *dict.fromkeys(slave for each in far for slave in (each.a, each.b))]
    least, edges = least_units(how), [net.edges[name] for name in used]
    fresh = net.topology.fidelity[edges]
    purified = after(fresh, how, errors(net.topology, edges))[1][:, 0]
    for name, edge, before, later in zip(used, edges, fresh, purified, strict=True):
        if net.topology.units[edge] < least:
            problem = f"{how.rounds} rounds take {least} units, {name} has {net.topology.units[edge]}"
            raise ScenarioError(problem, path="backbone.purification.rounds")
        if later < before - ROUNDING:
            problem = f"{how.protocol} makes pairs of fidelity {before:g} worse: {later:.4g} on {name}"
            raise ScenarioError(problem, path="backbone.purification.protocol")


def _check_demanded_once(scenario: Scenario) -> None:
    seen: dict[frozenset[str], str] = {}
    for name, demand in scenario.demand.items():
        ends = frozenset((demand.a, demand.b))
        if ends in seen:
            raise ScenarioError(f"demand.{seen[ends]} is between these two already", path=f"demand.{name}")
        seen[ends] = name


def _check_joined(scenario: Scenario) -> None:
    """Refuse a demand between slaves that no path of hops joins, and a tunnel between slaves without a demand."""
    home = _islands(scenario)
    for name, demand in scenario.demand.items():
        a, b = (scenario.slave[each].master for each in (demand.a, demand.b))
        if home[a] != home[b]:
            problem = f"no path of hops joins {demand.a} (at {a}) and {demand.b} (at {b})"
            raise ScenarioError(problem, path=f"demand.{name}")
    demanded = {frozenset((each.a, each.b)) for each in scenario.demand.values()}
    for name, tunnel in scenario.tunnel.items():
        ends = {tunnel.client, tunnel.server}
        if ends <= set(scenario.slave) and ends not in demanded:
            problem = f"no demand is between {tunnel.client} and {tunnel.server}, so there is no key"
            raise ScenarioError(problem, path=f"tunnel.{name}")


def _islands(scenario: Scenario) -> dict[str, str]:
    """Return for every master and repeater one name that all have whom hops join to it."""
    home = {name: name for name in (*scenario.master, *scenario.repeater)}

    def root(name: str) -> str:
        while home[name] != name:
            home[name] = home[home[name]]
            name = home[name]
        return name

    for hop in scenario.hop.values():
        home[root(hop.a)] = root(hop.b)
    return {name: root(name) for name in home}


def _slave_node(scenario: Scenario, slave: Slave) -> Repeater:
    """Return a slave as a node: it swaps nothing, and purifies with gates like its master's."""
    like = scenario.master[slave.master].repeater
    return Repeater(
        swap_probability=0.0, gate_fidelity=like.gate_fidelity, readout_error=like.readout_error, memory=slave.memory
    )


def _fibre(scenario: Scenario, name: str, slave: Slave) -> Hop:
    """Return a slave's fibre as an edge: the master's source makes its pairs."""
    visibility = scenario.master[slave.master].visibility
    return Hop(
        a=slave.master,
        b=name,
        length_km=slave.length_km,
        loss_db_per_km=slave.loss_db_per_km,
        units=slave.units,
        fidelity=(1.0 + 3.0 * visibility) / 4.0,
    )


def _coherence_s(memory: Memory, *, perfect: bool) -> float:
    return math.inf if perfect or memory.coherence_s is None else memory.coherence_s


def _require(name: str, table: Mapping[str, object], path: str) -> None:
    if name not in table:
        raise ScenarioError(f"there is no {name!r}; there are {', '.join(sorted(table)) or 'none'}", path=path)


def _require_two(a: str, b: str, what: str, path: str) -> None:
    if a == b:
        raise ScenarioError(f"{what} joins two nodes, both are {a!r}", path=path)
