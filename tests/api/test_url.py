"""Parts of paths and queries: split first, decoded once."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.api import url


@given(name=st.text())
def test_what_a_client_encodes_is_what_we_read(name: str) -> None:
    assert url.decoded(quote(name, safe="")) == name


@pytest.mark.parametrize(
    ("part", "name"),
    [("a%2Fb", "a/b"), ("..%2f", "../"), ("%252e", "%2e"), ("a+b", "a+b"), ("%zz", "%zz"), ("%", "%"), ("", "")],
)
def test_a_part_is_decoded_once(part: str, name: str) -> None:
    assert url.decoded(part) == name


@pytest.mark.parametrize("part", ["%ff", "%C3", "%ed%a0%80", "\ud800%20"])
def test_what_is_no_utf8_is_no_name(part: str) -> None:
    assert url.decoded(part) is None


def test_parameters_keep_order_and_repetition() -> None:
    assert url.parameters("b=1&a=2&b=%33&c") == [("b", "1"), ("a", "2"), ("b", "3"), ("c", "")]
    assert url.parameters("") == []
    assert url.parameters("&") == [("", ""), ("", "")]


@pytest.mark.parametrize("query", ["a=%ff", "%ff=a"])
def test_a_query_that_is_no_utf8_has_no_parameters(query: str) -> None:
    assert url.parameters(query) is None


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("-8", -8), ("256", 256), ("9" * 40, 10**40 - 1)])
def test_integers_are_decimal_digits(text: str, value: int) -> None:
    assert url.integer(text) == value


@pytest.mark.parametrize(
    "text", ["", "+1", " 1", "1 ", "01", "1.0", "1e2", "1_000", "٣", "0x10", "true", "9" * 41, "1\n"]
)
def test_nothing_else_is_an_integer(text: str) -> None:
    assert url.integer(text) is None


@given(text=st.text(st.characters(), max_size=500))
def test_what_a_message_repeats_is_short_and_printable(text: str) -> None:
    shown = url.shown(text)

    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 10 * 67 + 2
