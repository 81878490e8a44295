"""Key ids: one value, two spellings."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.api import key_id

ids = st.binary(min_size=16, max_size=16)


@given(value=ids)
def test_a_uuid_is_spelled_as_everybody_spells_it(value: bytes) -> None:
    assert key_id.uuid_text(value) == str(uuid.UUID(bytes=value))


@given(value=ids)
def test_any_case_is_read_back(value: bytes) -> None:
    text = key_id.uuid_text(value)

    assert key_id.from_uuid(text) == key_id.from_uuid(text.upper()) == value
    assert key_id.from_hex(value.hex()) == key_id.from_hex(value.hex().upper()) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00010203040506070809 0a0b0c0d0e0f",
        "000102030405060708090a0b0c0d0e0f",
        "{00010203-0405-0607-0809-0a0b0c0d0e0f}",
        "urn:uuid:00010203-0405-0607-0809-0a0b0c0d0e0f",
        "00010203-0405-0607-0809-0a0b0c0d0e0",
        "00010203-0405-0607-0809-0a0b0c0d0e0g",
        "00010203-0405-0607-0809-0a0b0c0d0e0f\n",
        "0001020304-05-0607-0809-0a0b0c0d0e0f",
    ],
)
def test_other_spellings_are_no_uuid(text: str) -> None:
    assert key_id.from_uuid(text) is None


@pytest.mark.parametrize("text", ["", "0", "0g", "00 11", "00-11", "0x00", "00\n", "٠٠"])
def test_hexadecimal_digits_come_in_pairs(text: str) -> None:
    assert key_id.from_hex(text) is None
