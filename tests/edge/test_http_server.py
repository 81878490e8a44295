"""The server over real sockets and real TLS, in front of a handler that says who called and what for."""

import asyncio
import contextlib
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bellweave.api.errors import HEADERS
from bellweave.api.http import Request, Response
from bellweave.edge.clock import now_s
from bellweave.edge.http_connection import Then
from bellweave.edge.http_server import Door, Guest, HttpServer, Service
from bellweave.edge.tls import Certificates, client_context
from bellweave.kms.config import Limits
from bellweave.kms.effects import Work
from bellweave.testing.certificates import Files, Pki

SAES = {"alice", "bob"}
HANG_S = 30.0
STATUS = b"GET /api/v1/keys/bob/status HTTP/1.1\r\nHost: kme\r\n\r\n"


def post(body: bytes, fields: str = "") -> bytes:
    head = f"POST /api/v1/keys/bob/enc_keys HTTP/1.1\r\nHost: kme\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass
class Handler:
    """Answers with what it got; requests for a path that ends in ``/wait`` are held until they are let go."""

    held: list[Callable[[], None]] = field(default_factory=list)
    begun: int = 0

    def handle(self, request: Request, caller: str | None, _now_s: float) -> Work[Response]:
        yield from ()
        self.begun += 1
        if request.path.endswith("/fail"):
            raise RuntimeError("a mistake")
        said = {"caller": caller, "method": request.method, "path": request.path, "body": len(request.body)}
        return Response(200 if caller else 401, json.dumps(said).encode(), HEADERS, "told")

    def start(self, work: Work[Response], then: Then) -> None:
        try:
            next(work)
        except StopIteration as end:
            response: Response = end.value
            if b"/wait" in response.body:
                self.held.append(lambda: then(response, None))
            else:
                then(response, None)
        except RuntimeError as error:
            then(None, error)


@dataclass
class Seen:
    """What the server told its observer."""

    answers: list[tuple[str | None, str, int, str]] = field(default_factory=list)
    away: list[str] = field(default_factory=list)
    open: int = 0

    def answered(self, interface: str, guest: Guest, request: Request, response: Response, took_s: float) -> None:
        assert (interface, took_s >= 0) == ("etsi014", True)
        self.answers.append((guest.name, request.path, response.status, response.outcome))

    def connections(self, _interface: str, number: int) -> None:
        self.open = number

    def turned_away(self, _interface: str, why: str) -> None:
        self.away.append(why)


@dataclass
class Running:
    """A server that runs, and the means to call it."""

    server: HttpServer
    handler: Handler
    seen: Seen
    port: int

    clients: list["Client"] = field(default_factory=list)

    async def connect(self, files: Files | None = None, context: ssl.SSLContext | None = None) -> "Client":
        if files is not None:
            context = client_context(files.ca, files.cert, files.key)
        name = None if context is None else "localhost"
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=name))
        self.clients.append(client)
        return client

    async def emptied(self) -> None:
        for client in self.clients:
            await client.close()
        await until(lambda: not self.seen.open)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(HANG_S):
        while not true():  # noqa: ASYNC110 the server has no event for it
            await asyncio.sleep(0.01)


@dataclass
class Client:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, *, head_only: bool = False) -> tuple[int, dict[str, str], Any]:
        async with asyncio.timeout(HANG_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = b"" if head_only else await self.reader.readexactly(int(fields.get("content-length", "0")))
        return int(head[0].split()[1]), fields, json.loads(body) if body else None

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], Any]:
        self.send(data)
        return await self.answer()

    async def is_closed(self) -> bool:
        with contextlib.suppress(OSError):
            async with asyncio.timeout(HANG_S):
                return await self.reader.read() == b""
        return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def running(pki: Pki, *, plain: bool = False, deny: str | None = None, **limits: Any) -> AsyncIterator[Running]:
    handler, seen = Handler(), Seen()
    certificates = Certificates(pki.kme("kme-a").tls(deny=deny), pki.folder, lambda _: None)
    door = None if plain else Door(certificates, lambda shown, now: certificates.sae(shown, SAES, now))
    service = Service("etsi014", handler.handle, handler.start, now_s, etsi014=True)
    server = HttpServer(service, Limits(**limits), door, seen)
    _, port = await server.start("127.0.0.1", 0)
    run = Running(server, handler, seen, port)
    try:
        yield run
    finally:
        for client in run.clients:
            await client.close()
        await server.stop(0.0)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


async def test_a_request_is_answered_for_the_name_in_the_certificate_and_the_connection_stays(pki: Pki) -> None:
    async with running(pki) as run:
        client = await run.connect(pki.sae("alice"))
        for path, body in (("/api/v1/keys/bob/enc_keys", 3), ("/api/v1/keys/bob/enc_keys", 0)):
            status, fields, said = await client.ask(post(b"x" * body))
            assert (status, said) == (200, {"caller": "alice", "method": "POST", "path": path, "body": body})
            assert fields["cache-control"] == "no-store"
            assert fields["content-type"] == "application/json"
            assert fields["date"].endswith(" GMT")
            assert "connection" not in fields
        assert run.seen.answers == 2 * [("alice", "/api/v1/keys/bob/enc_keys", 200, "told")]


async def test_headers_name_nobody(pki: Pki) -> None:
    async with running(pki) as run:
        client = await run.connect(pki.sae("alice"))
        spoofed = "".join(f"{name}: bob\r\n" for name in ("X-SSL-Client-CN", "X-Client-Cert", "X-Forwarded-User"))
        _, _, said = await client.ask(post(b"", spoofed + "X-SSL-Client-S-DN: CN=bob\r\nAuthorization: bob\r\n"))
        assert said["caller"] == "alice"


async def test_a_valid_certificate_with_no_registered_name_reaches_the_handler_as_nobody(pki: Pki) -> None:
    async with running(pki) as run:
        for files in (pki.sae("mallory"), pki.kme("kme-b"), pki.device("alice")):
            client = await run.connect(files)
            status, _, said = await client.ask(STATUS)
            assert (status, said["caller"]) == (401, None)


async def test_a_certificate_that_is_no_good_gets_no_answer(pki: Pki, tmp_path: Path) -> None:
    other = Pki(tmp_path / "other").sae("alice")
    bare = ssl.create_default_context(cafile=str(pki.ca))
    stranger = client_context(pki.ca, other.cert, other.key)
    expired = pki.expired("sae", "alice")
    async with running(pki) as run:
        for context in (bare, stranger, client_context(expired.ca, expired.cert, expired.key)):
            client = await run.connect(context=context)  # TLS 1.3: the refusal comes with the first read
            with pytest.raises((ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)):
                await client.ask(STATUS)
        client = await run.connect()  # no TLS at all
        client.send(STATUS)
        assert await client.is_closed()
        assert run.handler.begun == 0
        assert run.seen.away[:1] == ["peer did not return a certificate"]
        assert "certificate has expired" in run.seen.away
        assert run.seen.away[3:] == ["http request"]


async def test_a_certificate_that_is_denied_meanwhile_is_refused_on_its_open_connection(pki: Pki) -> None:
    deny = pki.folder / "denied"
    deny.write_text("")
    alice = pki.sae("alice")
    der = ssl.PEM_cert_to_DER_cert(alice.cert.read_text())
    async with running(pki, deny="denied") as run:
        client = await run.connect(alice)
        assert (await client.ask(STATUS))[0] == 200
        deny.write_text(hashlib.sha256(der).hexdigest() + "\n")
        status, fields, said = await client.ask(STATUS)
        assert (status, said, fields["connection"]) == (401, {"message": "unauthorized"}, "close")
        assert await client.is_closed()
        assert [outcome for *_, outcome in run.seen.answers] == ["told", "denied"]


async def test_pipelined_requests_are_answered_in_their_order_each_once_it_is_done(pki: Pki) -> None:
    async with running(pki, plain=True) as run:
        client = await run.connect()
        client.send(b"GET /1/wait HTTP/1.1\r\nHost: x\r\n\r\n" + b"".join(
            b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(2, 101)
        ))  # fmt: skip
        await until(lambda: run.handler.held)
        assert run.handler.begun == 1
        run.handler.held.pop()()
        paths = [(await client.answer())[2]["path"] for _ in range(100)]
        assert paths == ["/1/wait", *(f"/{number}" for number in range(2, 101))]


async def test_old_clients_and_odd_methods_are_served_too(pki: Pki) -> None:
    async with running(pki, plain=True) as run:
        client = await run.connect()
        client.send(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")
        status, fields, _ = await client.answer(head_only=True)
        assert (status, int(fields["content-length"]) > 10) == (401, True)
        status, fields, _ = await client.ask(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert fields["connection"] == "keep-alive"
        status, fields, said = await client.ask(b"BREW /a HTTP/1.0\r\n\r\n")
        assert (said, fields["connection"]) == ({"message": "the request is no valid HTTP/1.1"}, "close")
        assert await client.is_closed()
        client = await run.connect()
        client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert (await client.answer())[0] == 100
        assert (await client.ask(b"ab"))[2]["body"] == 2


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /a HTTP/1.1\r\nHost: x\r\nX: " + 20_000 * b"a" + b"\r\n\r\n", 431),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\n\r\n" + (10 << 20) * b"a", 413),
        (post((10 << 20) * b"a"), 400),  # ETSI 014 has no 413
        (b"\x16\x03\x01\x00", 400),
    ],
)
async def test_what_is_too_long_or_no_http_is_answered_although_the_client_is_still_sending(
    pki: Pki, data: bytes, status: int
) -> None:
    async with running(pki, plain=True) as run:
        client = await run.connect()
        got, fields, said = await client.ask(data)
        assert (got, list(said), fields["connection"]) == (status, ["message"], "close")
        assert await client.is_closed()
        assert run.handler.begun == 0


async def test_a_mistake_in_a_handler_is_answered_and_the_connection_stays(pki: Pki) -> None:
    async with running(pki, plain=True) as run:
        client = await run.connect()
        assert (await client.ask(b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 500
        status, _, said = await client.ask(b"GET /api/v1/keys/fail HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, said) == (503, {"message": "internal error"})
        assert (await client.ask(STATUS))[0] == 401


async def test_slow_clients_are_cut_off_and_quick_ones_are_served_meanwhile(pki: Pki) -> None:
    slow = [b"GET /a", b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\na", b""]
    async with running(pki, plain=True, header_s=1.0, body_s=1.0, idle_s=1.0) as run:
        clients = [await run.connect() for _ in slow]
        for client, data in zip(clients, slow, strict=True):
            client.send(data)
        quick = await run.connect()
        for _ in range(20):
            await asyncio.sleep(0.1)
            assert (await quick.ask(STATUS))[0] == 401
            for client in clients[:2]:
                client.send(b"a")  # a byte now and then does not help
        assert [(await client.answer())[0] for client in clients[:2]] == [408, 408]
        assert [await client.is_closed() for client in clients] == [True, True, True]


async def test_work_that_takes_too_long_is_answered_without_it(pki: Pki) -> None:
    async with running(pki, plain=True, request_s=0.2) as run:
        client = await run.connect()
        status, _, said = await client.ask(b"GET /api/v1/keys/b/wait HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, said) == (503, {"message": "no answer within 0.2 s"})
        run.handler.held.pop()()  # comes too late: nobody's
        assert await client.is_closed()
        assert len(run.seen.answers) == 1


async def test_a_client_that_takes_no_answers_is_cut_off(pki: Pki) -> None:
    async with running(pki, plain=True, body_s=0.3) as run:
        client = await run.connect()
        with contextlib.suppress(OSError):
            for _ in range(400):
                client.send(100 * (b"GET /" + 2000 * b"a" + b" HTTP/1.1\r\nHost: x\r\n\r\n"))
                async with asyncio.timeout(HANG_S):
                    await client.writer.drain()
        assert run.handler.begun < 40_000
        await until(lambda: not run.seen.open)


async def test_a_client_gets_so_many_requests_a_second_and_others_get_theirs(pki: Pki) -> None:
    async with running(pki, requests_per_s=5.0) as run:
        alice, bob = await run.connect(pki.sae("alice")), await run.connect(pki.sae("bob"))
        began_s = asyncio.get_running_loop().time()
        alice.send(20 * STATUS)  # at once: a slow machine might make five a second of them
        answers = [await alice.answer() for _ in range(20)]
        took_s = asyncio.get_running_loop().time() - began_s
        assert [status for status, _, _ in answers[:5]] == 5 * [200]
        refused = [(status, fields["retry-after"], said) for status, fields, said in answers if status != 200]
        assert len(refused) >= 15 - 5 * took_s - 1
        assert refused == len(refused) * [(503, "1", {"message": "at most 5 requests a second"})]
        assert refused
        assert (await bob.ask(STATUS))[0] == 200


async def test_connections_are_limited_for_one_client_and_for_all(pki: Pki) -> None:
    alice, bob = pki.sae("alice"), pki.sae("bob")
    async with running(pki, connections=4, connections_per_client=2) as run:
        clients = [await run.connect(alice) for _ in range(3)]
        assert [(await client.ask(STATUS))[0] for client in clients] == [200, 200, 503]
        assert await clients[2].is_closed()
        await clients[2].close()
        await until(lambda: run.seen.open == 2)
        clients[2:] = [await run.connect(bob), await run.connect(bob)]
        assert [(await client.ask(STATUS))[0] for client in clients] == [200, 200, 200, 200]
        with pytest.raises((OSError, ssl.SSLError)):
            await run.connect(bob)
        assert run.seen.away[-1] == "no room"
        await run.emptied()
        client = await run.connect(bob)
        assert (await client.ask(STATUS))[0] == 200


async def test_connections_that_never_shake_hands_keep_nobody_out(pki: Pki) -> None:
    async with running(pki, handshakes=2, handshake_s=4.0) as run:
        silent = [await run.connect() for _ in range(50)]
        begun = [await run.connect() for _ in range(10)]
        for client in begun:
            client.send(b"\x16\x03\x01\x01\x00")  # the beginning of a handshake that does not go on
        async with asyncio.timeout(3.9):
            client = await run.connect(pki.sae("alice"))
            assert (await client.ask(STATUS))[0] == 200
        for each in (*silent, *begun):
            assert await each.is_closed()
        assert run.seen.away == 60 * ["time-out"]


async def test_a_server_that_stops_answers_what_was_asked_and_nobody_new(pki: Pki) -> None:
    async with running(pki) as run:
        idle, busy, slow = [await run.connect(pki.sae("alice")) for _ in range(3)]
        assert (await idle.ask(STATUS))[0] == 200
        busy.send(STATUS.replace(b"status", b"wait"))
        slow.send(STATUS.replace(b"status", b"wait"))
        await until(lambda: len(run.handler.held) == 2)
        stopping = asyncio.create_task(run.server.stop(3.0))
        assert await idle.is_closed()
        with pytest.raises(OSError):
            await run.connect(pki.sae("alice"))
        run.handler.held[0]()
        status, fields, _ = await busy.answer()
        assert (status, fields["connection"]) == (200, "close")
        assert not stopping.done()
        await stopping
        assert await slow.is_closed()
