"""TLS with a pre-shared key, as encryptors speak it to a SKIP key provider; needs Python 3.13.

OpenSSL's call-back sees the peer's identity and not the connection, so a context is for one encryptor, on a port of its
own: then the port says who calls. Suites of TLS 1.2: PSK and DHE-PSK, which IOS XE offers; the DHE ones need parameters
(``openssl dhparam -out dh.pem 2048``), or both ends find "no shared cipher". TLS 1.3 is left out: by this interface
it gets suites with SHA-256 only, never the TLS_AES_256_GCM_SHA384 that the draft asks for.

Source: draft-cisco-skip-02, section on TLS; what is said of OpenSSL was tried with 3.0 and Python 3.13.
"""

import ssl
import sys
from pathlib import Path

from bellweave.errors import ScenarioError

LEAST_KEY_BYTES = 16

_CIPHERS = "DHE-PSK-AES256-GCM-SHA384:DHE-PSK-AES256-CBC-SHA384:PSK-AES256-GCM-SHA384"


def psk_context(identity: str, key: bytes, *, dh_params: Path | None = None) -> ssl.SSLContext:
    """Return a server's context that lets in one encryptor.

    Args:
        identity: The PSK identity that the encryptor sends.
        key: What it shares with this server, at least 16 bytes.
        dh_params: Diffie-Hellman parameters, PEM; None: no DHE-PSK suites, so no forward secrecy.

    Raises:
        ScenarioError: This Python can't, the key is too short, or the file can't be used.
    """
    if len(key) < LEAST_KEY_BYTES:
        raise ScenarioError(f"expected a pre-shared key of at least {LEAST_KEY_BYTES} bytes, got {len(key)}")
    if sys.version_info >= (3, 13):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
        context.set_ciphers(_CIPHERS)
        if dh_params is not None:
            try:
                context.load_dh_params(dh_params)
            except OSError as error:
                problem = f"can't be used as Diffie-Hellman parameters: {error}"
                raise ScenarioError(problem, file=str(dh_params)) from None
        # an unknown identity gets the empty key, which OpenSSL refuses
        context.set_psk_server_callback(lambda named: key if named == identity else b"")
        return context
    raise ScenarioError(
        f"a pre-shared key needs Python 3.13, this is {sys.version_info.major}.{sys.version_info.minor}; or let "
        "a TLS terminator such as stunnel speak it, with a certificate towards the key server"
    )
