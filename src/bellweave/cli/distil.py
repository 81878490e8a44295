"""``bellweave distil``: recorded detections to keys, both parties here or each on its own machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bellweave.cli.terminal import Json

if TYPE_CHECKING:
    from bellweave.blocks import Role
    from bellweave.distill.authentication_keys import AuthenticationKeys
    from bellweave.rng import Entropy
    from bellweave.sim.recorded import Both, Party, Recipe

RESERVE_BITS = 512
"""What a pool is filled up to from distilled key: two sessions. A recording is one block, and may be short."""

Detections = typer.Option(metavar="FILE", help="Recorded detections: NPZ, Parquet or CSV, gzip or not.")
Channels = typer.Option(metavar="MAP", help="What each channel measures, such as 0=H,1=V,2=D,3=A; found if absent.")


def distil(
    *,
    alice: Annotated[Path | None, Detections] = None,
    bob: Annotated[Path | None, Detections] = None,
    tick_ps: Annotated[float | None, typer.Option(help="Length of a tick; without it, times are picoseconds.")] = None,
    channels_alice: Annotated[str | None, Channels] = None,
    channels_bob: Annotated[str | None, Channels] = None,
    window_ps: Annotated[
        int | None, typer.Option(min=1, help="Coincidence window, full width; chosen if absent.")
    ] = None,
    mint: Annotated[
        Literal["paper", "provable"], typer.Option(help="Accounting that fixes the key's length; all are shown.")
    ] = "paper",
    seed: Annotated[int | None, typer.Option(min=0, help="Repeatable seeds; else the system's entropy.")] = None,
    out: Annotated[Path | None, typer.Option(help="Directory for findings.json, report.json and figures.")] = None,
    keys: Annotated[
        Path | None, typer.Option(help="Directory for the secret blocks, one file a party, mode 0600.")
    ] = None,
    listen: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Run as Alice only; wait for Bob.")] = None,
    connect: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Run as Bob only; call Alice.")] = None,
    authentication: Annotated[
        Path | None,
        typer.Option(help="Directory with the link's authentication keys: start.key, of 48 bytes or more, then pools."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Distil keys from recorded detections: clocks, delays, roles and window are found from a part that is disclosed.

    Both files here: `distil --alice A --bob B`. One party on each machine, each with its own file only:
    `distil --alice A --listen HOST:PORT` and `distil --bob B --connect HOST:PORT` (without TLS for now, but
    with `--authentication` nobody in the middle can alter a message unnoticed).
    Exit code 4: all went well, but there is no key.
    """
    from bellweave.distill.params import Distillation
    from bellweave.edge.entropy import SystemEntropy
    from bellweave.errors import ScenarioError
    from bellweave.sim.recorded import Recipe, seeded

    recipes = tuple(
        Recipe(tick_ps=tick_ps, channels=channels, window_ps=window_ps, mint=mint, distillation=Distillation())
        for channels in (channels_alice, channels_bob)
    )
    entropies = (SystemEntropy(), SystemEntropy()) if seed is None else seeded(seed)
    if alice and bob and not (listen or connect):
        pools = _admitted(authentication, "alice"), _admitted(authentication, "bob")
        both = distil_files((alice, bob), (recipes[0], recipes[1]), entropies, quiet=as_json, keys=pools)
        show_both(both, out, as_json=as_json)
        parties: tuple[Party, ...] = both
    elif alice and listen and not (bob or connect):
        parties = (_one("alice", alice, recipes[0], entropies[0], listen, _admitted(authentication, "alice")),)
        _show_one(parties[0], as_json=as_json)
    elif bob and connect and not (alice or listen):
        parties = (_one("bob", bob, recipes[1], entropies[1], connect, _admitted(authentication, "bob")),)
        _show_one(parties[0], as_json=as_json)
    else:
        raise ScenarioError("give --alice and --bob, or --alice and --listen, or --bob and --connect")
    if keys is not None:
        _write_keys(parties, keys)
    if any(party.outcome.block is None for party in parties):
        raise typer.Exit(4)


def _admitted(directory: Path | None, role: "Role") -> "AuthenticationKeys | None":
    """Return one end's authentication keys, allowed to spend on one session; None where there are none."""
    if directory is None:
        return None
    from datetime import UTC, datetime

    from bellweave.distill.params import Authentication
    from bellweave.edge.authentication_file import open_keys

    keys = open_keys(directory, role, Authentication(reserve_bits=RESERVE_BITS))
    keys.admit(datetime.now(UTC).timestamp())
    return keys


def distil_files(
    files: tuple[Path, Path],
    recipes: "tuple[Recipe, Recipe]",
    entropies: "tuple[Entropy, Entropy]",
    *,
    quiet: bool,
    keys: "tuple[AuthenticationKeys | None, AuthenticationKeys | None]" = (None, None),
) -> "Both":
    """Run both parties in this process, each with its own file."""
    from rich.console import Console

    from bellweave.sim.recorded import distil as run
    from bellweave.sim.recorded import open_recording

    console = Console(stderr=True, quiet=quiet)
    with console.status("reading the recordings") as status:
        recordings = (open_recording(files[0], recipes[0]), open_recording(files[1], recipes[1]))
        return run(recordings, recipes, entropies, status.update, keys)


def show_both(both: "Both", out: Path | None, *, as_json: bool) -> None:
    """Print what the recordings gave, and write findings and figures if there is where to."""
    import msgspec

    from bellweave.cli.terminal import print_report
    from bellweave.results.io import write_report
    from bellweave.studies.recorded_findings import findings
    from bellweave.studies.recorded_table import report

    found = findings(both)
    table = report(both, found)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(table), indent=2))
    else:
        print_report(table, "Recorded detections")
        for sentence in (*found.warnings, *found.conditions):
            typer.echo(f"  conditional on: {sentence}")
    if out is not None:
        from bellweave.report.recorded_figures import draw

        write_report(out, table)
        (out / "findings.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
        drawn = draw(found, out)
        if not as_json:
            names = ", ".join(path.name for path in drawn if path.suffix == ".png")
            typer.echo(f"findings.json, report.json, figures {names} (and .svg) in {out}")


def _one(
    role: "Role", file: Path, recipe: "Recipe", entropy: "Entropy", address: str, keys: "AuthenticationKeys | None"
) -> "Party":
    """Run one party against a peer at the other end of a TCP stream."""
    import asyncio

    from bellweave.edge import dialogue_tcp
    from bellweave.errors import ProtocolError
    from bellweave.sim.recorded import CODEC, open_recording, party

    host, port = _host_port(address)
    recording = open_recording(file, recipe)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> "Party":
        mine = party(role, recording, recipe, entropy, keys)
        return await dialogue_tcp.run(mine, reader, writer, CODEC, TIMEOUT_S)

    async def wait_for_bob() -> "Party":
        ended: asyncio.Future[Party] = asyncio.get_running_loop().create_future()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if ended.done() or busy:
                return  # one peer only
            busy.append(True)
            try:
                ended.set_result(await talk(reader, writer))
            except Exception as error:  # noqa: BLE001 (whatever it is, it ends the command)
                ended.set_exception(error)

        busy: list[bool] = []
        async with dialogue_tcp.listening(handle, host, port) as actual:
            typer.echo(f"waiting for Bob on {host}:{actual}", err=True)
            return await ended

    async def call_alice() -> "Party":
        reader, writer = await dialogue_tcp.connect(host, port)
        try:
            return await talk(reader, writer)
        finally:
            await dialogue_tcp.close(writer)

    try:
        return asyncio.run(wait_for_bob() if role == "alice" else call_alice())
    except OSError as error:
        raise ProtocolError(f"{address}: {error.strerror or error}") from None


TIMEOUT_S = 60.0
"""Longest silence of the peer: it may have to read and correlate a long record first."""


def _host_port(address: str) -> tuple[str, int]:
    from bellweave.errors import ScenarioError

    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ScenarioError(f"an address is HOST:PORT, not {address!r}")
    return host.strip("[]"), int(port)


def _show_one(party: "Party", *, as_json: bool) -> None:
    """Print what one party may know and tell: public counts."""
    import msgspec

    outcome = party.outcome
    from bellweave.distill import flags

    found = flags.of_block(
        outcome.ledger,
        outcome.estimate,
        outcome.corrections,
        party.params,
        party.duration_s,
        outcome.block.authentication_bits if outcome.block else 0,
    )
    public = {
        "role": party.role,
        "rounds": party.rounds,
        "window_ps": party.calibrated.window_ps,
        "ledger": outcome.ledger,
        "estimate": outcome.estimate,
        "accountings": outcome.accountings,
        "final_bits": outcome.ledger.final,
        "rejection": outcome.rejection,
        "flags": found,
    }
    text = msgspec.json.format(msgspec.json.encode(public), indent=2).decode()
    if as_json:
        typer.echo(text)
        return
    typer.echo(
        f"{party.role}: {party.rounds} matched, {outcome.ledger.sifted} sifted, {outcome.ledger.final} bits of key"
        + (f" ({outcome.rejection})" if outcome.rejection else "")
    )
    for sentence in found:
        typer.echo(f"  !  {sentence}")


def _write_keys(parties: "Sequence[Party]", directory: Path) -> None:
    """Write each party's secret block to a file that only its owner reads."""
    import os

    import msgspec

    from bellweave.errors import ScenarioError

    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for party in parties:
            if party.outcome.block is not None:
                path = directory / f"{party.role}.json"
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(msgspec.json.encode(party.outcome.block) + b"\n")
    except FileExistsError as error:
        raise ScenarioError("exists already, and keys are not overwritten", file=str(error.filename)) from None
    except OSError as error:
        raise ScenarioError(f"keys can't be written: {error.strerror}", file=str(directory)) from None
