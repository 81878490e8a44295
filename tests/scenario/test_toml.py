"""Structs as TOML and back."""

import msgspec
import pytest

from bellweave.errors import ScenarioError
from bellweave.params import Params, PositiveInt
from bellweave.scenario.toml import decoded, encoded


class Hop(Params, frozen=True, kw_only=True):
    """A table in a list of them."""

    ends: tuple[str, str]
    count: PositiveInt = 1
    label: str | None = None


class Route(Params, frozen=True, kw_only=True):
    """A file."""

    hops: tuple[Hop, ...] = ()
    names: dict[str, str] = {}
    first: Hop | None = None


ROUTE = Route(
    hops=(Hop(ends=("a", 'b "quoted"')), Hop(ends=("b", "c"), count=7, label="über")),
    names={"an id with / and .": "x", "": "empty"},
    first=Hop(ends=("x", "y")),
)


@pytest.mark.parametrize("route", [ROUTE, Route(), Route(first=Hop(ends=("x", "y")))])
def test_what_was_written_reads_back_as_the_same(route: Route) -> None:
    assert decoded(encoded(route), Route) == route


def test_a_list_of_tables_is_written_as_tables() -> None:
    assert '[[hops]]\nends = ["b", "c"]\ncount = 7\nlabel = "über"\n' in encoded(ROUTE)


def test_a_bad_value_in_a_list_of_tables_is_named_with_its_place() -> None:
    text = encoded(ROUTE).replace("count = 7", "count = 0")

    with pytest.raises(ScenarioError, match=r"hops\[1\]\.count: expected `int` >= 1"):
        decoded(text, Route)


def test_an_unknown_key_gets_a_hint() -> None:
    with pytest.raises(ScenarioError, match=r"first: unknown key `cuont`, did you mean `count`\?"):
        decoded('[first]\nends = ["a", "b"]\ncuont = 2\n', Route)
    with pytest.raises(ScenarioError, match=r"hops\[0\]: unknown key `cuont`, did you mean `count`\?"):
        decoded('[[hops]]\nends = ["a", "b"]\ncuont = 2\n', Route)


def test_a_value_that_is_none_is_left_out() -> None:
    assert "label" not in encoded(msgspec.structs.replace(ROUTE, hops=()))
