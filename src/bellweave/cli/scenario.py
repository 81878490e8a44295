"""``bellweave scenario``: look at scenarios, check them, start a new one."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Show, check and start scenario files.")

Source = Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a preset.")]


@app.command()
def show(
    scenario: Source,
    *,
    full: Annotated[bool, typer.Option("--full", help="Write out every default.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, defaults written out.")] = False,
) -> None:
    """Print a scenario: as written, or with every default."""
    import msgspec

    from bellweave.scenario.load import PRESETS, load, preset_text, to_toml

    loaded = load(scenario)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(loaded), indent=2))
    elif full:
        typer.echo(to_toml(loaded), nl=False)
    else:
        typer.echo(
            preset_text(scenario) if scenario in PRESETS else Path(scenario).read_text(encoding="utf-8"), nl=False
        )


@app.command()
def check(
    scenarios: Annotated[list[str], typer.Argument(metavar="SCENARIO...", help="Scenario files or presets.")],
) -> None:
    """Check scenarios: unknown keys, wrong types, impossible values, names that lead nowhere. Exit code 2 if bad."""
    from bellweave.errors import ScenarioError
    from bellweave.scenario.load import load

    bad = False
    for name in scenarios:
        try:
            loaded = load(name)
        except ScenarioError as error:
            bad = True
            typer.echo(f"bellweave: {error}", err=True)
        else:
            nodes = len(loaded.node) + len(loaded.master) + len(loaded.slave) + len(loaded.repeater)
            typer.echo(f"{name}: ok ({nodes} nodes, {len(loaded.link) + len(loaded.hop) + len(loaded.slave)} links)")
    if bad:
        raise typer.Exit(2)


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="File to write; must not exist.")],
    *,
    preset: Annotated[str, typer.Option("--from", metavar="PRESET", help="Preset to start from.")] = "vienna2004",
) -> None:
    """Start a scenario file from a preset, with its comments."""
    from bellweave.errors import ScenarioError
    from bellweave.scenario.load import preset_text

    text = preset_text(preset)
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise ScenarioError("exists already", file=str(file)) from None
    except OSError as error:
        raise ScenarioError(f"can't be written: {error.strerror}", file=str(file)) from None
    typer.echo(f"wrote {file}; edit it, then: bellweave scenario check {file}")


@app.command("list")
def list_presets() -> None:
    """List the presets that ship with the package."""
    from bellweave.scenario.load import PRESETS, load

    for name in PRESETS:
        typer.echo(f"{name:18} {' '.join(load(name).description.split())}")
