"""The report of a wide-area run: what came out, and what closed forms and the linear program allow at most."""

from bellweave.plan.wide import plan_wide
from bellweave.plan.wide_records import DemandPlan, WidePlan
from bellweave.results.records import Report, Row
from bellweave.sim.wide import WideRun
from bellweave.sim.wide.summary import DemandSummary, WideSummary

BOUND = "theory: the linear program's bound with times of measurement, all demands at once and nothing failing"
EQ6 = "theory: Eq. 6"
TURNS = "theory: what finite blocks of mean counts mint in the master's turns"
FINITE = "; key as finite blocks of mean counts mint it"


def report(run: WideRun, summary: WideSummary) -> Report:
    """Return a run's report; rates are means over the whole run."""
    plan = plan_wide(run.scenario)
    expected = {each.demand: each for each in plan.demands}
    table = [row for name, each in summary.demands.items() for row in _demand(each, expected[name])]
    return Report(study=run.scenario.name, rows=(*table, *_whole(summary, plan)), flags={"plan": plan.warnings})


def _key_note(plan: DemandPlan) -> str:
    """Return what theory's key is."""
    physical = plan.asymptotic_bits_per_s is not None
    if plan.kind == "backbone":
        return BOUND + FINITE if physical else BOUND
    return TURNS if physical else EQ6


def _demand(own: DemandSummary, plan: DemandPlan) -> list[Row]:
    name = f"demand.{own.demand}"
    far = plan.kind == "backbone"
    deviation = own.pairs**0.5 / own.served_s if own.served_s else None
    rows = [
        Row(
            quantity=f"{name}.pairs_per_s",
            unit="pairs/s",
            theory=plan.timed_per_s,
            mean=own.pairs_per_s,
            stderr=deviation,
            n=own.pairs,
            note=BOUND if far else "theory: Ekert91's part; ours has MDI-QKD's rounds too",
        ),
        Row(
            quantity=f"{name}.key_bits_per_s",
            unit="bit/s",
            theory=plan.key_bits_per_s,
            mean=own.bits_per_s,
            n=own.blocks,
            note=_key_note(plan),
        ),
        Row(quantity=f"{name}.keys_fetched", unit="", mean=float(own.keys), n=1, note="by hosts, over ETSI 014"),
        Row(quantity=f"{name}.lanes_lost", unit="", mean=float(own.losses), n=own.runs, note="and found anew"),
        Row(quantity=f"{name}.first_key_s", unit="s", mean=own.first_key_s, n=1),
    ]
    if own.qber is not None:
        rows.append(
            Row(quantity=f"{name}.qber", unit="", theory=plan.qber, mean=own.qber, n=own.blocks, note="theory: at best")
        )
    if own.chsh is not None:
        rows.append(
            Row(quantity=f"{name}.chsh", unit="", theory=plan.chsh, mean=own.chsh, n=own.blocks, note="theory: at best")
        )
    if far:
        rows.append(
            Row(
                quantity=f"{name}.trusted_bits_per_s",
                unit="bit/s",
                theory=plan.trusted_bits_per_s,
                note=f"closed form: the same path with {plan.trusted_nodes} trusted nodes, each of which knows the key",
            )
        )
    return rows


def _whole(summary: WideSummary, plan: WidePlan) -> list[Row]:
    counted = "created = swapped + measured + expired + purified + held"
    rows = [
        Row(quantity=f"pairs_{what}", unit="", mean=float(summary.pairs[what]), n=1, note=counted)
        for what in ("created", "swapped", "measured", "expired", "purified", "held")
    ]
    rows.append(Row(quantity="attempts", unit="", mean=float(summary.pairs["attempts"]), n=1))
    rows.append(
        Row(
            quantity="key_bits_per_s",
            unit="bit/s",
            theory=sum(each.key_bits_per_s for each in plan.demands),
            mean=sum(each.bits_per_s for each in summary.demands.values()),
            n=len(summary.demands),
            note="of all demands",
        )
    )
    if sum(each.kind == "backbone" for each in summary.demands.values()) > 1:
        note = "Jain's index over the key rates of demands between clusters, by weight"
        rows.append(Row(quantity="fairness", unit="", mean=summary.fairness, n=1, note=note))
    for tunnel in summary.tunnels.values():
        name = f"tunnel.{tunnel.tunnel}"
        rows.append(
            Row(quantity=f"{name}.sessions", unit="", mean=float(tunnel.sessions), n=1, note="with a fresh key")
        )
        rows.append(Row(quantity=f"{name}.refused", unit="", mean=float(tunnel.refused), n=1, note="no fresh key"))
    return rows
