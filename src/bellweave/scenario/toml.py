"""TOML into structs and back, for scenarios and other files: limits checked, with the path of what is to blame."""

import difflib
import re
import tomllib
import types
import typing
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from bellweave.errors import ScenarioError

S = TypeVar("S", bound=msgspec.Struct)


def decoded(text: str, kind: type[S]) -> S:
    """Return the struct that a TOML text describes, every value within its limits.

    Raises:
        ScenarioError: It is no TOML, or holds an unknown key, a wrong type or an impossible value; names the path.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"is no TOML: {error}") from None
    return converted(tree, kind)


def converted(tree: dict[str, Any], kind: type[S]) -> S:
    """Return the struct that nested tables describe; as :func:`decoded`."""
    struct: S = _convert(tree, kind, "")
    return struct


def encoded(struct: msgspec.Struct) -> str:
    """Return a struct as TOML, defaults written out; decoding it gives an equal one, its tables in the same order.

    None is left out.
    """
    tree = msgspec.to_builtins(struct)
    return "\n".join(_toml_table("", tree)).strip() + "\n"


# ---------------------------------------------------------------- conversion with precise paths
def _convert(raw: Any, kind: Any, path: str) -> Any:
    """Convert ``raw`` and, if that fails, go down to the innermost value that is to blame."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        for key, value, inner in _children(raw, kind):
            _convert(value, inner, _joined(path, key))
        words, _, place = str(error).partition(" - at ")
        path = _joined(path, place.strip("`").removeprefix("$").lstrip("."))
        raise ScenarioError(_say(words, raw) + _hint(words, raw, kind), path=path) from None


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path and key and not key.startswith("[") else path + key


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
    """Yield (key, value, type) of the members of a table whose type is a struct or a dict, or of a list of tables."""
    kind = _pick(raw, kind)
    if isinstance(raw, list) and typing.get_origin(kind) is tuple and typing.get_args(kind)[1:] == (...,):
        for number, value in enumerate(raw):
            yield f"[{number}]", value, typing.get_args(kind)[0]
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
    inner = {key: value for key, value in table.items() if isinstance(value, dict) or _is_tables(value)}
    plain = {key: value for key, value in table.items() if value is not None and key not in inner}
    if path and (plain or not table):
        yield f"\n[{path}]"
    yield from _toml_lines(plain)
    for key, value in inner.items():
        place = f"{path}.{_toml_key(key)}" if path else _toml_key(key)
        if isinstance(value, dict):
            yield from _toml_table(place, value)
        else:
            for each in value:  # no tables inside of these: nothing that we write has them
                yield f"\n[[{place}]]"
                yield from _toml_lines(each)


def _toml_lines(plain: dict[str, Any]) -> Iterator[str]:
    for key, value in plain.items():
        if value is not None:
            yield f"{_toml_key(key)} = {_toml_value(value)}"


def _is_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(each, dict) for each in value)


_BARE = re.compile("[A-Za-z0-9_-]+")


def _toml_key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _toml_value(key)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    return repr(value)
