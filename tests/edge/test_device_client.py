"""The device's side, against a real HTTPS server that answers as the test says."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from bellweave.api.errors import Refusal
from bellweave.api.http import Request, Response
from bellweave.blocks import SecretBlock
from bellweave.edge.clock import now_s
from bellweave.edge.device_client import DeviceClient
from bellweave.edge.device_server import MSGPACK, Receipt
from bellweave.edge.http_connection import Then
from bellweave.edge.http_server import Door, HttpServer, Service
from bellweave.edge.kme_watch import Telemetry
from bellweave.edge.tls import Certificates, client_context
from bellweave.errors import PeerRefused, PeerUnreachable, ScenarioError
from bellweave.kms.config import Limits
from bellweave.kms.effects import Work
from bellweave.testing.certificates import Pki
from bellweave.testing.key_servers import block

pytestmark = pytest.mark.emu

HELD = Response(200, msgspec.json.encode(Receipt(block_id="b", state="waiting")))
CUT = Response(0, b"")
BUSY = Refusal(503, "the key store cannot be used at the moment").response()


class Kme:
    """A server that gives its answers in turn, the last one for ever; :data:`CUT`: it cuts the connection."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.asked: list[Request] = []
        self.server: HttpServer

    def handle(self, request: Request, caller: str | None, now_s: float) -> Work[Response]:
        self.asked.append(request)
        yield from ()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def start(self, work: Work[Response], then: Then) -> None:
        try:
            next(work)
        except StopIteration as end:
            if end.value is CUT:
                for connection in list(self.server._connections):
                    connection.abort()
            else:
                then(end.value, None)


@contextlib.asynccontextmanager
async def serving(tmp_path: Path, kme: Kme, port: int = 0) -> AsyncIterator[DeviceClient]:
    pki = Pki(tmp_path / "pki")
    certificates = Certificates(pki.kme("kme-a").tls(), tmp_path, print)
    door = Door(certificates, lambda shown, time_s: certificates.peer(shown, "device", time_s))
    service = Service("device", kme.handle, kme.start, now_s)
    kme.server = HttpServer(service, Limits(body_bytes=1 << 20), door, Telemetry(None))
    host, port = await kme.server.start("127.0.0.1", port)
    files = pki.device("detector 1")
    context = client_context(files.ca, files.cert, files.key)
    client = DeviceClient(f"https://{host}:{port}", context, patience_s=2.0)
    try:
        yield client
    finally:
        client.close()
        await kme.server.stop(1.0)


async def test_a_block_arrives_whole_over_one_connection(tmp_path: Path) -> None:
    kme = Kme(HELD)
    async with serving(tmp_path, kme) as client:
        for _ in range(3):
            assert await client.push_async(block("b", 100_000)) == Receipt(block_id="b", state="waiting")
        assert (await client.look_async("a/b %")).state == "waiting"

    assert [request.method for request in kme.asked] == ["POST", "POST", "POST", "GET"]
    assert kme.asked[0].content_type == MSGPACK
    assert msgspec.msgpack.decode(kme.asked[0].body, type=SecretBlock) == block("b", 100_000)
    assert kme.asked[-1].path == "/api/v1/blocks/a%2Fb%20%25"


@pytest.mark.parametrize("trouble", [BUSY, CUT, Response(500, b"<html>")], ids=["503", "cut", "500"])
async def test_a_push_is_repeated_until_it_is_answered(tmp_path: Path, trouble: Response) -> None:
    kme = Kme(trouble, trouble, HELD)
    async with serving(tmp_path, kme) as client:
        assert (await client.push_async(block("b", 100))).state == "waiting"

    assert len({request.body for request in kme.asked}) == 1
    assert len(kme.asked) == 3


async def test_patience_ends(tmp_path: Path) -> None:
    kme = Kme(BUSY)
    async with serving(tmp_path, kme) as client:
        with pytest.raises(PeerUnreachable, match="503: the key store cannot be used"):
            await client.push_async(block("b", 100))

    assert 3 <= len(kme.asked) <= 6


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413])
async def test_what_will_never_be_taken_is_not_repeated(tmp_path: Path, status: int) -> None:
    kme = Kme(Refusal(status, "not this one").response(), HELD)
    async with serving(tmp_path, kme) as client:
        with pytest.raises(PeerRefused, match=f"127.0.0.1 answered {status}: not this one"):
            await client.push_async(block("b", 100))
        assert (await client.push_async(block("b", 100))).state == "waiting"


async def test_an_answer_that_makes_no_sense_is_an_error(tmp_path: Path) -> None:
    async with serving(tmp_path, Kme(Response(200, b"{}"))) as client:
        with pytest.raises(PeerRefused, match="makes no sense"):
            await client.push_async(block("b", 100))


async def test_nobody_there_is_out_of_reach(tmp_path: Path) -> None:
    async with serving(tmp_path, Kme(HELD)) as client:
        pass

    with pytest.raises(PeerUnreachable, match="can't take a call: no answer"):
        await client.push_async(block("b", 100))


async def test_a_server_with_another_name_is_not_told_a_bit(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "other")
    files = pki.device("detector 1")
    kme = Kme(HELD)
    async with serving(tmp_path, kme) as client:
        stranger = DeviceClient(
            f"https://127.0.0.1:{client._connection.port}",
            client_context(files.ca, files.cert, files.key),
            patience_s=0.2,
        )
        with pytest.raises(PeerUnreachable, match="certificate verify failed"):
            await asyncio.to_thread(stranger.push, block("b", 100))

    assert kme.asked == []


@pytest.mark.parametrize("url", ["http://kme-a:1", "kme-a:1", "https://", "https://kme-a:1/api"])
def test_only_the_address_of_an_https_server_will_do(url: str) -> None:
    with pytest.raises(ScenarioError, match="expected https://host:port"):
        DeviceClient(url, ssl.create_default_context())
