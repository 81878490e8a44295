"""``bellweave kms``: run key servers, look at them, and ask them for keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bellweave.cli.terminal import Json

if TYPE_CHECKING:
    from bellweave.edge.kme_node import KmeNode
    from bellweave.edge.kms_calls import Key
    from bellweave.edge.kms_client_sync import KmsClientSync

app = typer.Typer(no_args_is_help=True, help="Run key servers (KMEs), and ask them for keys.")

Config = Annotated[Path, typer.Option(help="Configuration file of the KME.")]
Directory = Annotated[Path, typer.Option("--dir", help="Folder to write to; new or empty.")]
Kmes = Annotated[list[str], typer.Option("--kme", metavar="NAME[=HOST]", help="A KME; give it once for each.")]
Saes = Annotated[
    list[str] | None, typer.Option("--sae", metavar="SAE@KME", help="An application and its KME; once for each.")
]
Url = Annotated[str, typer.Option(envvar="BELLWEAVE_KMS_URL", help="Key server, https://host:port.")]
Ca = Annotated[Path, typer.Option(envvar="BELLWEAVE_KMS_CA", help="Certificates of its authorities, PEM.")]
Cert = Annotated[Path, typer.Option(envvar="BELLWEAVE_KMS_CERT", help="Your certificate, PEM.")]
KeyFile = Annotated[
    Path | None, typer.Option("--key", envvar="BELLWEAVE_KMS_KEY", help="Its key; default: beside it, .key.")
]
Kme = Annotated[
    str | None, typer.Option("--kme", help="Name that must stand in the server's certificate; default: its host's.")
]
SizeBits = Annotated[int | None, typer.Option("--size", help="Bits of each key; default: the server's.")]


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
        saes=_placed(sae),
        links=None if link is None else [_ends(each) for each in link],
        devices={name: _ends(ends) for name, ends in (_named(each, "@", None) for each in device or ())},
    )
    made = init(directory, network, store=store)
    if as_json:
        _print_json({"directory": str(directory), "configs": {name: str(path) for name, path in made.items()}})
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
    _end_with(sys.stdin.fileno())
    run(config, ready, partial(fill_store, filling=told))


def _end_with(pipe: int) -> None:
    """End this process when the other end of a pipe is closed: its parent is gone, whatever it died of."""
    import os
    import signal
    import threading

    def wait() -> None:
        while os.read(pipe, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


@app.command()
def sandbox(
    *,
    directory: Directory,
    kme: Annotated[list[str], typer.Option("--kme", metavar="NAME", help="A KME; give it once for each.")],
    sae: Annotated[list[str], typer.Option("--sae", metavar="SAE@KME", help="An application and its KME.")],
    store: Annotated[
        str, typer.Option(help="memory:, sqlite (in DIR), or postgresql+psycopg://... (a database for each KME).")
    ] = "sqlite",
    prefill: Annotated[int, typer.Option(min=0, help="Test keys for each pair of applications, each way.")] = 1000,
) -> None:
    """Run a whole key network on this machine, with test key in its stores, until SIGINT or SIGTERM.

    Once all KMEs are in step, one line of JSON on standard output says where everything is.
    """
    import asyncio

    from bellweave.edge.kms_sandbox import Sandbox

    wanted = Sandbox(directory=directory, kmes=tuple(_once(kme, "--kme")), saes=_placed(sae), store=store, keys=prefill)
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


# ------------------------------------------------------------------------------------------------------ asking for keys
@app.command()
def status(
    slave: Annotated[str, typer.Argument(help="The SAE that would fetch the keys.")],
    *,
    url: Url,
    ca: Ca,
    cert: Cert,
    key: KeyFile = None,
    kme: Kme = None,
    as_json: Json = False,
) -> None:
    """Print how many keys there are for a slave SAE, and their limits (ETSI 014)."""
    import msgspec

    with _client(url, ca, cert, key, kme) as client:
        found = client.status(slave)
    if as_json:
        _print_json(found)
        return
    for name, value in msgspec.to_builtins(found).items():
        if not isinstance(value, dict):
            typer.echo(f"{name:22} {value}")
    for name, value in found.status_extension.items():
        typer.echo(f"{name:22} {value}")


@app.command()
def enc(
    slave: Annotated[str, typer.Argument(help="The SAE that may fetch the keys by their ids.")],
    *,
    number: Annotated[int, typer.Option(min=1, help="How many keys.")] = 1,
    size_bits: SizeBits = None,
    also: Annotated[list[str] | None, typer.Option(help="A further SAE that may; once for each.")] = None,
    url: Url,
    ca: Ca,
    cert: Cert,
    key: KeyFile = None,
    kme: Kme = None,
    as_json: Json = False,
) -> None:
    """Draw new keys and PRINT them: a line each, id and base64. Exit code 4: there is not enough key."""
    with _client(url, ca, cert, key, kme) as client:
        keys = client.enc_keys(slave, number, size_bits, additional_slaves=also or ())
    _print_keys(keys, as_json=as_json)


@app.command()
def dec(
    master: Annotated[str, typer.Argument(help="The SAE that drew the keys.")],
    key_ids: Annotated[list[str], typer.Argument(metavar="KEY_ID...", help="Their ids.")],
    *,
    url: Url,
    ca: Ca,
    cert: Cert,
    key: KeyFile = None,
    kme: Kme = None,
    as_json: Json = False,
) -> None:
    """Take keys that wait for you, all or none, and PRINT them. They are gone from the server then."""
    with _client(url, ca, cert, key, kme) as client:
        keys = client.dec_keys(master, key_ids)
    _print_keys(keys, as_json=as_json)


@contextmanager
def _client(url: str, ca: Path, cert: Path, key: Path | None, kme: str | None) -> "Iterator[KmsClientSync]":
    from bellweave.edge.kms_client_sync import KmsClientSync

    with KmsClientSync(url, ca=ca, cert=cert, key=key or cert.with_suffix(".key"), kme=kme) as client:
        yield client


def _print_keys(keys: "tuple[Key, ...]", *, as_json: bool) -> None:
    from base64 import b64encode

    shown = [{"key_ID": key.key_id, "key": b64encode(key.bits).decode()} for key in keys]
    if as_json:
        extended = zip(shown, keys, strict=True)
        _print_json({"keys": [each | {"key_extension": dict(key.extension)} for each, key in extended]})
        return
    for each in shown:
        typer.echo(f"{each['key_ID']} {each['key']}")


@app.command()
def push(
    block: Annotated[Path, typer.Argument(metavar="BLOCK", help="A secret block, as `distil --keys` writes it.")],
    *,
    url: Annotated[
        str, typer.Option(envvar="BELLWEAVE_KMS_URL", help="Device endpoint of the KME, https://host:port.")
    ],
    ca: Ca,
    cert: Cert,
    key: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Bring a distilled block to a KME, as a QKD device does; the other end has to bring the same. Safe to repeat."""
    import msgspec

    from bellweave.blocks import SecretBlock
    from bellweave.edge.device_client import DeviceClient
    from bellweave.edge.files import check_secret, read_file
    from bellweave.edge.tls import client_context
    from bellweave.errors import ScenarioError

    check_secret(block)
    try:
        loaded = msgspec.json.decode(read_file(block), type=SecretBlock)
    except msgspec.MsgspecError as error:
        raise ScenarioError(f"is no secret block: {error}", file=str(block)) from None
    client = DeviceClient(url, client_context(ca, cert, key or cert.with_suffix(".key")))
    try:
        receipt = client.push(loaded)
    finally:
        client.close()
    if as_json:
        _print_json(receipt)
    else:
        typer.echo(f"{loaded.block_id}: {receipt.state}")


# -------------------------------------------------------------------------------------------------------------- helpers
def _print_json(value: Any) -> None:
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def _once(names: list[str], option: str) -> list[str]:
    from bellweave.errors import ScenarioError

    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ScenarioError(f"named more than once: {', '.join(sorted(twice))}", path=option)
    return names


def _placed(saes: list[str] | None) -> dict[str, str]:
    """Return each SAE's KME."""
    from bellweave.errors import ScenarioError

    pairs = [_named(each, "@", None) for each in saes or ()]
    _once([name for name, _ in pairs], "--sae")
    for name, kme in pairs:
        if not name or not kme:
            raise ScenarioError(f"an application is given as SAE@KME, got {name}@{kme}", path="--sae")
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
