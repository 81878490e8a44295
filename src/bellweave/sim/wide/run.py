"""Run a wide-area scenario in virtual time.

Same scenario, seed and version: same bytes. A run that was cut is run again from the start.

What happens at the same moment happens in this order: faults begin and end; the run ends; everything else in the order
in which it was set going. After the end no request, host or tunnel asks any more.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import simpy

from bellweave.errors import ScenarioError
from bellweave.results.io import NetworkWriter, read_manifest, read_wide_events
from bellweave.results.records import Manifest, Shard
from bellweave.results.wide_records import PairsClosed, WideEvent
from bellweave.roles.run import describe
from bellweave.scenario.load import load, parse, to_toml
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import duration_s, is_wide
from bellweave.sim.network.journal import Journal
from bellweave.sim.wide.network import Network

Watch = Callable[[WideEvent], None]


@dataclass(frozen=True)
class WideRun:
    """A wide-area run: what was run, and what happened, in order.

    Attributes:
        duration_s: Virtual time in which demands were served.
    """

    manifest: Manifest
    scenario: Scenario
    events: tuple[WideEvent, ...]
    duration_s: float


def simulate_wide(scenario: Scenario, out: Path | None = None, *, watch: Watch | None = None) -> WideRun:
    """Simulate a wide-area scenario and return its events in the order of virtual time.

    Args:
        scenario: With clusters.
        out: Run directory to write; None keeps the events in memory.
        watch: Called with each event, for progress.

    Raises:
        ScenarioError: If the scenario is impossible, has no clusters, or the directory is another run's.
    """
    text = to_toml(scenario)
    scenario = parse(text)
    if not is_wide(scenario):
        raise ScenarioError("a wide-area run needs slaves", path="slave")
    whole_s = duration_s(scenario)
    run = describe(scenario, Shard(blocks=1), verb=f"simulate-wide {whole_s!r} s")
    watches = () if watch is None else (watch,)
    if out is None:
        journal = Journal[WideEvent](*watches)
        _run(scenario, journal)
    else:
        with NetworkWriter(out, run, text) as writer:
            journal = Journal[WideEvent](writer.append, *watches)
            _run(scenario, journal)
    return WideRun(run, scenario, tuple(journal.events), whole_s)


def read_run(directory: Path) -> WideRun:
    """Return the run that a directory holds; of one that was killed, what there is.

    Raises:
        ScenarioError: If it holds none.
    """
    scenario = load(directory / "scenario.toml")
    events = read_wide_events(directory)
    return WideRun(read_manifest(directory), scenario, events, lasted_s(scenario, events))


def lasted_s(scenario: Scenario, events: Iterable[WideEvent]) -> float:
    """Return how long demands were served in a run that may have been stopped: until its books of pairs were closed."""
    closed_s = (event.at_s for event in events if isinstance(event, PairsClosed))
    return min([duration_s(scenario), *closed_s])


def _run(scenario: Scenario, journal: Journal[WideEvent]) -> None:
    env = simpy.Environment(initial_time=0.0)
    network = Network(env, scenario, journal)
    env.run(until=env.process(network.live()))
    for closed in network.close():
        journal.note(closed)
