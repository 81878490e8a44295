"""Faults of a running emulation: on command, and as the scenario's ``[fault]`` tables have them.

Who carries a fault out: ``eavesdropper`` and ``cut`` the source; ``partition``, ``store`` and ``clock`` the nodes' own
processes; ``down`` the supervisor, which kills the process and starts it again when the fault ends, or, of a repeater
or a master, the source; ``charon`` the world. The source keeps the scenario's time, so it says when a fault of the
scenario begins and ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, Protocol

from bellweave.emu.children import Child
from bellweave.emu.deployment import SOURCE, Order
from bellweave.emu.messages import Fault
from bellweave.errors import ScenarioError
from bellweave.network.params import Fault as Scheduled
from bellweave.results.network_records import Event, FaultChanged
from bellweave.scenario.directory import ends_of, nodes_of
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import is_wide

KINDS = {
    "eavesdropper": "LINK; --value: the share of photons that she intercepts",
    "cut": "LINK, HOP or SLAVE: its quantum channel is cut",
    "down": "NODE: it is killed, and started again when the fault ends; REPEATER or MASTER: what it stores is lost",
    "partition": "LINK, or NODE,NODE: their key servers can't reach each other",
    "store": "NODE: its key store can't be written",
    "charon": "TUNNEL.client or TUNNEL.server: the IKE daemon of that gateway is killed",
    "clock": "NODE: its clock is wrong by --value seconds",
}
"""Each kind, and what its target is."""

AT_SOURCE = frozenset({"eavesdropper", "cut"})


class Processes(Protocol):
    """What faults need of the network."""

    children: dict[str, Child]
    down: set[str]


class Faults:
    """Carries out faults.

    Args:
        scenario: Says which links, nodes and tunnels there are.
        network: Its processes.
        note: Gets what begins and ends.
        now: Seconds since the run began.
        restart: Starts a node's process again.
        charon: Kills the daemon of a gateway, ``(tunnel, side)``; None: there are none.
    """

    def __init__(
        self,
        scenario: Scenario,
        network: Processes,
        note: Callable[[Event], None],
        now: Callable[[], float],
        restart: Callable[[str], Awaitable[None]],
        charon: Callable[[str, str], Awaitable[None]] | None = None,
    ) -> None:
        self._scenario, self._network, self._note, self._now = scenario, network, note, now
        self._restart = restart
        self.charon = charon
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends: dict[str, asyncio.Task[None]] = {}

    async def order(self, fault: Fault, for_s: float | None = None) -> str:
        """Carry out a fault on command, and end it later if that is asked for; returns a sentence for people.

        Raises:
            ScenarioError: There is no such kind or target, or it can't be had here.
        """
        self._check(fault)
        name = f"{fault.kind} {fault.target}"
        earlier = self._ends.pop(name, None)
        if earlier is not None:  # this order says anew how long it lasts
            earlier.cancel()
        self._note(FaultChanged(at_s=self._now(), fault=name, active=fault.on))
        await self._carry_out(fault)
        if not fault.on:
            return f"{name}: ended"
        if fault.kind == "charon":
            self._note(FaultChanged(at_s=self._now(), fault=name, active=False))
            return f"{name}: killed; it is started again by itself"
        if for_s is None:
            return f"{name}: begun; end it with --off"
        self._ends[name] = self._later(self._end(name, fault, for_s))
        return f"{name}: begun, for {for_s:g} s"

    def scheduled(self, change: FaultChanged) -> None:
        """Carry out what a fault of the scenario asks of others than the source, now that it begins or ends."""
        table = self._scenario.fault.get(change.fault)
        if table is None:
            return
        for fault in faults_of(table, on=change.active):
            if fault.kind == "down" and fault.target not in self._network.children:
                continue  # the source's own
            self._later(self._carry_out(fault))

    async def close(self) -> None:
        """Forget what was to end later."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------------------------ each kind

    async def _carry_out(self, fault: Fault) -> None:
        children = self._network.children
        match fault.kind:
            case "eavesdropper" | "cut":
                children[SOURCE].tell(Order(fault=fault))
            case "down" if fault.target not in children:
                children[SOURCE].tell(Order(fault=fault))
            case "down":
                await self._down(fault.target, on=fault.on)
            case "partition":
                one, other = self._pair(fault.target)
                for node, peer in ((one, other), (other, one)):
                    children[node].tell(Order(fault=Fault(kind="partition", target=peer, on=fault.on)))
            case "store" | "clock":
                children[fault.target].tell(Order(fault=fault))
            case "charon" if fault.on and self.charon is not None:
                tunnel, _, side = fault.target.rpartition(".")
                await self.charon(tunnel, side)

    async def _down(self, name: str, *, on: bool) -> None:
        if on:
            self._network.down.add(name)
            await self._network.children[name].kill()
        elif name in self._network.down:
            self._network.down.discard(name)
            await self._restart(name)

    async def _end(self, name: str, fault: Fault, after_s: float) -> None:
        await asyncio.sleep(after_s)
        del self._ends[name]
        await self.order(Fault(kind=fault.kind, target=fault.target, on=False, value=fault.value))

    def _later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --------------------------------------------------------------------------------------------------------- targets

    def _check(self, fault: Fault) -> None:
        if fault.kind not in KINDS:
            raise ScenarioError(f"no such kind of fault: {fault.kind!r}; there are {', '.join(KINDS)}")
        scenario = self._scenario
        known = _targets(scenario).get(fault.kind)
        if known is not None:
            what = "link" if fault.kind in AT_SOURCE else "node"
            _require(fault.target, known, "such target" if is_wide(scenario) else what)
        match fault.kind:
            case "partition":
                self._pair(fault.target)
            case "charon":
                tunnel, _, side = fault.target.rpartition(".")
                if side not in {"client", "server"}:
                    raise ScenarioError(f"expected TUNNEL.client or TUNNEL.server, got {fault.target!r}")
                _require(tunnel, scenario.tunnel, "tunnel")
                if self.charon is None:
                    raise ScenarioError("there is no IKE daemon: this emulation's tunnels are not IPsec")
        if fault.kind == "eavesdropper" and not 0.0 <= fault.value <= 1.0:
            raise ScenarioError(f"an eavesdropper intercepts a share from 0 to 1, got {fault.value:g}")

    def _pair(self, target: str) -> tuple[str, str]:
        return pair_of(self._scenario, target)


def faults_of(table: Scheduled, *, on: bool) -> list[Fault]:
    """Return what a fault of the scenario asks of others than the source."""
    found = []
    if table.down is not None:
        found.append(Fault(kind="down", target=table.down, on=on))
    if table.partition is not None:
        found.append(Fault(kind="partition", target=",".join(table.partition), on=on))
    if table.store is not None:
        found.append(Fault(kind="store", target=table.store, on=on))
    if table.charon is not None:
        found.append(Fault(kind="charon", target=table.charon, on=on))
    if table.clock is not None:
        found.append(Fault(kind="clock", target=table.clock, on=on, value=table.clock_step_s))
    return found


def pair_of(scenario: Scenario, target: str) -> tuple[str, str]:
    """Return the two nodes that a link's name, or ``NODE,NODE``, stands for.

    Raises:
        ScenarioError: It is neither.
    """
    links = ends_of(scenario)
    if target in links:
        return links[target]
    one, comma, other = target.partition(",")
    if not comma or one == other:
        raise ScenarioError(f"expected a link or NODE,NODE, got {target!r}; there are {', '.join(links)}")
    for name in (one, other):
        _require(name, nodes_of(scenario), "node")
    return one, other


def _targets(scenario: Scenario) -> dict[str, Collection[str]]:
    """Return what there is for the kinds of faults that befall one thing."""
    nodes = nodes_of(scenario)
    return {
        "eavesdropper": scenario.link,
        "cut": (*scenario.hop, *scenario.slave) if is_wide(scenario) else scenario.link,
        "down": (*nodes, *scenario.repeater, *scenario.master),
        "store": nodes,
        "clock": nodes,
    }


def _require(name: str, known: Collection[str], kind: str) -> None:
    if name not in known:
        raise ScenarioError(f"there is no {kind} {name!r}; there are {', '.join(known) or 'none'}")
