"""Logs: one line each, in both styles, and never a key byte."""

import base64
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bellweave.api.http import Request, Response
from bellweave.edge import logs
from bellweave.edge.access_log import MAX_TEXT, AccessLog
from bellweave.edge.http_server import Guest
from bellweave.kms.records import Material, Statement

KEY = bytes(range(100, 132))
SPELLINGS = (KEY.hex(), base64.b64encode(KEY).decode(), str(KEY), repr(KEY)[2:20])
STATEMENT = Statement(
    block_ids=("b",), origin="direct", hops=1, epsilon=0.0, provable=True, provenance="test", made_s=0.0
)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(style: logs.Style, level: int = logging.DEBUG) -> io.StringIO:
    out = io.StringIO()
    logs.configure(style, level=level, stream=out)
    return out


def test_a_line_of_json_is_one_object() -> None:
    out = lines("json")
    structlog.get_logger("x").warning("a peer can't\nbe reached", kme="kme-b", since_s=1.5, tried=("a", 2))

    (line,) = out.getvalue().splitlines()
    said = json.loads(line)
    assert said.pop("timestamp").endswith("Z")
    assert said == {
        "level": "warning", "event": "a peer can't\nbe reached", "kme": "kme-b", "since_s": 1.5, "tried": ["a", 2]
    }  # fmt: skip


def test_a_line_of_text_is_one_line_whatever_a_client_put_into_it() -> None:
    out = lines("text")
    structlog.get_logger("x").info("refused", client="a b\n2026-01-01 forged=line", kme="kme-b")

    (line,) = out.getvalue().splitlines()
    assert line.endswith('Z info    refused client="a b\\n2026-01-01 forged=line" kme=kme-b')


@pytest.mark.parametrize("style", ["json", "text"])
def test_key_bytes_reach_no_log_under_any_name_nor_inside_anything(style: logs.Style) -> None:
    out = lines(style)
    log = structlog.get_logger("x")
    material = Material(key_id=bytes(16), master="alice", bits=KEY, statement=STATEMENT)
    log.info("names", **dict.fromkeys(("key", "keys", "bits", "seed", "psk", "body", "pad", "secret"), KEY.hex()))
    log.info("kinds", a=KEY, b=bytearray(KEY), c=memoryview(KEY), d=material, e=[{"f": (KEY, material)}])
    log.info("nested", message={"Key": base64.b64encode(KEY).decode(), "number": 3})
    logging.getLogger("library").error("keys", extra={"bits": KEY})
    try:
        _fail(KEY)
    except ValueError:
        log.exception("failed")
        logging.getLogger("library").exception("failed")

    text = out.getvalue()
    assert [spelling for spelling in SPELLINGS if spelling in text] == []
    assert "<32 bytes>" in text
    assert text.count("ValueError: a mistake") == 2


@given(st.recursive(st.just(KEY) | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=9))
def test_whatever_holds_bytes_is_shown_without_them(value: Any) -> None:
    assert str(KEY) not in str(logs.redacted(value))


def test_lines_below_the_level_are_dropped_and_libraries_speak_up_only_in_trouble() -> None:
    out = lines("json", logging.INFO)
    structlog.get_logger("x").debug("no")
    logging.getLogger("library").info("no")
    logging.getLogger("library").warning("yes")

    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["yes"]


async def test_a_request_is_one_line_of_who_what_and_which_ids() -> None:
    outs = io.StringIO(), io.StringIO()
    request = Request("GET", "/api/v1/keys/bob/enc keys" + 500 * "x", "size=256", KEY, "text/plain")
    response = Response(200, KEY, (("X", "y"),), "delivered", ("id-1", "id-2"))
    for style, out in (("json", outs[0]), ("text", outs[1])):
        log = AccessLog(style, out)  # type: ignore[arg-type]
        log.answered("etsi014", Guest("al ice", "192.0.2.1"), request, response, 0.0012345)
        log.answered("etsi014", Guest(None, "192.0.2.1"), request, Response(401, b""), 0.5)
        assert out.getvalue() == ""  # so far it only waits
        log.flush()

    first, second = map(json.loads, outs[0].getvalue().splitlines())
    assert first["timestamp"] <= second["timestamp"]
    assert first == {
        "timestamp": first["timestamp"], "level": "info", "event": "request", "interface": "etsi014",
        "client": "al ice", "address": "192.0.2.1", "method": "GET", "path": request.path[:MAX_TEXT], "status": 200,
        "outcome": "delivered", "ms": 1.234, "key_ids": ["id-1", "id-2"],
    }  # fmt: skip
    assert (second["client"], second["status"], "key_ids" in second) == (None, 401, False)
    first_text, _ = outs[1].getvalue().splitlines()
    assert ' client="al ice" address=192.0.2.1 method=GET path="/api/v1/keys/bob/enc keysxxx' in first_text
    assert first_text.endswith("status=200 outcome=delivered ms=1.234 key_ids=id-1,id-2")


async def test_a_log_that_can_not_be_written_stops_nobody() -> None:
    out = io.StringIO()
    log = AccessLog("json", out)
    out.close()
    log.answered("etsi014", Guest(None, ""), Request("GET", "/"), Response(404, b""), 0.0)
    log.flush()


def _fail(bits: bytes) -> None:
    raise ValueError(f"a mistake with {len(bits)} bytes")
