"""Dialogues over real sockets: two coroutines, then two processes."""

import asyncio
import datetime as dt
import gc
import hashlib
import ipaddress
import ssl
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bellweave import rng
from bellweave.dialogue import Abort, Codec, Dialogue, Message, encode, receive, refuse, until_closed
from bellweave.distill import session
from bellweave.distill.authentication_keys import AuthenticationKeys
from bellweave.distill.outcome import Outcome
from bellweave.edge import dialogue_tcp
from bellweave.errors import BellweaveError, PeerAborted, ProtocolError
from bellweave.sim.classical import converse
from bellweave.testing.pairs import DISTILLATION, Block, correlated_rounds

pytestmark = pytest.mark.emu


class Word(Message, frozen=True):
    text: str


CODEC = Codec(Word)


def asks(count: int) -> Dialogue[list[str]]:
    heard = []
    for number in range(count):
        yield Word(text=f"question {number}")
        heard.append((yield from receive(Word)).text)
    return heard


def answers(count: int) -> Dialogue[str]:
    for _ in range(count):
        yield Word(text=(yield from receive(Word)).text.upper())
    yield from until_closed()
    return "done"


Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def against(role: Dialogue[object], raw: Raw, timeout_s: float = 60.0) -> object:
    """Run a role against a peer that writes raw bytes; return its result or error."""

    async def main() -> object:
        async with dialogue_tcp.listening(raw) as port:
            reader, writer = await dialogue_tcp.connect("127.0.0.1", port)
            try:
                return await dialogue_tcp.run(role, reader, writer, CODEC, timeout_s)
            except BellweaveError as error:
                return error
            finally:
                await dialogue_tcp.close(writer)

    return asyncio.run(main())


def together(alice: Dialogue[object], bob: Dialogue[object], codec: Codec) -> list[object]:
    """Run both roles over one socket; return results or errors."""

    async def main() -> list[object]:
        ends: list[object] = []
        done = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                ends.append(await dialogue_tcp.run(bob, reader, writer, codec, 60.0))
            except BellweaveError as error:
                ends.append(error)
            finally:
                done.set()

        async with dialogue_tcp.listening(handle) as port:
            reader, writer = await dialogue_tcp.connect("127.0.0.1", port)
            try:
                ends.insert(0, await dialogue_tcp.run(alice, reader, writer, codec, 60.0))
            except BellweaveError as error:
                ends.insert(0, error)
            await done.wait()
            await dialogue_tcp.close(writer)
        return ends

    return asyncio.run(main())


def test_each_role_returns_its_own_result() -> None:
    assert together(asks(2), answers(2), CODEC) == [["QUESTION 0", "QUESTION 1"], "done"]


def test_an_abort_is_told_from_an_orderly_end() -> None:
    def strict() -> Dialogue[None]:
        yield from receive(Word)
        yield from refuse("no")

    asked, refused = sorted(together(asks(1), strict(), CODEC), key=lambda end: type(end) is ProtocolError)

    assert isinstance(asked, PeerAborted)
    assert asked.reason == "no"
    assert type(refused) is ProtocolError


def test_a_peer_that_ended_early_is_noticed() -> None:
    ends = together(asks(1), answers(2), CODEC)

    assert ["QUESTION 0"] in ends
    assert any("got Closed" in str(end) for end in ends)


def test_a_stream_of_half_a_frame_is_a_protocol_error() -> None:
    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = encode(Word(text="never whole"))
        writer.write(len(data).to_bytes(4, "big") + data[:5])

    end = against(asks(1), cut)

    assert isinstance(end, ProtocolError)
    assert "the line was cut" in str(end)


def test_a_stream_that_stops_between_frames_is_no_orderly_end() -> None:
    async def gone(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readexactly(4)

    end = against(asks(1), gone)

    assert isinstance(end, ProtocolError)
    assert "the line was cut" in str(end)


def test_silence_is_a_protocol_error_after_the_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    end = against(asks(1), silent, timeout_s=0.05)

    assert isinstance(end, ProtocolError)
    assert "nothing came for 0.05 s" in str(end)


def test_silence_counts_from_the_beginning_of_a_wait() -> None:
    """Three slow answers take longer than the timeout together, none alone; then nothing comes."""

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
            await asyncio.sleep(0.6)
            data = encode(Word(text="late"))
            writer.write(len(data).to_bytes(4, "big") + data)
        await reader.read()

    heard = []

    def patient() -> Dialogue[None]:
        while True:
            yield Word(text="well?")
            heard.append((yield from receive(Word)).text)

    end = against(patient(), slow, timeout_s=1.5)

    assert heard == ["late"] * 3
    assert "nothing came for 1.5 s" in str(end)


def test_a_wait_keeps_its_loop_awake_only_while_the_peer_is_quick() -> None:
    async def awake() -> list[bool]:
        reader = asyncio.StreamReader()
        vigil = dialogue_tcp._Vigil(reader, 60.0)
        kept = []
        for slow in [True] * 6 + [False] * 14:
            with vigil:
                kept.append(vigil._awake)
                if slow:
                    await asyncio.sleep(2 * dialogue_tcp._VIGIL_S)
        vigil.end()
        return kept

    kept = asyncio.run(awake())

    assert kept[:6] == [True, False, True, False, False, False]
    assert kept[6]


def test_a_frame_longer_than_the_limit_is_not_read() -> None:
    async def huge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((dialogue_tcp.MAX_FRAME_BYTES + 1).to_bytes(4, "big"))
        await reader.read()

    end = against(asks(1), huge)

    assert isinstance(end, ProtocolError)
    assert "16777217 bytes" in str(end)


def test_a_defect_in_a_role_rises_and_the_peer_is_told() -> None:
    told: list[bytes] = []

    def defect() -> Dialogue[None]:
        yield Word(text="x")
        raise ZeroDivisionError

    async def listens(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        told.append(await reader.read())

    with pytest.raises(ZeroDivisionError):
        against(defect(), listens)
    assert encode(Abort(reason="the peer's role failed: ZeroDivisionError")) in told[0]


def test_a_message_longer_than_a_frame_is_a_defect_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogue_tcp, "MAX_FRAME_BYTES", 5)

    async def listens(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    with pytest.raises(ValueError, match="longer than a frame"):
        against(asks(1), listens)


def test_a_distillation_over_a_socket_gives_the_keys_of_memory() -> None:
    block = Block(seed=8, count=1224, qber=0.04)

    assert tuple(together(*block.roles(), DISTILLATION)) == converse(*block.roles(), DISTILLATION)


def test_an_authenticated_distillation_over_a_socket_keeps_both_pools_in_step() -> None:
    keys = AuthenticationKeys.started("alice", bytes(range(96))), AuthenticationKeys.started("bob", bytes(range(96)))
    for number in range(3):
        for end in keys:
            end.admit(float(number))
        rounds = correlated_rounds(rng.stream(number, "authenticated"), 900, 0.02)
        params, context = Block(number, 900, 0.02).params, Block(number, 900, 0.02).context
        alice, bob = together(
            session.alice(rounds[0], params, context, rng.stream(number, "alice"), keys=keys[0]),
            session.bob(rounds[1], params, context, rng.stream(number, "bob"), keys=keys[1]),
            DISTILLATION,
        )

        assert isinstance(alice, Outcome)
        assert isinstance(bob, Outcome)
        assert alice.block is not None
        assert bob.block is not None
        assert alice.block.agrees_with(bob.block)
        assert keys[0].agrees_with(keys[1])


# ------------------------------------------------------------------------------------------------------------------ TLS


def contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's and a client's context that ask for each other's certificate: one, self-signed, for both."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "both.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(private + certificate.public_bytes(pem))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context in (server, client):
        context.load_cert_chain(file)
        context.load_verify_locations(file)
        context.verify_mode = ssl.CERT_REQUIRED
    return server, client


def test_a_distillation_over_mutual_tls_gives_the_keys_of_memory(tmp_path: Path) -> None:
    block = Block(seed=8, count=1224, qber=0.04)
    alice, bob = block.roles()
    server, client = contexts(tmp_path)

    async def main() -> tuple[Outcome, Outcome]:
        his: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            his.set_result(await dialogue_tcp.run(bob, reader, writer, DISTILLATION, 60.0))

        async with dialogue_tcp.listening(handle, ssl=server) as port:
            reader, writer = await dialogue_tcp.connect("127.0.0.1", port, ssl=client)
            hers = await dialogue_tcp.run(alice, reader, writer, DISTILLATION, 60.0)
            await his
            await dialogue_tcp.close(writer)
        return hers, his.result()

    assert asyncio.run(main()) == converse(*block.roles(), DISTILLATION)


# ------------------------------------------------------------------------------------------------------ two processes

BLOCKS = [Block(seed=seed, count=2441, qber=qber) for seed, qber in ((1, 0.064), (2, 0.2), (3, 0.01))]


def describe(outcome: Outcome) -> str:
    bits = outcome.block.bits if outcome.block else b""
    return f"{hashlib.sha256(bits).hexdigest()} {outcome.rejection} {msgspec.json.encode(outcome.ledger).decode()}"


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def alice_process(port: int) -> None:
    reader, writer = await dialogue_tcp.connect("127.0.0.1", port)
    for block in BLOCKS:
        say(describe(await dialogue_tcp.run(block.roles()[0], reader, writer, DISTILLATION, timeout_s=60.0)))
    await dialogue_tcp.close(writer)


async def bob_process() -> None:
    done = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for block in BLOCKS:
            say(describe(await dialogue_tcp.run(block.roles()[1], reader, writer, DISTILLATION, timeout_s=60.0)))
        done.set()

    async with dialogue_tcp.listening(handle) as port:
        say(str(port))
        await done.wait()


def test_two_processes_distil_the_keys_of_memory_over_one_connection() -> None:
    """Three blocks, the second one rejected: the stream survives a rejection."""
    with subprocess.Popen([sys.executable, __file__, "bob"], text=True, stdout=subprocess.PIPE) as bob:
        assert bob.stdout is not None
        try:
            command = [sys.executable, __file__, "alice", bob.stdout.readline().strip()]
            alice = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True, timeout=110)
            his = bob.stdout.read()
        finally:
            bob.terminate()

    expected = [converse(*block.roles(), DISTILLATION) for block in BLOCKS]
    assert alice.stdout.splitlines() == [describe(outcome) for outcome, _ in expected]
    assert his.splitlines() == [describe(outcome) for _, outcome in expected]
    assert [outcome.rejection for outcome, _ in expected] == [None, "qber above limit", None]


if __name__ == "__main__":
    asyncio.run(alice_process(int(sys.argv[2])) if sys.argv[1] == "alice" else bob_process())


def test_a_role_that_computes_in_a_thread_says_and_returns_the_same() -> None:
    async def main() -> tuple[object, object]:
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            done.set_result(await dialogue_tcp.run(answers(5), reader, writer, CODEC, 60.0, threaded=True))

        async with asyncio.timeout(60), dialogue_tcp.listening(answer) as port:
            reader, writer = await dialogue_tcp.connect("127.0.0.1", port)
            heard = await dialogue_tcp.run(asks(5), reader, writer, CODEC, 60.0, threaded=True)
            await dialogue_tcp.close(writer)
            return heard, await done

    heard, said = asyncio.run(main())

    assert heard == [f"QUESTION {number}" for number in range(5)]
    assert said == "done"


def test_a_role_that_computes_in_a_thread_can_be_cancelled_while_it_does() -> None:
    started, go_on = threading.Event(), threading.Event()
    said: list[str] = []

    def busy() -> Dialogue[None]:
        started.set()
        if go_on.wait(60.0):
            raise ProtocolError("too late")
        yield Word(text="never")

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
        async with asyncio.timeout(60), dialogue_tcp.listening(silent) as port:
            reader, writer = await dialogue_tcp.connect("127.0.0.1", port)
            task = asyncio.create_task(dialogue_tcp.run(busy(), reader, writer, CODEC, 60.0, threaded=True))
            await asyncio.to_thread(started.wait, 60.0)
            for _ in range(3):
                task.cancel()
                await asyncio.sleep(0.01)
            assert not task.done()
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            await dialogue_tcp.close(writer)

    asyncio.run(main())
    gc.collect()
    assert not [each for each in said if "never retrieved" in each]  # whenever it is collected, in the midst of others
