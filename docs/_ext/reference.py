"""Directives that write the reference pages from the code, so that the two cannot differ.

``cli-reference`` walks the commands of ``bellweave.cli.app`` (a typer application), ``scenario-reference`` the msgspec
structs below ``bellweave.scenario.schema.Scenario``, ``python-api`` the public modules. A module that is not there yet
gives a sentence that says so; one that is there and does not import, or has changed its shape, fails the build.
"""

import ast
import enum
import importlib
import inspect
import pkgutil
import re
import textwrap
from abc import abstractmethod
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import msgspec
from docutils import nodes
from msgspec import inspect as shapes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class _Generated(SphinxDirective):
    """A page section written by :meth:`markdown` for the module named in ``source``."""

    source: str
    required_arguments = 0
    optional_arguments = 100

    def run(self) -> list[nodes.Node]:
        """Return the section as parsed MyST."""
        self.env.note_reread()  # the code can change when the page does not
        if not _exists(self.source):
            text = f"`{self.source}` is not in this version."
        else:
            text = "\n".join(self.markdown(importlib.import_module(self.source)))
        parsed: list[nodes.Node] = self.parse_text_to_nodes(text, allow_section_headings=True)
        return parsed

    @abstractmethod
    def markdown(self, module: Any) -> Iterator[str]:
        """Yield the lines of the section."""


def _exists(module: str) -> bool:
    """Say whether a module is there, without importing it."""
    parent, _, name = module.rpartition(".")
    if parent and not _exists(parent):
        return False
    return (
        find_spec(module) is not None
        if not parent
        else any(found.name == name for found in pkgutil.iter_modules(importlib.import_module(parent).__path__))
    )


def _cell(text: object) -> str:
    """Return text that cannot end the cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


# -------------------------------------------------------------------------------------------------------- command line
class CliReference(_Generated):
    """Every command with its arguments and options."""

    source = "bellweave.cli"

    def markdown(self, module: Any) -> Iterator[str]:
        """Yield one section a command."""
        from typer.main import get_command  # noqa: PLC0415  (not needed while there is no command line)

        yield from self._command(get_command(module.app), ["bellweave"])

    def _command(self, command: Any, path: list[str]) -> Iterator[str]:
        yield from (f"{'#' * (len(path) + 1)} {' '.join(path)}", "")
        yield from (inspect.cleandoc(command.help or "").replace("\f", ""), "")
        context = command.context_class(command, info_name=path[-1])
        rows = [self._row(parameter, context) for parameter in command.params if not parameter.hidden]
        if rows:
            yield from ("| argument or option | value | default | meaning |", "|---|---|---|---|", *rows, "")
        for name, subcommand in getattr(command, "commands", {}).items():
            if not subcommand.hidden:
                yield from self._command(subcommand, [*path, name])

    @staticmethod
    def _row(parameter: Any, context: Any) -> str:
        if parameter.param_type_name == "argument":
            name = f"`{parameter.name.upper()}`"
        else:
            name = ", ".join(f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts])
        value = "flag" if getattr(parameter, "is_flag", False) else parameter.display_type(context).strip("<>")
        default = parameter.get_default(context, call=False)
        if parameter.required:
            shown = "required"
        elif default is None or callable(default):
            shown = ""
        else:
            shown = _toml(default)
        return f"| {name} | {_cell(value.replace('|', ', '))} | {_cell(shown)} | {_cell(parameter.help or '')} |"


# ------------------------------------------------------------------------------------------------------------ scenario
class ScenarioReference(_Generated):
    """Every table of a scenario file and every key in it, in the order of the schema."""

    source = "bellweave.scenario.schema"

    def markdown(self, module: Any) -> Iterator[str]:
        """Yield one section a struct, each struct once."""
        (root,) = shapes.multi_type_info([module.Scenario])
        queue: list[tuple[str, shapes.StructType]] = [("", root)]  # type: ignore[list-item]
        seen: set[type] = set()
        while queue:
            path, struct = queue.pop(0)
            if struct.cls in seen:
                continue
            seen.add(struct.cls)
            yield from (f"## `{f'[{path}]' if path else 'top level'}` {struct.cls.__name__}", "")
            yield from (_prose(struct.cls), "")
            if struct.tag_field:
                yield from (f"Chosen by `{struct.tag_field} = {struct.tag!r}`.", "")
            notes = _field_notes(struct.cls)
            rows = []
            for field in struct.fields:
                inner = list(_tables(field.type, f"{path}.{field.encode_name}".lstrip(".")))
                queue += inner
                kind, limits = _kind(field.type)
                rows.append(
                    f"| `{field.encode_name}` | {_cell(kind)} | {_cell(_default(field))} | {_cell(limits)} | "
                    f"{_cell(_description(field.type) or notes.get(field.name, ''))} |"
                )
            if rows:
                yield from ("| key | type | default | limits | meaning |", "|---|---|---|---|---|", *rows, "")


def _prose(cls: type) -> str:
    """Return the docstring without its Attributes section (that is in the table)."""
    return inspect.cleandoc(cls.__doc__ or "").partition("\nAttributes:")[0].replace("``", "`")


def _field_notes(cls: type) -> dict[str, str]:
    """Return what is said of each field: in the string literal below it, or in the docstring's Attributes section."""
    notes: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not issubclass(base, msgspec.Struct) or base is msgspec.Struct:
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        body = getattr(tree, "body", [])
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                match below:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        notes[field.target.id] = text
        section = inspect.cleandoc(base.__doc__ or "").partition("\nAttributes:\n")[2].partition("\n\n")[0]
        entry = re.compile(r"^(\w[\w, ]*): (.*(?:\n +.*)*)", re.MULTILINE)  # "alice, bob: text" speaks of both
        for names, text in entry.findall(textwrap.dedent(section)):
            notes.update(dict.fromkeys(names.split(", "), text))
    return {name: text.replace("``", "`") for name, text in notes.items()}


def _plain(shape: shapes.Type) -> shapes.Type:
    """Return a type without the metadata around it."""
    return _plain(shape.type) if isinstance(shape, shapes.Metadata) else shape


def _tables(shape: shapes.Type, path: str) -> Iterator[tuple[str, shapes.StructType]]:
    """Yield the structs that a field can hold, with the path of the table that they stand in."""
    match _plain(shape):
        case shapes.StructType() as struct:
            yield path, struct
        case shapes.DictType(value_type=value):
            yield from _tables(value, f"{path}.<name>")
        case shapes.UnionType(types=types):
            for each in types:
                yield from _tables(each, path)
        case shapes.ListType(item_type=item) | shapes.VarTupleType(item_type=item):
            yield from _tables(item, f"{path}[]")
        case shapes.TupleType(item_types=types):
            for each in types:
                yield from _tables(each, path)


def _description(shape: shapes.Type) -> str:
    """Return the description in the metadata around a type."""
    if isinstance(shape, shapes.Metadata):
        return (shape.extra_json_schema or {}).get("description", "") or _description(shape.type)
    return ""


SIMPLE = {
    shapes.AnyType: "any",
    shapes.BoolType: "boolean",
    shapes.DateTimeType: "date and time",
    shapes.FloatType: "number",
    shapes.IntType: "integer",
    shapes.NoneType: "nothing",
    shapes.StrType: "string",
}
LIMITS = {
    "ge": "≥ {}",
    "gt": "> {}",
    "le": "≤ {}",
    "lt": "< {}",
    "multiple_of": "multiple of {}",
    "pattern": "matches `{}`",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
}


def _kind(shape: shapes.Type) -> tuple[str, str]:
    """Return a type in words, and its limits. An unknown kind of type fails the build: it needs words here."""
    shape = _plain(shape)
    limits = [text.format(limit) for name, text in LIMITS.items() if (limit := getattr(shape, name, None)) is not None]
    match shape:
        case shapes.StructType(cls=cls):
            kind = f"table {cls.__name__}"
        case shapes.DictType(value_type=value):
            inner, more = _kind(value)
            kind, limits = f"named entries: {inner}", [*limits, more]
        case shapes.ListType(item_type=item) | shapes.VarTupleType(item_type=item):
            inner, more = _kind(item)
            kind, limits = f"list: {inner}", [*limits, more]
        case shapes.TupleType(item_types=types):
            parts = [_kind(each) for each in types]
            alike = len(set(parts)) == 1
            kind = f"list: {len(parts)} × ({parts[0][0]})" if alike else "list: " + ", ".join(part[0] for part in parts)
            limits += dict.fromkeys(part[1] for part in parts)
        case shapes.UnionType(types=types):
            parts = [_kind(each) for each in types if not isinstance(_plain(each), shapes.NoneType)]
            kind, limits = " or ".join(part[0] for part in parts), [*limits, *dict.fromkeys(part[1] for part in parts)]
        case shapes.LiteralType(values=values):
            kind = ", ".join(f'`"{value}"`' for value in values)
        case shapes.EnumType(cls=cls):
            kind = ", ".join(f'`"{member.value}"`' for member in cls)
        case shapes.CustomType() if shape.cls is object:  # a fault's values: whatever the path takes
            kind = "any value"
        case _:
            kind = SIMPLE[type(shape)]
    return kind, ", ".join(filter(None, limits))


def _default(field: shapes.Field) -> str:
    """Return the default as TOML would have it, as far as one line can."""
    if field.required:
        return "required"
    if field.default is not msgspec.NODEFAULT:
        return "none" if field.default is None else _toml(field.default)
    value = field.default_factory() if callable(field.default_factory) else None
    return "as in the table" if isinstance(value, msgspec.Struct) else _toml(value)


def _toml(value: Any) -> str:
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case enum.Enum():
            return f'`"{value.value}"`'
        case str():
            return f'`"{value}"`'
        case msgspec.Struct():
            return "as in the table"
        case {} | [] | ():
            return "empty"
        case tuple():
            return f"`{list(value)}`"
        case _:
            return f"`{value}`"


# ---------------------------------------------------------------------------------------------------------- Python API
class PythonApi(_Generated):
    """Every public module below the names given, by autodoc."""

    source = "bellweave"

    def markdown(self, module: Any) -> Iterator[str]:
        """Yield one section a module."""
        for top in self.arguments:
            name = f"{module.__name__}.{top}"
            if not _exists(name):
                continue
            found = importlib.import_module(name)
            inner = [each.name for each in pkgutil.walk_packages(getattr(found, "__path__", []), f"{name}.")]
            for each in [name, *inner]:
                if not each.rpartition(".")[2].startswith("_"):
                    yield from (f"## {each}", "", "```{eval-rst}", f".. automodule:: {each}", "   :members:", "```", "")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("cli-reference", CliReference)
    app.add_directive("scenario-reference", ScenarioReference)
    app.add_directive("python-api", PythonApi)
    return {"parallel_read_safe": True}
