"""Alice: asks, reserves, runs, re-routes, and gives everything back.

Whatever happens, a request ends with every unit released that was granted to it, and with Bob told. What does not
answer frees its units when the lease is over.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bellweave.dialogue import Dialogue
from bellweave.network.wide.agreement.calls import Correspondence
from bellweave.network.wide.agreement.messages import (
    Ask,
    Begin,
    Begun,
    Declined,
    Denied,
    End,
    Granted,
    Halt,
    Judged,
    Lane,
    Reason,
    Release,
    Reserve,
    Run,
)

Bundle = tuple[Lane, ...]
"""Lanes that serve a request together."""

Plan = Callable[[bool, frozenset[str]], Sequence[Bundle]]
"""(same cluster, names of nodes and edges to avoid) to bundles that would do, the best first."""

STAGGER = 8
"""Requests that were denied at the same moment try again at so many different ones."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """A request's constants.

    Attributes:
        number: Names the request; unique in the network.
        alice, bob: The two slaves.
        cluster: Alice's master.
        lease_s: Reservations are prolonged twice in this time.
        retry_s: Without a path it is looked for again so much later (at most twice that).
        timeout_s: And no longer than this.
    """

    number: int
    alice: str
    bob: str
    cluster: str
    lease_s: float = 2.0
    retry_s: float = 0.1
    timeout_s: float = 10.0


@dataclass(frozen=True)
class Outcome:
    """How a request ended.

    Attributes:
        reason: Why.
        same_cluster: Bob's judgement; None if he gave none.
        runs: How often lanes were set up.
        losses: How often they were lost, and not given back.
        detail: Words.
    """

    reason: Reason
    same_cluster: bool | None = None
    runs: int = 0
    losses: int = 0
    detail: str = ""


def alice(terms: Terms, plan: Plan) -> Dialogue[Outcome]:
    """Run a request from its beginning to its end; return how it ended.

    Args:
        terms: Who, and the constants.
        plan: Finds lanes.

    Raises:
        ProtocolError: Somebody said what makes no sense.
    """
    desk = Correspondence(terms.number, terms.alice)
    verdict = yield from desk.call(terms.bob, Ask(terms.cluster))
    if isinstance(verdict, Declined):
        return Outcome("peer refused", detail=verdict.reason)
    if not isinstance(verdict, Judged):
        return Outcome("peer lost", detail=f"{terms.bob} did not answer")
    outcome = yield from _serve(desk, terms, plan, same=verdict.same_cluster)
    yield from desk.call(terms.bob, End())
    return outcome


def _serve(desk: Correspondence, terms: Terms, plan: Plan, *, same: bool) -> Dialogue[Outcome]:
    """Reserve and run, anew for as long as lanes are lost or units are shared out anew; return how it ended."""
    runs = losses = tries = 0
    pause_s = terms.retry_s * (1.0 + terms.number % STAGGER / STAGGER)
    while not desk.cancelled:
        desk.stale = False
        found = yield from _reserve(desk, plan(same, frozenset(desk.lost)), terms)
        if not isinstance(found, str):
            problem = yield from _run(desk, found, terms, mdi=same)
            yield from _release(desk, found)
            if problem is not None:
                return Outcome(problem[0], same, runs, losses, problem[1])
            runs, tries = runs + 1, 0
            losses += not desk.is_over(frozenset())
            continue
        if tries * pause_s >= terms.timeout_s:
            return Outcome(found, same, runs, losses, f"no lanes within {terms.timeout_s:g} s")
        yield from desk.rest(pause_s)
        tries += 1
        desk.lost.clear()  # it may have come back
    return Outcome("done", same, runs, losses)


def _reserve(desk: Correspondence, bundles: Sequence[Bundle], terms: Terms) -> Dialogue[Bundle | Reason]:
    """Reserve the first bundle of which every unit is free; return it, or why there is none. Holds nothing then."""
    reason: Reason = "no path"
    for bundle in bundles:
        if _parts(bundle) & desk.lost:  # it was found out meanwhile
            continue
        failed = yield from _hold(desk, bundle, terms)
        if failed is None:
            return bundle
        reason = failed
        yield from _release(desk, bundle)
        if desk.cancelled:
            break
    return reason


def _hold(desk: Correspondence, bundle: Bundle, terms: Terms) -> Dialogue[Reason | None]:
    """Reserve or prolong a bundle, edge by edge; return why not, then some edges may be held."""
    for edge, (keeper, units) in _needs(bundle).items():
        answer = yield from desk.call(keeper, Reserve(edge, units, terms.lease_s))
        if isinstance(answer, Denied):
            return "no memory"
        if not isinstance(answer, Granted):
            desk.lost.add(keeper)
            return "timeout"
    return None


def _run(desk: Correspondence, bundle: Bundle, terms: Terms, *, mdi: bool) -> Dialogue[tuple[Reason, str] | None]:
    """Let both ends make key along lanes until one is lost or the time is over; return what Bob has against it."""
    answer = yield from desk.call(terms.bob, Begin(bundle, mdi))
    if isinstance(answer, Declined):
        return "peer refused", answer.reason
    if not isinstance(answer, Begun):
        return "peer lost", f"{terms.bob} did not answer"
    parts = _parts(bundle)
    yield from desk.tell(Run(bundle, mdi))
    while not desk.is_over(parts):
        yield from desk.rest(terms.lease_s / 2.0)
        if not desk.is_over(parts) and (yield from _hold(desk, bundle, terms)) is not None:
            break
    yield from desk.tell(Halt())
    return None


def _release(desk: Correspondence, bundle: Bundle) -> Dialogue[None]:
    for edge, (keeper, _) in _needs(bundle).items():
        yield from desk.call(keeper, Release(edge))


def _parts(bundle: Bundle) -> set[str]:
    return {part for lane in bundle for part in (*lane.nodes, *lane.edges)}


def _needs(bundle: Bundle) -> dict[str, tuple[str, int]]:
    """Return keeper and units of every edge; lanes that share an edge add up."""
    needs: dict[str, tuple[str, int]] = {}
    for lane in bundle:
        for edge, keeper, units in zip(lane.edges, lane.keepers, lane.units, strict=True):
            needs[edge] = keeper, needs.get(edge, ("", 0))[1] + units
    return needs
