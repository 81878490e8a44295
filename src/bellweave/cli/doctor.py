"""``bellweave doctor``: which tunnels run on this machine, what is missing, and what helps."""

from typing import TYPE_CHECKING

import typer

from bellweave.cli.terminal import Json, print_json

if TYPE_CHECKING:
    from bellweave.edge.doctor import Findings


def doctor(*, as_json: Json = False) -> None:
    """Say which tunnels an emulated network can have here, what is missing, and the command that installs it.

    IPsec needs strongSwan and namespaces, but no root. Encrypted channels in Python run everywhere; the emulation takes
    them where IPsec can't run, and says so. Nothing on the machine is changed.

    Exit codes: 0 an emulated network runs here, 1 it does not.
    """
    from bellweave.edge.doctor import examine

    findings = examine()
    if as_json:
        print_json(findings)
    else:
        _print(findings)
    if findings.channel is None:
        raise typer.Exit(1)


def _print(findings: "Findings") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 140
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "for", "", "what helps"):
        table.add_column(name, no_wrap=name == "for")
    for check in findings.checks:
        mark = "ok" if check.ok else "no" if check.wanted_for != "network" else "-"
        table.add_row(check.name, check.wanted_for, f"{mark}: {check.found}", check.cure)
    console.print(table)
    console.print(_verdict(findings), markup=False)


def _verdict(findings: "Findings") -> str:
    if findings.channel == "ipsec":
        where = "in the kernel" if findings.kernel_esp else "with ESP in user space"
        return f"Tunnels here: ipsec (strongSwan, {where}), which is the default; aead runs too."
    missing = ", ".join(check.name for check in findings.missing("ipsec"))
    if findings.channel == "aead":
        return f"Tunnels here: aead (AES-256-GCM in Python). For ipsec there is missing: {missing}."
    return f"No emulated network runs here. Missing: {', '.join(check.name for check in findings.missing('aead'))}."
