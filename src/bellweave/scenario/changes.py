"""Change a scenario by paths: ``link.alice-bob.fibre.length_km``, or ``link.*.…`` for all of them."""

import math
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from bellweave.errors import ScenarioError
from bellweave.scenario.load import checked_scenario, parse_tree
from bellweave.scenario.schema import Scenario


def changed(scenario: Scenario, changes: Mapping[str, object]) -> Scenario:
    """Return the scenario with these values at these paths, checked as if it had been read from a file.

    Raises:
        ScenarioError: A path leads nowhere, or what results is impossible.
    """
    tree: dict[str, Any] = msgspec.to_builtins(scenario)
    for path, value in changes.items():
        set_path(tree, path.split("."), value, path)
    return checked_scenario(parse_tree(tree))


def hastened(scenario: Scenario, speed: float) -> Scenario:
    """Return a network whose slots pass so many times faster than its key servers' clock.

    Raises:
        ScenarioError: The scenario is no network, or the speed is no number > 0.
    """
    if scenario.schedule is None:
        problem = "only a network with a [schedule] has a clock beside its photons': there is nothing to hasten"
        raise ScenarioError(problem, path="schedule.speed")
    if not (math.isfinite(speed) and speed > 0.0):
        raise ScenarioError(f"a speed is a number > 0, got {speed:g}", path="schedule.speed")
    return msgspec.structs.replace(scenario, schedule=msgspec.structs.replace(scenario.schedule, speed=speed))


def parsed(changes: Iterable[str]) -> dict[str, object]:
    """Return paths to values, of texts ``PATH=VALUE``: VALUE as TOML has it, or a plain word.

    Raises:
        ScenarioError: A text is no such pair.

    >>> parsed(["kms.mint=provable", "source.eps.pair_rate_hz = 1e6"])
    {'kms.mint': 'provable', 'source.eps.pair_rate_hz': 1000000.0}
    """
    found: dict[str, object] = {}
    for text in changes:
        path, sign, value = (part.strip() for part in text.partition("="))
        if not (path and sign and value):
            raise ScenarioError(f"expected PATH=VALUE, such as kms.mint=provable, got {text!r}")
        try:
            found[path] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[path] = value
    return found


def set_path(table: Any, keys: list[str], value: Any, where: str) -> None:
    """Set a value in nested tables; ``*`` stands for every key.

    Raises:
        ScenarioError: The keys lead nowhere; with ``where`` as the path.
    """
    key, rest = keys[0], keys[1:]
    if not isinstance(table, dict):
        raise ScenarioError(f"there is no table that holds {key!r}", path=where)
    if not rest and key != "*":
        table[key] = value
        return
    names = list(table) if key == "*" else [key]
    if not names or any(name not in table for name in names):
        raise ScenarioError(f"there is no {key!r}; there are {', '.join(sorted(table)) or 'none'}", path=where)
    for each in names:
        if rest:
            set_path(table[each], rest, value, where)
        else:
            table[each] = value
