"""The demands that a request's extensions make, and those that we know.

=======================  =========================================================================================
``bellweave_route_type``  ``"direct"``: bits of an entanglement link only; ``"indirect"``: relayed ones only
``bellweave_max_age``     integer, milliseconds, 1 or more: no bit was distilled longer ago
=======================  =========================================================================================

Mandatory ones are met, or the request is refused. Optional ones are met where that is possible, and ignored where they
are unknown, make no sense, contradict a mandatory one or have no key.
"""

from dataclasses import dataclass
from typing import Any, cast

from bellweave.api.errors import UNSUPPORTED, Refusal
from bellweave.api.etsi014_messages import EXTENSIONS, MAX_AGE, ROUTE_TYPE
from bellweave.kms.wanted import Route

MAX_AGE_LIMIT_MS = 10**12
"""Thirty years; a bound so that an integer of any length stays out of floating point."""

MAX_DETAILS = 8
MAX_NAME_CHARACTERS = 64
"""What a refusal repeats of a client's own words."""

Options = tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Demands:
    """What the keys' way and age must be; None: anything."""

    route: Route | None = None
    max_age_s: float | None = None


ANY = Demands()


def mandatory(options: Options) -> Demands:
    """Return what must be met.

    Raises:
        Refusal: 400: a name is unknown, with one detail for each; a value is none that the option has; or one option is
            given twice with different values.
    """
    if not options:
        return ANY
    unknown = dict.fromkeys(name for each in options for name in each if name not in EXTENSIONS)
    if unknown:
        details = tuple(
            {"extension_mandatory_unsupported": name[:MAX_NAME_CHARACTERS]} for name in list(unknown)[:MAX_DETAILS]
        )
        raise Refusal(400, UNSUPPORTED, "extension_unsupported", details=details)
    found: dict[str, Any] = {}
    for name, value in ((name, value) for each in options for name, value in each.items()):
        if not _valid(name, value):
            raise Refusal(400, f"{name} shall be {_DOMAINS[name]}")
        if found.setdefault(name, value) != value:
            raise Refusal(400, f"{name} shall have one value, got two")
    return _demands(found)


def preferred(options: Options, must: Demands) -> Demands:
    """Return what must be met together with what of the optional ones can be added to it."""
    found: dict[str, Any] = {}
    for name, value in ((name, value) for each in options for name, value in each.items()):
        if name in EXTENSIONS and _valid(name, value):
            found.setdefault(name, value)
    if not found:
        return must
    may = _demands(found)
    ages_s = [age_s for age_s in (must.max_age_s, may.max_age_s) if age_s is not None]
    return Demands(must.route or may.route, min(ages_s, default=None))


_DOMAINS = {
    ROUTE_TYPE: "direct or indirect",
    MAX_AGE: f"an integer from 1 to {MAX_AGE_LIMIT_MS}, in milliseconds",
}


def _valid(name: str, value: Any) -> bool:
    if name == ROUTE_TYPE:
        return isinstance(value, str) and value in {"direct", "indirect"}
    return type(value) is int and 1 <= value <= MAX_AGE_LIMIT_MS


def _demands(found: dict[str, Any]) -> Demands:
    age_ms = found.get(MAX_AGE)
    return Demands(cast(Route | None, found.get(ROUTE_TYPE)), None if age_ms is None else age_ms / 1000)
