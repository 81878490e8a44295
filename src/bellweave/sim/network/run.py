"""Run a network scenario in virtual time.

Same scenario, seed and version: same bytes. A run is short (seconds), so one that was cut is run again from the start
rather than resumed: its directory is taken over if it holds the same run.

What happens at the same moment happens in this order: faults begin and end; a slot ends and its blocks are distilled,
the next one begins; everything else in the order in which it was set going. So a gateway whose key is due exactly when
its block reaches the KME gets it if the block was on its way before the request was. Links, nodes and tunnels are taken
in the order of the file: of two tunnels that want the same key at the same moment, the first one gets it.

The KMEs have greeted each other when the run begins. After the last slot no tunnel asks any more; the run ends when
the last block is with the KMEs and the last exchange is over.
"""

from collections.abc import Callable
from pathlib import Path

import simpy

from bellweave.errors import ScenarioError
from bellweave.network.params import Schedule
from bellweave.results.io import NetworkWriter
from bellweave.results.network_records import Event
from bellweave.results.records import Shard
from bellweave.roles.run import NetworkRun, describe
from bellweave.scenario.load import parse, to_toml
from bellweave.scenario.schema import Scenario
from bellweave.scenario.timeline import emulated_only
from bellweave.sim.network.journal import Journal
from bellweave.sim.network.network import Network

Watch = Callable[[Event], None]


def simulate_network(scenario: Scenario, out: Path | None = None, *, watch: Watch | None = None) -> NetworkRun:
    """Simulate a network scenario and return its events in the order of virtual time.

    Args:
        scenario: With a ``[schedule]``.
        out: Run directory to write; None keeps the events in memory.
        watch: Called with each event, for progress.

    Raises:
        ScenarioError: If the scenario is impossible, has no schedule, or the directory is another run's.
    """
    text = to_toml(scenario)
    scenario = parse(text)
    schedule = scenario.schedule
    if schedule is None:
        raise ScenarioError("a network run needs a [schedule] table", path="schedule")
    for name, fault in scenario.fault.items():
        only = emulated_only(fault)
        if only is not None:
            raise ScenarioError("only an emulation can do that: bellweave emulate", path=f"fault.{name}.{only}")
    slots = schedule.slots or scenario.run.blocks
    run = describe(scenario, Shard(blocks=slots), verb="simulate-network")
    duration_s = slots * schedule.wall_slot_s
    watches = () if watch is None else (watch,)
    if out is None:
        journal = Journal[Event](*watches)
        _run(scenario, schedule, slots, journal)
    else:
        with NetworkWriter(out, run, text) as writer:
            journal = Journal[Event](writer.append, *watches)
            _run(scenario, schedule, slots, journal)
    return NetworkRun(run, scenario, tuple(journal.events), duration_s)


def _run(scenario: Scenario, schedule: Schedule, slots: int, journal: Journal[Event]) -> None:
    env = simpy.Environment()
    network = Network(env, scenario, schedule, journal)
    env.run(until=env.process(network.live(slots)))
    for closed in network.books.close(env.now):
        journal.note(closed)
