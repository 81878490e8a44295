"""``bellweave simulate``: photons to keys in virtual time."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bellweave.cli.terminal import Json, Seed, Workers


def simulate(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a preset.")],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Run directory to write, or to go on in if it was cut short; a network's default is out/runs/NAME."
        ),
    ] = None,
    blocks: Annotated[
        int | None, typer.Option(min=1, help="Blocks of every link, slots of a network; default: the scenario's.")
    ] = None,
    first_block: Annotated[int, typer.Option(min=0, help="First block's number, to add to an earlier run.")] = 0,
    level: Annotated[
        Literal["tags", "coincidences"] | None, typer.Option(help="Every detector event, or only what survives.")
    ] = None,
    seed: Seed = None,
    speed: Annotated[
        float | None,
        typer.Option(
            help="Of a network: let its slots pass so many times faster, key servers and tunnels not; default: the "
            "scenario's."
        ),
    ] = None,
    workers: Workers = None,
    figures: Annotated[bool, typer.Option(help="Draw a network's figures and write its page.")] = True,
    compare_schedulers: Annotated[
        bool, typer.Option("--compare-schedulers", help="Run a network under every scheduler, and compare them.")
    ] = False,
    duration_s: Annotated[
        float | None, typer.Option(min=0.001, help="Virtual time of a wide-area run, seconds; default: the scenario's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate every link of a scenario, photon pair by photon pair, and distil its keys at both ends.

    A scenario with a schedule is a network: sources that take turns, key servers, tunnels that use keys. One with
    clusters is a wide-area network: agreements, repeaters that swap, key servers, hosts, and faults that re-route. The
    same scenario, seed and version give the same bytes. A killed run goes on when the command is given again; a
    network's starts anew.

        bellweave simulate vienna2004 --blocks 20

        bellweave simulate backbone --duration-s 20
    """
    import msgspec

    from bellweave.cli.terminal import print_report, progress
    from bellweave.errors import ScenarioError
    from bellweave.results.io import write_report
    from bellweave.results.records import Report
    from bellweave.scenario.changes import hastened
    from bellweave.scenario.load import load
    from bellweave.sim.run import simulate as run
    from bellweave.studies.table import rows

    loaded = load(scenario)
    if loaded.slave:
        from bellweave.cli import wide

        wide.refuse(first_block=first_block, blocks=blocks, level=level, compare_schedulers=compare_schedulers)
        wide.simulate(loaded, out, seed=seed, duration_s=duration_s, figures=figures, as_json=as_json)
        return
    if duration_s is not None:
        raise ScenarioError("only a wide-area run has a duration; others have blocks or slots", path="--duration-s")
    given = {name: value for name, value in (("seed", seed), ("blocks", blocks), ("level", level)) if value is not None}
    loaded = msgspec.structs.replace(loaded, run=msgspec.structs.replace(loaded.run, **given))
    if speed is not None:
        loaded = hastened(loaded, speed)
    if loaded.schedule is not None:
        from bellweave.cli import network

        if first_block:
            raise ScenarioError(f"a network run begins with block 0, got {first_block}", path="first_block")
        network.simulate(
            loaded, out, slots=blocks, figures=figures, compare_schedulers=compare_schedulers, as_json=as_json
        )
        return
    if compare_schedulers:
        raise ScenarioError("schedulers can be compared where there is a [schedule]", path="schedule")
    with progress(f"simulate {loaded.name}", quiet=as_json) as advance:
        result = run(loaded, out, first_block=first_block, workers=workers, progress=advance)
    report = Report(study=loaded.name, rows=rows(loaded, result.records))
    if out is not None:
        write_report(out, report)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
    else:
        print_report(report, f"{loaded.name}: {len(result.records)} blocks, seed {loaded.run.seed}")
