"""Mutual TLS on loopback: who is let in, who is not, and what a change of the files does to whom."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bellweave.edge.clock import now_s
from bellweave.edge.identity import presented, role_uri
from bellweave.edge.tls import Certificates, client_context, server_context
from bellweave.errors import ScenarioError
from bellweave.testing.certificates import Files, Pki

SAES = {"alice", "bob", "kme-a"}


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


@dataclass
class Server:
    """A server that answers each line with the SAE that asks, or why it is not let in; and each KME with its name.

    Attributes:
        certificates: What it shows and whom it lets in.
        files: Where that is.
        port: Where it listens.
        warnings: What it had to say about files.
    """

    certificates: Certificates
    files: Files
    port: int = 0
    warnings: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        certificate = presented(writer.transport)
        assert certificate is not None
        while line := await reader.readline():
            time_s = now_s() + (366 * 86400.0 if line == b"next year\n" else 0.0)
            if line == b"kme\n":
                found = self.certificates.peer(certificate, "kme", time_s)
            else:
                found = self.certificates.sae(certificate, SAES, time_s)
            writer.write(f"{found.name}: {found.reason}\n".encode())
        writer.close()


@asynccontextmanager
async def running(files: Files, base: Path, **settings: object) -> AsyncIterator[Server]:
    warnings: list[str] = []
    certificates = Certificates(files.tls(**settings), base, warnings.append)
    server = Server(certificates, files, warnings=warnings)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=certificates.server_context)
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield server


REFUSED = (ssl.SSLError, ConnectionError)  # asyncio's servers end a failed handshake without an alert
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(server: Server, context: ssl.SSLContext) -> Line:
    return await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname="localhost")


async def asked(line: Line, question: str = "who") -> str:
    """Return the answer; empty where the server has ended the connection."""
    reader, writer = line
    writer.write(f"{question}\n".encode())
    return (await asyncio.wait_for(reader.readline(), 5.0)).decode().strip()


async def answer(server: Server, context: ssl.SSLContext, question: str = "who") -> str:
    """Return the answer over a connection of its own; empty where the server refuses it, at once or at first read."""
    try:
        line = await connected(server, context)
    except REFUSED:
        return ""
    try:
        return await asked(line, question)
    except REFUSED:
        return ""
    finally:
        line[1].transport.abort()


def of(files: Files, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = client_context(files.ca, files.cert, files.key)
    if version is not None:
        context.maximum_version = version
    return context


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_sae_is_let_in_by_its_name(pki: Pki, version: ssl.TLSVersion) -> None:
    async with running(pki.kme("kme-a"), pki.folder) as server:
        assert await answer(server, of(pki.sae("alice"), version)) == "alice: san-uri"
        assert await answer(server, of(pki.odd("bob", common_names=["bob"]), version)) == "bob: cn"


@pytest.mark.parametrize("version", VERSIONS)
async def test_certificates_that_do_not_verify_get_no_connection(
    pki: Pki, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    other = Pki(tmp_path / "other")
    stranger = other.sae("alice")
    async with running(pki.kme("kme-a"), pki.folder) as server:
        for files in (
            Files(pki.ca, stranger.cert, stranger.key),
            pki.expired("sae", "alice"),
            pki.not_yet_valid("sae", "alice"),
        ):
            assert await answer(server, of(files, version)) == ""
        assert await answer(server, of(pki.sae("alice"), version)) == "alice: san-uri"


@pytest.mark.parametrize("version", VERSIONS)
async def test_nobody_is_let_in_without_a_certificate(pki: Pki, version: ssl.TLSVersion) -> None:
    bare = ssl.create_default_context(cafile=pki.ca)
    bare.maximum_version = version
    async with running(pki.kme("kme-a"), pki.folder) as server:
        assert await answer(server, bare) == ""


async def test_a_certificate_of_the_authority_alone_names_nobody(pki: Pki) -> None:
    async with running(pki.kme("kme-a"), pki.folder) as server:
        for files, reason in (
            (pki.sae("mallory"), "the certificate's san-uri, cn names no registered SAE"),
            (pki.odd("two", common_names=["alice", "bob"]), "the certificate's cn names 2 registered SAEs"),
            (pki.kme("kme-a"), "the certificate is that of a kme"),
            (pki.device("alice"), "the certificate is that of a device"),
        ):
            assert await answer(server, of(files)) == f"None: {reason}"


async def test_only_a_kmes_certificate_is_a_kmes(pki: Pki) -> None:
    async with running(pki.kme("kme-a"), pki.folder) as server:
        assert await answer(server, of(pki.kme("kme-b")), "kme") == "kme-b: san-uri"
        for files in (pki.sae("kme-b"), pki.device("kme-b"), pki.odd("kme-b", common_names=["kme-b"], dns=["kme-b"])):
            assert await answer(server, of(files), "kme") == "None: the certificate is not that of a kme"


async def test_nobody_but_a_kme_can_answer_an_sae(pki: Pki, tmp_path: Path) -> None:
    for posing in (pki.sae("kme-a"), pki.device("kme-a"), Pki(tmp_path / "other").kme("kme-a")):
        files = Files(pki.ca, posing.cert, posing.key)
        async with running(files, pki.folder) as server:
            with pytest.raises(ssl.SSLCertVerificationError):
                await connected(server, of(pki.sae("alice")))


async def test_old_versions_of_tls_are_refused(pki: Pki) -> None:
    alice = pki.sae("alice")
    old = of(alice)
    old.set_ciphers("ALL:@SECLEVEL=0")  # OpenSSL itself would not speak TLS 1.1 otherwise
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with running(pki.kme("kme-a"), pki.folder) as server:
        with pytest.raises(REFUSED):
            await connected(server, old)
        old.maximum_version = ssl.TLSVersion.TLSv1_2  # so it was not for another reason
        assert await answer(server, old) == "alice: san-uri"


async def test_tls_1_2_is_refused_where_the_configuration_says_so(pki: Pki) -> None:
    async with running(pki.kme("kme-a"), pki.folder, least_version="1.3") as server:
        with pytest.raises(REFUSED):
            await connected(server, of(pki.sae("alice"), ssl.TLSVersion.TLSv1_2))
        assert await answer(server, of(pki.sae("alice"))) == "alice: san-uri"


@pytest.mark.parametrize("cipher", ["AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-SHA384"])
async def test_tls_1_2_without_forward_secrecy_or_with_cbc_is_refused(pki: Pki, cipher: str) -> None:
    context = of(pki.sae("alice"), ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(cipher)
    async with running(pki.kme("kme-a"), pki.folder) as server:
        with pytest.raises(REFUSED):
            await connected(server, context)
        context.set_ciphers("ECDHE+AESGCM")
        assert await answer(server, context) == "alice: san-uri"


async def test_a_denied_certificate_is_refused_on_new_and_on_open_connections_at_once(pki: Pki) -> None:
    deny = pki.folder / "deny.txt"
    deny.write_text("")
    alice = pki.sae("alice")
    async with running(pki.kme("kme-a"), pki.folder, deny="deny.txt") as server:
        line = await connected(server, of(alice))
        assert await asked(line) == "alice: san-uri"

        deny.write_text(f"serial:{line_serial(alice):x}\n")

        assert await asked(line) == "None: the certificate is on the deny list"
        assert await answer(server, of(alice)) == "None: the certificate is on the deny list"
        assert await answer(server, of(pki.sae("alice"))) == "alice: san-uri"  # a new one of the same name
        deny.write_text("")
        assert await asked(line) == "alice: san-uri"
        line[1].close()


def line_serial(files: Files) -> int:
    from cryptography import x509

    return x509.load_pem_x509_certificate(files.cert.read_bytes()).serial_number


async def test_a_certificate_that_expires_is_refused_on_open_connections_too(pki: Pki) -> None:
    async with running(pki.kme("kme-a"), pki.folder) as server:
        line = await connected(server, of(pki.issued_for(1, "sae", "alice")))

        assert await asked(line) == "alice: san-uri"
        assert await asked(line, "next year") == "None: the certificate has expired"
        line[1].close()


async def test_a_renewed_certificate_is_shown_without_a_restart(pki: Pki) -> None:
    async with running(pki.kme("kme-a"), pki.folder) as server:
        context = of(pki.sae("alice"))
        old = await connected(server, context)
        assert not server.certificates.reload()

        pki.kme("kme-a")

        assert server.certificates.reload()
        assert not server.certificates.reload()
        new = await connected(server, context)
        serials = [line[1].get_extra_info("peercert")["serialNumber"] for line in (old, new)]
        assert int(serials[1], 16) == line_serial(server.files) != int(serials[0], 16)
        assert [await asked(line) for line in (old, new)] == ["alice: san-uri"] * 2
        assert server.certificates.client_context is not server.certificates.server_context
        for line in (old, new):
            line[1].close()


async def test_files_that_cant_be_used_leave_the_old_ones_in_use(pki: Pki) -> None:
    async with running(pki.kme("kme-a"), pki.folder) as server:
        context, good = of(pki.sae("alice")), server.files.cert.read_bytes()
        for content, problem in (
            (b"no certificate", "can't be used as certificate"),
            (pki.sae("bob").cert.read_bytes(), "key values mismatch"),
        ):
            server.files.cert.write_bytes(content)

            assert not server.certificates.reload()
            assert not server.certificates.reload()
            assert await answer(server, context) == "alice: san-uri"
            (words,) = server.warnings
            assert problem in words
            assert words.endswith("the certificates in use stay")
            server.warnings.clear()

        server.files.cert.unlink()
        assert not server.certificates.reload()
        server.files.cert.write_bytes(good)
        assert server.certificates.reload()


async def test_a_new_authority_takes_the_place_of_the_old_one_without_a_restart(pki: Pki, tmp_path: Path) -> None:
    other = Pki(tmp_path / "other")
    alice, new_alice = pki.sae("alice"), other.sae("alice")
    async with running(pki.kme("kme-a"), pki.folder) as server:
        assert await answer(server, of(Files(alice.ca, new_alice.cert, new_alice.key))) == ""

        server.files.ca.write_bytes(other.ca.read_bytes())

        assert server.certificates.reload()
        assert await answer(server, unverified(new_alice)) == "alice: san-uri"
        assert await answer(server, unverified(alice)) == ""


def unverified(files: Files) -> ssl.SSLContext:
    """Return a context of a client that does not look who the server is."""
    context = of(files)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def test_tls_1_3_gives_no_tickets(pki: Pki) -> None:
    async with running(pki.kme("kme-a"), pki.folder) as server:
        line = await connected(server, of(pki.sae("alice")))
        assert await asked(line) == "alice: san-uri"  # tickets would have come by now
        assert not line[1].get_extra_info("ssl_object").session.has_ticket
        line[1].close()


async def test_a_session_from_before_a_change_of_the_authorities_counts_for_nothing(pki: Pki, tmp_path: Path) -> None:
    context = of(pki.sae("alice"), ssl.TLSVersion.TLSv1_2)
    async with running(pki.kme("kme-a"), pki.folder) as server:
        session, first = await asyncio.to_thread(resumed, server.port, context, None)
        _, again = await asyncio.to_thread(resumed, server.port, context, session)
        assert (first, again) == ((False, "alice: san-uri"), (True, "alice: san-uri"))

        server.files.ca.write_bytes(pki.ca.read_bytes() + Pki(tmp_path / "other").ca.read_bytes())
        assert server.certificates.reload()

        _, late = await asyncio.to_thread(resumed, server.port, context, session)
        assert late == (True, "None: the TLS session began before the authorities changed")


def resumed(
    port: int, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[ssl.SSLSession | None, tuple[bool | None, str]]:
    """Connect, with an earlier session if there is one, which asyncio has no way to do; return session and answer."""
    import socket

    with (
        socket.create_connection(("127.0.0.1", port), 5.0) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as line,
    ):
        line.sendall(b"who\n")
        found = line.session, (line.session_reused, line.recv(1000).decode().strip())
        line.unwrap()  # OpenSSL forgets sessions that end without a goodbye
        return found


async def test_uvloop_does_the_same(pki: Pki) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def scene() -> list[str]:
        async with running(pki.kme("kme-a"), pki.folder) as server:
            context = of(pki.sae("alice"))
            answers = [await answer(server, context)]
            pki.kme("kme-a")
            server.certificates.reload()
            line = await connected(server, context)
            shown = line[1].get_extra_info("peercert")["serialNumber"]
            answers += [await asked(line), str(int(shown, 16) == line_serial(server.files))]
            line[1].close()
            return answers

    assert await asyncio.to_thread(uvloop.run, scene()) == ["alice: san-uri", "alice: san-uri", "True"]


def test_what_cant_be_used_is_named(pki: Pki, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    kme, nothing = pki.kme("kme-a"), tmp_path / "nothing"
    nothing.write_bytes(b"")
    sealed = tmp_path / "sealed.key"
    private = serialization.load_pem_private_key(kme.key.read_bytes(), None)
    sealed.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )

    for make in (server_context, client_context):
        with pytest.raises(ScenarioError, match="nothing: can't be used as authorities"):
            make(nothing, kme.cert, kme.key)
        with pytest.raises(ScenarioError, match=r"missing: can't be used as authorities: no such file"):
            make(tmp_path / "missing", kme.cert, kme.key)
        with pytest.raises(ScenarioError, match="nothing: can't be used as certificate with the key"):
            make(kme.ca, nothing, kme.key)
        with pytest.raises(ScenarioError, match=r"sealed\.key: is encrypted"):
            make(kme.ca, kme.cert, sealed)


async def test_a_client_finds_a_kme_under_each_of_its_hosts_and_no_other(pki: Pki) -> None:
    async with running(pki.kme("kme-a", "kme-a.example"), pki.folder) as server:
        context = of(pki.sae("alice"))
        for host in ("kme-a.example", "127.0.0.1", "localhost"):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname=host)
            writer.close()
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname="kme-b.example")


async def test_a_kme_that_is_called_is_known_by_its_role_uri(pki: Pki) -> None:
    ours = Certificates(pki.kme("kme-b").tls(), pki.folder, pytest.fail)
    async with running(pki.kme("kme-a"), pki.folder) as server:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=ours.client_context, server_hostname="any.name.example"
        )
        shown = presented(writer.transport)
        again = presented(writer.transport)
        writer.close()

    assert shown is not None
    assert again is shown  # KMEs ask every second who their peers are
    assert shown.uris == (role_uri("kme", "kme-a"),)
    assert ours.peer(shown, "kme", now_s()).name == "kme-a"


def test_a_plain_connection_presents_nobody() -> None:
    assert presented(asyncio.Transport()) is None
