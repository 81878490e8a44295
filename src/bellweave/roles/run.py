"""What a run is called, and what a network run amounts to: the same whether it was simulated or emulated."""

import hashlib
from dataclasses import dataclass
from importlib.metadata import version

import msgspec

from bellweave.results.network_records import Event
from bellweave.results.records import Manifest, Shard
from bellweave.scenario.load import to_toml
from bellweave.scenario.schema import Run, Scenario


@dataclass(frozen=True)
class NetworkRun:
    """A network run, simulated or emulated: what was run, and what happened, in order.

    Attributes:
        duration_s: Of all slots: virtual time, or seconds on the wall.
    """

    manifest: Manifest
    scenario: Scenario
    events: tuple[Event, ...]
    duration_s: float


def describe(scenario: Scenario, shard: Shard, verb: str = "simulate") -> Manifest:
    """Return the manifest of running these blocks of all links of a scenario."""
    scenario_id = _digest(to_toml(msgspec.structs.replace(scenario, run=Run())))
    package = version("bellweave")
    identity = (
        scenario_id,
        verb,
        scenario.run.seed,
        scenario.run.level,
        package,
        shard.first_block,
        shard.blocks,
    )
    return Manifest(
        run_id=_digest("\n".join(map(str, identity))),
        scenario_id=scenario_id,
        verb=verb,
        scenario=scenario.name,
        seed=scenario.run.seed,
        level=scenario.run.level,
        shard=shard,
        links=tuple(scenario.link),
        recorded=tuple(scenario.recorded),
        together=scenario.distill.accumulate_blocks,
        version=package,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
