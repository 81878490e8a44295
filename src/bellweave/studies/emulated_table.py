"""What the comparison of an emulated run with its simulation says: sentences, and rows of ``report.json``."""

from bellweave.results.emulated import Beside, quantile
from bellweave.results.records import Report, Row
from bellweave.roles.run import NetworkRun
from bellweave.sim.network.summary import summarise
from bellweave.studies.emulated import as_run
from bellweave.studies.network_table import report as network_report

MOST_NAMED = 12
"""Blocks that a sentence names."""


def sentences(beside: Beside) -> list[str]:
    """Return what the comparison says, for people."""
    found = ["The run was not simulated for comparison."] if beside.alone else [_agreement(beside)]
    if beside.missing:
        words = "they were given up, or not distilled before the run ended (a machine that is too slow for its speed)"
        found.append(f"{beside.missing} blocks of the simulation are missing in the emulation: {words}.")
    if beside.unknown_faults and not beside.alone:
        names = ", ".join(beside.unknown_faults)
        found.append(f"The simulation does not know these faults: {names}. From the first of them on the runs differ.")
    if beside.undisturbed is not None:
        equal, compared = beside.undisturbed
        found.append(f"Of the {compared} blocks whose photons came before it {equal} are equal in every count.")
    if beside.cut:
        also = "" if beside.alone else "; the simulation has as many slots as it had"
        found.append(f"The run was ended before its last slot{also}.")
    if beside.channel:
        found.append(f"Channel: {beside.channel}. {_worth(beside.channel)}")
    psk = [tunnel.tunnel for tunnel in beside.tunnels if tunnel.mode == "psk"]
    if psk:
        found.append(
            f"{len(psk)} of {len(beside.tunnels)} tunnels are of mode psk, authentication only: {_psk(beside)}"
        )
    return found


def report(run: NetworkRun, beside: Beside) -> Report:
    """Return the run's report: the table of a network run, then the simulation's numbers, then what only it has."""
    run = as_run(run)
    found = network_report(run, summarise(run))
    return Report(study=found.study, rows=(*found.rows, *rows(beside, run.scenario.kms.mint)), flags=found.flags)


def rows(beside: Beside, mint: str) -> tuple[Row, ...]:
    """Return the comparison as rows of a report.

    Args:
        beside: The comparison.
        mint: Accounting that minted the keys.
    """
    made = [] if beside.alone else _compared(beside, mint)
    if not beside.channel:
        return tuple(made)
    psk = any(tunnel.mode == "psk" for tunnel in beside.tunnels)
    note = f"channel {beside.channel}" + ("; psk: authentication only" if psk else "")
    refreshes_s = beside.refreshes_s
    sent, lost = sum(tunnel.sent for tunnel in beside.tunnels), sum(tunnel.lost for tunnel in beside.tunnels)
    measured: tuple[tuple[str, str, float | None, int], ...] = (
        ("refresh_p50_s", "s", quantile(refreshes_s, 0.5), len(refreshes_s)),
        ("refresh_p99_s", "s", quantile(refreshes_s, 0.99), len(refreshes_s)),
        ("probes_sent", "", float(sent), len(beside.tunnels)),
        ("probes_lost", "", float(lost), len(beside.tunnels)),
        ("longest_gap_s", "s", max((each.longest_gap_s for each in beside.tunnels), default=None), len(beside.tunnels)),
    )
    made += [
        Row(quantity=name, unit=unit, mean=value, n=count or None, note=note) for name, unit, value, count in measured
    ]
    return tuple(made)


def _compared(beside: Beside, mint: str) -> list[Row]:
    """Return the simulation's numbers, and how many blocks agree."""
    of_key = {"blocks", "sifted_bits", "final_bits_in_total", "keys_delivered", "sessions", "first_key_s"}
    made = [
        Row(
            quantity=f"{name}, simulated",
            unit=_unit(name),
            accounting=mint if name in of_key else None,
            mean=both.simulated,
            n=1,
            note="the simulation with the same scenario, seed and speed",
        )
        for name, both in beside.totals.items()
    ]
    equal = f"of {beside.compared} that both runs distilled; equal in every count"
    made.append(Row(quantity="blocks_equal", unit="", accounting=mint, mean=float(beside.equal), n=1, note=equal))
    made.append(
        Row(
            quantity="blocks_missing",
            unit="",
            accounting=mint,
            mean=float(beside.missing),
            n=1,
            note="distilled in the simulation, not in the emulation",
        )
    )
    return made


def _unit(quantity: str) -> str:
    return "s" if quantity.endswith("_s") else "bit" if "bits" in quantity else ""


def _agreement(beside: Beside) -> str:
    if not beside.compared:
        return "No block was distilled in both runs: there is nothing to compare."
    if beside.equal == beside.compared:
        return (
            f"All {beside.equal} blocks that both runs distilled are equal in every count: sifted, disclosed, "
            "corrected and final bits, error rates, lengths under every accounting."
        )
    named = [f"{link.link} {number}" for link in beside.links for number in link.unequal]
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return (
        f"{beside.equal} of the {beside.compared} blocks that both runs distilled are equal in every count; "
        f"not equal: {', '.join(named[:MOST_NAMED])}{more}."
    )


def _psk(beside: Beside) -> str:
    if beside.channel.startswith("aead"):
        return "with IPsec their key would be a pre-shared key of IKE, and would not enter the keys of the traffic."
    return (
        "their key is a pre-shared key of IKE. The keys of the traffic come from Diffie-Hellman alone, and who breaks "
        "that reads the traffic, QKD or not."
    )


def _worth(named: str) -> str:
    """Return what a channel shows and what it does not."""
    if named.startswith("aead"):
        return (
            "AES-256-GCM records between the agents, with a key for each epoch: rotation, loss and latency of "
            "refreshes are real; IKE and ESP were not involved, and nothing here speaks for a gateway that runs them."
        )
    if "libipsec" in named:
        return (
            "IKEv2 and ESP by strongSwan, encrypted in user space: what gateways exchange is real IPsec; throughput "
            "and processor time are those of user space, not of a kernel or of hardware."
        )
    if "attached" in named:
        return "Gateways of somebody else, driven through vici: their traffic was not measured."
    return "IKEv2 and ESP by strongSwan: what gateways exchange is real IPsec, between namespaces of one machine."
