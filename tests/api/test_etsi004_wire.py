"""The bytes are those of ETSI's example clients in C and in Python, laid out by hand from their serialisers."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bellweave.api.etsi004_messages import (
    C_VERSION,
    NO_KSID,
    PYTHON_VERSION,
    Answer,
    Broken,
    CloseAnswer,
    CloseRequest,
    Dialect,
    GetAnswer,
    GetRequest,
    OpenAnswer,
    OpenRequest,
    Request,
)
from bellweave.api.etsi004_wire import (
    HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    Connection,
    read_answer,
    write_answer,
    write_failure,
    write_request,
)
from bellweave.errors import ProtocolError
from bellweave.kms.stream_terms import Terms

KSID = bytes(range(16))
PYTHON_TERMS = Terms(
    chunk_bytes=512,
    max_bps=40000,
    min_bps=5000,
    jitter_bps=10,
    timeout_ms=5000,
    ttl_s=3600,
    mimetype="application/json",
)
C_TERMS = Terms(chunk_bytes=8192, max_bps=32, min_bps=32, mimetype="application/json")
URIS = b"qkd://aaa\0qkd://bbb\0"

PYTHON_OPEN = (
    bytes.fromhex("01000102 00000140")
    + URIS
    + bytes.fromhex("00000200 00009c40 00001388 0000000a 00000000 00001388 00000e10")
    + b"application/json"
    + bytes(240)
    + NO_KSID
)
C_OPEN = (
    bytes.fromhex("02010102 00000051")
    + URIS
    + bytes.fromhex("00002000 00000020 00000020 00000000 00000000 00000000 00000000")
    + b"application/json\0"
    + KSID
)

numbers = st.integers(0, 2**32 - 1)
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
ksids = st.binary(min_size=16, max_size=16)
terms = st.builds(
    Terms, chunk_bytes=numbers, max_bps=numbers, min_bps=numbers, jitter_bps=numbers, priority=numbers,
    timeout_ms=numbers, ttl_s=numbers, mimetype=words,
)  # fmt: skip
versions = st.binary(min_size=3, max_size=3)
dialects: st.SearchStrategy[Dialect] = st.sampled_from(["c", "python"])
opens = st.builds(OpenRequest, words, words, terms, ksids, dialects, versions)
gets = st.one_of(
    st.builds(GetRequest, ksids, numbers, numbers, st.just("python"), versions),
    st.builds(GetRequest, ksids, numbers, st.integers(1, 2000), st.just("c"), versions),
)
requests: st.SearchStrategy[Request] = st.one_of(opens, gets, st.builds(CloseRequest, ksids, versions))
answers: st.SearchStrategy[Answer] = st.one_of(
    st.builds(OpenAnswer, numbers, terms, ksids),
    st.builds(GetAnswer, numbers.filter(lambda status: status != 8), numbers, st.binary(), st.binary()),
    st.builds(CloseAnswer, numbers),
)


def test_the_open_of_the_python_client_is_328_bytes_long() -> None:
    request = OpenRequest("qkd://aaa", "qkd://bbb", PYTHON_TERMS)

    assert len(PYTHON_OPEN) == 328
    assert Connection().feed(PYTHON_OPEN) == [request]
    assert write_request(request) == PYTHON_OPEN


def test_the_open_of_the_c_client_is_89_bytes_long() -> None:
    request = OpenRequest("qkd://aaa", "qkd://bbb", C_TERMS, KSID, "c", C_VERSION)

    assert len(C_OPEN) == 89
    assert Connection().feed(C_OPEN) == [request]
    assert write_request(request) == C_OPEN


def test_an_open_is_answered_in_its_dialect_and_version() -> None:
    answer = OpenAnswer(0, PYTHON_TERMS, KSID)
    (python,) = Connection().feed(PYTHON_OPEN)
    (c,) = Connection().feed(C_OPEN)
    assert isinstance(python, OpenRequest)
    assert isinstance(c, OpenRequest)

    qos = PYTHON_OPEN[28:56] + b"application/json"
    assert write_answer(answer, python) == bytes.fromhex("01000103 00000130 00000000") + qos + bytes(240) + KSID
    assert write_answer(answer, c) == bytes.fromhex("02010103 00000041 00000000") + qos + b"\0" + KSID


def test_a_get_of_the_c_client_carries_its_buffer_and_one_of_the_python_client_does_not() -> None:
    head = KSID + bytes.fromhex("00000007 00000002")
    python = bytes.fromhex("01000104 00000018") + head
    c = bytes.fromhex("02010104 0000001a") + head + b"\1\x10"

    assert Connection().feed(python + c) == [
        GetRequest(KSID, 7, 2, "python", PYTHON_VERSION),
        GetRequest(KSID, 7, 2, "c", C_VERSION),
    ]


def test_a_key_is_answered_with_index_key_and_metadata() -> None:
    answer = GetAnswer(0, 7, b"\xaa\xbb", b"{}")

    assert write_answer(answer, GetRequest(KSID, 7, 2)) == bytes.fromhex(
        "01000105 00000014 00000000 00000007 00000002 aabb 00000002 7b7d"
    )
    assert "aabb" not in repr(answer)
    assert "xaa" not in repr(answer)


def test_too_little_room_is_answered_with_the_size_that_each_dialect_looks_for() -> None:
    answer = GetAnswer(8, 7, needed_bytes=3)

    assert write_answer(answer, GetRequest(KSID, 7, 1, "python")) == bytes.fromhex(
        "01000105 00000008 00000008 00000003"
    )
    assert write_answer(answer, GetRequest(KSID, 7, 1, "c", C_VERSION)) == bytes.fromhex(
        "02010105 00000013 00000008 00000007 00000000 00000003 000000"
    )


def test_a_close_reads_the_same_in_both() -> None:
    assert Connection().feed(bytes.fromhex("01000108 00000010") + KSID) == [CloseRequest(KSID)]
    assert write_answer(CloseAnswer(0), CloseRequest(KSID, C_VERSION)) == bytes.fromhex("02010109 00000004 00000000")


def test_close_server_is_passed_over() -> None:
    request = CloseRequest(KSID)

    assert Connection().feed(bytes.fromhex("020101ff 00000003 010203") + write_request(request)) == [request]


@pytest.mark.parametrize("service", [0x00, 0x01, 0x03, 0x05, 0x06, 0x09, 0x7F, 0xFE])
def test_any_other_service_ends_the_connection(service: int) -> None:
    connection = Connection()

    (broken,) = connection.feed(bytes((1, 0, 1, service)) + bytes(4) + PYTHON_OPEN)

    assert isinstance(broken, Broken)
    assert connection.feed(PYTHON_OPEN) == []


def test_an_error_is_not_answered_with_an_error() -> None:
    assert write_failure(Broken("", 0x00), 4) == b""
    assert write_failure(Broken("", 0x07, C_VERSION), 4) == bytes.fromhex("02010100 00000000")


@pytest.mark.parametrize("service", [0x02, 0x04, 0x08, 0xFF, 0x00])
def test_a_payload_above_64_kib_is_refused_before_it_is_read(service: int) -> None:
    header = struct.pack("!3sBI", PYTHON_VERSION, service, MAX_PAYLOAD_BYTES + 1)

    (broken,) = Connection().feed(header)

    assert isinstance(broken, Broken)
    assert "65537" in broken.problem


def test_a_payload_of_64_kib_is_read() -> None:
    buffer_bytes = MAX_PAYLOAD_BYTES - 24
    request = GetRequest(KSID, 1, buffer_bytes, "c", C_VERSION)

    assert len(write_request(request)) == HEADER_BYTES + MAX_PAYLOAD_BYTES
    assert Connection().feed(write_request(request)) == [request]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"source",
        b"source\0destination",
        b"source\0destination\0",
        URIS + bytes(28 + 16),
        URIS + bytes(28) + b"json" + KSID,
        URIS + bytes(28) + b"a\0json\0" + KSID,
        URIS + bytes(28 + 257 + 16),
        b"\xff\0\xfe\0" + bytes(28 + 256 + 16),
        URIS + bytes(28) + b"\xff\0" + KSID,
    ],
)
def test_an_open_of_neither_dialect_is_broken_and_answered_so_that_both_can_read_it(payload: bytes) -> None:
    (broken,) = Connection().feed(struct.pack("!3sBI", C_VERSION, 0x02, len(payload)) + payload)

    assert isinstance(broken, Broken)
    failure = write_failure(broken, 4)
    assert read_answer(failure, "python") == OpenAnswer(4, Terms(), NO_KSID)
    # The C client reads status, seven numbers, a string and a KSID, and ignores what follows.
    assert failure[8:12] == bytes((0, 0, 0, 4))
    assert not any(failure[12:])
    assert len(failure) >= 8 + 4 + 28 + 1 + 16


@pytest.mark.parametrize("extra", [-1, 1, 7])
def test_a_get_or_close_of_another_length_is_broken(extra: int) -> None:
    for request in (GetRequest(KSID, 1, 20, "c"), CloseRequest(KSID)):
        data = write_request(request)
        payload = (data + bytes(8))[HEADER_BYTES : len(data) + extra]
        (broken,) = Connection().feed(data[:4] + len(payload).to_bytes(4, "big") + payload)

        assert isinstance(broken, Broken)
        status = read_answer(write_failure(broken, 4)).status
        assert status == 4


@given(st.lists(requests, max_size=5), st.data())
def test_requests_come_out_as_they_went_in_however_the_stream_is_cut(sent: list[Request], data: st.DataObject) -> None:
    stream = b"".join(map(write_request, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    connection = Connection()

    got = [
        request
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for request in connection.feed(stream[start:end])
    ]

    assert got == sent
    assert not connection.in_message


@given(requests, st.data())
def test_a_truncated_request_gives_nothing_yet(request: Request, data: st.DataObject) -> None:
    stream = write_request(request)
    connection = Connection()

    assert connection.feed(stream[: data.draw(st.integers(1, len(stream) - 1))]) == []
    assert connection.in_message


@given(versions, st.sampled_from([0, 2, 4, 8, 255]), st.binary(max_size=400), st.binary(max_size=40))
@example(C_VERSION, 2, URIS + bytes(28) + b"\0" + KSID, b"")
def test_no_payload_raises_or_reads_beyond_its_end(version: bytes, service: int, payload: bytes, after: bytes) -> None:
    message = struct.pack("!3sBI", version, service, len(payload)) + payload
    alone = Connection().feed(message)
    # In one piece with what follows, the message means the same.
    assert Connection().feed(message + after)[: len(alone)] == alone
    for incoming in alone:
        if isinstance(incoming, Broken):
            write_failure(incoming, 4)
        else:
            assert incoming.version == version
            again = write_request(incoming)
            assert len(again) == len(message)
            assert Connection().feed(again) == [incoming]


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_no_bytes_raise_and_none_are_kept_beyond_the_limit(pieces: list[bytes]) -> None:
    connection = Connection()
    for piece in pieces:
        connection.feed(piece)
        assert len(connection._buffer) <= HEADER_BYTES + MAX_PAYLOAD_BYTES


@given(answers, dialects)
def test_a_client_reads_what_the_server_answered(answer: Answer, dialect: Dialect) -> None:
    requests_by_kind: dict[type[Answer], Request] = {
        OpenAnswer: OpenRequest("", "", Terms(), dialect=dialect),
        GetAnswer: GetRequest(KSID, 0, 1, dialect),
        CloseAnswer: CloseRequest(KSID),
    }

    assert read_answer(write_answer(answer, requests_by_kind[type(answer)]), dialect) == answer


@given(dialects, st.integers(1, 5000))
def test_a_client_learns_how_much_room_is_needed(dialect: Dialect, needed_bytes: int) -> None:
    data = write_answer(GetAnswer(8, 3, needed_bytes=needed_bytes), GetRequest(KSID, 3, 1, dialect))

    answer = read_answer(data, dialect)

    assert isinstance(answer, GetAnswer)
    assert (answer.status, answer.needed_bytes) == (8, needed_bytes)


@given(st.binary(max_size=400), st.sampled_from([0, 3, 5, 9]), st.booleans(), dialects)
def test_a_client_calls_an_unreadable_answer_a_protocol_error(
    payload: bytes, service: int, honest: bool, dialect: Dialect
) -> None:
    data = struct.pack("!3sBI", PYTHON_VERSION, service, len(payload) if honest else 7) + payload
    try:
        answer = read_answer(data, dialect)
    except ProtocolError:
        return
    assert answer.status == int.from_bytes(payload[:4], "big")
