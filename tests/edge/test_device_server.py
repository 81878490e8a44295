import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.api.http import Request, Response
from bellweave.blocks import SecretBlock
from bellweave.edge import device_server
from bellweave.edge.device_server import MAX_BITS, MSGPACK, Receipt
from bellweave.errors import StoreFailed
from bellweave.kms.driver import Network
from bellweave.kms.effects import Apply
from bellweave.testing.key_servers import block, network


class Devices:
    """A link's two ends, and how often their KMEs were told that something had come."""

    def __init__(self) -> None:
        self.net: Network = network()
        self.arrived = 0

    def _arrive(self) -> None:
        self.arrived += 1

    def ask(self, request: Request, *, at: str = "kme-a", caller: str | None = "device") -> Response:
        peer = "kme-b" if at == "kme-a" else "kme-a"
        work = device_server.handle(
            request, caller, self.net.kme(at), self.net.now_s, links={"device": peer}, arrived=self._arrive
        )
        return self.net.run(at, work)

    def push(self, what: SecretBlock, *, at: str = "kme-a") -> Response:
        return self.ask(posted(msgspec.json.encode(what)), at=at)

    def state(self, block_id: str, *, at: str = "kme-a") -> str:
        return str(receipt(self.ask(Request("GET", f"/api/v1/blocks/{block_id}"), at=at)).state)


@pytest.fixture
def devices() -> Devices:
    return Devices()


def posted(body: bytes, content_type: str = "application/json") -> Request:
    return Request("POST", "/api/v1/blocks", body=body, content_type=content_type)


def receipt(response: Response) -> Receipt:
    assert response.status == 200, response.body
    return msgspec.json.decode(response.body, type=Receipt)


def message(response: Response) -> str:
    return str(msgspec.json.decode(response.body)["message"])


@pytest.mark.parametrize("size_bytes", [100, 32 * 1024, 100_000], ids=["small", "one part", "several parts"])
def test_a_block_waits_until_the_other_end_has_its_copy_and_is_confirmed_then(
    devices: Devices, size_bytes: int
) -> None:
    assert receipt(devices.push(block("b", size_bytes))) == Receipt(block_id="b", state="waiting")
    devices.net.tick()
    assert devices.state("b") == "waiting"

    assert receipt(devices.push(block("b", size_bytes), at="kme-b")).state == "waiting"
    devices.net.tick()

    assert devices.state("b") == devices.state("b", at="kme-b") == "confirmed"
    assert devices.arrived == 2


def test_ends_that_hold_different_bits_put_them_into_quarantine(devices: Devices) -> None:
    devices.push(block("b", 70_000))
    devices.push(block("b", 70_000, seed=2), at="kme-b")
    devices.net.tick()

    assert devices.state("b") == devices.state("b", at="kme-b") == "quarantined"


def test_a_block_that_comes_again_counts_once_whatever_became_of_it(devices: Devices) -> None:
    for _ in range(3):
        assert devices.push(block("b", 70_000)).status == 200
    devices.push(block("b", 70_000), at="kme-b")
    devices.net.tick()

    assert receipt(devices.push(block("b", 70_000))).state == "confirmed"


def test_another_block_under_the_same_id_is_a_conflict_and_changes_nothing(devices: Devices) -> None:
    devices.push(block("b", 1000))

    refused = devices.push(block("b", 1000, seed=2))

    assert (refused.status, refused.outcome) == (409, "conflict")
    assert "'b'" in message(refused)
    devices.push(block("b", 1000), at="kme-b")
    devices.net.tick()
    assert devices.state("b") == "confirmed"


@pytest.mark.parametrize("content_type", [MSGPACK, "Application/MsgPack; v=1"])
def test_a_block_may_come_as_msgpack(devices: Devices, content_type: str) -> None:
    assert receipt(devices.ask(posted(msgspec.msgpack.encode(block("b", 100)), content_type))).state == "waiting"


@pytest.mark.parametrize("content_type", ["", "application/json; charset=utf-8", "text/plain"])
def test_anything_else_is_read_as_json(devices: Devices, content_type: str) -> None:
    assert receipt(devices.ask(posted(msgspec.json.encode(block("b", 100)), content_type))).state == "waiting"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bit_count": 801}, "801 bits need 101 bytes, not 100"),
        ({"bit_count": 0, "bits": "", "provable_bits": 0}, f"bit_count shall be from 8 to {MAX_BITS}, got 0"),
        ({"bit_count": "800"}, "$.bit_count"),
        ({"provable_bits": 801}, "provable_bits is 801, more than"),
        ({"epsilon": 2.0}, "$.epsilon"),
        ({"bits": "!!!"}, "$.bits"),
        ({"provenance": "invented"}, "$.provenance"),
        ({"color": "red"}, "`color`"),
        ({"block_id": ""}, "block_id shall have 1 to 128 printable characters but #, got ''"),
        ({"block_id": "b#1"}, "got 'b#1'"),
        ({"block_id": "b\n"}, "got 'b\\n'"),
        ({"block_id": "b" * 129}, "block_id shall have"),
    ],
)
def test_what_is_no_block_is_refused_with_the_member_and_the_limit(
    devices: Devices, change: dict[str, Any], words: str
) -> None:
    members = msgspec.to_builtins(block("b", 100)) | change

    refused = devices.ask(posted(msgspec.json.encode(members)))

    assert refused.status == 400
    assert words in message(refused)
    assert devices.arrived == 0


def test_numbers_that_are_none_are_refused(devices: Devices) -> None:
    members = msgspec.to_builtins(block("b", 100), builtin_types=(bytes,)) | {"end_s": float("inf")}

    refused = devices.ask(posted(msgspec.msgpack.encode(members), MSGPACK))

    assert (refused.status, message(refused)) == (400, "start_s and end_s shall be finite")


def test_a_refusal_quotes_no_bits(devices: Devices) -> None:
    members = msgspec.to_builtins(block("b", 100)) | {"bit_count": 801}
    bits = members["bits"]

    refused = devices.ask(posted(msgspec.json.encode(members)))

    assert bits.encode()[:8] not in refused.body
    assert base64.b64decode(bits)[:8].hex().encode() not in refused.body


@given(st.binary(max_size=200), st.sampled_from(["application/json", MSGPACK]))
def test_any_other_bytes_are_a_400_too(body: bytes, content_type: str) -> None:
    answer = Devices().ask(posted(body, content_type))

    assert answer.status == 400
    assert message(answer)


@pytest.mark.parametrize("caller", [None, "somebody", "alice"])
def test_only_a_registered_device_is_answered(devices: Devices, caller: str | None) -> None:
    refused = devices.ask(posted(msgspec.json.encode(block("b", 100))), caller=caller)

    assert (refused.status, message(refused)) == (401, "unauthorized")
    assert devices.ask(Request("GET", "/api/v1/blocks/b")).status == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/blocks", 405),
        ("PUT", "/api/v1/blocks/b", 405),
        ("GET", "/api/v1/blocks/b", 404),
        ("GET", "/api/v1/blocks/", 404),
        ("GET", "/api/v1/blocks/%ff", 404),
        ("GET", "/api/v1/blocks/" + 200 * "b", 404),
        ("POST", "/api/v2/blocks", 404),
        ("GET", "/api/v1/blocks/b/bits", 404),
        ("GET", "", 404),
    ],
)
def test_other_paths_and_methods_are_404_and_405(devices: Devices, method: str, path: str, status: int) -> None:
    refused = devices.ask(Request(method, path))

    assert refused.status == status
    assert message(refused)
    assert ("Allow" in dict(refused.headers)) == (status == 405)


def test_a_block_id_is_decoded_once(devices: Devices) -> None:
    devices.push(block("a/b %2F", 100))

    assert devices.state("a%2Fb%20%252F") == "waiting"


def test_a_store_that_fails_is_a_503_that_says_when_to_come_again(devices: Devices) -> None:
    work = device_server.handle(
        posted(msgspec.json.encode(block("b", 100))), "device", devices.net.kme("kme-a"), 0.0,
        links={"device": "kme-b"}, arrived=lambda: None,
    )  # fmt: skip
    assert isinstance(next(work), Apply)

    with pytest.raises(StopIteration) as end:
        work.throw(StoreFailed("no space left on the device"))

    assert end.value.value.status == 503
    assert dict(end.value.value.headers)["Retry-After"] == "1"
    assert b"space" not in end.value.value.body
