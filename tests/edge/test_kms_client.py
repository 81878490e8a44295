"""Both clients against real KMEs over real TLS, and against servers that misbehave."""

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bellweave.api import etsi014
from bellweave.api.http import Request, Response
from bellweave.edge import kms_calls
from bellweave.edge.http_server import Door, Guest, HttpServer, Service
from bellweave.edge.kms_calls import Key, Status
from bellweave.edge.kms_client import KmsClient
from bellweave.edge.kms_client_sync import KmsClientSync
from bellweave.edge.tls import Certificates, server_context
from bellweave.errors import (
    BellweaveError,
    KeyServerDenied,
    KeyServerRefused,
    KeyServerUnreachable,
    ScenarioError,
)
from bellweave.kms.config import Limits
from bellweave.kms.effects import Work
from bellweave.testing.certificates import Files, Pki
from bellweave.testing.key_delivery import Delivery

UUID = "00010203-0405-0607-0809-0a0b0c0d0e0f"


class Unobserved:
    def answered(self, interface: str, guest: Guest, request: Request, response: Response, took_s: float) -> None: ...

    def connections(self, interface: str, number: int) -> None: ...

    def turned_away(self, interface: str, why: str) -> None: ...


class InThread:
    """The synchronous client, called like the other one."""

    def __init__(self, url: str, **options: Any) -> None:
        self._client = KmsClientSync(url, **options)

    async def status(self, slave: str) -> Status:
        return await asyncio.to_thread(self._client.status, slave)

    async def enc_keys(self, *arguments: Any, **options: Any) -> tuple[Key, ...]:
        return await asyncio.to_thread(self._client.enc_keys, *arguments, **options)

    async def dec_keys(self, master: str, key_ids: list[str]) -> tuple[Key, ...]:
        return await asyncio.to_thread(self._client.dec_keys, master, key_ids)

    async def close(self) -> None:
        await asyncio.to_thread(self._client.close)


@dataclass
class Place:
    """Two KMEs that serve, and clients of either kind."""

    pki: Pki
    urls: dict[str, str]
    kind: Callable[..., KmsClient | InThread]
    stack: contextlib.AsyncExitStack

    def client(self, kme: str, files: Files, *, name: str | None = None, **options: Any) -> Any:
        options |= {"ca": files.ca, "cert": files.cert, "key": files.key, "kme": name or kme}
        client = self.kind(self.urls[kme], **options)
        self.stack.push_async_callback(client.close)
        return client


@contextlib.asynccontextmanager
async def serving(folder: Path, kind: Callable[..., Any], **limits: Any) -> AsyncIterator[Place]:
    net, pki, urls = Delivery(), Pki(folder / "pki"), {}
    async with contextlib.AsyncExitStack() as stack:
        for kme in ("kme-a", "kme-b"):
            server = _server(net, pki, kme, Limits(**limits))
            urls[kme] = f"https://127.0.0.1:{(await server.start('127.0.0.1', 0))[1]}"
            stack.push_async_callback(server.stop, 0.0)
        yield Place(pki, urls, kind, stack)


def _server(net: Delivery, pki: Pki, kme: str, limits: Limits) -> HttpServer:
    certificates = Certificates(pki.kme(kme).tls(), pki.folder, print)

    def handle(request: Request, caller: str | None, now_s: float) -> Work[Response]:
        return etsi014.handle(request, caller, net.kme(kme), now_s)

    def start(work: Work[Response], then: Any) -> None:
        then(net.run(kme, work), None)

    door = Door(certificates, lambda shown, now_s: certificates.sae(shown, net.saes, now_s))
    return HttpServer(Service("etsi014", handle, start, lambda: net.now_s, etsi014=True), limits, door, Unobserved())


@pytest.fixture(params=[KmsClient, InThread])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_what_a_master_draws_its_slave_takes_once(tmp_path: Path, kind: Any) -> None:
    async with serving(tmp_path, kind) as place:
        alice = place.client("kme-a", place.pki.sae("alice"))
        bob = place.client("kme-b", place.pki.sae("bob"))

        status = await alice.status("bob")
        drawn = await alice.enc_keys("bob", 3, 128)
        ids = [key.key_id for key in drawn]
        taken = await bob.dec_keys("alice", [each.upper() for each in reversed(ids)])

        assert (status.source_kme, status.target_kme, status.key_size) == ("kme-a", "kme-b", 256)
        assert [(key.key_id, key.bits) for key in reversed(taken)] == [(key.key_id, key.bits) for key in drawn]
        assert {len(key.bits) for key in drawn} == {16}
        assert drawn[0].extension["bellweave_origin"] == "direct"
        assert drawn[0].bits.hex() not in repr(drawn)
        assert str(drawn[0].bits) not in repr(drawn)
        with pytest.raises(KeyServerRefused) as gone:
            await bob.dec_keys("alice", ids)
        assert (gone.value.status, gone.value.message) == (400, "one or more keys specified are not found on KME")


async def test_extensions_and_further_slaves_reach_the_server(tmp_path: Path, kind: Any) -> None:
    async with serving(tmp_path, kind) as place:
        alice = place.client("kme-a", place.pki.sae("alice"))

        with pytest.raises(KeyServerRefused) as refused:
            await alice.enc_keys("bob", mandatory={"acme_color": "red"})
        assert refused.value.message == "not all extension_mandatory parameters are supported"
        assert refused.value.details == ({"extension_mandatory_unsupported": "acme_color"},)
        (key,) = await alice.enc_keys("bob", additional_slaves=["ben"], optional={"acme_color": "red"})
        for slave in ("ben", "bob"):
            assert await place.client("kme-b", place.pki.sae(slave)).dec_keys("alice", [key.key_id])


@pytest.mark.parametrize("number", [17, 128])
async def test_too_little_key_is_an_error_with_the_servers_words(tmp_path: Path, kind: Any, number: int) -> None:
    async with serving(tmp_path, kind) as place:
        with pytest.raises(KeyServerRefused) as refused:
            await place.client("kme-a", place.pki.sae("alice")).enc_keys("bob", number)

        assert refused.value.status == 503
        assert refused.value.message.startswith("not enough keys: 16 of")


async def test_a_certificate_that_is_refused_is_told_as_that(tmp_path: Path, kind: Any) -> None:
    other = Pki(tmp_path / "other").sae("alice")
    async with serving(tmp_path, kind) as place:
        stranger = Files(place.pki.ca, other.cert, other.key)
        for files in (place.pki.expired("sae", "alice"), stranger):
            with pytest.raises(KeyServerDenied):
                await place.client("kme-a", files).status("bob")
        with pytest.raises(KeyServerRefused) as nobody:
            await place.client("kme-a", place.pki.sae("mallory")).status("bob")
        assert nobody.value.status == 401


async def test_the_wrong_server_gets_no_request(tmp_path: Path, kind: Any) -> None:
    other = Pki(tmp_path / "other")
    async with serving(tmp_path, kind) as place:
        alice = place.pki.sae("alice")
        with pytest.raises(KeyServerDenied, match="its certificate is that of kme kme-a, not of kme kme-b"):
            await place.client("kme-a", alice, name="kme-b").enc_keys("bob")
        with pytest.raises(KeyServerDenied, match="is not the key server"):
            await place.client("kme-a", Files(other.ca, alice.cert, alice.key)).enc_keys("bob")
        assert (await place.client("kme-a", alice).status("bob")).stored_key_count == 16


async def test_a_connection_that_the_server_closed_meanwhile_is_made_again(tmp_path: Path, kind: Any) -> None:
    async with serving(tmp_path, kind, idle_s=0.2) as place:
        alice = place.client("kme-a", place.pki.sae("alice"))
        for _ in range(2):
            assert len(await alice.enc_keys("bob")) == 1
            await asyncio.sleep(0.7)


async def test_nobody_there_is_told_and_bad_addresses_are_refused(tmp_path: Path, kind: Any) -> None:
    async with serving(tmp_path, kind) as place:
        files = place.pki.sae("alice")
        place.urls["kme-a"] = "https://127.0.0.1:1"
        with pytest.raises(KeyServerUnreachable, match="can't be reached"):
            await place.client("kme-a", files).enc_keys("bob")
        for url in ("http://127.0.0.1:1", "127.0.0.1:1", "https://h:x", "https://h:0", "https://h/api", "https://"):
            place.urls["kme-a"] = url
            with pytest.raises(ScenarioError, match="a key server's URL is https://host:port"):
                place.client("kme-a", files)


# ----------------------------------------------------------------------------------------------- servers that misbehave

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def rogue(folder: Path, kind: Any, answer: Answer, **options: Any) -> AsyncIterator[Any]:
    """A client of a server that does with each connection what ``answer`` does."""
    pki = Pki(folder / "pki")
    mine, hers = pki.kme("kme-a"), pki.sae("alice")

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await answer(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=server_context(mine.ca, mine.cert, mine.key))
    port = server.sockets[0].getsockname()[1]
    client = kind(f"https://localhost:{port}", ca=hers.ca, cert=hers.cert, key=hers.key, **options)
    try:
        yield client
    finally:
        await client.close()
        server.close()
        await server.wait_closed()


def saying(body: bytes, status: str = "200 OK", *, times: list[str] | None = None) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if times is not None:
                times.append(head.split()[0])
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()

    return answer


def container(*ids: str, **more: Any) -> bytes:
    key = base64.b64encode(bytes(4)).decode()
    return json.dumps({"keys": [{"key_ID": each, "key": key} | more for each in ids]}).encode()


OTHER = UUID.replace("0", "1")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "makes no sense: no JSON"),
        (b"<html>", "makes no sense: no JSON"),
        (b"\xff", "makes no sense: no JSON"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"keys": [{"key_ID": "x"}]}', "missing required field `key`"),
        (container(UUID, key="A"), "makes no sense"),
        (container(), "without some of the keys"),
        (container(OTHER), "without some of the keys"),
        (container(UUID, OTHER), "keys that nobody asked for"),
        (container(UUID, UUID.upper()), "one key id twice"),
    ],
)
async def test_an_answer_without_the_keys_asked_for_is_none(
    tmp_path: Path, kind: Any, body: bytes, problem: str
) -> None:
    async with rogue(tmp_path, kind, saying(body)) as client:
        with pytest.raises(KeyServerUnreachable, match=problem) as raised:
            await client.dec_keys("bob", [UUID])
        assert "AAAAA" not in str(raised.value)


@pytest.mark.parametrize("body", [b"", b"<html>nginx", b"[1]", b'{"message": 3}'])
async def test_an_error_without_words_is_an_error_all_the_same(tmp_path: Path, kind: Any, body: bytes) -> None:
    async with rogue(tmp_path, kind, saying(body, "502 Bad")) as client:
        with pytest.raises(KeyServerRefused, match="the key server answered 502: no words"):
            await client.enc_keys("bob")


async def test_another_vendors_members_do_no_harm(tmp_path: Path, kind: Any) -> None:
    body = container(UUID, acme=1, key_extension={"acme_x": [1]})
    async with rogue(tmp_path, kind, saying(body)) as client:
        (key,) = await client.enc_keys("bob")
        assert key == Key(UUID, bytes(4), {"acme_x": [1]})


async def test_only_status_is_asked_again(tmp_path: Path, kind: Any) -> None:
    heard: list[str] = []

    async def cut(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).decode().split()[0])
        _writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    async with rogue(tmp_path, kind, cut) as client:
        with pytest.raises(KeyServerUnreachable):
            await client.enc_keys("bob")
        assert heard == ["POST"]
        with pytest.raises(KeyServerUnreachable):
            await client.dec_keys("bob", [UUID])
        assert heard == ["POST", "POST"]
        with pytest.raises(KeyServerUnreachable):
            await client.status("bob")
        assert heard == ["POST", "POST", "GET", "GET", "GET"]


async def test_waits_and_answers_are_bounded(tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with rogue(tmp_path, kind, hang, timeout_s=1.0) as client:
        with pytest.raises(KeyServerUnreachable, match="did not answer in time"):
            await client.enc_keys("bob")
    for module in ("kms_client", "kms_client_sync"):
        monkeypatch.setattr(f"bellweave.edge.{module}.MAX_ANSWER_BYTES", 1000)
    async with rogue(tmp_path, kind, saying(2000 * b" ")) as client:
        with pytest.raises(KeyServerUnreachable, match="longer than 1000 bytes"):
            await client.enc_keys("bob")


async def test_no_proxy_and_no_authority_is_taken_from_the_environment(
    tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    other = Pki(tmp_path / "other")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "pki" / "ca.crt"))
    async with rogue(tmp_path, kind, saying(container(UUID))) as client:
        assert await client.enc_keys("bob")
    files = other.sae("alice")
    async with rogue(tmp_path, lambda url, **_: kind(url, ca=files.ca, cert=files.cert, key=files.key),
                     saying(container(UUID))) as client:  # fmt: skip
        with pytest.raises(KeyServerDenied, match="is not the key server"):
            await client.enc_keys("bob")


def test_names_are_spelled_so_that_they_stay_one_part_of_the_path() -> None:
    assert kms_calls.status("a/../b?c#d é").path == "/api/v1/keys/a%2F..%2Fb%3Fc%23d%20%C3%A9/status"


def test_errors_of_a_key_server_are_errors_of_ours() -> None:
    for error in (KeyServerRefused(400, "x"), KeyServerDenied("x"), KeyServerUnreachable("x")):
        assert isinstance(error, BellweaveError)
    assert not issubclass(KeyServerDenied, ssl.SSLError)
