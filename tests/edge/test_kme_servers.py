"""Which SAE a certificate stands for at the endpoints of a KME."""

from pathlib import Path

import pytest

from bellweave.edge.clock import now_s
from bellweave.edge.identity import Presented
from bellweave.edge.kme_servers import who_of
from bellweave.edge.tls import Certificates
from bellweave.testing.certificates import Pki
from bellweave.testing.key_servers import directory


@pytest.mark.parametrize(
    ("uris", "names", "expected"),
    [
        ((), ("alice",), "alice"),
        (("urn:bellweave:sae:alice",), ("alice",), "alice"),
        ((), ("bob",), None),
        ((), ("alice", "bob"), None),
        (("urn:bellweave:sae:bob",), ("alice",), None),
        (("urn:bellweave:sae:alice", "urn:bellweave:sae:bob"), (), None),
        ((), ("nobody", "alice"), "alice"),
        ((), ("anna",), None),
    ],
    ids=["its CN", "both the same", "another KME's", "one of each KME", "a URI of another KME's", "two URIs",
         "one stranger", "no client"],
)  # fmt: skip
def test_a_certificate_stands_for_one_sae_of_the_network_and_is_served_where_that_belongs(
    tmp_path: Path, uris: tuple[str, ...], names: tuple[str, ...], expected: str | None
) -> None:
    certificates = Certificates(Pki(tmp_path).kme("kme-a").tls(), tmp_path, print)
    shown = Presented(uris, (), names, 1, "00", now_s() + 60.0)

    assert who_of(certificates, directory("kme-a"), {"alice"})(shown, now_s()).name == expected
