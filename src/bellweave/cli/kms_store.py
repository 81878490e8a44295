"""``bellweave kms backup|restore|audit``: look after a key server's store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bellweave.cli.terminal import Json, print_json

if TYPE_CHECKING:
    from bellweave.edge.sql_store.audit import Head
    from bellweave.kms.config import KmeConfig

Config = Annotated[Path, typer.Option(help="Configuration file of the KME.")]


def backup(
    file: Annotated[Path, typer.Argument(help="File to write; must not exist.")],
    *,
    config: Config,
    as_json: Json = False,
) -> None:
    """Copy a KME's store, which may be in use, to a file; keys in it stay sealed under the master key."""
    from bellweave.edge.sql_store.backup import backup as copy

    copy(_stored(config).store, file)
    if as_json:
        print_json({"file": str(file)})
    else:
        typer.echo(f"wrote {file}; it is of no use without the master key, which is not in it")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `backup` wrote.")],
    *,
    config: Config,
    as_json: Json = False,
) -> None:
    """Put a backup in the place of a KME's store, which must be empty or gone; the KME must not run.

    Keys that waited when it was made are withdrawn: they may have been taken since.
    """
    from bellweave.edge.sql_store.backup import restore as put_back

    loaded = _stored(config)
    put_back(file, loaded.store)
    if as_json:
        print_json({"file": str(file), "kme": loaded.directory.kme})
    else:
        typer.echo(f"{loaded.directory.kme} has the store of {file}; keys that waited in it will be withdrawn")


def audit(
    *,
    config: Config,
    events: Annotated[bool, typer.Option("--events", help="Print every event, too.")] = False,
    since: Annotated[
        Path | None, typer.Option(help="Heads noted earlier (what --json prints): the trail must go on from them.")
    ] = None,
    keep_days: Annotated[
        int | None, typer.Option(min=1, help="Remove what is older, once all is checked; the KME may run.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that no row of a KME's audit trail was altered or is missing. Exit code 3 if one was.

    Rows cut off at the end show only against heads that were noted elsewhere: keep them, and give them with --since.
    The trail grows with every key: print its events to where you archive them, and remove old ones with --keep-days.
    """
    import msgspec

    from bellweave.edge.clock import now_s
    from bellweave.edge.kme_config import master_key
    from bellweave.edge.sql_store.audit import cut, read_audit, verify

    loaded = _stored(config)
    noted = () if since is None else _heads(since)
    key = master_key(loaded) or b""
    heads = verify(loaded.store, key, noted)
    entries = read_audit(loaded.store) if events else iter(())
    if as_json:
        told: dict[str, object] = {"heads": heads}
        if events:
            told["entries"] = [*entries]
        if keep_days is not None:
            told["removed"] = cut(loaded.store, key, now_s() - 86_400.0 * keep_days)
        print_json(told)
        return
    for entry in entries:
        for event in entry.events:
            line = msgspec.json.encode(dict(zip(event.__struct_fields__, msgspec.to_builtins(event), strict=True)))
            typer.echo(f"{entry.server} {entry.seq} {line.decode()}")
    for head in heads:
        typer.echo(f"server {head.server}: {head.seq} rows, unbroken; head {head.mac}")
    if not heads:
        typer.echo("no rows yet")
    if keep_days is not None:
        typer.echo(f"removed {cut(loaded.store, key, now_s() - 86_400.0 * keep_days)} rows")


def _heads(file: Path) -> "tuple[Head, ...]":
    """Return the heads in what `audit --json` printed."""
    import msgspec

    from bellweave.edge.files import read_file
    from bellweave.edge.sql_store.audit import Head
    from bellweave.errors import ScenarioError

    try:
        noted = msgspec.json.decode(read_file(file), type=dict[str, msgspec.Raw])["heads"]
        return msgspec.json.decode(noted, type=tuple[Head, ...])
    except (msgspec.MsgspecError, KeyError):
        raise ScenarioError("holds no heads of an audit trail, as `audit --json` prints them", file=str(file)) from None


def _stored(config: Path) -> "KmeConfig":
    """Return a configuration whose store is in a file or on a server."""
    from bellweave.edge.kme_config import load
    from bellweave.errors import ScenarioError

    loaded = load(config)
    if loaded.store == "memory:":
        raise ScenarioError("a store in memory has no backup and no audit trail", path="store", file=str(config))
    return loaded
