"""The command line: one file a command. Heavy modules are imported inside commands: ``--help`` answers at once."""

import sys

import typer

from bellweave.cli import (
    demo,
    design,
    distil,
    doctor,
    emulate,
    fault,
    kms,
    plan,
    report,
    reproduce,
    results,
    scenario,
    simulate,
)
from bellweave.errors import (
    BellweaveError,
    BlockRejected,
    DeliveryError,
    KeyServerError,
    KeyServerRefused,
    KeysUnavailable,
    NotEnoughKey,
    ProtocolError,
    ScenarioError,
)

EXIT_INPUT = 2
"""Exit code: your input can't be used."""
EXIT_PEER = 3
"""Exit code: the peer broke the protocol or went away, a key server did not answer, or a store fails."""
EXIT_NO_KEY = 4
"""Exit code: all went well, but physics gave no key, or a key server has not enough."""
EXIT_NOT_NOW = 5
"""Exit code: no key may be spent on authentication now."""
UNAVAILABLE = 503
"""HTTP status of a key server that has not enough key."""

app = typer.Typer(
    name="bellweave",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Design, simulate and run entanglement-based QKD networks, from the photon pair to the IPsec tunnel.",
    epilog="Start with: bellweave reproduce vienna2004.  Exit codes: 0 done, 2 bad input, 3 the peer failed, "
    "4 no key, 5 no key to authenticate with.",
)
app.command()(plan.plan)
app.command()(design.design)
app.command()(simulate.simulate)
app.command()(emulate.emulate)
app.command()(fault.fault)
app.command()(reproduce.reproduce)
app.command()(distil.distil)
app.command()(demo.demo)
app.command()(doctor.doctor)
app.command()(report.report)
app.add_typer(scenario.app, name="scenario")
app.add_typer(results.app, name="results")
app.add_typer(kms.app, name="kms")


@app.callback(invoke_without_command=True)
def _root(*, version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        import bellweave

        typer.echo(bellweave.__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line; errors become one line on standard error and an exit code."""
    try:
        app()
    except BellweaveError as error:
        typer.echo(f"bellweave: {error}", err=True)
        sys.exit(_exit_code(error))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


def _exit_code(error: BellweaveError) -> int:
    if isinstance(error, KeyServerRefused):
        return EXIT_NO_KEY if error.status == UNAVAILABLE else EXIT_INPUT
    codes = {
        ScenarioError: EXIT_INPUT,
        ProtocolError: EXIT_PEER,
        BlockRejected: EXIT_NO_KEY,
        KeysUnavailable: EXIT_NOT_NOW,
        NotEnoughKey: EXIT_NO_KEY,
        DeliveryError: EXIT_PEER,
        KeyServerError: EXIT_PEER,
    }
    return next((code for kind, code in codes.items() if isinstance(error, kind)), 1)
