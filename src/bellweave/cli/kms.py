"""``bellweave kms``: run key servers; the verbs that ask them and look after their stores are in files of their own."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellweave.cli import kms_keys, kms_store
from bellweave.cli.terminal import Json, print_json

if TYPE_CHECKING:
    from threading import Event

    from bellweave.edge.kme_node import KmeNode

app = typer.Typer(no_args_is_help=True, help="Run key servers (KMEs), and ask them for keys.")

Config = Annotated[Path, typer.Option(help="Configuration file of the KME.")]
Directory = Annotated[Path, typer.Option("--dir", help="Folder to write to; new or empty.")]
Kmes = Annotated[list[str], typer.Option("--kme", metavar="NAME[=HOST]", help="A KME; give it once for each.")]
Saes = Annotated[
    list[str] | None, typer.Option("--sae", metavar="SAE@KME", help="An application and its KME; once for each.")
]


# ------------------------------------------------------------------------------------------------------ running servers
@app.command("init")
def init_files(
    *,
    directory: Directory,
    kme: Kmes,
    sae: Saes = None,
    link: Annotated[
        list[str] | None,
        typer.Option(metavar="KME,KME", help="KMEs that share a source of key; default: all of them do."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME@KME,KME", help="A device that pushes blocks to the first for the link to the other."
        ),
    ] = None,
    store: Annotated[
        str, typer.Option(help="sqlite:///PATH, beside each configuration, or postgresql+psycopg://... or memory:")
    ] = "sqlite:///kme.db",
    as_json: Json = False,
) -> None:
    """Make the files of a key network: an authority, certificates, and a folder with a configuration for each KME.

    DIR/README.txt says what to copy where. Nothing is overwritten.
    """
    from bellweave.edge.kme_init import init
    from bellweave.edge.kme_network import Network

    network = Network(
        kmes=dict(_named(each, "=", "localhost") for each in _once(kme, "--kme")),
        saes=placed(sae),
        links=None if link is None else [_ends(each) for each in link],
        devices={name: _ends(ends) for name, ends in (_named(each, "@", None) for each in device or ())},
    )
    made = init(directory, network, store=store)
    if as_json:
        print_json({"directory": str(directory), "configs": {name: str(path) for name, path in made.items()}})
        return
    for name, path in made.items():
        typer.echo(f"{name}: {path}; start it with: bellweave kms serve --config {path}")
    typer.echo(f"what to copy where: {directory / 'README.txt'}")


@app.command()
def serve(
    *,
    config: Config,
    in_sandbox: Annotated[bool, typer.Option("--in-sandbox", hidden=True)] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print where it listens as one JSON object.")] = False,
) -> None:
    """Run a KME until SIGTERM or SIGINT. SIGHUP has it read its certificates again; the log goes to standard error."""
    from functools import partial

    from bellweave.edge.kme_node import serve as run

    def ready(node: "KmeNode") -> None:
        _spare_collections()
        if in_sandbox or as_json:
            import msgspec

            typer.echo(msgspec.json.encode(node.addresses).decode())

    if not in_sandbox:
        run(config, ready)
        return
    import sys

    import msgspec

    from bellweave.edge.kms_fill import Filling, fill_store

    told = msgspec.json.decode(sys.stdin.buffer.readline(), type=Filling)
    orphaned = _end_with(sys.stdin.fileno())
    run(config, ready, partial(fill_store, filling=told))
    if told.server and orphaned.is_set():
        from bellweave.edge import kme_config, sandbox_databases

        sandbox_databases.drop(told.server, [kme_config.load(config).store])


def _spare_collections() -> None:
    """Let Python look for garbage in cycles less often: a look at 10,000 waiting keys stops everything for 50 ms."""
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _end_with(pipe: int) -> "Event":
    """End this process when the other end of a pipe is closed, and set what is returned.

    Its parent is gone then, whatever it died of.
    """
    import os
    import signal
    import threading

    closed = threading.Event()

    def wait() -> None:
        while os.read(pipe, 4096):
            pass
        closed.set()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
    return closed


@app.command()
def sandbox(
    *,
    directory: Directory,
    kme: Annotated[list[str], typer.Option("--kme", metavar="NAME", help="A KME; give it once for each.")],
    sae: Annotated[list[str], typer.Option("--sae", metavar="SAE@KME", help="An application and its KME.")],
    store: Annotated[
        str, typer.Option(help="memory:, sqlite (in DIR), sqlite:///PATH, or postgresql://... (a database each).")
    ] = "sqlite",
    prefill: Annotated[int, typer.Option(min=0, help="Test keys for each pair of applications, each way.")] = 1000,
) -> None:
    """Run a whole key network on this machine, with test key in its stores, until SIGINT or SIGTERM.

    Once all KMEs are in step, one line of JSON on standard output says where everything is.
    """
    import asyncio

    from bellweave.edge.kms_sandbox import Sandbox

    wanted = Sandbox(directory=directory, kmes=tuple(_once(kme, "--kme")), saes=placed(sae), store=store, keys=prefill)
    asyncio.run(_run_sandbox(wanted))


async def _run_sandbox(wanted: Any) -> None:
    import asyncio
    import json
    import signal

    from bellweave.edge.kms_sandbox import run

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def announce(where: dict[str, Any]) -> None:
        print(json.dumps(where), flush=True)
        for line in _hints(where):
            _say(line)

    await run(wanted, stop, announce, _say)


def _say(text: str) -> None:
    typer.echo(f"bellweave: {text}", err=True)


def _hints(where: dict[str, Any]) -> Iterator[str]:
    """Yield what to try first."""
    saes = list(where["saes"])
    if len(saes) < 2:
        return
    master, slave = where["saes"][saes[0]], where["saes"][saes[1]]
    urls = [where["kmes"][each["kme"]]["etsi014"] for each in (master, slave)]
    yield "all KMEs are in step; try:"
    yield (
        f"  curl --cacert {where['ca']} --cert {master['cert']} --key {master['key']}"
        f" {urls[0]}/api/v1/keys/{saes[1]}/enc_keys"
    )
    yield f"  bellweave kms enc {saes[1]} --url {urls[0]} --ca {where['ca']} --cert {master['cert']}"
    yield f"  bellweave kms dec {saes[0]} KEY_ID --url {urls[1]} --ca {where['ca']} --cert {slave['cert']}"


# -------------------------------------------------------------------------------------------------------------- helpers
def _once(names: list[str], option: str) -> list[str]:
    from bellweave.errors import ScenarioError

    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ScenarioError(f"named more than once: {', '.join(sorted(twice))}", path=option)
    return names


def placed(saes: list[str] | None) -> dict[str, str]:
    """Return each SAE's KME."""
    from bellweave.errors import ScenarioError

    pairs = []
    for each in saes or ():
        name, _, kme = each.rpartition("@")
        if not name or not kme:
            raise ScenarioError(f"an application is given as SAE@KME, got {each!r}", path="--sae")
        pairs.append((name, kme))
    _once([name for name, _ in pairs], "--sae")
    return dict(pairs)


def _named(text: str, separator: str, default: str | None) -> tuple[str, str]:
    from bellweave.errors import ScenarioError

    name, found, rest = text.rpartition(separator)
    if found:
        return name, rest
    if default is None:
        raise ScenarioError(f"expected NAME{separator}..., got {text!r}")
    return text, default


def _ends(text: str) -> tuple[str, str]:
    from bellweave.errors import ScenarioError

    one, _, other = text.partition(",")
    if not one or not other or "," in other:
        raise ScenarioError(f"expected two KMEs, KME,KME, got {text!r}")
    return one, other


app.command()(kms_keys.status)
app.command()(kms_keys.enc)
app.command()(kms_keys.dec)
app.command()(kms_keys.push)
app.command()(kms_store.backup)
app.command()(kms_store.restore)
app.command()(kms_store.audit)
