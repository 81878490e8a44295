"""Runs an emulated wide-area network; its directory is like a data centre's (:mod:`bellweave.emu.supervisor`)."""

import asyncio
from typing import cast

from bellweave.emu.journal import Sink
from bellweave.emu.request import Announce, Request, Say
from bellweave.emu.supervisor import lived
from bellweave.errors import ScenarioError
from bellweave.results.records import Shard
from bellweave.results.wide_records import WideEvent
from bellweave.roles.run import describe
from bellweave.scenario.load import parse, to_toml
from bellweave.scenario.wide import duration_s, is_wide
from bellweave.sim.wide import WideRun, lasted_s

VERB = "emulate-wide"


async def emulate_wide(
    request: Request,
    *,
    stop: asyncio.Event | None = None,
    watch: Sink | None = None,
    say: Say | None = None,
    announce: Announce | None = None,
) -> WideRun:
    """Emulate a wide-area network for its duration, by the clock; arguments and errors are those of ``emulate``."""
    scenario = parse(to_toml(request.scenario))
    if not is_wide(scenario):
        raise ScenarioError("a wide-area run needs slaves", path="slave")
    whole_s = duration_s(scenario)
    manifest = describe(scenario, Shard(blocks=1), verb=f"{VERB} {whole_s!r} s")
    happened, _ = await lived(scenario, request, manifest, (stop, watch, say, announce))
    events = cast("tuple[WideEvent, ...]", happened)
    return WideRun(manifest, scenario, events, lasted_s(scenario, events))
