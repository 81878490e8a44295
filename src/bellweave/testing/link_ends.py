"""Two ends of a link between key servers, with real TLS, whose keys are made up."""
# ruff: noqa: S101 (these are parts of tests)

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from bellweave.dialogue import Message
from bellweave.edge.clock import now_s
from bellweave.edge.identity import presented
from bellweave.edge.kme_link import Links
from bellweave.edge.tls import Certificates
from bellweave.errors import DeliveryError
from bellweave.kms.messages import Hello, Welcome
from bellweave.testing.certificates import Files, Pki
from bellweave.testing.key_links import usual

HANG_S = 60.0
"""What takes so long hangs: machines that do other things too are slow, but not that slow."""


class End:
    """One KME's end: it answers what :attr:`says` says, and writes down what happens to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.links: Links
        self.events: list[str] = []
        self.refused_s: list[float] = []
        self.heard: list[Message] = []
        self.says: Callable[[Message], Message | None] = usual
        self.held: list[Callable[[Message], None]] = []
        self.greets = True
        self.port = 0

    def answer(self, sender: str, message: Message, then: Callable[[Message], None]) -> None:  # noqa: ARG002
        """Answer now, or when the test says so."""
        self.heard.append(message)
        answer = self.says(message)
        if answer is None:
            self.held.append(then)
        else:
            then(answer)

    def connected(self, peer: str, failed: Callable[[str], None]) -> None:
        """Greet the peer, if this end greets."""

        def welcomed(answer: Message | DeliveryError) -> None:
            self.events.append("welcomed" if isinstance(answer, Welcome) else str(answer))
            if not isinstance(answer, Welcome):
                self.refused_s.append(asyncio.get_running_loop().time())
                failed(str(answer))

        self.events.append(f"connected {peer}")
        if self.greets:
            self.links.ask(peer, Hello(self.name, peer, "store", 0), welcomed)

    def lost(self, peer: str) -> None:
        """Write down that the last connection went."""
        self.events.append(f"lost {peer}")

    async def ask(self, peer: str, message: Message) -> Message:
        """Ask the peer and return its answer; raise what goes wrong."""
        done: asyncio.Future[Message | DeliveryError] = asyncio.get_running_loop().create_future()
        self.links.ask(peer, message, done.set_result)
        answer = await asyncio.wait_for(done, HANG_S)
        if isinstance(answer, DeliveryError):
            raise answer
        return answer

    async def until(self, event: str, times: int = 1) -> None:
        """Wait until something has happened so many times."""
        async with asyncio.timeout(HANG_S):
            while self.events.count(event) < times:  # noqa: ASYNC110 a test looks from outside
                await asyncio.sleep(0.005)


class Tls:
    """What one end shows and whom it lets in."""

    def __init__(self, files: Files, deny: Path) -> None:
        deny.touch()
        self.deny = deny
        self.certificates = Certificates(files.tls(deny=str(deny)), deny.parent, print)
        self.client = self.certificates.client_context
        self.fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(files.cert.read_text())).hexdigest()

    def identify(self, transport: asyncio.BaseTransport) -> str | None:
        """Return the name of the KME that a connection's certificate proves."""
        shown = presented(transport)
        return None if shown is None else self.certificates.peer(shown, "kme", now_s()).name


def issued_at(ours: Path, others: Path) -> dict[str, Files]:
    """Issue certificates to three KMEs and a SAE of one authority, and to a KME of another."""
    pki = Pki(ours)
    kmes = {name: pki.kme(name) for name in ("kme-a", "kme-b", "kme-c")}
    return kmes | {"alice": pki.sae("alice"), "other authority": replace(Pki(others).kme("kme-a"), ca=pki.ca)}


async def until(true: Callable[[], bool]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(HANG_S):
        while not true():  # noqa: ASYNC110 a test looks from outside
            await asyncio.sleep(0.005)


def links_of(end: End, tls: Tls, addresses: dict[str, tuple[str, int] | None], *, timeout_s: float = HANG_S) -> Links:
    """Give an end its links; with several in one test, the test may bend ``tls`` first."""
    end.links = Links(
        end.name,
        addresses,
        end,
        identify=tls.identify,
        server_ssl=tls.certificates.server_context,
        client_ssl=lambda: tls.client,
        timeout_s=timeout_s,
    )
    return end.links


@contextlib.asynccontextmanager
async def linked(tls: dict[str, Tls], *, timeout_s: float = HANG_S) -> AsyncIterator[tuple[End, End]]:
    """Give the two ends of a link that kme-a has dialled."""
    a, b = End("kme-a"), End("kme-b")
    where = await links_of(b, tls["kme-b"], {"kme-a": None}, timeout_s=timeout_s).start("127.0.0.1")
    assert where is not None
    b.port = where[1]
    await links_of(a, tls["kme-a"], {"kme-b": where}, timeout_s=timeout_s).start()
    try:
        await a.until("welcomed")
        await b.until("welcomed")
        yield a, b
    finally:
        await a.links.close()
        await b.links.close()
