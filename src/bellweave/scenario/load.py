"""Read scenarios: files, presets, and what they put together.

Every refusal is a :class:`~bellweave.errors.ScenarioError` that names the file, the path, the value and the limit.
"""

from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from bellweave.errors import ScenarioError
from bellweave.scenario.schema import Scenario
from bellweave.scenario.toml import converted, decoded, encoded

PRESETS = ("vienna2004", "datacenter-link", "datacenter", "datacenter-modern", "cluster", "backbone", "mesh")
"""Names of the presets that ship with the package."""


def preset_text(name: str) -> str:
    """Return a preset's TOML text.

    Raises:
        ScenarioError: If there is none of that name.
    """
    if name not in PRESETS:
        raise ScenarioError(f"no such preset: {name!r}; there are {', '.join(PRESETS)}")
    return (resources.files("bellweave.scenario") / "presets" / f"{name}.toml").read_text(encoding="utf-8")


def load(source: str | Path) -> Scenario:
    """Return the scenario in a file, or the preset of that name.

    Raises:
        ScenarioError: If it can't be read, or holds an unknown key, a wrong type or an impossible value.
    """
    if str(source) in PRESETS:
        return parse(preset_text(str(source)), file=f"{source} (preset)")
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScenarioError(f"no such file, nor a preset ({', '.join(PRESETS)})", file=str(source)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"can't be read: {error}", file=str(source)) from None
    scenario = parse(text, file=str(source))
    return msgspec.structs.replace(
        scenario,
        recorded={
            name: msgspec.structs.replace(each, alice=str(path.parent / each.alice), bob=str(path.parent / each.bob))
            for name, each in scenario.recorded.items()
        },
    )


def parse(text: str, *, file: str = "") -> Scenario:
    """Return the scenario that a TOML text describes, every value within its limits.

    Raises:
        ScenarioError: As :func:`load`.
    """
    try:
        scenario = _referenced(decoded(text, Scenario))
        if scenario.fault:
            from bellweave.scenario.timeline import Timeline  # noqa: PLC0415

            Timeline(scenario)
    except ScenarioError as error:
        raise ScenarioError(error.problem, path=error.path, file=file) from None
    return scenario


def parse_tree(tree: dict[str, Any]) -> Scenario:
    """Return the scenario that nested tables describe, every value within its limits; faults are not looked into.

    Raises:
        ScenarioError: As :func:`load`, without a file.
    """
    return _referenced(converted(tree, Scenario))


def _referenced(scenario: Scenario) -> Scenario:
    # imported here because assembling needs the photonics package, and parsing must not
    from bellweave.scenario.assemble import check_references  # noqa: PLC0415

    check_references(scenario)
    return scenario


def checked_scenario(scenario: Scenario) -> Scenario:
    """Return a scenario that was built in Python again, once every value and reference has been checked.

    Raises:
        ScenarioError: As :func:`load`.
    """
    return parse(to_toml(scenario))


def to_toml(scenario: Scenario) -> str:
    """Return the whole scenario as TOML, defaults written out; reading it again gives an equal scenario."""
    return encoded(scenario)
