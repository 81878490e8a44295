"""``bellweave emulate`` node by node: ``--prepare`` writes what each process needs, ``--node`` runs one of them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bellweave.edge.gateways_file import Gateways
    from bellweave.scenario.schema import Scenario


def prepare(
    scenario: "Scenario",
    folder: Path,
    hosts: list[str],
    first_port: int,
    gateways: "Gateways | None",
    *,
    as_json: bool,
) -> None:
    """Write a folder for each node and for the source."""
    from bellweave.emu import standalone
    from bellweave.emu.prepare import Plan, attached

    addresses = _addresses(scenario, hosts)
    plan = Plan(
        scenario=scenario,
        hosts=addresses,
        folders=dict.fromkeys(scenario.node, ""),
        channels=None if gateways is None else attached(scenario, gateways),
        ports=first_port,
    )
    made = standalone.prepare(plan, folder)
    if as_json:
        typer.echo(json.dumps({name: str(path) for name, path in made.items()}))
        return
    typer.echo("each folder holds the secrets of one process: copy it to its host over a channel that you trust, then")
    for name, path in made.items():
        typer.echo(f"  {addresses[name]}: bellweave emulate --node {name} --from {path}")


def _addresses(scenario: "Scenario", hosts: list[str]) -> dict[str, str]:
    """Return the address of each node and of the source, which is with the first node unless it is said."""
    from bellweave.errors import ScenarioError

    given: dict[str, str] = {}
    for each in hosts:
        name, equals, address = each.partition("=")
        if not equals or not name or not address:
            raise ScenarioError(f"expected NODE=ADDR, got {each!r}", path="--host")
        if name not in {"source", *scenario.node}:
            raise ScenarioError(f"there is no node {name!r}; there are {', '.join(scenario.node)}", path="--host")
        given[name] = address
    missing = [name for name in scenario.node if name not in given]
    if missing:
        raise ScenarioError(f"give the address of {', '.join(missing)}, NODE=ADDR each", path="--host")
    return {"source": given.get("source", given[next(iter(scenario.node))])} | given


def run_one(name: str | None, folder: Path | None, out: Path | None, *, as_json: bool) -> None:
    """Run one process of a prepared network."""
    import asyncio
    import logging

    from bellweave.cli.emulate import say, stopped_by_signals
    from bellweave.cli.live import View
    from bellweave.edge import logs
    from bellweave.emu import standalone
    from bellweave.emu.child import collect, spare_collections
    from bellweave.errors import ScenarioError

    if name is None or folder is None:
        raise ScenarioError("--node NAME and --from DIR/NAME go together", path="--node")
    given = standalone.load(folder, name)
    logs.configure("text", level=logging.WARNING)
    spare_collections()

    async def run() -> None:
        collecting = asyncio.create_task(collect())
        try:
            await standalone.run(given, folder, stopped_by_signals(), View(as_json=as_json).watch, say, out)
        finally:
            collecting.cancel()

    asyncio.run(run())
