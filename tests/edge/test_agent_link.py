"""The line between two agents over real TLS: who is let in, what is passed on, and that it comes back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bellweave.dialogue import encode
from bellweave.edge import frames
from bellweave.edge.agent_link import AgentLink
from bellweave.edge.agent_messages import Bound, Here, InUse, Loaded, NotInUse, Tell, Unable
from bellweave.edge.tls import client_context
from bellweave.errors import ScenarioError
from bellweave.testing.certificates import Files, Pki
from bellweave.tunnel.aead import Ends, Side

ENDS = Ends("t", "t.client", "t.server")
K1 = "00000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


async def until(condition: Callable[[], bool], wait_s: float = 60.0) -> None:
    async with asyncio.timeout(wait_s):
        while not condition():  # noqa: ASYNC110 a test looks from outside
            await asyncio.sleep(0.01)


class Hearing:
    """An agent that only listens."""

    def __init__(self, link: AgentLink) -> None:
        self.link = link
        self.heard: list[Bound] = []
        self.met = 0

    async def start(self) -> None:
        def met() -> None:
            self.met += 1

        await self.link.start(self.heard.append, met)


def made(files: Files, side: Side, port: int, ends: Ends = ENDS) -> Hearing:
    return Hearing(
        AgentLink(ends, side, ca=files.ca, cert=files.cert, key=files.key, host="127.0.0.1", port=port)
    )  # fmt: skip


@contextlib.asynccontextmanager
async def running(*agents: Hearing) -> AsyncIterator[None]:
    try:
        for agent in agents:
            await agent.start()
        yield
    finally:
        for agent in agents:
            await agent.link.close()


@contextlib.asynccontextmanager
async def serving(pki: Pki, port: int = 0) -> AsyncIterator[Hearing]:
    server = made(pki.agent("t.server"), "server", port)
    async with running(server):
        yield server


async def test_each_end_hears_what_the_other_says(pki: Pki) -> None:
    async with serving(pki) as server:
        client = made(pki.sae("t.client"), "client", server.link.port)
        async with running(client):
            await until(lambda: client.link.up and server.link.up)
            assert client.link.say(Tell, K1)
            assert client.link.say(InUse, K1)
            assert client.link.say(NotInUse, K1, "no answer")
            assert server.link.say(Loaded, K1)
            assert server.link.say(Unable, K1, "no such key")
            await until(lambda: len(server.heard) == 3 and len(client.heard) == 2)

            bound = ("t", "t.client", "t.server", K1)
            assert server.heard == [Tell(*bound), InUse(*bound), NotInUse(*bound, "no answer")]
            assert client.heard == [Loaded(*bound), Unable(*bound, "no such key")]
            assert (client.met, server.met) == (1, 1)


async def test_what_is_said_without_a_line_is_lost_and_said_to_be(pki: Pki) -> None:
    client = made(pki.sae("t.client"), "client", 1)
    async with running(client):
        assert not client.link.say(Tell, K1)
        assert not client.link.up


async def test_the_line_comes_back_when_the_peer_does(pki: Pki) -> None:
    async with serving(pki) as server:
        port = server.link.port
        client = made(pki.sae("t.client"), "client", port)
        await client.start()
        await until(lambda: client.link.up)
    try:
        await until(lambda: not client.link.up)
        async with serving(pki, port) as again:
            await until(lambda: client.link.up and again.link.up)
            assert client.link.say(Tell, K1)
            await until(lambda: len(again.heard) == 1)
            assert client.met == 2
    finally:
        await client.link.close()


async def test_a_client_that_starts_anew_takes_the_place_of_its_dead_line(pki: Pki) -> None:
    async with serving(pki) as server:
        first = made(pki.sae("t.client"), "client", server.link.port)
        second = made(pki.sae("t.client"), "client", server.link.port)
        await first.start()
        await until(lambda: server.met == 1)
        async with running(second):
            await until(lambda: server.met >= 2)
            await first.link.close()
            await until(lambda: second.link.up)
            assert second.link.say(Tell, K1)
            await until(lambda: len(server.heard) == 1)


WRONG: dict[str, Callable[[Pki, Pki], Files]] = {
    "another SAE": lambda pki, _: pki.sae("u.client"),
    "the server's own": lambda pki, _: pki.agent("t.server"),
    "another role": lambda pki, _: pki.issued("device", "t.client"),
    "no role": lambda pki, _: pki.odd("no-role", common_names=["t.client"]),
    "two holders": lambda pki, _: pki.odd("two", uris=["urn:bellweave:sae:t.client", "urn:bellweave:sae:u.client"]),
    "another authority": lambda _, other: other.sae("t.client"),
    "expired": lambda pki, _: pki.expired("sae", "t.client"),
}


@pytest.mark.parametrize("who", WRONG)
async def test_a_client_with_a_wrong_certificate_is_never_up(pki: Pki, tmp_path: Path, who: str) -> None:
    files = WRONG[who](pki, Pki(tmp_path / "other"))
    trusted = Files(pki.ca, files.cert, files.key)
    async with serving(pki) as server:
        client = made(trusted, "client", server.link.port)
        async with running(client):
            await asyncio.sleep(0.4)
            assert not client.link.up
            assert not server.link.up
            assert (client.met, server.met) == (0, 0)


@pytest.mark.parametrize("who", ["u.server", "t.client"])
async def test_a_client_talks_to_no_other_server(pki: Pki, who: str) -> None:
    server = made(pki.agent(who), "server", 0)
    async with running(server):
        client = made(pki.sae("t.client"), "client", server.link.port)
        async with running(client):
            await until(lambda: client.link.refused > 0)
            assert not client.link.up
            assert client.met == 0


async def test_a_server_without_a_certificate_for_servers_is_refused(pki: Pki) -> None:
    server = made(pki.sae("t.server"), "server", 0)
    async with running(server):
        client = made(pki.sae("t.client"), "client", server.link.port)
        async with running(client):
            await asyncio.sleep(0.3)
            assert not client.link.up


@pytest.mark.parametrize(
    "ends", [Ends("u", "t.client", "t.server"), Ends("t", "x", "t.server"), Ends("t", "t.client", "x")]
)
async def test_a_message_bound_to_another_tunnel_ends_the_line_and_is_not_passed_on(pki: Pki, ends: Ends) -> None:
    async with serving(pki) as server:
        files = pki.sae("t.client")
        _, writer = await asyncio.open_connection(
            "127.0.0.1", server.link.port, ssl=client_context(files.ca, files.cert, files.key, check_hostname=False)
        )
        await frames.send(writer, Here("t", "t.client", "t.server", ""))
        await until(lambda: server.link.up)
        await frames.send(writer, Tell(ends.tunnel, ends.client, ends.server, K1))

        await until(lambda: server.link.refused == 1)
        await until(lambda: not server.link.up)
        assert server.heard == []
        writer.transport.abort()


@pytest.mark.parametrize(
    "said",
    [b"\xff\xff\xff\xff", (5000).to_bytes(4, "big"), b"\x00\x00\x00\x01\xc1", b"GET / HTTP/1.1\r\n\r\n"],
    ids=["long", "longer than a frame", "no message", "http"],
)
async def test_nonsense_ends_the_line(pki: Pki, said: bytes) -> None:
    async with serving(pki) as server:
        files = pki.sae("t.client")
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.link.port, ssl=client_context(files.ca, files.cert, files.key, check_hostname=False)
        )
        writer.write(said)
        async with asyncio.timeout(60.0):
            await reader.read()  # it says Here, and closes
        assert server.link.refused == 1
        writer.transport.abort()


async def test_an_address_that_is_taken_is_an_error_that_names_it(pki: Pki) -> None:
    async with serving(pki) as server:
        other = made(pki.agent("t.server"), "server", server.link.port)
        with pytest.raises(ScenarioError, match=f"127.0.0.1:{server.link.port}: can't listen there"):
            await other.start()


def test_no_message_has_room_for_a_key() -> None:
    names = {name for kind in (Here, Tell, Loaded, Unable, InUse, NotInUse) for name in kind.__struct_fields__}

    assert names == {"tunnel", "client", "server", "key_id", "reason"}
    assert len(encode(Tell("t", "c", "s", K1))) < 100
