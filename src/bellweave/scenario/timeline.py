"""A scenario that changes with time: which values are in force when, which nodes are down, which links are cut.

Faults that overlap are applied in the order of their names: the last one wins where two set the same value.
A block takes the state in force at its middle: a change within a block is shifted by half a block at most.
"""

import bisect
from dataclasses import dataclass
from typing import Any

import msgspec

from bellweave.errors import ScenarioError
from bellweave.network.params import Fault
from bellweave.scenario.changes import set_path
from bellweave.scenario.load import parse_tree
from bellweave.scenario.schema import Scenario

CHANGEABLE = ("source", "node", "switch", "link", "data_network")
"""Tables that a fault may change: what is out there, not how it is used or accounted for."""


@dataclass(frozen=True)
class State:
    """What is in force from a moment on.

    Attributes:
        at_s: Since when.
        scenario: The scenario with the faults' values.
        down: Nodes that have failed.
        cut: Links whose quantum channel is cut.
        active: Names of the faults that are on.
    """

    at_s: float
    scenario: Scenario
    down: frozenset[str]
    cut: frozenset[str]
    active: tuple[str, ...]


class Timeline:
    """All states of a scenario, in order of time.

    Raises:
        ScenarioError: If a fault sets what does not exist, or an impossible value; with ``fault.NAME`` in the path.
    """

    def __init__(self, scenario: Scenario) -> None:
        moments = {0.0}
        for name, fault in scenario.fault.items():
            _check(scenario, name, fault)
            moments |= {fault.at_s} | ({fault.until_s} if fault.until_s is not None else set())
        self.states = tuple(_state(scenario, at_s) for at_s in sorted(moments))
        self._starts_s = [state.at_s for state in self.states]

    def at(self, now_s: float) -> State:
        """Return the state in force at a moment, >= 0 s."""
        return self.states[bisect.bisect_right(self._starts_s, now_s) - 1]


def _check(scenario: Scenario, name: str, fault: Fault) -> None:
    path = f"fault.{name}"
    if fault.until_s is not None and fault.until_s <= fault.at_s:
        raise ScenarioError(f"must be later than at_s {fault.at_s}, got {fault.until_s}", path=f"{path}.until_s")
    nodes = {**scenario.node, **scenario.master, **scenario.slave, **scenario.repeater}
    links = {**scenario.link, **scenario.hop, **scenario.slave}
    if fault.down is not None and fault.down not in nodes:
        raise ScenarioError(f"there is no node {fault.down!r}; there are {_list(nodes)}", path=f"{path}.down")
    if fault.cut is not None and fault.cut not in links:
        raise ScenarioError(f"there is no link {fault.cut!r}; there are {_list(links)}", path=f"{path}.cut")
    _check_emulated(scenario, path, fault)
    if not fault.set and fault.down is None and fault.cut is None and emulated_only(fault) is None:
        raise ScenarioError("changes nothing: give one of set, down, cut", path=path)


def emulated_only(fault: Fault) -> str | None:
    """Return the first thing that a fault does and that only an emulation can; None if there is none."""
    names = ("partition", "store", "charon", "clock")
    return next((name for name in names if getattr(fault, name) is not None), None)


def _check_emulated(scenario: Scenario, path: str, fault: Fault) -> None:
    """Check what only an emulation does."""
    ends = fault.partition or ()
    named = [("partition", node) for node in ends] + [("store", fault.store), ("clock", fault.clock)]
    for name, node in named:
        if node is not None and node not in scenario.node:
            raise ScenarioError(f"there is no node {node!r}; there are {_list(scenario.node)}", path=f"{path}.{name}")
    if ends and ends[0] == ends[1]:
        raise ScenarioError(f"expected two nodes, got {ends[0]!r} twice", path=f"{path}.partition")
    tunnel, _, side = (fault.charon or "").rpartition(".")
    if fault.charon is not None and (tunnel not in scenario.tunnel or side not in {"client", "server"}):
        raise ScenarioError(f"expected TUNNEL.client or TUNNEL.server, got {fault.charon!r}", path=f"{path}.charon")


def _state(scenario: Scenario, at_s: float) -> State:
    active = {name: fault for name, fault in sorted(scenario.fault.items()) if _is_on(fault, at_s)}
    changed = scenario
    for name, fault in active.items():
        if fault.set:
            changed = _with_values(changed, name, fault)
    return State(
        at_s=at_s,
        scenario=changed,
        down=frozenset(fault.down for fault in active.values() if fault.down is not None),
        cut=frozenset(fault.cut for fault in active.values() if fault.cut is not None),
        active=tuple(active),
    )


def _is_on(fault: Fault, at_s: float) -> bool:
    return fault.at_s <= at_s and (fault.until_s is None or at_s < fault.until_s)


def _with_values(scenario: Scenario, name: str, fault: Fault) -> Scenario:
    tree: dict[str, Any] = msgspec.to_builtins(scenario)
    for path, value in fault.set.items():
        keys = path.split(".")
        where = f'fault.{name}.set."{path}"'
        if keys[0] not in CHANGEABLE:
            raise ScenarioError(f"a fault can change {', '.join(CHANGEABLE)}; not {keys[0]!r}", path=where)
        set_path(tree, keys, value, where)
        try:
            parse_tree(tree)
        except ScenarioError as error:
            raise ScenarioError(f"{error.path}: {error.problem}", path=where) from None
    return parse_tree(tree)


def _list(names: dict[str, Any]) -> str:
    return ", ".join(sorted(names)) or "none"
