import asyncio
import secrets
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bellweave.edge import ipsec_channel
from bellweave.edge.channel import ChannelError
from bellweave.edge.gateway import Certified, Gateway, Shared
from bellweave.edge.ipsec_channel import IpsecChannel
from bellweave.edge.pki import Authority
from bellweave.edge.vici_client import ViciClient
from bellweave.testing.strongswan import Lab, captured, lab

pytestmark = pytest.mark.emu

T = "t1"
MARKER = b"bellweave clear"


@asynccontextmanager
async def one_tunnel(folder: Path, **options: Any) -> AsyncIterator[Lab]:
    async with lab(folder, {T: ("alice", "bob")}, **options) as found:
        yield found


def fresh() -> tuple[str, bytes]:
    return str(uuid.uuid4()), secrets.token_bytes(32)


async def states(gateway: Lab, side: Any) -> tuple[list[Any], list[bytes]]:
    """Return the sessions of an end as its daemon lists them, and the ids of the secrets that it holds."""
    client = ViciClient(str(gateway.network.charon(T, side).vici))
    try:
        found = await client.listed("list-sas", "list-sa")
        secrets_held = (await client.call("get-shared")).get("keys", [])
    finally:
        client.close()
    return [sa for each in found for sa in each.values()], list(secrets_held)


async def test_twenty_refreshes_make_before_they_break(tmp_path: Path) -> None:
    async with one_tunnel(tmp_path) as lab_:
        old, key = fresh()
        await lab_.refresh(T, old, key)
        place = lab_.network.fabric.places[T, "client"]
        other = lab_.network.fabric.places[T, "server"]
        pings = ["ping", "-q", "-i", "0.01", "-W", "1", "-I", place.inner, other.inner]
        world, log = lab_.network.world, tmp_path / "pings"
        pinging = await world.spawn(place.host, pings, log=log)
        until_s = asyncio.get_running_loop().time() + 1.5  # and longer, where refreshes take longer
        refreshes = 0
        while refreshes < 20 or asyncio.get_running_loop().time() < until_s:
            refreshes += 1
            key_id, key = fresh()
            await lab_.refresh(T, key_id, key, old)
            assert await lab_.channel(T, "client").in_use() == key_id
            assert await lab_.channel(T, "server").in_use() == key_id
            old = key_id
            await asyncio.sleep(0.02)
        await world.kill(pinging, signal.SIGINT, 20.0)
        said = log.read_text()
        ends = [await states(lab_, side) for side in ("client", "server")]

    sent, _, rest = said.partition(" packets transmitted, ")
    lost = int(sent.split()[-1]) - int(rest.split()[0])
    assert int(sent.split()[-1]) > 50
    assert lost <= refreshes  # at most one each: the way back is without a session for about 1.7 ms
    for sessions, _ in ends:
        assert [sa["ppk"] for sa in sessions] == [b"yes"]
    (_, at_client), (_, at_server) = ends
    assert len(at_client) == 2  # the base authentication and the key in use
    assert len(at_server) == 3  # and the placeholder


async def test_what_is_on_the_bridge_is_ike_and_esp_in_udp_and_nothing_in_clear(tmp_path: Path) -> None:
    async with one_tunnel(tmp_path) as lab_, captured(lab_.network, tmp_path, MARKER) as seen:
        world, place = lab_.network.world, lab_.network.fabric.places[T, "client"]
        other = lab_.network.fabric.places[T, "server"]
        marked = ["ping", "-q", "-c", "5", "-i", "0.02", "-W", "1", "-p", MARKER.hex()]

        async def ping(to: str, *source: str) -> bool:
            said = await world.run([*marked, *source, to], namespace=place.host, check=False)
            return " 5 received" in said

        assert not await ping(other.inner, "-I", place.inner)  # no tunnel: the guard
        assert not await ping(other.inner)
        assert not await ping(other.outer, "-I", place.inner)
        await lab_.refresh(T, *fresh())
        assert await ping(other.inner, "-I", place.inner)
        assert await ping(other.inner)
        await lab_.channel(T, "client").take_down()
        assert not await ping(other.inner, "-I", place.inner)
        await counted(seen, "esp-in-udp", 20)
        counts = seen()
        assert await ping(other.outer)  # in clear, on purpose: would it be seen?
        await counted(seen, "marked", 10)
        proof = seen()

    assert counts["marked"] == 0
    assert counts["esp-in-udp"] == 20
    assert counts["ike"] >= 6
    assert set(counts) <= {"arp", "ike", "esp-in-udp", "marked", "examples"}
    assert proof["marked"] == proof["other"] == 10


async def counted(seen: Callable[[], dict[str, Any]], kind: str, count: int) -> None:
    """Wait until the capture, which writes what it counts now and then, has so many, and a little longer for more."""
    async with asyncio.timeout(30.0):
        while seen().get(kind, 0) < count:  # noqa: ASYNC110 a file has no events
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)


@pytest.mark.parametrize("broken", ["missing", "mismatched", "other", "no ppk", "nothing loaded"])
async def test_a_key_that_is_not_right_leaves_the_old_tunnel_up(tmp_path: Path, broken: str) -> None:
    async with one_tunnel(tmp_path) as lab_:
        client, server = lab_.channel(T, "client"), lab_.channel(T, "server")
        old, key = fresh()
        await lab_.refresh(T, old, key)
        key_id, key = fresh()
        await client.load(key_id, key)
        if broken == "mismatched":
            await server.load(key_id, secrets.token_bytes(32))
        elif broken == "other":
            await server.load(key_id, key)
            await server.load(*fresh())
        elif broken == "no ppk":
            await server.load(key_id, key)
            forget_ppk(lab_, "client")
        elif broken == "nothing loaded":
            await client.destroy(key_id)

        with pytest.raises(ChannelError) as refused:
            await client.switch(key_id)
        with pytest.raises(ChannelError):
            await server.verify(key_id)
        await client.destroy(key_id)
        await server.destroy(key_id)

        assert key.hex() not in str(refused.value)
        assert await client.in_use() == old
        assert await server.in_use() == old
        assert await lab_.ping(T) == 3
        for side in ("client", "server"):
            sessions, _ = await states(lab_, side)
            assert [sa["ppk"] for sa in sessions if sa["state"] == b"ESTABLISHED"] == [b"yes"]
        vars(client._gateway).pop("_call", None)
        newer, key = fresh()  # and the next one works
        await lab_.refresh(T, newer, key, old)
        assert await client.in_use() == newer


def forget_ppk(lab_: Lab, side: Any) -> None:
    """Make a gateway forget that it must use a PPK, whatever it is told."""
    channel = lab_.channel(T, side)._gateway
    tell = channel._call

    async def telling(command: str, message: Any = None, **options: Any) -> Any:
        if command == "load-conn":
            for connection in message.values():
                connection.pop("ppk_id", None)
                connection.pop("ppk_required", None)
        return await tell(command, message, **options)

    channel._call = telling  # type: ignore[method-assign]


async def test_a_session_without_the_key_is_ended_even_where_both_gateways_accept_it(tmp_path: Path) -> None:
    async with one_tunnel(tmp_path) as lab_:
        client, server = lab_.channel(T, "client"), lab_.channel(T, "server")
        old, key = fresh()
        await lab_.refresh(T, old, key)
        forget_ppk(lab_, "client")
        forget_ppk(lab_, "server")
        key_id, key = fresh()
        await server.load(key_id, key)
        await client.load(key_id, key)

        with pytest.raises(ChannelError, match="without the key"):
            await client.switch(key_id)
        with pytest.raises(ChannelError):
            await server.verify(key_id)

        assert await client.in_use() == old
        assert await server.in_use() == old
        assert await lab_.ping(T) == 3


async def test_a_session_can_be_renewed_with_its_key_and_old_ones_do_not_come_back(tmp_path: Path) -> None:
    async with one_tunnel(tmp_path) as lab_:
        client, server = lab_.channel(T, "client"), lab_.channel(T, "server")
        old, key = fresh()
        await lab_.refresh(T, old, key)
        await client.switch(old)
        assert await server.in_use() == old  # though nobody told it

        newer, key = fresh()
        await server.load(newer, key)
        with pytest.raises(ChannelError):
            await client.switch(old)  # the server demands the next one by now
        assert await client.in_use() == old
        await server.destroy(newer)  # but it is given up
        await client.switch(old)
        await server.verify(old)

        assert await client.in_use() == await server.in_use() == old


@pytest.mark.parametrize("renewed", [False, True])
async def test_psk_mode_authenticates_with_the_key(tmp_path: Path, renewed: bool) -> None:
    async with one_tunnel(tmp_path, mode="psk") as lab_:
        client, server = lab_.channel(T, "client"), lab_.channel(T, "server")
        old, key = fresh()
        await lab_.refresh(T, old, key)
        assert await lab_.ping(T) == 3
        wrong, key = fresh()
        await server.load(wrong, key)
        await client.load(wrong, secrets.token_bytes(32))
        with pytest.raises(ChannelError):
            await client.switch(wrong)
        await client.destroy(wrong)
        await server.destroy(wrong)
        assert await client.in_use() == await server.in_use() == old
        if renewed:
            await client.switch(old)
            await server.verify(old)
        newer, key = fresh()
        await lab_.refresh(T, newer, key, old)
        assert await client.in_use() == await server.in_use() == newer
        assert await lab_.ping(T) == 3
        for side in ("client", "server"):
            sessions, held = await states(lab_, side)
            assert len(sessions) == 1
            assert len(held) == 1  # the key, and no other


async def test_ends_can_know_each_other_by_certificates(tmp_path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    authority = Authority.created()
    auth = {}
    for side in ("client", "server"):
        issued = authority.issue("sae", f"{T}.{side}")
        private = load_pem_private_key(issued.key, None)
        auth[T, side] = Certified(
            certificate=x509.load_pem_x509_certificate(issued.certificate).public_bytes(Encoding.DER),
            key=private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
            authority=authority.certificate.public_bytes(Encoding.DER),
        )
    async with one_tunnel(tmp_path, auth=auth) as lab_:
        key_id, key = fresh()
        await lab_.refresh(T, key_id, key)

        assert await lab_.channel(T, "server").in_use() == key_id
        assert await lab_.ping(T) == 3


@pytest.mark.parametrize("side", ["client", "server"])
async def test_a_daemon_that_crashes_is_driven_again_after_its_restart(tmp_path: Path, side: Any) -> None:
    async with one_tunnel(tmp_path) as lab_:
        channel, charon = lab_.channel(T, side), lab_.network.charon(T, side)
        old, key = fresh()
        await lab_.refresh(T, old, key)
        await charon.kill()
        with pytest.raises(ChannelError, match="does not answer"):
            await channel.in_use()
        assert await lab_.ping(T, 1) == 0
        await charon.restart()
        assert await channel.in_use() is None

        await channel.start()
        key_id, key = fresh()
        await lab_.refresh(T, key_id, key, old)

        assert await lab_.channel(T, "client").in_use() == key_id
        assert await lab_.channel(T, "server").in_use() == key_id
        assert await lab_.ping(T) == 3
        for each in ("client", "server"):
            assert len((await states(lab_, each))[0]) == 1


async def test_a_tunnel_that_is_taken_down_is_down_at_both_ends(tmp_path: Path) -> None:
    async with one_tunnel(tmp_path) as lab_:
        await lab_.refresh(T, *fresh())
        await asyncio.gather(*(channel.take_down() for channel in lab_.channels.values()))

        assert await lab_.ping(T, 1) == 0
        for side in ("client", "server"):
            assert (await states(lab_, side))[0] == []
            assert await lab_.channel(T, side).in_use() is None
        await lab_.refresh(T, *fresh())
        assert await lab_.ping(T) == 3


async def test_a_session_that_its_client_could_not_end_is_cut_at_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with one_tunnel(tmp_path) as lab_:
        client, server = lab_.channel(T, "client"), lab_.channel(T, "server")

        async def nothing(*_: object, **__: object) -> None:
            pass

        with monkeypatch.context() as broken:
            broken.setattr(client._gateway, "end", nothing)
            old, key = fresh()
            await lab_.refresh(T, old, key)
            newer, key = fresh()
            await lab_.refresh(T, newer, key, old)
        assert len((await states(lab_, "server"))[0]) == 2
        monkeypatch.setattr(ipsec_channel, "LEFT_S", 0)

        assert await server.in_use() == newer
        assert len((await states(lab_, "server"))[0]) == 1
        assert await lab_.ping(T) == 3


async def test_a_new_agent_removes_what_one_before_it_left(tmp_path: Path) -> None:
    async with one_tunnel(tmp_path) as lab_:
        await lab_.refresh(T, *fresh())
        for side in ("client", "server"):
            left = lab_.channel(T, side)
            again = IpsecChannel(left._gateway._gateway)
            await again.start()
            assert (await states(lab_, side))[0] == []
            assert len((await states(lab_, side))[1]) == 1 + (side == "server")
            await again.close()
        assert await lab_.ping(T, 1) == 0


async def test_ten_half_open_sessions_do_not_keep_the_good_one_out(tmp_path: Path) -> None:
    async with one_tunnel(tmp_path) as lab_:
        client, server = lab_.channel(T, "client"), lab_.channel(T, "server")
        for _ in range(10):
            key_id, _ = fresh()
            with pytest.raises(ChannelError):
                await client.switch(key_id)  # it does not have this key itself: half-open at the server
        key_id, key = fresh()
        async with asyncio.timeout(3.0):
            await lab_.refresh(T, key_id, key)

        assert await server.in_use() == key_id
        assert await lab_.ping(T) == 3


async def test_a_switch_that_nobody_waits_for_is_cleaned_up_before_the_next(tmp_path: Path) -> None:
    async with one_tunnel(tmp_path) as lab_:
        client, server = lab_.channel(T, "client"), lab_.channel(T, "server")
        key_id, key = fresh()
        await server.load(key_id, key)
        await client.load(key_id, key)
        switching = asyncio.ensure_future(client.switch(key_id))
        await asyncio.sleep(0)
        switching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await switching
        newer, key = fresh()
        await lab_.refresh(T, newer, key)
        await client.destroy(key_id)
        await server.destroy(key_id)

        assert await client.in_use() == await server.in_use() == newer
        for side in ("client", "server"):
            assert len((await states(lab_, side))[0]) == 1


async def test_no_secret_is_in_any_file(tmp_path: Path) -> None:
    base, (key_id, key) = secrets.token_bytes(32), fresh()
    auth: dict[Any, Any] = {(T, side): Shared(secret=base) for side in ("client", "server")}
    async with one_tunnel(tmp_path, auth=auth) as lab_:
        await lab_.refresh(T, key_id, key)
        said = all_files(tmp_path)

    for secret in (base, key):
        assert secret not in said
        assert secret.hex().encode() not in said.lower()
    assert repr(auth) == "{('t1', 'client'): <Shared>, ('t1', 'server'): <Shared>}"


def all_files(folder: Path) -> bytes:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 6
    return b"".join(path.read_bytes() for path in files)


async def test_a_gateway_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    channel = IpsecChannel(
        Gateway(
            tunnel=T, side="client", vici=str(tmp_path / "none"), local="192.0.2.1", remote="192.0.2.2",
            local_id="a", remote_id="b", local_ts=("10.1.0.0/24",), remote_ts=("10.2.0.0/24",),
        )
    )  # fmt: skip

    with pytest.raises(ChannelError, match=r"t1\.client: the gateway: it does not answer: No such file"):
        await channel.start()
    await channel.close()
