"""The table of a recorded experiment."""

from bellweave.distill import accounting, flags, theory
from bellweave.distill.accounting import bases_are_even
from bellweave.distill.finite_key.proofs import PROOFS
from bellweave.results.recorded import Findings
from bellweave.results.records import Report, Row
from bellweave.sim.recorded import Both
from bellweave.studies.table import ACCOUNTINGS


def report(both: Both, findings: Findings) -> Report:
    """Return counts, error rates and key by accounting; one block, so no standard errors but those of the rates."""
    outcome = both.alice.outcome
    ledger, estimate, corrections = outcome.ledger, outcome.estimate, outcome.corrections
    key_bits = ledger.sifted - ledger.sample
    errors = (estimate.errors_z + corrections.errors_z, estimate.errors_x + corrections.errors_x)
    rows = [
        _count("detections_alice", sum(c.clicks for c in findings.alice.channels)),
        _count("detections_bob", sum(c.clicks for c in findings.bob.channels)),
        _count("echoes", sum(c.echoes for side in (findings.alice, findings.bob) for c in side.channels), "dropped"),
        _count(
            "disclosed_detections", findings.alice.sacrificed + findings.bob.sacrificed, "in the calibration slices"
        ),
        Row(quantity="window", unit="ps", mean=float(findings.window_ps), n=1, note=_window_note(findings)),
        _count("coincidences", ledger.matched, "what is left for the key"),
        _count("sifted_bits", ledger.sifted),
        _rate("qber in Z", errors[0], ledger.sifted_z),
        _rate("qber in X", errors[1], ledger.sifted_x),
        _count("sample_bits", ledger.sample),
        _count(
            "disclosed_bits", ledger.disclosed, _shannon(ledger.disclosed - ledger.tag, key_bits, corrections.errors)
        ),
        _count("removed_bits", ledger.removed),
        _count("authentication_bits", ledger.authentication, "to the pool, which is filled first"),
        _count("final_bits", ledger.final, outcome.rejection or f"minted by `{_mint(both)}`"),
    ]
    notes = {"provable": _provable_note(both)}
    rows += [
        Row(
            quantity="final_bits",
            unit="bit",
            accounting=name,
            mean=outcome.accountings[name],
            n=1,
            note=notes.get(name, ""),
        )
        for name in ACCOUNTINGS
        if name in outcome.accountings
    ]
    duration_s = min(findings.alice.duration_s, findings.bob.duration_s)
    judged = flags.of_block(ledger, estimate, corrections, both.alice.params, duration_s, _authentication(both))
    return Report(study="recorded", rows=(*rows, *_by_proof(both)), flags={"ours": tuple(judged)})


def _by_proof(both: Both) -> list[Row]:
    """Return the other finite-key proofs beside the one that is minted; for pooled bases only."""
    outcome, params = both.alice.outcome, both.alice.params
    if params.estimation != "pooled" or not outcome.accountings:
        return []
    lengths = accounting.by_proof(outcome.ledger, outcome.estimate, params)
    return [
        Row(
            quantity="final_bits",
            unit="bit",
            accounting=name,
            mean=float(max(0, lengths[name])),
            n=1,
            note=f"{proof.method}; shown, not minted",
        )
        for name, proof in PROOFS.items()
        if name != "tl17"
    ]


def _authentication(both: Both) -> int:
    block = both.alice.outcome.block
    return block.authentication_bits if block else 0


def _count(quantity: str, value: int, note: str = "") -> Row:
    return Row(quantity=quantity, unit="bit" if quantity.endswith("_bits") else "", mean=float(value), n=1, note=note)


def _rate(quantity: str, errors: int, bits: int) -> Row:
    rate = errors / bits if bits else 0.0
    stderr = (rate * (1.0 - rate) / bits) ** 0.5 if bits else None
    return Row(quantity=quantity, unit="", mean=rate, stderr=stderr, n=1, note=f"{errors} of {bits} sifted bits")


def _window_note(findings: Findings) -> str:
    if not findings.window_chosen:
        return "as given"
    return f"chosen: the most asymptotic key in the slices, of {len(findings.scan)} windows"


def _shannon(parities: int, bits: int, errors: int) -> str:
    if not bits or not errors:
        return ""
    minimum = theory.shannon_minimum(bits, errors / bits)
    return f"parities are {parities / minimum:.3f} times the Shannon minimum of {minimum:.0f} bits; tag included"


def _mint(both: Both) -> str:
    block = both.alice.outcome.block
    return block.minted_by if block else ""


def _provable_note(both: Both) -> str:
    outcome, params = both.alice.outcome, both.alice.params
    if outcome.accountings.get("provable", 0) > 0:
        return f"finite key at epsilon {params.epsilon:g}, threshold {params.qber_threshold} fixed on the slices"
    ledger, estimate = outcome.ledger, outcome.estimate
    if params.estimation == "pooled" and not bases_are_even(ledger):
        return (
            f"the proof pools bases that are chosen evenly; here Z : X = {ledger.sifted_z} : {ledger.sifted_x}, "
            "so nothing is proven"
        )
    how = "" if params.estimation == "pooled" else ESTIMATION[params.estimation] + "; "
    if params.qber_threshold is not None and estimate.errors > params.qber_threshold * estimate.sample:
        return f"{how}the sample's QBER is above the threshold {params.qber_threshold} that the slices fixed"
    return f"{how}too short a record for a proof at epsilon {params.epsilon:g}"


ESTIMATION = {
    "per-basis": "uneven bases: the rarer one was disclosed whole and proves the key of the other",
    "cross-basis": "uneven bases: each is proven by the sample of the other",
}
"""What is said of estimation that does not pool the bases."""
