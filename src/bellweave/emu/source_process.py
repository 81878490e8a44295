"""The source's process: it simulates the photons, or the pairs of a backbone, and gives each node its own part only."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import msgspec
import structlog

from bellweave.edge.memory_files import MemoryFiles
from bellweave.edge.tls import server_context
from bellweave.emu.deployment import Command, Drain, Order, Said, Secrets, SourceDeployment
from bellweave.emu.source import Source
from bellweave.errors import BellweaveError, ScenarioError
from bellweave.roles.randomness import Secret, Seeded
from bellweave.scenario.load import parse
from bellweave.scenario.schema import Scenario
from bellweave.scenario.wide import is_wide

if TYPE_CHECKING:
    from bellweave.emu.backbone import Backbone

_log = structlog.get_logger(__name__)

Say = Callable[[msgspec.Struct], None]


async def run(deployment: SourceDeployment, say: Say, commands: AsyncIterator[Command]) -> None:
    """Be the source until the commands end.

    Raises:
        ScenarioError: It can't listen.
    """
    scenario = parse(deployment.scenario)

    def complain(detail: str) -> None:
        say(Said(what="problem", detail=detail))

    given = deployment.secrets
    files = MemoryFiles()
    ca = files.path("ca.crt", deployment.ca)
    cert = files.path("source.crt", deployment.device.certificate)
    key = files.path("source.key", deployment.device.key)
    source = _made(scenario, given, say, complain)
    host, port = deployment.listen
    try:
        await source.serve(server_context(ca, cert, key, least_version="1.3"), host, port)
    except OSError as error:
        raise ScenarioError(f"can't listen there: {error.strerror}", path=f"{host}:{port}") from None
    say(Said(what="serving"))
    working = [asyncio.create_task(_work(source, say)), asyncio.create_task(_tell_begun(source, say))]
    try:
        async for command in commands:
            if isinstance(command, Drain) and not isinstance(source, Source):
                source.stop()
            if isinstance(command, Order):
                try:
                    source.command(command.fault)
                except ScenarioError as error:
                    say(Said(what="problem", detail=str(error)))
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await source.close()
        files.close()


def _made(scenario: Scenario, given: Secrets | None, say: Say, complain: Callable[[str], None]) -> "Source | Backbone":
    randomness = Seeded(scenario.run.seed) if given is None else Secret(given.run, given.own)
    if is_wide(scenario):
        from bellweave.emu.backbone import Backbone as Made  # noqa: PLC0415 a data centre needs none of it

        return Made(scenario, randomness, note=say, say=complain)
    return Source(scenario, randomness, note=say, say=complain)


async def _work(source: "Source | Backbone", say: Say) -> None:
    try:
        await source.run()
    except BellweaveError as error:
        say(Said(what="problem", detail=str(error)))
    except Exception as error:  # noqa: BLE001 a mistake of ours ends the run in order
        _log.exception("the source has failed")
        say(Said(what="problem", detail=f"the source has failed: {type(error).__name__}: {error}"))
    say(Said(what="over"))


async def _tell_begun(source: "Source | Backbone", say: Say) -> None:
    await source.begun.wait()
    say(Said(what="begun", at_s=time.monotonic() - source.now_s()))
