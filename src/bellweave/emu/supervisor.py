"""Runs an emulated network: :func:`emulate`.

The run directory is that of a simulation (:mod:`bellweave.results.io`), and beside it ``logs``, a folder for each
node's store under ``nodes``, the daemons' under ``gateways``, and ``control``, the socket for commands. A directory is
one run's at a time.
"""

import asyncio
import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from bellweave.edge.files import new_folder
from bellweave.emu.deployment import Happened
from bellweave.emu.journal import Journal, Sink
from bellweave.emu.request import Announce, Request, Say
from bellweave.emu.running import Run
from bellweave.errors import ScenarioError
from bellweave.results.io import NetworkWriter
from bellweave.results.network_records import Event
from bellweave.results.records import Manifest, Shard
from bellweave.roles.run import NetworkRun, describe
from bellweave.scenario.load import parse, to_toml
from bellweave.scenario.schema import Scenario

__all__ = ["Request", "emulate"]

VERB = "emulate-network"


async def emulate(
    request: Request,
    *,
    stop: asyncio.Event | None = None,
    watch: Sink | None = None,
    say: Say | None = None,
    announce: Announce | None = None,
) -> NetworkRun:
    """Emulate a network to its last slot, or until ``stop`` is set, and return what happened.

    Args:
        request: What.
        stop: Ends the run early, in order.
        watch: Called with each event, in order of time.
        say: Called with sentences for people.
        announce: Called, once SAEs of others can ask for keys, with where everything is.

    Raises:
        ScenarioError: What is asked for can't be; another run uses the directory; a process does not start.
    """
    scenario = parse(to_toml(request.scenario))
    schedule = scenario.schedule
    if schedule is None:
        raise ScenarioError("an emulated network needs a [schedule] table", path="schedule")
    slots = schedule.slots or scenario.run.blocks
    manifest = describe(scenario, Shard(blocks=slots), verb=VERB)
    events, lasted_s = await lived(scenario, request, manifest, (stop, watch, say, announce))
    duration_s = min(slots * schedule.wall_slot_s, lasted_s)
    return NetworkRun(manifest, scenario, cast("tuple[Event, ...]", events), duration_s)


async def lived(
    scenario: Scenario,
    request: Request,
    manifest: Manifest,
    ears: tuple[asyncio.Event | None, Sink | None, Say | None, Announce | None],
) -> tuple[tuple[Happened, ...], float]:
    """Run it into its directory, and return what happened, and for how long it ran, seconds."""
    stop, watch, say, announce = ears
    new_folder(request.out)
    with _alone(request.out), NetworkWriter(request.out, manifest, to_toml(scenario)) as writer:
        journal = Journal(writer.append, *(() if watch is None else (watch,)), hold=request.hold)
        running = Run(scenario, request, journal, say or _quiet, announce)
        await running.live(stop or asyncio.Event())
    return tuple(journal.events), running.lasted_s


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold a run directory for this run only.

    Raises:
        ScenarioError: Another run holds it.
    """
    with (out / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ScenarioError(
                "another emulation runs in this directory; choose another --out", file=str(out)
            ) from None
        yield


def _quiet(_: str) -> None:
    pass
