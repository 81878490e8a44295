"""``bellweave kms status|enc|dec|push``: ask a key server, as an application or a device does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellweave.cli.terminal import Json, print_json

if TYPE_CHECKING:
    from bellweave.edge.kms_calls import Key
    from bellweave.edge.kms_client_sync import KmsClientSync

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
        print_json(found)
        return
    for name, value in msgspec.to_builtins(found).items():
        if not isinstance(value, dict):
            typer.echo(f"{name:22} {value}")
    for name, value in found.status_extension.items():
        typer.echo(f"{name:22} {value}")


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
        print_json({"keys": [each | {"key_extension": dict(key.extension)} for each, key in extended]})
        return
    for each in shown:
        typer.echo(f"{each['key_ID']} {each['key']}")


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
        print_json(receipt)
    else:
        typer.echo(f"{loaded.block_id}: {receipt.state}")
