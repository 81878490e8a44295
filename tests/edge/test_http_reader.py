"""Reading requests: whole or byte by byte, good and bad."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.edge.http_reader import MAX_HEAD_BYTES, HttpReader, Received

MAX_BODY = 64 * 1024


def read(data: bytes, step: int = 1 << 30) -> tuple[list[Received], HttpReader]:
    reader = HttpReader(MAX_BODY)
    received = []
    for first in range(0, len(data), step):
        received += reader.feed(data[first : first + step])
    return received, reader


def get(fields: str = "Host: kme\r\n", target: str = "/a", version: str = "1.1") -> bytes:
    return f"GET {target} HTTP/{version}\r\n{fields}\r\n".encode()


POST = b"POST /keys?x=%2F HTTP/1.1\r\nHost: kme\r\nContent-Type: text/json; charset=x\r\nContent-Length: 4\r\n\r\nbody"
CHUNKED = (
    b"POST /keys HTTP/1.1\r\nHost: kme\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\nHost: t\r\n\r\n"
)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_request_is_read_however_its_bytes_arrive(step: int) -> None:
    received, reader = read(POST + CHUNKED + get(), step)

    requests = [each.request for each in received]
    assert [(r.method, r.path, r.query, r.body) for r in requests] == [
        ("POST", "/keys", "x=%2F", b"body"),
        ("POST", "/keys", "", b"body"),
        ("GET", "/a", "", b""),
    ]
    assert [r.content_type for r in requests] == ["text/json; charset=x", "", ""]
    assert not any(each.last for each in received)
    assert reader.problem is None
    assert reader.phase == "idle"


@pytest.mark.parametrize(
    ("data", "last", "line"),
    [
        (get(), False, b""),
        (get("Host: kme\r\nConnection: close\r\n"), True, b"Connection: close\r\n"),
        (get("", version="1.0"), True, b"Connection: close\r\n"),
        (get("Connection: keep-alive\r\n", version="1.0"), False, b"Connection: keep-alive\r\n"),
        (get("Host: kme\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"), True, b"Connection: close\r\n"),
    ],
)
def test_whether_the_connection_goes_on_is_what_the_client_says(data: bytes, last: bool, line: bytes) -> None:
    (received,), reader = read(data)

    assert (received.last, received.connection, reader.problem) == (last, line, None)


def test_what_follows_the_last_request_is_nobodys() -> None:
    received, reader = read(get("Host: kme\r\nConnection: close\r\n") + get() + b"\0rubbish", 10)

    assert len(received) == 1
    assert reader.problem is None


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/..%2f../b/../c", "/a/..%2f../b/../c"),
        ("http://kme:443/api/x?y=/z", "/api/x"),
        ("https://kme", "/"),
        ("//kme/x", "//kme/x"),
    ],
)
def test_a_path_stays_as_it_came(target: str, path: str) -> None:
    (received,), _ = read(get(target=target))

    assert received.request.path == path


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
        (b"GET /a\r\n\r\n", 400),
        (get("Host: kme\r\nHost: other\r\n"), 400),
        (get(""), 400),
        (get(version="2.0"), 400),
        (get("Host: kme\r\n folded: x\r\n"), 400),
        (get("Host : kme\r\n"), 400),
        (get("Host: kme\nX: y\r\n"), 400),
        (get("Host: kme\r\nContent-Length: -1\r\n"), 400),
        (get("Host: kme\r\nContent-Length: 99999999999999999999999\r\n"), 400),
        (get("Host: kme\r\nContent-Length: 3\r\nContent-Length: 4\r\n"), 400),
        (get("Host: kme\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 400),
        (get("Host: kme\r\nTransfer-Encoding: chunked, identity\r\n"), 400),
        (CHUNKED.replace(b"2\r\nbo", b"x\r\nbo"), 400),
        (CHUNKED.replace(b"2\r\nbo", b"2\nbo"), 400),
        (get("Host: kme\r\n", target="/" + MAX_HEAD_BYTES * "a"), 431),
        (get("Host: kme\r\nX: " + MAX_HEAD_BYTES * "a" + "\r\n"), 431),
        (get("Host: kme\r\n" + 4000 * "X: y\r\n" + 4000 * "X: yyyyy\r\n"), 431),
        (get(f"Host: kme\r\nContent-Length: {MAX_BODY + 1}\r\n"), 413),
        (CHUNKED.partition(b"0\r\n")[0] + 20 * (b"1000\r\n" + 4096 * b"x" + b"\r\n"), 413),
    ],
)
@pytest.mark.parametrize("step", [1000, 1 << 30])
def test_what_is_no_strict_http_or_too_long_is_refused_but_not_what_came_before(
    data: bytes, status: int, step: int
) -> None:
    received, reader = read(POST + data, step)

    assert [each.request.body for each in received] == [b"body"]
    assert reader.problem is not None
    assert reader.problem.status == status
    assert reader.feed(POST) == []


def test_a_head_that_never_ends_is_refused_before_it_fills_the_memory() -> None:
    reader = HttpReader(MAX_BODY)
    reader.feed(b"GET /a HTTP/1.1\r\nX: ")
    fed = 0
    while reader.problem is None:
        reader.feed(1024 * b"a")
        fed += 1024

    assert fed <= MAX_HEAD_BYTES + 1024


def test_a_client_that_waits_is_told_to_go_on_unless_its_body_is_too_long() -> None:
    head = "Host: kme\r\nExpect: 100-continue\r\nContent-Length: "
    good, waiting = read(get(head + "4\r\n"))
    _, refused = read(get(head + f"{MAX_BODY + 1}\r\n"))

    assert (good, waiting.wants_continue, waiting.phase) == ([], True, "body")
    assert len(waiting.feed(b"body")) == 1
    assert not waiting.wants_continue
    assert (refused.wants_continue, refused.problem and refused.problem.status) == (False, 413)


@given(
    st.lists(st.sampled_from([POST, CHUNKED, get(), b"\r\n", b"GET", b" ", b"\xff"]), max_size=6), st.integers(1, 99)
)
def test_any_bytes_give_requests_or_one_problem_the_same_whatever_the_pieces(parts: list[bytes], step: int) -> None:
    data = b"".join(parts)

    whole, one = read(data)
    pieces, other = read(data, step)

    assert [each.request for each in whole] == [each.request for each in pieces]
    assert one.problem == other.problem


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    read(POST + data, 13)
