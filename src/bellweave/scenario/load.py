"""Read scenarios: files, presets, and what they put together.

Every refusal is a :class:`~bellweave.errors.ScenarioError` that names the file, the path, the value and the limit.
"""

import difflib
import re
import tomllib
import types
import typing
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from bellweave.errors import ScenarioError
from bellweave.scenario.schema import Scenario

PRESETS = ("vienna2004", "datacenter-link", "datacenter", "datacenter-modern")
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
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"is no TOML: {error}", file=file) from None
    try:
        scenario = parse_tree(tree)
        if scenario.fault:
            from bellweave.scenario.timeline import Timeline  # noqa: PLC0415

            Timeline(scenario)
    except ScenarioError as error:
        raise ScenarioError(error.problem, path=error.path, file=file) from None
    return scenario


def parse_tree(tree: dict[str, Any]) -> Scenario:
    """Return the scenario that nested tables describe, every value within its limits.

    Raises:
        ScenarioError: As :func:`load`, without a file.
    """
    scenario: Scenario = _convert(tree, Scenario, "")
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
    tree = msgspec.to_builtins(scenario, order="deterministic")
    return "\n".join(_toml_table("", tree)).strip() + "\n"


# ---------------------------------------------------------------- conversion with precise paths
def _convert(raw: Any, kind: Any, path: str) -> Any:
    """Convert ``raw`` and, if that fails, go down to the innermost value that is to blame."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        for key, value, inner in _children(raw, kind):
            _convert(value, inner, f"{path}.{key}" if path else key)
        words, _, place = str(error).partition(" - at ")
        path = ".".join(part for part in (path, place.strip("`").removeprefix("$").lstrip(".")) if part)
        raise ScenarioError(_say(words, raw) + _hint(words, raw, kind), path=path) from None


def _hint(words: str, raw: Any, kind: Any) -> str:
    """Return the key that an unknown one was perhaps meant to be."""
    found = re.search(r"unknown field `(.*)`", words)
    names = getattr(_pick(raw, kind), "__struct_fields__", ())
    near = difflib.get_close_matches(found[1], names, n=1) if found else []
    return f", did you mean `{near[0]}`?" if near else ""


def _say(words: str, raw: Any) -> str:
    words = words.replace("Object contains unknown field", "unknown key").replace(
        "Object missing required field", "missing key"
    )
    words = words.replace("`object`", "a table").replace("Expected", "expected", 1)
    return (
        words if isinstance(raw, dict | list) else f"{words}, got {raw!r}" if "got" not in words else f"{words} {raw!r}"
    )


def _children(raw: Any, kind: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, value, type) of the members of a table whose type is a struct or a dict."""
    kind = _pick(raw, kind)
    if not isinstance(raw, dict) or kind is None:
        return
    if typing.get_origin(kind) is dict:
        for key, value in raw.items():
            yield key, value, typing.get_args(kind)[1]
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind, include_extras=True)
        for key, value in raw.items():
            if key in hints:
                yield key, value, hints[key]


def _pick(raw: Any, kind: Any) -> Any:
    """Return the member of a union that ``raw`` means to be: by its tag, or the one that is not None."""
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return kind
    members = [member for member in typing.get_args(kind) if member is not type(None)]
    if len(members) == 1:
        return members[0]
    for member in members:
        config = getattr(member, "__struct_config__", None)
        if config is not None and isinstance(raw, dict) and raw.get(config.tag_field) == config.tag:
            return member
    return None


# ---------------------------------------------------------------- writing
def _toml_table(path: str, table: dict[str, Any]) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if value is not None and not isinstance(value, dict)}
    if path and (plain or not table):
        yield f"\n[{path}]"
    for key, value in plain.items():
        yield f"{_toml_key(key)} = {_toml_value(value)}"
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _toml_table(f"{path}.{_toml_key(key)}" if path else _toml_key(key), value)


def _toml_key(key: str) -> str:
    return key if key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key) else _toml_value(key)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return repr(value)
